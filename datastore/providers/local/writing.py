"""How an object comes to be on a disk: a hidden file that is renamed when it is whole."""

# ruff: noqa: PTH102, PTH105, PTH106, PTH108, PTH112, PTH116, PTH118, PTH120 - paths are text here

import errno
import os
import secrets
import weakref
from contextlib import suppress
from time import time_ns
from typing import Final

from datastore.errors import Unavailable, ValidationError
from datastore.provider import Bytes
from datastore.providers.local.disk import info_of, taken, temp_name, translated
from datastore.streams import as_bytes
from datastore.values import CREATE, ObjectInfo, PutMode

__all__ = ["LocalWriter"]

_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_ATTEMPTS: Final = 100
_NO_HARD_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalWriter:
    """An object in the making: a hidden file that goes away with the writer unless it is committed.

    Args:
        key: For messages and the info.
        place: Path to write to, with the links of its folder followed.
        mode: `OVERWRITE` or `CREATE`.
    """

    def __init__(self, key: str, place: str, *, mode: PutMode) -> None:
        self._key = key
        self._place = place
        self._mode: PutMode = mode
        self._temp = _Temp(place)
        self._discard = weakref.finalize(self, self._temp.discard)

    def write(self, data: Bytes, /) -> int:
        """Take some bytes and return how many."""
        self._check_open()
        rest = memoryview(as_bytes(data))
        size = len(rest)
        with translated(self._key, writing=True):
            while rest:
                rest = rest[os.write(self._temp.fd, rest) :]
        return size

    def commit(self) -> ObjectInfo:
        """Publish the object."""
        self._check_open()
        try:
            with translated(self._key, writing=True):
                found = self._temp.finish()
                self._publish()
        finally:
            self._discard()
        return info_of(self._key, self._place, found)

    def abort(self) -> None:
        """Forget everything."""
        self._discard()

    def _publish(self) -> None:
        if self._mode == CREATE:
            try:
                os.link(self._temp.path, self._place)
            except FileExistsError:
                raise taken(self._key) from None
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
                self._claim()
            else:
                return
        os.replace(self._temp.path, self._place)

    def _claim(self) -> None:
        """Take the name where the disk has no hard links; for a moment, readers see an empty object."""
        try:
            os.close(os.open(self._place, _WRITE, 0o666))
        except FileExistsError:
            raise taken(self._key) from None

    def _check_open(self) -> None:
        if not self._discard.alive:
            raise ValidationError(f"the writer of {self._key!r} was committed or aborted", hint="open another one")


class _Temp:
    """A hidden file beside the place that it is meant for, with the folders that had to be made for it."""

    def __init__(self, place: str) -> None:
        folder = os.path.dirname(place)
        self.path = os.path.join(folder, temp_name(secrets.token_hex(8)))
        self.fd = -1
        self._made: list[str] = []
        self._process = os.getpid()
        try:
            self._open(folder)
        except BaseException:
            self.discard()
            raise

    def _open(self, folder: str) -> None:
        for _ in range(_ATTEMPTS):
            # Whoever deletes in the same folder may take it away again before there is a file to keep it.
            with suppress(FileNotFoundError):
                self._make(folder)
                self.fd = os.open(self.path, _WRITE, 0o666)
                return
        raise Unavailable(f"the folder {folder!r} is taken away again and again")

    def _make(self, folder: str) -> None:
        if os.path.isdir(folder):
            return
        self._make(os.path.dirname(folder))
        with suppress(FileExistsError):  # somebody else made it meanwhile; if it is a file, opening says so
            os.mkdir(folder)
            self._made.append(folder)

    def finish(self) -> os.stat_result:
        """Close the file and return what it is."""
        self._close()
        # The disk's own clock moves in steps of milliseconds and inodes come back: two writes could get the same etag.
        now = time_ns()
        os.utime(self.path, ns=(now, now))
        return os.stat(self.path)

    def discard(self) -> None:
        """Take away what is left: the file, and the folders if nothing else is in them."""
        self._close()
        if os.getpid() != self._process:  # in a forked child, which has a copy only
            return
        with suppress(OSError):
            os.unlink(self.path)
        with suppress(OSError):  # not empty
            for folder in reversed(self._made):
                os.rmdir(folder)

    def _close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
