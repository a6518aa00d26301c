"""How the index is opened, above all where nothing may be written, not even by SQLite itself.

SQLite makes `-wal` and `-shm` files for a reader of a database in WAL mode, also with `mode=ro`. Two ways around it:

- While a writer has the store open (or died with it open), both files are there; `readonly_shm` reads them as they are.
- A store that was closed has neither. It is read as `immutable`, without locks, and the file is looked at again after
  each use: a writer may have opened, changed and closed the store meanwhile.
"""

import os
from pathlib import Path

from msgspec import Struct

from datastore.errors import Unavailable

__all__ = ["Mode", "reading", "stamp_of", "writing"]

Stamp = tuple[int, int, int]


class Mode(Struct, frozen=True):
    """How to open the index.

    Attributes:
        query: For SQLite's URI.
        stamp: Of the file as it is now, if no lock keeps it from changing.
        file: Device and inode, where writing: `repair` may put another file in its place.
    """

    query: str
    stamp: Stamp | None = None
    file: tuple[int, int] = (0, 0)


def writing(path: Path) -> Mode:
    """Return how to open the index for writing."""
    found = os.stat(path)  # noqa: PTH116 - part of every verb
    return Mode("mode=rw", file=(found.st_dev, found.st_ino))


def reading(path: Path) -> Mode:
    """Return how to open the index for reading only, as its files are now.

    Raises:
        Unavailable: There is a log, without the file that says how much of it counts.
    """
    if _size(f"{path}-shm"):
        return Mode("mode=ro&readonly_shm=1")
    if _size(f"{path}-wal"):
        raise Unavailable(
            f"the store {path.parent} was copied while it was in use: its index has a log, but no -shm file",
            hint="close the store before you copy it; a copy on a writable disk can be opened without read_only",
        )
    return Mode("mode=ro&immutable=1", stamp_of(path))


def stamp_of(path: Path) -> Stamp:
    """Return what changes when the file does."""
    found = os.stat(path)  # noqa: PTH116 - part of every verb
    return found.st_ino, found.st_size, found.st_mtime_ns


def _size(name: str) -> int:
    try:
        return os.stat(name).st_size  # noqa: PTH116
    except FileNotFoundError:
        return 0
