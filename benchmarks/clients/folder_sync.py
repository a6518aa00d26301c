"""`ds.sync` of a prefix of a lakeFS branch and a folder, in either direction; what differs is found by content."""

import os
from pathlib import Path
from typing import Any

import datastore as ds
from benchmarks.places import CopiedPlace, Place

LABEL = "datastore, `ds.sync`"


def connect(place: Place) -> Any:
    """Mount the repo, and ask for one object."""
    assert isinstance(place, CopiedPlace)
    os.environ["DATASTORE_CACHE"] = f"{place.home}/cache"
    keys = {"access_key_id": place.access_key, "secret_access_key": place.secret_key}
    ds.mount("bench", "lakefs", repo=place.repo, endpoint=place.endpoint, **keys)
    branch = ds.repo("bench").branch(place.branch)
    assert ds.filesystem().exists(branch / "small/00000")
    return branch, place


def counted(folder: Path, place: CopiedPlace) -> None:
    """See to it that all files are there; a client may have one of its own, with a dot before its name."""
    assert sum(not name.startswith(".") for name in os.listdir(folder)) == place.files


def bring(connection: Any, folder: Path) -> None:
    branch, place = connection
    ds.sync(branch / "small/", folder)
    counted(folder, place)


def again(connection: Any, folder: Path) -> None:
    assert not ds.sync(connection[0] / "small/", folder)


def update(connection: Any, folder: Path) -> None:
    assert len(ds.sync(connection[0] / "small/", folder, delete=True)) == 10


def send(connection: Any, folder: Path) -> None:
    assert len(ds.sync(folder, connection[0] / "small/", delete=True, message="ten changed here")) == 10
