"""A local file in the making that outlives its process: the next one that wants the same bytes goes on with it.

Beside the file, which has room for all the bytes, lies one with the marks of the parts that have arrived. Both are
named after the target, the version of the object, and the boot of the machine: what an earlier boot left may be torn. A
lock keeps two processes from doing the same work; without it, they would write the same bytes to the same places.
"""

import hashlib
import os
from contextlib import suppress
from typing import Final

from datastore.durable import boot_id
from datastore.flocks import is_at, try_lock
from datastore.partfile import TEMP, PartFile
from datastore.parts import Marks

__all__ = ["KeptFile"]

_TRIES: Final = 3
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)


class KeptFile(PartFile):
    """A file under a name of its own beside its target, in a folder that exists; it is filled in parts of `PART` bytes.

    Args:
        target: The name that it gets by `publish`; what is there is replaced.
        version: Names the bytes.
        size: How many they are.

    Raises:
        BlockingIOError: Somebody else is at it.
    """

    __slots__ = ("_layout", "_marks", "_marks_path")

    def __init__(self, target: str, *, version: str, size: int) -> None:
        folder, name = os.path.split(target)
        lead = f"{TEMP}{_hash(name)}"
        self._target = target
        self._layout = Marks(0, size)
        self._part = os.path.join(folder, lead + _hash(f"{version}\n{boot_id()}"))  # noqa: PTH118 - paths are text here
        self._marks_path = os.path.join(folder, lead + _hash(f"{version}\n{boot_id()}\nmarks"))  # noqa: PTH118
        self._marks = -1
        self.fd = _locked(self._part)
        try:
            self._marks = os.open(self._marks_path, _FLAGS, 0o666)
            if os.fstat(self.fd).st_size != size:
                os.ftruncate(self._marks, 0)
                os.ftruncate(self.fd, size)
            _remove_others(folder, lead, {self._part, self._marks_path})
        except BaseException:
            self._close()
            raise

    def lacks(self, start: int) -> bool:
        """Tell whether the part that begins here has not arrived."""
        return self._layout.lacks(self._marks, start)

    def came(self, start: int) -> None:
        """Note that the part that begins here is complete."""
        self._layout.came(self._marks, start)

    def publish(self) -> None:
        """Give it its name, before anybody else can take it for unfinished."""
        try:
            os.replace(self._part, self._target)  # noqa: PTH105
        except FileNotFoundError:  # where locks do nothing, another one has published this very file
            if not os.path.samestat(os.fstat(self.fd), os.stat(self._target)):  # noqa: PTH116
                raise
        self._part = ""
        self.discard()

    def leave(self) -> None:
        """Let go of it, for whoever goes on. Harmless after `publish`."""
        if self._marks < 0:
            return
        if os.fstat(self._marks).st_size:
            self._close()
        else:
            self.discard()

    def discard(self) -> None:
        """Delete it, unless it was published. Harmless when called twice."""
        if self._marks >= 0:
            with suppress(FileNotFoundError):
                os.unlink(self._marks_path)  # noqa: PTH108
        if self._part:
            with suppress(FileNotFoundError):
                os.unlink(self._part)  # noqa: PTH108
            self._part = ""
        self._close()

    def _close(self) -> None:
        marks, self._marks = self._marks, -1
        if marks >= 0:
            os.close(marks)
        super()._close()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _locked(path: str) -> int:
    """Open a file that nobody else has locked, and lock it."""
    for _ in range(_TRIES):
        fd = os.open(path, _FLAGS, 0o666)
        ours = try_lock(fd)
        if ours and is_at(fd, path):
            return fd
        os.close(fd)
        if not ours:
            break  # else it was published, or deleted, while it was opened
    raise BlockingIOError


def _remove_others(folder: str, lead: str, ours: set[str]) -> None:
    """Delete what was begun for the same target, of other versions or before another boot, and is nobody's any more."""
    for name in os.listdir(folder or "."):
        path = os.path.join(folder, name)  # noqa: PTH118
        if not name.startswith(lead) or path in ours:
            continue
        with suppress(OSError):
            fd = os.open(path, os.O_RDWR)
            try:
                if try_lock(fd):
                    os.unlink(path)  # noqa: PTH108
            finally:
                os.close(fd)
