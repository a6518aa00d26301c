"""restic, as a command; a snapshot is its commit."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.places import FilesPlace, Place

LABEL = "restic"
NOTE = "fsync of each pack and of the folder"


def connect(place: Place) -> Any:
    """Make the repo, if it is not there."""
    assert isinstance(place, FilesPlace)
    if shutil.which("restic") is None:
        raise SystemExit("restic is not on the PATH")
    home = Path(place.home)
    os.environ.update(
        RESTIC_PASSWORD="bench", RESTIC_REPOSITORY=str(home / "restic"), RESTIC_CACHE_DIR=str(home / "cache")
    )
    if not (home / "restic").exists():
        _restic("init", cwd=home)
    os.sync()
    return home


def _restic(*arguments: str, cwd: Path) -> None:
    subprocess.run(["restic", "--quiet", *arguments], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def add(connection: Any, folder: Path) -> None:
    _restic("backup", "data", cwd=connection / "work")


def checkout(connection: Any, folder: Path) -> None:
    _restic("restore", "latest", "--target", str(folder), cwd=connection)


def change(connection: Any, folder: Path) -> None:
    _restic("backup", "data", cwd=connection / "work")
