"""A walk through the folders of a disk in the order of keys."""

# ruff: noqa: PTH112, PTH114, PTH118 - paths are text here

import os
import stat
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache

from datastore.errors import NotFound
from datastore.providers.local.disk import TEMP, followed, info_of, translated, utf8
from datastore.values import ObjectInfo

__all__ = ["Walk"]


class Walk:
    """One listing: a walk through the folders in the order of the keys, which can start anywhere.

    A folder sorts as its name with a slash: `a-b`, `a/b`, `a0` is the order of keys, though `a` comes first on a disk.

    Args:
        prefix: What keys have to start with.
        above: Real paths of the folders from the root to the one that the prefix begins in.
    """

    def __init__(self, prefix: str, above: Sequence[str]) -> None:
        self._root = above[0]
        self._prefix = prefix
        self._base = prefix[: prefix.rfind("/") + 1]
        self._above = tuple(above)
        # A listing with a delimiter starts again behind each common prefix; the folders on its way stay known.
        self._names = lru_cache(maxsize=64)(_sorted_names)

    def rows(self, start: str) -> Iterator[tuple[str, ObjectInfo]]:
        """Yield (key, object) from an inclusive start on."""
        return self._below(self._above, self._base, start)

    def level(self, start_after: str | None) -> Iterator[ObjectInfo | str]:
        """Yield the objects and the folders of one level, as `grouped` would, without looking at all that is below."""
        for name in self._names(self._above[-1]):
            key = self._base + name
            if not key.startswith(self._prefix) or (start_after is not None and key <= start_after):
                continue
            if name.endswith("/"):
                above = self._enter(self._above, key)
                if above and self._holds_object(above, key):
                    yield key
            elif info := self._file(self._above[-1], key):
                yield info

    def _below(self, above: tuple[str, ...], base: str, start: str) -> Iterator[tuple[str, ObjectInfo]]:
        names = self._names(above[-1])
        first = bisect_left(names, True, key=lambda name: base + name >= start)  # noqa: FBT003 - what the key gives
        if first and names[first - 1].endswith("/") and start.startswith(base + names[first - 1]):
            first -= 1
        for index in range(first, len(names)):
            key = base + names[index]
            if not key.startswith(self._prefix):
                return
            if key.endswith("/"):
                if inner := self._enter(above, key):
                    yield from self._below(inner, key, start)
            elif info := self._file(above[-1], key):
                yield key, info

    def _enter(self, above: tuple[str, ...], key: str) -> tuple[str, ...] | None:
        """Return the real folders down to this one; None if it is one of those above it."""
        folder = os.path.join(above[-1], utf8(key).rsplit("/", 2)[-2])
        if os.path.islink(folder):
            folder = followed(self._root, folder, key)
        return None if folder in above else (*above, folder)

    def _file(self, folder: str, key: str) -> ObjectInfo | None:
        """Return what is at a key; None if it is gone, leads nowhere or is no file."""
        path = os.path.join(folder, utf8(key).rpartition("/")[2])
        with suppress(NotFound), translated(key):
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode):
                path = followed(self._root, path, key)
                found = os.lstat(path)
            return info_of(key, path, found)
        return None

    def _holds_object(self, above: tuple[str, ...], key: str) -> bool:
        with suppress(NotFound), translated(key), os.scandir(above[-1]) as entries:
            if any(entry.is_file(follow_symlinks=False) and not TEMP.fullmatch(entry.name) for entry in entries):
                return True
        return next(self._below(above, key, ""), None) is not None


def _sorted_names(folder: str) -> list[str]:
    """Return the names in a folder in the order of keys, those of folders with their slash."""
    with suppress(NotFound), translated(folder), os.scandir(folder) as entries:
        return sorted(
            f"{entry.name}/" if _is_folder(entry) else entry.name for entry in entries if not TEMP.fullmatch(entry.name)
        )
    return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # `entry.is_dir()` alone raises for a link to itself.
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path))
