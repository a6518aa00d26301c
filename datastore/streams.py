"""Byte streams that providers share: bodies on their way in, readers over memory and local files on their way out."""

import errno
import hashlib
import io
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast, runtime_checkable

from datastore.errors import IntegrityError, Unavailable, ValidationError
from datastore.provider import Body, Bytes, Reader
from datastore.steady import Steady
from datastore.values import ByteRange, Digest, ObjectInfo

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = [
    "CHUNK",
    "BytesReader",
    "FileReader",
    "HashingSink",
    "PositionedReader",
    "as_bytes",
    "body_chunks",
    "read_at",
    "write_pieces",
]

CHUNK = 1 << 20
_SENT = 16 << 20
_CANNOT_SEND = {errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV}


@runtime_checkable
class _File(Protocol):
    """What an open file has to offer; `io.IOBase` itself declares no `read`."""

    def read(self, size: int, /) -> object: ...


def as_bytes(data: "bytes | bytearray | memoryview[Any]") -> Bytes:
    """Return bytes, or a view of contiguous ones, whose length is their number; that of an array's memory need not be.

    >>> import array
    >>> len(as_bytes(memoryview(array.array("i", [1, 2]))))
    8
    """
    if not isinstance(data, memoryview) or (data.format == "B" and data.ndim == 1 and data.c_contiguous):
        return data
    return data.cast("B") if data.c_contiguous and data.nbytes else data.tobytes()


def body_chunks(body: Body) -> Iterator[Bytes]:
    """Yield the bytes of a body: a file in pieces of 1 MiB, from where it stands to its end; anything else as it comes.

    Raises:
        ValidationError: The body is text, or yields something that is not bytes.
        IntegrityError: The body is a file, and was changed meanwhile.
    """
    if isinstance(body, bytes | bytearray | memoryview):
        yield as_bytes(body)
    elif isinstance(body, Path):
        with body.open("rb", buffering=0) as file:
            steady = Steady.of(file.fileno(), body)
            while piece := _piece_of(file, body):
                yield piece
            steady.check()  # while whoever takes the pieces still waits for more, so that nothing is published
    elif isinstance(body, _File):
        while piece := _checked(body.read(CHUNK)):
            yield piece
    else:
        for piece in body:
            yield _checked(piece)


def _piece_of(file: io.FileIO, path: Path) -> bytes:
    try:
        return file.read(CHUNK)
    except OSError as error:
        error.filename = str(path)  # unlike `open`, a read does not say which file it was
        raise


def _checked(piece: object) -> Bytes:
    if isinstance(piece, bytes | bytearray):
        return piece
    if isinstance(piece, memoryview):
        return as_bytes(cast("memoryview[Any]", piece))
    if isinstance(piece, str):
        raise ValidationError("the body is text, not bytes", hint='encode it, open the file with "rb" or pass a Path')
    if piece is None:  # taken for the end, it would cut the object short
        raise ValidationError("the body is a non-blocking file that has nothing to read now", hint="make it blocking")
    raise ValidationError(f"the body yields {type(piece).__name__}, not bytes")


