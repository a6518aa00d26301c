"""Which files and folders of the cache are in use by a living process, or are wanted by somebody, and must not go.

Who uses something says so first and looks for it afterwards; who removes something says so first and looks for users
afterwards. So one of the two sees the other, without any lock: either the remover lets it be, or the user waits for the
short time until it is gone and makes it anew.
"""

import atexit
import os
import shutil
import time
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final

from datastore.cachestore.declared import Declared, entries_in, last_change
from datastore.cachestore.layout import CacheFolder, unlink
from datastore.errors import Unavailable
from datastore.processes import is_gone, owner_of, scratch_name, this_process

__all__ = ["Leases"]

_DAY: Final = 86400.0
_LONGEST_WAIT: Final = 30.0


class Leases:
    """The folders `leases/`, `doomed/` and `kept/`. An entry is named `files-<sha256>` or `trees-<id>`.

    Args:
        folder: The cache.
    """

    def __init__(self, folder: CacheFolder) -> None:
        self._folder = folder
        self._declared: dict[int, Declared] = {}

    # who uses

    def take(self, entry: str) -> None:
        """Say that this process uses an entry until it ends."""
        mine = self._mine()
        if entry not in mine.for_good:
            mine.until_end(entry)
            self._wait_for_removers(entry)
            mine.settle(entry)

    @contextmanager
    def taken(self, entry: str) -> Generator[None]:
        """Use an entry in this block."""
        mine = self._mine()
        mine.begin(entry)
        try:
            self._wait_for_removers(entry)
            yield
        finally:
            if mine is self._declared.get(os.getpid()):
                mine.end(entry)

    def _mine(self) -> Declared:
        process = os.getpid()
        found = self._declared.get(process)
        if found is None:  # a forked child has leases of its own
            new = Declared(self._folder)
            found = self._declared.setdefault(process, new)  # one thread of several wins
            if found is new:
                atexit.register(_end, new.place, process)
        return found

    def _wait_for_removers(self, entry: str) -> None:
        """Wait until those are done who began before it was said; whoever begins now sees that it is used."""
        marks = [mark for mark in self._marks() if mark.startswith(entry)]
        begin = time.monotonic()
        while marks:
            late = time.monotonic() - begin > _LONGEST_WAIT
            for mark in marks:
                owner = owner_of(_remover(mark))
                if late or (owner is not None and owner.boot == this_process().boot and is_gone(owner, age=0)):
                    unlink(self._folder.place("doomed", mark))
            time.sleep(0.001)
            marks = [mark for mark in marks if os.path.lexists(self._folder.place("doomed", mark))]

    def _marks(self) -> list[str]:
        try:
            return os.listdir(self._folder.place("doomed", ""))
        except FileNotFoundError:
            return []

    def needing(self, digests: Iterable[str]) -> AbstractContextManager[None]:
        """Need these objects in this block, to make files of them."""
        return self._mine().needing(f"objects-{digest[7:]}" for digest in digests)

    # who removes

    @contextmanager
    def doomed(self, entry: str) -> Generator[set[str] | None]:
        """Give, for the length of this block, what is in use, if an entry is not: it may be removed; else None."""
        mark = self._folder.place("doomed", f"{entry}.{scratch_name()}")  # of its own: another one may be at it, too
        try:
            os.close(self._folder.open_new(mark))
        except Unavailable:  # a disk that is so full, or fails: where it cannot be said, somebody might begin a use
            yield None
            return
        try:
            used = self.used()
            yield None if entry in used or self.is_kept(entry) else used
        finally:
            unlink(mark)

    def used(self) -> set[str]:
        """Return the entries that living processes use; what dead ones left is removed."""
        place = self._folder.place("leases", "")
        found: set[str] = set()
        for name in os.listdir(place) if os.path.isdir(place) else ():  # noqa: PTH112
            if self._is_over(name, place + name):
                shutil.rmtree(place + name, ignore_errors=True)
            else:
                with suppress(FileNotFoundError):
                    found.update(entries_in(place + name))
        return found

    def sweep(self) -> None:
        """Remove what removers left that have ended."""
        for mark in self._marks():
            if self._is_over(_remover(mark), path := self._folder.place("doomed", mark)):
                unlink(path)

    @staticmethod
    def _is_over(name: str, path: str) -> bool:
        owner = owner_of(name)
        try:
            age = time.time() - last_change(path)
        except FileNotFoundError:
            return False
        if owner is None or owner.boot != this_process().boot:  # another machine may share this disk
            return age > _DAY
        return is_gone(owner, age=age)

    # who wants to keep

    def keep(self, entry: str, note: bytes) -> None:
        """Keep an entry until it is let go."""
        self._folder.write_small(self._folder.place("kept", entry), note)

    def let_go(self, entry: str) -> None:
        """Do not keep it any more."""
        unlink(self._folder.place("kept", entry))

    def is_kept(self, entry: str) -> bool:
        """Tell whether somebody wants to keep it."""
        return os.path.lexists(self._folder.place("kept", entry))


def _remover(mark: str) -> str:
    return mark.partition(".")[2]


def _end(mine: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(mine, ignore_errors=True)
