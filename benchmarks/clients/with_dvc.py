"""DVC by its Python API, with git for what it leaves to git."""

import os
from pathlib import Path
from typing import Any

from benchmarks.clients import with_git
from benchmarks.places import FilesPlace, Place

LABEL = "DVC with git"
NOTE = "no fsync"


def connect(place: Place) -> Any:
    """Make the repo, if it is not there; without the telemetry."""
    assert isinstance(place, FilesPlace)
    os.environ.update(DVC_NO_ANALYTICS="true", DVC_GLOBAL_CONFIG_DIR=place.home, DVC_SYSTEM_CONFIG_DIR=place.home)
    os.environ["DVC_SITE_CACHE_DIR"] = f"{place.home}/site"
    from dvc.repo import Repo

    work = Path(place.home) / "work"
    git = with_git.connect(place)
    os.chdir(work)
    repo = Repo(str(work)) if (work / ".dvc").exists() else Repo.init(str(work))
    os.sync()
    return repo, git


def _commit(connection: Any) -> None:
    repo, git = connection
    repo.add("data")
    with_git.commit(git)


def add(connection: Any, folder: Path) -> None:
    _commit(connection)


def checkout(connection: Any, folder: Path) -> None:
    Path("data").rename("../data-before")  # it checks out into its own folder only
    connection[0].checkout()


def change(connection: Any, folder: Path) -> None:
    connection[0].status()
    _commit(connection)