class PositionedReader(Reader):
    """A position within a range of known size; where the bytes come from is the subclass's affair."""

    def __init__(self, info: ObjectInfo, size: int) -> None:
        super().__init__()
        self.info = info
        self._size = size
        self._position = 0

    @abstractmethod
    def _fill(self, buffer: memoryview, position: int) -> int:
        """Read at a position into a buffer that does not reach beyond the range; 0 means the bytes are not there."""

    def readable(self) -> bool:
        """Always True."""
        return True

    def seekable(self) -> bool:
        """Always True."""
        return True

    def tell(self) -> int:
        """Position from the beginning of the range."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a position; beyond the end reads nothing."""
        self._check_open()
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}.get(whence)
        if base is None:
            raise ValidationError(f"cannot seek with whence {whence}", hint="it is os.SEEK_SET, SEEK_CUR or SEEK_END")
        if base + offset < 0:
            raise ValidationError(f"cannot seek to {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill the buffer as far as bytes are left, and return how many."""
        self._check_open()
        view = memoryview(buffer).cast("B")[: max(self._size - self._position, 0)]
        if not view:
            return 0
        count = self._fill(view, self._position)
        if count == 0:
            message = f"object {self.info.key!r} ends {self._size - self._position} bytes early"
            raise IntegrityError(message, hint="run `datastore check`; the file was changed from outside")
        self._position += count
        return count

    def readall(self) -> bytes:
        """Return what is left, in one piece (`io.RawIOBase` would take 8 KiB steps)."""
        # A BytesIO gives out the very bytes that were filled: a bytearray would have to be copied at the end.
        whole = io.BytesIO(bytes(max(self._size - self._position, 0)))
        with whole.getbuffer() as view:
            done = self.readinto(view)
            while done < len(view):
                done += self.readinto(view[done:])
        return whole.getvalue()

    def __reduce__(self) -> NoReturn:
        # A descriptor is a number that means another file in another process.
        raise TypeError(f"the reader of {self.info.key!r} cannot be pickled or copied: hand on its key instead")

    def _check_open(self) -> None:
        # io checks this for its own classes only, and a closed descriptor may be another file's by now.
        if self.closed:
            raise ValidationError(f"the reader of {self.info.key!r} is closed")


class BytesReader(PositionedReader):
    """A reader over bytes in memory."""

    def __init__(self, info: ObjectInfo, data: Bytes, *, range: ByteRange | None = None) -> None:
        view = memoryview(data)
        start, stop = (range or ByteRange()).bounds(len(view))
        super().__init__(info, stop - start)
        self._data = view[start:stop]

    def _fill(self, buffer: memoryview, position: int) -> int:
        buffer[:] = self._data[position : position + len(buffer)]
        return len(buffer)


class FileReader(PositionedReader):
    """A reader over an open local file; it reads at offsets, so that forked children and threads never move each other.

    Args:
        info: The object whose bytes these are.
        fd: Open for reading; closed with the reader.
        offset: Where the object begins in the file.
        range: Part of the object that is wanted.
    """

    def __init__(self, info: ObjectInfo, fd: int, *, offset: int = 0, range: ByteRange | None = None) -> None:
        start, stop = (range or ByteRange()).bounds(info.size)
        super().__init__(info, stop - start)
        self._fd = fd
        self._start = offset + start

    def _fill(self, buffer: memoryview, position: int) -> int:
        try:
            return read_at(self._fd, buffer, self._start + position)
        except OSError as error:
            message = f"object {self.info.key!r} cannot be read: {error.strerror or error}"
            raise Unavailable(message, hint="try again, and look after that disk") from error

    def send(self, fd: int) -> int:
        """Copy up to 16 MiB of what is left to the position of another open file, in the kernel; 0 if it cannot.

        Where the file system can, the two files share disk blocks then.
        """
        self._check_open()
        size = min(self._size - self._position, _SENT)
        if not size or not hasattr(os, "copy_file_range"):
            return 0
        try:
            count = os.copy_file_range(self._fd, fd, size, self._start + self._position)
        except OSError as error:
            if error.errno in _CANNOT_SEND:
                return 0
            raise
        self._position += count
        return count

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._fd)
        super().close()


def _portable_read_at(fd: int, buffer: memoryview, offset: int) -> int:
    os.lseek(fd, offset, os.SEEK_SET)
    data = os.read(fd, len(buffer))
    buffer[: len(data)] = data
    return len(data)


def _portable_pwritev(fd: int, pieces: Sequence[Bytes], offset: int) -> int:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.write(fd, b"".join(pieces))


def _preadv(fd: int, buffer: memoryview, offset: int) -> int:
    return os.preadv(fd, [buffer], offset)


read_at: Callable[[int, memoryview, int], int] = _preadv if hasattr(os, "preadv") else _portable_read_at
_pwritev: Callable[[int, Sequence[Bytes], int], int] = os.pwritev if hasattr(os, "pwritev") else _portable_pwritev


def write_pieces(fd: int, pieces: Sequence[Bytes], offset: int) -> int:
    """Write up to 1,024 pieces one after the other at an offset, all of them, and return how many bytes that were."""
    size = sum(map(len, pieces))
    done = _pwritev(fd, pieces, offset)
    while done < size:  # a nearly full disk writes less, and says why at the next try
        done += _pwritev(fd, [memoryview(b"".join(pieces))[done:]], offset + done)
    return size


class HashingSink:
    """Counts and hashes what passes through on its way to a file."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def update(self, data: Bytes) -> None:
        """Take the next bytes."""
        self._hash.update(data)
        self.size += memoryview(data).nbytes

    @property
    def digest(self) -> Digest:
        """Digest of everything so far."""
        return Digest("sha256:" + self._hash.hexdigest())
