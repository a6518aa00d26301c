"""Files whose bytes are not those that their names say: finding them, and taking them out of the way."""

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from msgspec import Struct

from datastore.durable import fsync_directory, unreadable
from datastore.embedded import commits
from datastore.embedded.gather import object_ids
from datastore.embedded.layout import Layout
from datastore.embedded.nodes import decompress, id_of
from datastore.errors import DatastoreError
from datastore.streams import CHUNK

__all__ = ["DamagedFile", "damaged_files", "set_aside"]


class DamagedFile(Struct, frozen=True):
    """A file as it was when its bytes were wrong.

    Attributes:
        kind: As in `Problem`.
        id: Which object it should be.
        path: Where it is.
        problem: What is wrong.
        stamp: Inode, size and time: a file that was put in its place meanwhile has another.
    """

    kind: str
    id: str
    path: Path
    problem: str
    stamp: tuple[int, int, int]

    def is_there(self) -> bool:
        """Whether the file still is the one that was looked at."""
        try:
            return _stamp(self.path) == self.stamp
        except FileNotFoundError:
            return False


def damaged_files(layout: Layout, *, but: Collection[str] = ()) -> Iterator[DamagedFile]:
    """Read and hash every blob, node and commit, needed or not: a put relies on what is there already.

    Args:
        layout: Where they are.
        but: Ids of those that need no look.
    """
    for shelf in sorted(layout.blobs.iterdir()) if layout.blobs.is_dir() else ():
        yield from _damaged(shelf, "blob", but)
    yield from _damaged(layout.trees, "tree", but)
    yield from _damaged(layout.commits, "commit", but)


def _damaged(folder: Path, kind: str, but: Collection[str]) -> Iterator[DamagedFile]:
    for name in object_ids(folder):
        if name in but:
            continue
        path = folder / name
        try:
            stamp = _stamp(path)
            problem = _problem(path, kind)
        except FileNotFoundError:  # collected meanwhile
            continue
        if problem is not None:
            yield DamagedFile(kind, name, path, problem, stamp)


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _problem(path: Path, kind: str) -> str | None:
    try:
        if kind == "blob":
            return None if _sha256(path) == path.name else "has other bytes than its name says"
        data = path.read_bytes()
        if kind == "commit":
            commits.decode(path.name, data)
        elif id_of(decompress(path.name, data)) != path.name:
            return "its bytes do not match its id"
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        return "is a folder"
    except DatastoreError as error:
        return error.message
    except OSError as error:
        return unreadable(error)
    return None


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def set_aside(path: Path, quarantine: Path, *, under: str = "") -> Path:
    """Move a file to the quarantine, where it keeps its name; durable on return.

    Args:
        path: The file.
        quarantine: The folder.
        under: Folder in it.
    """
    folder = quarantine / under
    for new in (quarantine, folder):
        if not new.is_dir():
            new.mkdir(exist_ok=True)
            fsync_directory(new.parent)
    target = next(there for there in _names(folder / path.name) if not os.path.lexists(there))
    path.rename(target)
    fsync_directory(folder)
    fsync_directory(path.parent)
    return target


def _names(path: Path) -> Iterator[Path]:
    yield path
    number = 1
    while True:
        yield path.with_name(f"{path.name}.{number}")
        number += 1
