"""Which files and folders of the cache are in use by a living process, or are wanted by somebody, and must not go.

Who uses something says so first and looks for it afterwards; who removes something says so first and looks for users
afterwards. So one of the two sees the other, without any lock: either the remover lets it be, or the user waits for the
short time until it is gone and makes it anew.
"""

import atexit
import errno
import os
import secrets
import shutil
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from datastore.cachestore.layout import CacheFolder, unlink
from datastore.errors import Unavailable
from datastore.processes import is_gone, owner_of, scratch_name, this_process

__all__ = ["Leases"]

_NEED: Final = "need-"
_DAY: Final = 86400.0
_LONGEST_WAIT: Final = 30.0


class _Declared:
    """What one process said that it uses.

    Attributes:
        folder: Where it says so.
        lock: For `uses`; made in the process that takes it, so that no child inherits it held.
        uses: By entry: how many blocks use it, and one more if the process does, until it ends.
        for_good: Entries that the process uses until it ends; nobody is removing them any more.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self.uses: Counter[str] = Counter()
        self.for_good: set[str] = set()

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)  # noqa: PTH118


class Leases:
    """The folders `leases/`, `doomed/` and `kept/`. Each file in them has the name of an entry: `files-<sha256>`.

    Args:
        folder: The cache.
    """

    def __init__(self, folder: CacheFolder) -> None:
        self._folder = folder
        self._declared: dict[int, _Declared] = {}

    # who uses

    def take(self, entry: str) -> None:
        """Say that this process uses an entry until it ends."""
        mine = self._mine()
        if entry not in mine.for_good:
            with mine.lock:
                self._declare(mine, entry)
                mine.uses[entry] += 1
            self._wait_for_remover(entry)
            mine.for_good.add(entry)

    @contextmanager
    def taken(self, entry: str) -> Generator[None]:
        """Use an entry in this block."""
        mine = self._mine()
        with mine.lock:
            self._declare(mine, entry)
            mine.uses[entry] += 1
        try:
            self._wait_for_remover(entry)
            yield
        finally:
            if mine is self._declared.get(os.getpid()):
                with mine.lock, suppress(OSError):
                    mine.uses[entry] -= 1
                    if not mine.uses[entry]:
                        unlink(mine.path(entry))

    def _mine(self) -> _Declared:
        process = os.getpid()
        found = self._declared.get(process)
        if found is None:  # a forked child has leases of its own
            new = _Declared(self._folder.place("leases", scratch_name()))
            found = self._declared.setdefault(process, new)  # one thread of several wins
            if found is new:
                atexit.register(_end, new.folder, process)
        return found

    def _declare(self, mine: _Declared, name: str) -> None:
        try:
            self._write(mine, name)
        except OSError as error:  # a cache that was made for this machine and is only read: nobody removes from it
            if getattr(error.__cause__ or error, "errno", None) != errno.EROFS:
                raise

    def _write(self, mine: _Declared, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        try:
            os.close(os.open(mine.path(name), flags, 0o644))
        except FileNotFoundError:
            self._folder.make(mine.folder)
            os.close(os.open(mine.path(name), flags, 0o644))

    def _wait_for_remover(self, entry: str) -> None:
        path = self._folder.place("doomed", entry)
        begin = time.monotonic()
        while os.access(path, os.F_OK):
            with suppress(FileNotFoundError), open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123
                owner = owner_of(file.read())
                ended = owner is not None and owner.boot == this_process().boot and is_gone(owner, age=0)
                if ended or time.monotonic() - begin > _LONGEST_WAIT:
                    unlink(path)
            time.sleep(0.001)

    @contextmanager
    def needing(self, digests: Iterable[str]) -> Generator[None]:
        """Need these objects in this block, to make files of them."""
        path, process = self._mine().path(f"{_NEED}{secrets.token_hex(8)}"), os.getpid()
        self._folder.write_small(path, b"".join(bytes.fromhex(digest[7:]) for digest in digests))
        try:
            yield
        finally:
            if process == os.getpid():
                unlink(path)

    # who removes

    @contextmanager
    def doomed(self, entry: str) -> Generator[set[str] | None]:
        """Give, for the length of this block, what is in use, if an entry is not: it may be removed; else None."""
        path = self._folder.place("doomed", entry)
        self._mark(path)
        try:
            used = self.used()
            yield None if entry in used or self.is_kept(entry) else used
        finally:
            unlink(path)

    def _mark(self, path: str) -> None:
        try:
            self._folder.write_small(path, scratch_name().encode())
        except Unavailable:  # a full disk: a name may have room yet; where it has none, nobody can begin a use
            with suppress(OSError):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644))

    def used(self) -> set[str]:
        """Return the entries that living processes use; what dead ones left is removed."""
        place = self._folder.place("leases", "")
        found: set[str] = set()
        for name in os.listdir(place) if os.path.isdir(place) else ():  # noqa: PTH112
            if self._is_over(name, place + name):
                shutil.rmtree(place + name, ignore_errors=True)
            else:
                with suppress(FileNotFoundError):
                    for entry in os.listdir(place + name):
                        found.update(_needed(f"{place}{name}{os.sep}{entry}") if entry.startswith(_NEED) else (entry,))
        return found

    @staticmethod
    def _is_over(name: str, path: str) -> bool:
        owner = owner_of(name)
        try:
            age = time.time() - os.stat(path).st_mtime  # noqa: PTH116
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


def _needed(path: str) -> Iterator[str]:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return
    for start in range(0, len(data), 32):
        yield f"objects-{data[start : start + 32].hex()}"


def _end(mine: str, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(mine, ignore_errors=True)
