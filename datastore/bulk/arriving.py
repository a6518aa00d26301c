"""Where the bytes of an object go when it comes: into memory, or into a file that appears when it is complete."""

import io
from typing import Final, Protocol, TypeVar

from datastore.calls import FileSlice
from datastore.errors import IntegrityError
from datastore.keptfile import KeptFile
from datastore.partfile import PartFile, check_content
from datastore.parts import PART
from datastore.values import ObjectInfo, digest_of, is_strong

__all__ = ["Arrival", "BytesArrival", "FileArrival"]

T_co = TypeVar("T_co", covariant=True)

_SMALL: Final = 1 << 20


class Arrival(Protocol[T_co]):
    """What is wanted of one object, and what becomes of it. Nothing is opened before the first byte is asked for.

    Attributes:
        info: The object.
        start: First byte that is wanted.
        stop: End, exclusive.
        whole: Bytes up to which it comes in one piece, through memory.
    """

    info: ObjectInfo
    start: int
    stop: int
    whole: int

    def taken(self, data: bytes) -> T_co:
        """Take everything in one piece, and return the result."""
        ...

    def sink(self, start: int, stop: int) -> FileSlice | memoryview:
        """Return where a part goes, in positions within the object."""
        ...

    def lacks(self, start: int) -> bool:
        """Tell whether a part, which begins here, has still to come."""
        ...

    def came(self, start: int) -> None:
        """Learn that a part is in its sink."""
        ...

    def filled(self) -> T_co:
        """All parts are in their sinks: return the result."""
        ...

    def drop(self, *, spoiled: bool = False) -> None:
        """Leave nothing behind but what can be gone on with; harmless when it is complete.

        Args:
            spoiled: Whether what has come is worthless.
        """
        ...


class BytesArrival:
    """Bytes in memory.

    Args:
        info: The object.
        start: First byte that is wanted.
        stop: End, exclusive.
    """

    __slots__ = ("_buffer", "_view", "info", "start", "stop", "whole")

    def __init__(self, info: ObjectInfo, *, start: int, stop: int) -> None:
        self.info = info
        self.start = start
        self.stop = stop
        self.whole = PART
        self._buffer: io.BytesIO | None = None
        self._view: memoryview | None = None

    def taken(self, data: bytes) -> bytes:
        """Return the bytes as they came."""
        _check_size(self.info, len(data), self.stop - self.start)
        return data

    def sink(self, start: int, stop: int) -> memoryview:
        """Return part of one buffer for everything."""
        if self._buffer is None or self._view is None:
            self._buffer = io.BytesIO(bytes(self.stop - self.start))
            self._view = self._buffer.getbuffer()
        return self._view[start - self.start : stop - self.start]

    def lacks(self, start: int) -> bool:  # noqa: ARG002 - nothing is kept
        """Return True."""
        return True

    def came(self, start: int) -> None:
        """Keep nothing in mind."""

    def filled(self) -> bytes:
        """Return the buffer's bytes, without a copy."""
        buffer = self._buffer or io.BytesIO()
        self.drop()
        return buffer.getvalue()

    def drop(self, *, spoiled: bool = False) -> None:  # noqa: ARG002 - it is always gone
        """Forget the buffer."""
        self._buffer = self._view = None


class FileArrival:
    """A file that appears whole or not at all.

    Args:
        info: The object, all of which is wanted.
        target: The file, as `landing_of` tells it, in a folder that exists; what is there is replaced.
        resume: Whether parts that have come are kept for another try, also one in another process.
    """

    __slots__ = ("_file", "_resume", "_target", "info", "start", "stop", "whole")

    def __init__(self, info: ObjectInfo, target: str, *, resume: bool = False) -> None:
        self.info = info
        self.start = 0
        self.stop = info.size
        self.whole = _SMALL
        self._target = target
        self._resume = resume and info.size > PART and is_strong(info)
        self._file: PartFile | None = None

    def taken(self, data: bytes) -> None:
        """Write a small object."""
        _check_size(self.info, len(data), self.stop)
        if self.info.digest is not None and digest_of(data) != self.info.digest:
            raise IntegrityError(f"object {self.info.key!r} has other bytes than its digest says", hint="try again")
        file = self._opened()
        file.write(data)
        file.publish()

    def sink(self, start: int, stop: int) -> FileSlice:
        """Return part of the file, which is made with the first one."""
        return FileSlice(self._opened().fd, start, stop - start)

    def lacks(self, start: int) -> bool:
        """Tell whether a part has still to come."""
        file = self._opened()
        return not isinstance(file, KeptFile) or file.lacks(start)

    def came(self, start: int) -> None:
        """Keep in mind that a part has come."""
        if isinstance(self._file, KeptFile):
            self._file.came(start)

    def filled(self) -> None:
        """Give the file its name."""
        file = self._opened()
        check_content(file.fd, self.info)
        file.publish()

    def drop(self, *, spoiled: bool = False) -> None:
        """Delete the file, if it has no name yet, or leave it for who goes on."""
        file, self._file = self._file, None
        if isinstance(file, KeptFile) and not spoiled:
            file.leave()
        elif file is not None:
            file.discard()

    def _opened(self) -> PartFile:
        if self._file is None:
            self._file = self._kept() or PartFile(self._target)
        return self._file

    def _kept(self) -> KeptFile | None:
        if not self._resume:
            return None
        try:
            return KeptFile(self._target, version=f"{self.info.identity}\n{self.info.etag}", size=self.info.size)
        except BlockingIOError:  # somebody else is at it; or nobody, and the disk knows no locks
            return None


def _check_size(info: ObjectInfo, size: int, wanted: int) -> None:
    if size != wanted:
        raise IntegrityError(f"object {info.key!r} gave {size} bytes of {wanted}", hint="try again")
