"""One worker for each thing to do, across threads and processes; the others wait for what it makes.

Nothing is wrong where locks do nothing, as on some network disks: then a thing is done twice.
"""

import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from datastore import flocks, stopping
from datastore.cachestore.layout import CacheFolder, unlink

__all__ = ["Flights"]

_LOG: Final = logging.getLogger("datastore.cache")
_PATIENCE: Final = 600.0
_LONGEST_WAIT: Final = 0.05
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
_held: set[int] = set()
"""Open lock files; a forked child closes them, or its parent's death would not free the locks."""


class _Turn:
    """A lock between threads, and how many of them want it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted = 0


_turns: dict[str, _Turn] = {}
_guard = threading.Lock()


class Flights:
    """The folder `locks/`.

    Args:
        folder: The cache.
        patience: Seconds after which a thing is done although somebody else seems to be doing it.
    """

    def __init__(self, folder: CacheFolder, *, patience: float = _PATIENCE) -> None:
        self._folder = folder
        self._patience = patience

    @contextmanager
    def alone(self, name: str) -> Generator[None]:
        """Be the only one who does this; look again, inside, whether it was done meanwhile."""
        path = self._folder.place("locks", name)
        with _guard:
            turn = _turns.setdefault(path, _Turn())
            turn.wanted += 1
        try:
            with turn.lock, self._locked(path):
                yield
        finally:
            with _guard:
                turn.wanted -= 1
                if not turn.wanted and _turns.get(path) is turn:
                    del _turns[path]

    def sweep(self) -> None:
        """Remove lock files that ended processes left."""
        place = self._folder.place("locks", "")
        for name in os.listdir(place) if os.path.isdir(place) else ():  # noqa: PTH112
            with contextlib.suppress(OSError):
                fd = os.open(place + name, os.O_RDWR)
                try:
                    if flocks.try_lock(fd) and flocks.is_at(fd, place + name):
                        unlink(place + name)
                finally:
                    os.close(fd)

    @contextmanager
    def _locked(self, path: str) -> Generator[None]:
        fd = self._lock(path)
        process = os.getpid()
        if fd >= 0:
            _held.add(fd)
        try:
            yield
        finally:
            if fd >= 0 and process == os.getpid():
                _held.discard(fd)
                with contextlib.suppress(OSError):  # Windows keeps a file that others wait for
                    unlink(path)
                with contextlib.suppress(OSError):
                    flocks.unlock(fd)
                os.close(fd)

    def _lock(self, path: str) -> int:
        """Return the descriptor of the lock file, locked; -1 where that does not work."""
        deadline, told, wait = time.monotonic() + self._patience, time.monotonic() + 30, 0.001
        while True:
            fd = self._opened(path)
            try:
                locked = flocks.try_lock(fd)
            except OSError:  # this disk knows no locks
                os.close(fd)
                return -1
            if locked and flocks.is_at(fd, path):
                return fd
            os.close(fd)
            if locked:  # of somebody who had it before, and removed it
                continue
            if time.monotonic() > deadline:
                return -1
            if time.monotonic() > told:
                told += 30
                _LOG.info("waiting for another process that works on %s", path)
            stopping.check()
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait = min(wait * 1.5, _LONGEST_WAIT)

    def _opened(self, path: str) -> int:
        try:
            fd = os.open(path, _FLAGS, 0o600)
        except FileNotFoundError:
            self._folder.make(os.path.dirname(path))  # noqa: PTH120
            fd = os.open(path, _FLAGS, 0o600)
        self._folder.share(fd)
        return fd


def _after_in_child() -> None:
    global _guard  # noqa: PLW0603 - another thread of the parent may have held it
    _guard = threading.Lock()
    _turns.clear()  # a child has no part in its parent's turns
    while _held:
        with contextlib.suppress(OSError):
            os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_in_child)
