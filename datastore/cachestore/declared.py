"""What one process says that it uses of the cache: its folder in `leases/`.

A file in it that has the name of an entry says that the entry is used now, in a block; the block's end removes it. The
other files are lists of entries, one in a line: `list` of those that are used until the process ends, which has a line
appended for each, and one for each time that many objects are needed at once.
"""

import errno
import os
import secrets
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from datastore.cachestore.layout import CacheFolder, unlink
from datastore.processes import scratch_name

__all__ = ["Declared", "entries_in", "last_change"]

_LIST: Final = "list"
_WRITE: Final = os.O_WRONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Declared:
    """The folder of this process. Its lock is made in the process that takes it, so that no child inherits it held.

    Args:
        folder: The cache.

    Attributes:
        place: The folder; made when something is first said.
        for_good: Entries that the process uses until it ends; nobody is removing them any more.
    """

    def __init__(self, folder: CacheFolder) -> None:
        self.place = folder.place("leases", scratch_name())
        self.for_good: set[str] = set()
        self._folder = folder
        self._lock = threading.Lock()
        self._blocks: Counter[str] = Counter()

    def until_end(self, entry: str) -> None:
        """Say that the process uses an entry until it ends."""
        with self._lock:
            try:
                self._append(entry)
            except OSError as error:
                if not _is_read_only(error):  # such as a full disk, which may have room for a name yet
                    self._begin(entry)

    def settle(self, entry: str) -> None:
        """Note that it was said in time: nobody is removing the entry."""
        with self._lock:
            self.for_good.add(entry)

    def begin(self, entry: str) -> None:
        """Say that a block uses an entry."""
        with self._lock:
            self._begin(entry)

    def end(self, entry: str) -> None:
        """Say that a block does not use it any more."""
        with self._lock, suppress(OSError):
            self._blocks[entry] -= 1
            if not self._blocks[entry]:
                del self._blocks[entry]
                unlink(self._path(entry))

    @contextmanager
    def needing(self, entries: Iterable[str]) -> Generator[None]:
        """Say that a block needs these."""
        path, process = self._path(f"{_LIST}-{secrets.token_hex(8)}"), os.getpid()
        self._folder.write_small(path, "\n".join(entries).encode())
        try:
            yield
        finally:
            if process == os.getpid():
                unlink(path)

    def _path(self, name: str) -> str:
        return f"{self.place}{os.sep}{name}"

    def _begin(self, entry: str) -> None:
        path = self._path(entry)
        try:
            try:
                os.close(os.open(path, _WRITE | os.O_CREAT, 0o644))
            except FileNotFoundError:
                self._folder.make(self.place)
                os.close(os.open(path, _WRITE | os.O_CREAT, 0o644))
        except OSError as error:
            if not _is_read_only(error):
                raise
        self._blocks[entry] += 1

    def _append(self, entry: str) -> None:
        fd, entries = self._list(entry)
        try:
            lines = "".join(f"\n{one}\n" for one in entries).encode()  # in lines of their own, whatever was cut before
            if os.write(fd, lines) < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            # Not kept open: it is what is closed that a network disk shows to whoever opens it next, on any machine.
            os.close(fd)

    def _list(self, entry: str) -> tuple[int, list[str]]:
        """Open the list, and return what it lacks besides."""
        path = self._path(_LIST)
        try:
            return os.open(path, _WRITE | os.O_APPEND), [entry]
        except FileNotFoundError:  # it is the first one, or another machine took this process for one that has ended
            self._folder.make(self.place)
            fd = os.open(path, _WRITE | os.O_APPEND | os.O_CREAT, 0o644)
            self._folder.share(fd)  # a member of the group reads it, whatever the umask
            return fd, [*self.for_good, entry]


def entries_in(place: str) -> Iterator[str]:
    """Yield the entries that a process says it uses, in its folder."""
    for name in os.listdir(place):
        if not name.startswith(_LIST):
            yield name
            continue
        with suppress(FileNotFoundError):
            yield from Path(place, name).read_text("ascii", errors="replace").split()


def last_change(place: str) -> float:
    """Return when a process last said something, in seconds since the epoch; raises `FileNotFoundError`."""
    latest = os.stat(place).st_mtime  # noqa: PTH116
    with suppress(FileNotFoundError, NotADirectoryError):
        latest = max(latest, os.stat(os.path.join(place, _LIST)).st_mtime)  # noqa: PTH116, PTH118
    return latest


def _is_read_only(error: OSError) -> bool:
    """Tell whether this is a cache that was made for this machine and is only read: nobody removes from it."""
    return getattr(error.__cause__ or error, "errno", None) == errno.EROFS
