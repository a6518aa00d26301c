"""Objects as files for DuckDB, whose threads share an open file.

DuckDB goes to a position and reads there in two steps, and other threads come in between: with any file system of
Python it then reads wrong bytes now and then (seen with fsspec's own, too). These files keep the two steps together.
"""

import itertools
from datetime import datetime
from threading import Lock, get_ident
from typing import Any, Final

from fsspec.spec import AbstractFileSystem

from datastore.errors import NotFound
from datastore.fs.files import ReadFile
from datastore.handoff.finding import Found
from datastore.handoff.opening import Versions
from datastore.values import ObjectInfo

# ruff: noqa: ARG002 - the signatures are fsspec's

__all__ = ["SharedFile", "SharedFiles"]

_NUMBERS: Final = itertools.count(1)


class SharedFiles(AbstractFileSystem):
    """The objects behind one URL, under a scheme that no other has; asks nobody what they are.

    Args:
        found: The objects.
    """

    cachable = False

    def __init__(self, found: Found) -> None:
        super().__init__()
        self.protocol = f"ds-{next(_NUMBERS)}"
        self._versions = Versions(found)
        rows = zip(found.names, found.paths, found.objects, strict=True)
        # The names alone: a folder above them must not look like a column.
        self._objects = {f"{self.protocol}://{name}": (path, info) for name, path, info in rows}

    @property
    def urls(self) -> list[str]:
        """The objects as DuckDB has to name them."""
        return list(self._objects)

    def open(self, path: str, mode: str = "rb", **_: Any) -> "SharedFile":  # pyright: ignore[reportIncompatibleMethodOverride]
        """Open an object for reading."""
        return SharedFile(self._versions.open(self._found(path)[0]))

    def glob(self, path: str, **_: Any) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the name itself: none of them is a pattern."""
        return [path] if path in self._objects else []

    def isfile(self, path: str) -> bool:
        """Tell whether it is one of the objects."""
        return path in self._objects

    def isdir(self, path: str) -> bool:
        """Always False."""
        return False

    def exists(self, path: str, **_: Any) -> bool:
        """Tell whether it is one of the objects."""
        return path in self._objects

    def size(self, path: str) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the bytes of an object."""
        return self._found(path)[1].size

    def modified(self, path: str) -> datetime:
        """Return when an object was written."""
        return self._found(path)[1].modified

    def unstrip_protocol(self, name: str) -> str:
        """Return the name itself, which is a URL already."""
        return name

    def _found(self, path: str) -> tuple[str, ObjectInfo]:
        try:
            return self._objects[path]
        except KeyError:
            raise NotFound(f"{path!r} is not what a query was made for", hint="ds.sql anew") from None


class SharedFile:
    """An open file whose `seek` is for the next `read` of the same thread.

    A `read` without one goes on where the last one of any thread ended, as parts of a CSV file are read.
    """

    def __init__(self, file: ReadFile) -> None:
        self._file = file
        self._lock = Lock()
        self._wanted: dict[int, int] = {}
        self._position = 0
        self.size = file.size

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a position."""
        with self._lock:
            self._position = self._wanted[get_ident()] = self._file.seek(offset, whence)
            return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """Read some bytes."""
        with self._lock:
            at = self._wanted.pop(get_ident(), None)
            if at is None:
                self._wanted.clear()
                at = self._position
            self._file.seek(at)
            data = self._file.read(size)
            self._position = at + len(data)
            return data

    def tell(self) -> int:
        """Return where this thread is."""
        return self._wanted.get(get_ident(), self._position)

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._file.close()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed
