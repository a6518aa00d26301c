"""fsspec's own local file system, on the plain files."""

import os
from pathlib import Path
from typing import Any

from benchmarks.clients.through_fsspec import *  # noqa: F403 - the tasks
from benchmarks.places import LocalPlace, Place

LABEL = "fsspec, local"


def connect(place: Place) -> Any:
    """Make the file system, and read one object."""
    import fsspec

    assert isinstance(place, LocalPlace)
    fs = fsspec.filesystem("file")
    fs.cat_file(f"{place.source}/small/01999")
    os.sync()
    return fs, place.source


def add_big(connection: Any, folder: Path) -> None:
    """Copy 1 GiB, which may be in memory only when it returns."""
    connection[0].put_file(str(folder.parent / "source" / "big"), str(folder / "big"))
