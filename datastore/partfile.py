"""A local file in the making, which appears under its name whole or not at all."""

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from datastore.errors import IntegrityError
from datastore.streams import CHUNK, HashingSink, read_at
from datastore.values import ObjectInfo

__all__ = ["TEMP", "PartFile", "check_content", "landing_of"]

TEMP: Final = ".datastore-tmp-"
"""What the names of files in the making begin with; 16 hex digits follow."""

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def landing_of(path: str | os.PathLike[str]) -> str | None:
    """Return the file that a download to `path` replaces: its own, or the one that it links to.

    None stands for a device or a pipe, which is written to as it is.

    Raises:
        IsADirectoryError: There is a folder.
    """
    plain = os.fspath(path)
    try:
        mode = os.lstat(plain).st_mode
        if stat.S_ISLNK(mode):
            plain = os.path.realpath(plain)
            mode = Path(plain).stat().st_mode
    except FileNotFoundError:
        return plain
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{plain!r} is a folder, and cannot become a file")
    return plain if stat.S_ISREG(mode) else None


class PartFile:
    """A file under a name of its own beside its target, in a folder that exists.

    Args:
        target: The name that it gets by `publish`; what is there is replaced.
    """

    __slots__ = ("_part", "_target", "fd")

    def __init__(self, target: str) -> None:
        # Not the target's own name with a suffix: that may be longer than the disk allows. What a death leaves of it
        # is none of the objects of a folder, and none of its files that are put elsewhere.
        name = TEMP + secrets.token_hex(8)
        self._part = os.path.join(os.path.dirname(target), name)  # noqa: PTH118, PTH120 - thousands of these in a row
        self._target = target
        self.fd = os.open(self._part, _FLAGS, 0o666)

    def write(self, data: bytes) -> None:
        """Write at the end."""
        done = os.write(self.fd, data)
        while done < len(data):  # a nearly full disk takes less, and says why at the next try
            done += os.write(self.fd, memoryview(data)[done:])

    def publish(self) -> None:
        """Give it its name."""
        self._close()
        os.replace(self._part, self._target)  # noqa: PTH105
        self._part = ""

    def discard(self) -> None:
        """Delete it. Harmless after `publish`, and when called twice."""
        self._close()
        if self._part:
            Path(self._part).unlink(missing_ok=True)
            self._part = ""

    def _close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def check_content(fd: int, info: ObjectInfo) -> None:
    """Raise `IntegrityError` unless a file has the bytes of an object, as far as its digest is known."""
    if info.digest is None:
        return
    found, buffer, position = HashingSink(), bytearray(CHUNK), 0
    while count := read_at(fd, memoryview(buffer), position):
        found.update(memoryview(buffer)[:count])
        position += count
    if found.digest != info.digest:
        raise IntegrityError(
            f"object {info.key!r} has digest {found.digest}, not {info.digest}", hint="try again; nothing was written"
        )
