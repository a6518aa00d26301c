"""How much the cache may hold, and making room in it: what nobody uses goes, longest unused first."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from datastore.cachestore.inventory import Entry, Inventory, age_of, files_in, in_order, remove_all
from datastore.cachestore.layout import CacheFolder
from datastore.cachestore.leases import Leases
from datastore.cachestore.partial import leftovers
from datastore.durable import is_full
from datastore.errors import DatastoreError, Unavailable
from datastore.sizes import size_words

__all__ = ["DAY", "Space"]

_T = TypeVar("_T")
DAY: Final = 86400.0
_BALLAST: Final = 8 << 20
_SPARE: Final = 0.1
_LONGEST_TALLY: Final = 1 << 20


class Space:
    """Room in the cache.

    Args:
        folder: The cache.
        leases: Who uses what.
        limit: Most bytes; None for as many as the disk takes.
    """

    def __init__(self, folder: CacheFolder, leases: Leases, *, limit: int | None) -> None:
        self._folder = folder
        self._leases = leases
        self._tally = Path(folder.place("usage"))
        self.limit = limit

    def reserve(self, need: int) -> None:
        """See to it that so many bytes fit, before any of them is asked for.

        Raises:
            Unavailable: They do not, although everything went that may go; names the sizes.
        """
        short = self._short(need)
        if short > 0:
            spare = 0 if self.limit is None else round(self.limit * _SPARE)  # so that it is not every time
            self.evict(short + spare)
            if self._short(need) > 0:
                raise self._no_room(need)

    def _short(self, need: int) -> int:
        over = 0 if self.limit is None else self.used() + need - self.limit
        return max(over, need + _BALLAST - self._free()) if need else over

    def _free(self) -> int:
        self._folder.file_mode()  # makes the folder, if this is the first use
        return shutil.disk_usage(self._folder.root).free

    def with_room(self, need: int, act: Callable[[], _T]) -> _T:
        """Do something; if the disk is full, make room and do it once more.

        Raises:
            Unavailable: The disk is still full; names the sizes.
        """
        try:
            return act()
        except (DatastoreError, OSError) as error:
            if not is_full(error):
                raise
        self.evict(2 * need + _BALLAST)
        try:
            return act()
        except (DatastoreError, OSError) as error:
            if is_full(error):
                raise self._no_room(need) from None  # what is full is said; nobody above has to try again
            raise

    def evict(self, need: int) -> int:
        """Remove leftovers, then what nobody uses, until so many bytes are free; return how many became so."""
        freed = self.tidy()
        found = Inventory(self._folder)
        before, freed_here = found.size, 0
        for entry in in_order(found.entries, but=self._leases.used()):
            if freed + freed_here >= need:
                break
            freed_here += self.remove(entry, found)
        self._count(before - freed_here)
        return freed + freed_here

    def remove(self, entry: Entry, found: Inventory) -> int:
        """Remove an entry unless it is in use or kept, and return how many bytes that freed."""
        with self._leases.doomed(entry.name) as used:
            return 0 if used is None else found.remove(entry, but=used)

    def tidy(self, *, age: float = DAY) -> int:
        """Remove what ended processes left in the making, and what was put away so long ago; return its bytes."""
        self._leases.sweep()
        put_away = [path for path in files_in(self._folder.place("quarantine")) if age_of(path) > age]
        return sum(map(remove_all, [*leftovers(self._folder, age=age), *put_away]))

    def _no_room(self, need: int) -> Unavailable:
        held = Inventory(self._folder).size
        limit = "no limit" if self.limit is None else f"a limit of {size_words(self.limit)}"
        return Unavailable(
            f"the cache {self._folder.root} has no room for {size_words(need)}: it has {limit}, its disk has "
            f"{size_words(self._free())} free, and the {size_words(held)} in it are in use or kept",
            hint="raise cache.size, make room on the disk, or let go of what is kept (datastore cache ls)",
        )

    # an estimate of what is there: whoever adds something says so, whoever removes something counts anew

    def used(self) -> int:
        """Return how many bytes the cache holds, about."""
        with suppress(FileNotFoundError, ValueError):
            lines = self._tally.read_bytes()
            if len(lines) < _LONGEST_TALLY and age_of(f"{self._tally}.day") < DAY:
                return max(sum(map(int, lines.split())), 0)
        total = Inventory(self._folder).size
        self._count(total)
        return total

    def recount(self) -> None:
        """Count all that is there."""
        self._count(Inventory(self._folder).size)

    def _count(self, total: int) -> None:
        with suppress(DatastoreError, OSError):  # a full disk: the next one counts
            self._folder.write_small(f"{self._tally}.day", b"")
            part = self._folder.scratch()
            with os.fdopen(self._folder.open_new(part), "wb") as file:
                file.write(b"%d\n" % total)
                self._folder.share(file.fileno())
            self._folder.move(part, f"{self._tally}")

    def added(self, size: int) -> None:
        """Say that there are so many bytes more."""
        with suppress(OSError):
            fd = os.open(self._tally, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(fd, b"%d\n" % size)
            finally:
                os.close(fd)
