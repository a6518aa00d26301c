"""`dvc checkout` where everything is checked out already, by its Python API and without git."""

import os
import shutil
from pathlib import Path
from typing import Any

from benchmarks.measuring import Measured, first_and_next
from benchmarks.places import CachedPlace, Place

LABEL = "DVC checkout, nothing to do"


def connect(place: Place) -> Any:
    """Open the repo, or make it; without the telemetry."""
    assert isinstance(place, CachedPlace)
    home = Path(place.home) / "dvc"
    os.environ.update(DVC_NO_ANALYTICS="true", DVC_GLOBAL_CONFIG_DIR=str(home), DVC_SYSTEM_CONFIG_DIR=str(home))
    os.environ["DVC_SITE_CACHE_DIR"] = f"{home}/site"
    from dvc.repo import Repo

    work = home / "work"
    work.mkdir(parents=True, exist_ok=True)
    os.chdir(work)
    return Repo(str(work)) if (work / ".dvc").exists() else Repo.init(str(work), no_scm=True), place


def prepare(connection: Any, folder: Path) -> None:
    repo, place = connection
    shutil.copytree(f"{place.source}/files", "files")
    repo.add("files")


def warm_many(connection: Any, folder: Path) -> Measured:
    return first_and_next(lambda _: connection[0].checkout(), 3)
