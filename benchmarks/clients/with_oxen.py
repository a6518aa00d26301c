"""Oxen by its Python API."""

import os
from pathlib import Path
from typing import Any

from benchmarks.places import FilesPlace, Place

LABEL = "Oxen"
NOTE = "not looked into"


def connect(place: Place) -> Any:
    """Make the repo, if it is not there; with a home folder of its own, because Oxen asks there for a name."""
    assert isinstance(place, FilesPlace)
    os.environ["HOME"] = place.home
    import oxen

    work = Path(place.home) / "work"
    oxen.user.config_user("bench", "bench@localhost")
    repo = oxen.Repo(str(work))
    if not (work / ".oxen").exists():
        repo.init()
    os.sync()
    return repo, work / "data"


def add(connection: Any, folder: Path) -> None:
    repo, data = connection
    repo.add(str(data))
    repo.commit("bench")


def checkout(connection: Any, folder: Path) -> None:
    repo, data = connection
    data.rename(data.parents[1] / "data-before")  # it checks out into its own folder only
    repo.restore("data")


def change(connection: Any, folder: Path) -> None:
    connection[0].status()
    add(connection, folder)
