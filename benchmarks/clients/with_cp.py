"""A plain copy of the folder, which keeps no versions: what the disk and the kernel take in any case."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.places import FilesPlace, Place

LABEL = "cp, a copy without versions"
NOTE = "sync at the end"


def connect(place: Place) -> Any:
    """Take the folder."""
    assert isinstance(place, FilesPlace)
    if shutil.which("cp") is None:
        raise SystemExit("cp is not on the PATH")
    os.sync()
    return Path(place.home)


def add(connection: Any, folder: Path) -> None:
    checkout(connection, folder)
    os.sync()


def checkout(connection: Any, folder: Path) -> None:
    subprocess.run(["cp", "--recursive", str(connection / "work" / "data"), str(folder)], check=True)
