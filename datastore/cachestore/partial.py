"""A download under way, which goes on where it was broken off, also by the death of its process.

One file: room for all the bytes, and behind it the marks of the parts that are there.
Its name tells which bytes they are and whose process is at work. Whoever wants the same bytes takes over what a dead
process left by renaming it, which only one can do.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from datastore.cachestore.inventory import age_of
from datastore.cachestore.layout import CacheFolder, disk_trouble, unlink
from datastore.durable import boot_id
from datastore.parts import PART, Marks
from datastore.processes import is_gone, owner_of, scratch_name, this_process

__all__ = ["Partial", "leftovers"]

_IDLE: Final = "idle"
_DAY: Final = 86400.0
_NO_ROOM_AHEAD: Final = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


class Partial:
    """The file of one download.

    Args:
        folder: The cache.
        name: Which version of which object, as a hash.
        size: Its bytes.
        resume: Whether to go on with what another one left.
    """

    def __init__(self, folder: CacheFolder, name: str, size: int, *, resume: bool) -> None:
        self.size = size
        self._marks = Marks(size, size)
        self._name = name
        self._resume = resume and size > PART
        self._place = folder.place("partial", "")
        self.path = f"{self._place}{name}.{scratch_name()}" if self._resume else folder.scratch()
        claimed = self._resume and self._claim()
        self.fd = os.open(self.path, os.O_RDWR | getattr(os, "O_BINARY", 0)) if claimed else folder.open_new(self.path)
        try:
            with disk_trouble(folder.root):
                if not (claimed and self._fits()):
                    self._make_room()
        except BaseException:
            self.discard()
            raise

    def _claim(self) -> bool:
        """Take over what somebody left of this very download."""
        try:
            names = [name for name in os.listdir(self._place) if name.startswith(self._name)]
        except FileNotFoundError:
            return False
        for name in names:
            if _is_left(name, self._place):
                try:
                    os.rename(self._place + name, self.path)  # noqa: PTH104
                except OSError:  # another one was faster
                    continue
                return True
        return False

    def _fits(self) -> bool:
        found = os.fstat(self.fd).st_size
        if found == self.size:  # complete; only the journal was gone already
            os.ftruncate(self.fd, self.size + self._marks.count)
            self._marks.all_came(self.fd)
            return True
        return found == self.size + self._marks.count

    def _make_room(self) -> None:
        """Take all the disk that it needs now, rather than to find it full at the end."""
        whole = self.size + self._marks.count
        os.ftruncate(self.fd, 0)
        os.ftruncate(self.fd, whole)  # at once: a file that grows would on its way be as long as one that is complete
        if hasattr(os, "posix_fallocate") and whole:
            try:
                os.posix_fallocate(self.fd, 0, whole)
            except OSError as error:
                if error.errno not in _NO_ROOM_AHEAD:
                    raise

    def missing(self) -> list[tuple[int, int]]:
        """Return the parts that are not here, as (start, stop)."""
        return self._marks.missing(self.fd)

    def came(self, start: int) -> None:
        """Note that the part which begins here is complete."""
        self._marks.came(self.fd, start)

    def finish(self) -> None:
        """Leave nothing but the bytes."""
        os.ftruncate(self.fd, self.size)
        self._close()

    def leave(self) -> None:
        """Keep what is here for the next who wants it, if that is worth it."""
        self._close()
        if not self._resume:
            unlink(self.path)
            return
        with suppress(FileNotFoundError):
            os.replace(self.path, f"{self._place}{self._name}.{_IDLE}-{_boot()}")  # noqa: PTH105

    def discard(self) -> None:
        """Remove it. Harmless when it was given another name."""
        self._close()
        unlink(self.path)

    def _close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def _boot() -> str:
    return boot_id().replace("-", "")[:16]


def _is_left(name: str, place: str) -> bool:
    """Tell whether a download has no owner any more, and was written since this machine was started."""
    whose = name.partition(".")[2]
    if whose.startswith(_IDLE):
        return whose == f"{_IDLE}-{_boot()}"  # what an earlier boot left may be torn
    owner = owner_of(whose)
    return owner is not None and owner.boot == this_process().boot and is_gone(owner, age=age_of(place + name))


def leftovers(folder: CacheFolder, *, age: float = _DAY) -> Iterator[str]:
    """Yield the paths of what is in the making and will never be made: its process has ended.

    Args:
        folder: The cache.
        age: Seconds that a download which can go on is kept; so is what comes from another machine or boot.
    """
    here = this_process().boot
    for kind in ("partial", "tmp"):
        place = folder.place(kind, "")
        for name in os.listdir(place) if os.path.isdir(place) else ():  # noqa: PTH112
            owner, since = owner_of(name.partition(".")[2] if kind == "partial" else name), age_of(place + name)
            ours = owner is not None and owner.boot == here
            ended = is_gone(owner, age=since) if owner is not None and ours else True
            if ended and (since > age or (kind == "tmp" and ours)):
                yield place + name
