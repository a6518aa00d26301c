"""The writer gate: one lock per store that every write transaction, checkpoint and close is held under.

SQLite's own busy handler starves writers, and versions before 3.51.3 can lose commits when a checkpoint races a writer
(facts/reliability.md §1.1, §2.4); with the gate neither happens. It is a `flock` between processes plus a lock between
threads.
"""

import contextlib
import os
import random
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from datastore.durable import disk_errors
from datastore.errors import Unavailable
from datastore.flocks import try_lock, unlock

__all__ = ["Gate"]

_FIRST_WAIT = 0.0001
_LONGEST_WAIT = 0.02


class Gate:
    """A lock across threads and processes, on a file that is never deleted.

    Args:
        path: The lock file; made on first use.
        timeout: Seconds to wait before `Unavailable` names the holder.
    """

    def __init__(self, path: Path, *, timeout: float = 120.0) -> None:
        self._path = path
        self._timeout = timeout
        self._threads = threading.Lock()
        self._fd = -1

    @contextmanager
    def held(self) -> Generator[None]:
        """Hold the gate; not reentrant."""
        deadline = time.monotonic() + self._timeout
        if not self._threads.acquire(timeout=self._timeout):
            raise self._busy("another thread of this process")
        threads, owner = self._threads, os.getpid()
        try:
            self._lock_file(deadline)
            try:
                yield
            finally:
                if os.getpid() == owner:  # a child that was forked in here holds nothing
                    unlock(self._fd)
        finally:
            threads.release()

    def _lock_file(self, deadline: float) -> None:
        if self._fd < 0:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            with disk_errors(self._path.parent):
                self._fd = os.open(self._path, flags, 0o664)
        wait = _FIRST_WAIT
        while not try_lock(self._fd):
            if time.monotonic() > deadline:
                holder = os.pread(self._fd, 20, 0).decode(errors="replace").strip() if hasattr(os, "pread") else ""
                raise self._busy(f"process {holder}" if holder else "another process")
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            wait = min(wait * 1.5, _LONGEST_WAIT)
        if hasattr(os, "pwrite"):
            with contextlib.suppress(OSError):  # only says to others who it is; a full disk is no reason to fail
                os.pwrite(self._fd, f"{os.getpid():<20}".encode(), 0)

    def _busy(self, holder: str) -> Unavailable:
        return Unavailable(
            f"the store {self._path.parent.parent} has been locked by {holder} for {self._timeout:.0f} s",
            hint="wait for it, or end that process; nothing was changed",
        )

    def forget(self) -> None:
        """In a forked child: let go of the parent's descriptor and locks without unlocking anything of the parent's.

        An inherited descriptor would keep the lock alive after the parent's death.
        """
        self._threads = threading.Lock()
        self.close()

    def close(self) -> None:
        """Close the lock file; the next use opens it again. Waits for a thread that holds the gate through it."""
        with self._threads:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
