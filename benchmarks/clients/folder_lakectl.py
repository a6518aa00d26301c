"""`lakectl local`, which remembers in the folder what it brought."""

import subprocess
from pathlib import Path
from typing import Any

from benchmarks.clients.folder_sync import counted
from benchmarks.clients.with_lakectl import set_up
from benchmarks.places import CopiedPlace, Place

LABEL = "lakectl local"


def connect(place: Place) -> Any:
    """Describe the server in the environment."""
    assert isinstance(place, CopiedPlace)
    set_up(place)
    return place


def _local(place: CopiedPlace, *arguments: str) -> None:
    subprocess.run([place.lakectl, "local", *arguments, "--no-progress"], check=True, stdout=subprocess.DEVNULL)


def bring(connection: Any, folder: Path) -> None:
    source = f"lakefs://{connection.repo}/{connection.branch}/small/"
    _local(connection, "clone", source, str(folder), "--gitignore=false")
    counted(folder, connection)


def again(connection: Any, folder: Path) -> None:
    _local(connection, "pull", str(folder))


def update(connection: Any, folder: Path) -> None:
    _local(connection, "pull", str(folder))


def send(connection: Any, folder: Path) -> None:
    _local(connection, "commit", str(folder), "--message", "ten changed here", "--yes")
