"""The embedded store at a branch."""

import os
from pathlib import Path
from typing import Any

import datastore as ds
from benchmarks.clients.through_fsspec import *  # noqa: F403 - the tasks
from benchmarks.places import LocalPlace, Place

LABEL = "datastore, branch"


def connect(place: Place, *, commit: bool = False) -> Any:
    """Open the repo by its branch or its commit, and read one object."""
    assert isinstance(place, LocalPlace)
    ds.mount("benched", "embedded", path=place.store, repo="local")
    branch = ds.repo("benched").branch("main")
    base = f"benched@{branch.head.id if commit else 'main'}"
    fs = ds.filesystem()
    fs.cat_file(f"{base}/small/01999")
    os.sync()
    return fs, base


def add_big(connection: Any, folder: Path) -> None:
    """Put 1 GiB into a store of its own, which is on the disk when it returns."""
    ds.mount("adding", "embedded", path=str(folder / "store"))
    main = ds.create_repo("adding/big").branch("main")
    connection[0].put_file(str(folder.parent / "source" / "big"), main / "big")
    main.commit("big")
