"""What is in a cache folder, by looking at it: its entries, how large they are, when they were used last."""

import os
import shutil
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress

from msgspec import Struct

from datastore.cachestore.layout import CacheFolder, unlink

__all__ = ["Entry", "Inventory", "age_of", "files_in", "in_order", "remove_all"]


class Entry(Struct, frozen=True, kw_only=True):
    """Something in the cache that is removed as a whole.

    Attributes:
        name: `<kind>-<hash>`; kind is `files`, `trees`, or `objects` for bytes that are in no file or folder.
        path: Where it is.
        size: Its bytes on disk; those that several share are counted with one of them.
        used: When it was used last, seconds since the epoch.
    """

    name: str
    path: str
    size: int
    used: float


def in_order(entries: Iterable[Entry], *, but: set[str]) -> list[Entry]:
    """Return what may go, longest unused first.

    >>> a, b, c = (Entry(name=n, path="", size=5, used=u) for n, u in (("a", 3), ("b", 1), ("c", 2)))
    >>> [entry.name for entry in in_order([a, b, c], but={"c"})]
    ['b', 'a']
    """
    return sorted((entry for entry in entries if entry.name not in but), key=lambda entry: (entry.used, entry.name))


class Inventory:
    """One look at everything.

    Args:
        folder: The cache.

    Attributes:
        entries: What is there.
        pending: Bytes of downloads under way, of leftovers, and of what was put away.
    """

    def __init__(self, folder: CacheFolder) -> None:
        self._seen: set[int] = set()
        self._objects: dict[int, str] = {}
        self.entries = [_entry(kind, item, self._seen) for kind in ("files", "trees") for item in _items(folder, kind)]
        for item in _items(folder, "objects"):
            with suppress(FileNotFoundError):
                self._object(item)
        self.pending = sum(
            _size(path) for kind in ("partial", "tmp", "quarantine") for path in files_in(folder.place(kind))
        )

    def _object(self, item: "os.DirEntry[str]") -> None:
        found = item.stat(follow_symlinks=False)
        self._objects[found.st_ino] = item.path
        if found.st_ino not in self._seen:
            name = f"objects-{item.name}"
            self.entries.append(Entry(name=name, path=item.path, size=found.st_size, used=found.st_ctime))

    @property
    def size(self) -> int:
        """All bytes."""
        return sum(entry.size for entry in self.entries) + self.pending

    def remove(self, entry: Entry, *, but: Container[str] = ()) -> int:
        """Remove an entry, with the objects that only it shared its bytes with; return how many bytes that freed.

        Args:
            entry: What is to go.
            but: Objects that somebody needs: they stay, although the entry goes.
        """
        paths = [entry.path] if entry.name.startswith("objects-") else list(files_in(entry.path))
        freed = sum(self._remove_file(path, but) for path in paths)
        remove_all(entry.path)
        return freed

    def _remove_file(self, path: str, but: Container[str]) -> int:
        try:
            found = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - thousands in a row
            unlink(path)
        except (
            FileNotFoundError,
            PermissionError,
        ):  # Windows keeps a file that somebody has open: it goes the next time
            return 0
        other = self._objects.get(found.st_ino)
        needed = other is None or other == path or f"objects-{os.path.basename(other)}" in but  # noqa: PTH119
        if found.st_nlink == 2 and other is not None and not needed:
            with suppress(FileNotFoundError):
                if os.stat(other).st_ino == found.st_ino:  # noqa: PTH116 - the name may have other bytes by now
                    unlink(other)
                    return found.st_size
        return found.st_size if found.st_nlink == 1 else 0


def _items(folder: CacheFolder, kind: str) -> Iterator["os.DirEntry[str]"]:
    for shard in _scan(folder.place(kind)):
        yield from _scan(shard.path)


def _entry(kind: str, item: "os.DirEntry[str]", seen: set[int]) -> Entry:
    size, used = 0, 0.0
    with suppress(FileNotFoundError):
        used = item.stat(follow_symlinks=False).st_mtime
    for path in files_in(item.path):
        with suppress(FileNotFoundError):
            found = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - thousands in a row
            size += 0 if found.st_ino in seen else found.st_size
            seen.add(found.st_ino)
    return Entry(name=f"{kind}-{item.name}", path=item.path, size=size, used=used)


def files_in(path: str) -> Iterator[str]:
    """Yield the paths of all files under a folder; nothing if there is no such folder."""
    for item in _scan(path):
        if item.is_dir(follow_symlinks=False):
            yield from files_in(item.path)
        else:
            yield item.path


def remove_all(path: str) -> int:
    """Remove a file or folder, if it is there, and return its bytes."""
    freed = 0
    with suppress(OSError):
        if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114
            freed = sum(map(_size, files_in(path)))
            shutil.rmtree(path, ignore_errors=True)
        else:
            freed = _size(path)
            unlink(path)
    return freed


def age_of(path: str) -> float:
    """Return how many seconds ago a file was written to; 0 if it is gone."""
    try:
        return time.time() - os.stat(path, follow_symlinks=False).st_mtime  # noqa: PTH116
    except FileNotFoundError:
        return 0.0


def _size(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size  # noqa: PTH116
    except FileNotFoundError:
        return 0


def _scan(path: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(path) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []
