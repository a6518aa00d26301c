"""The file objects that `open` gives: readers that keep to one version, writers that publish all or nothing."""

import io
import logging
import sys
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self, cast

from datastore import transfer
from datastore.errors import NotFound
from datastore.fs.ending import watch
from datastore.fs.paths import Info
from datastore.names import check_key
from datastore.provider import Bytes, Provider, Reader, SupportsWriter, Writer
from datastore.streams import PositionedReader, as_bytes
from datastore.values import CREATE, OVERWRITE, Attributes, ByteRange, Match, ObjectInfo, PutMode

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import ReadableBuffer

__all__ = ["BUFFER", "RangedReader", "ReadFile", "WriteFile", "appending_writer", "open_writer"]

BUFFER = 1 << 16
_BLOCK = 4 << 20
_IN_MEMORY = 8 << 20

_log = logging.getLogger("datastore")


class RangedReader(PositionedReader):
    """Makes a reader seekable that is not: by its stream as long as possible, then by ranges.

    Args:
        provider: Where the object is.
        stream: The open reader of the whole object.
        key: The object's key.
    """

    def __init__(self, provider: Provider, stream: Reader, key: str) -> None:
        super().__init__(stream.info, stream.info.size)
        self._provider = provider
        self._key = key
        self._stream: Reader | None = stream
        self._stream_at = 0
        self._block = memoryview(b"")
        self._block_at = 0

    def _fill(self, buffer: memoryview, position: int) -> int:
        if not self._block_at <= position < self._block_at + len(self._block):
            self._block, self._block_at = memoryview(self._fetch(position)), position
        start = position - self._block_at
        piece = self._block[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def _fetch(self, position: int) -> bytes:
        size = min(_BLOCK, self.info.size - position)
        if self._stream is not None and self._stream_at == position:
            data = read_exactly(self._stream, size)
            self._stream_at += len(data)
            return data
        self._drop_stream()
        block = ByteRange(position, position + size)
        with self._provider.read(self._key, range=block, if_match=self.info.etag) as reader:
            return read_exactly(reader, size)

    def _drop_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def close(self) -> None:
        """Close the stream."""
        self._drop_stream()
        super().close()


def read_exactly(reader: Reader, size: int) -> bytes:
    """Read so many bytes, or to the end, into one buffer."""
    whole = io.BytesIO(bytes(size))
    with whole.getbuffer() as view:
        done = _fill(reader, view)
    return whole.getvalue()[:done]


def _fill(reader: Reader, view: memoryview) -> int:
    done = 0
    while done < len(view) and (count := reader.readinto(view[done:])):
        done += count
    return done


class ReadFile(io.BufferedReader):
    """An object, open for reading. Everything read is of one version; pickles, and then reads that version or fails.

    Args:
        fs: The file system.
        path: As it was opened.
        reader: The bytes.
        details: Makes the answer of `info`.
        direct: Bytes from which on a read goes past the buffer.

    Attributes:
        fs: The file system.
        path: As it was opened.
        size: Bytes.
    """

    mode: str = "rb"  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def __init__(
        self, fs: Any, path: str, reader: Reader, details: Callable[[], Info], *, direct: int = sys.maxsize
    ) -> None:
        super().__init__(reader, BUFFER)
        self._direct = direct
        self.fs = fs
        self.path = path
        self.size = reader.info.size
        self._etag = reader.info.etag
        self._details = details
        watch(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.full_name}>"

    @property
    def full_name(self) -> str:
        """The URL."""
        return f"ds://{self.path}"

    @property
    def loc(self) -> int:
        """The position, under the name that fsspec's own files have for it."""
        return self.tell()

    @property
    def details(self) -> Info:
        """What `fs.info` said of this version."""
        return self._details()

    def info(self) -> Info:
        """Return what `fs.info` said of this version."""
        return self._details()

    def read(self, size: int | None = -1, /) -> bytes:
        """Read some bytes, or all that are left."""
        if size is None or size < 0:
            size = max(self.size - self.tell(), 0)  # known, so that it is read into one buffer
        return super().read(size) if size < self._direct else self._read_directly(size)

    def _read_directly(self, size: int) -> bytes:
        """Read just these bytes: filling the buffer would ask for more than that, and for the last of them alone."""
        position = self.tell()
        head = super().read(min(self.raw.tell() - position, size))  # what the buffer has
        size = min(size, max(self.size - position, 0))
        if len(head) == size:
            return head
        whole = io.BytesIO(bytes(size))
        with whole.getbuffer() as view:
            view[: len(head)] = head
            done = len(head) + _fill(cast("Reader", self.raw), view[len(head) :])
        self.seek(position + done)  # the buffer learns where the reader is
        return whole.getvalue()[:done]

    def __reduce__(self) -> tuple[Callable[..., "ReadFile"], tuple[Any, str, str, int]]:
        return _reopen, (self.fs, self.path, self._etag, self.tell())


def _reopen(fs: Any, path: str, etag: str, position: int) -> ReadFile:
    file = fs.open_version(path, etag)
    file.seek(position)
    return file


class _File(Protocol):
    def write(self, data: "ReadableBuffer", /) -> object: ...

    def flush(self) -> object: ...

    def close(self) -> object: ...


class _Outlet(io.RawIOBase):
    """The end of the pipe: hands bytes to the writer, until it is shut."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer: Writer | None = writer

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        # What a dropped buffer still tries to write goes nowhere.
        return (
            len(as_bytes(memoryview(data))) if self._writer is None else self._writer.write(as_bytes(memoryview(data)))
        )

    def shut(self) -> None:
        self._writer = None


class WriteFile(io.BufferedIOBase):
    """An object in the making, as a file. It is published by `close`, as a whole, and by nothing else.

    Nothing is published when a `with` block fails, when it is closed while an exception is on its way that was not
    there when it was opened (as `DataFrame.to_csv` and `ParquetWriter` do), or when it is only dropped.

    Args:
        fs: The file system.
        path: As it was opened.
        writer: Takes the bytes.
        mode: `wb`, `xb` or `ab`.
        start: Position to begin at.
        compress: Wraps a file so that what is written to it is compressed.
        published: Called after a commit.
    """

    def __init__(
        self,
        fs: Any,
        path: str,
        *,
        writer: Writer,
        mode: str,
        start: int = 0,
        compress: Callable[..., Any] | None = None,
        published: Callable[[], None],
    ) -> None:
        super().__init__()
        self.fs = fs
        self.path = path
        self.mode = mode
        self._writer = writer
        self._position = start
        self._published = published
        self._outer = sys.exception()
        self._outlet = _Outlet(writer)
        self._buffer = io.BufferedWriter(self._outlet, BUFFER)
        self._encoder = cast("_File", compress(self._buffer, mode="w")) if compress else None
        self._done = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.full_name}>"

    @property
    def full_name(self) -> str:
        """The URL."""
        return f"ds://{self.path}"

    def writable(self) -> bool:
        """Always True."""
        return True

    def tell(self) -> int:
        """Bytes that were written so far, with those that were there before when appending."""
        return self._position

    def write(self, data: "ReadableBuffer", /) -> int:
        """Take some bytes. If that fails, nothing will be published."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        taken = memoryview(data).nbytes
        try:
            (self._encoder or self._buffer).write(data)
        except BaseException:
            self.abort()
            raise
        self._position += taken
        return taken

    def flush(self) -> None:
        """Hand on what is buffered; it is published by `close` only."""
        if not self._done:
            self._buffer.flush()

    def close(self) -> None:
        """Publish the object, once; what goes wrong is raised once."""
        if self._done:
            return
        error = sys.exception()
        if error is not None and error is not self._outer:
            self._give_up(error)
            return
        try:
            if self._encoder is not None:
                self._encoder.close()
            if not self._buffer.closed:
                self._buffer.flush()
            self._writer.commit()
        finally:
            self.abort()  # harmless after a commit
        self._published()

    def abort(self) -> None:
        """Publish nothing."""
        if not self._done:
            self._done = True
            self._outer = None
            self._outlet.shut()
            self._writer.abort()
            super().close()

    discard = abort

    def _give_up(self, error: BaseException) -> None:
        # A note and a line in the log: raising would hide the error that matters.
        error.add_note(f"{self.full_name} was not written")
        _log.warning("%s was not written: it was closed during %s", self.full_name, type(error).__name__)
        self.abort()

    def _dealloc_warn(self, source: object) -> None:  # noqa: ARG002 - the signature is the io module's
        """Called by `io.TextIOWrapper` when it is dropped without having been closed, before it closes this file."""
        self.__del__()

    def __enter__(self) -> Self:
        self._outer = sys.exception()
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: "TracebackType | None",
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        if not getattr(self, "_done", True):
            _log.warning("%s was not written: it was never closed", self.full_name)
            self.abort()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {self!r}: it is open for writing")


class _Spool:
    """A writer for providers that want whole bodies: 8 MiB stay in memory, more goes to a temporary file."""

    def __init__(self, key: str, put: Callable[[Any], ObjectInfo]) -> None:
        check_key(key)
        self._put = put
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by commit and abort

    def write(self, data: Bytes, /) -> int:
        return self._file.write(data)

    def commit(self) -> ObjectInfo:
        self._file.seek(0)
        with self._file:
            return self._put(self._file)

    def abort(self) -> None:
        self._file.close()


def open_writer(provider: Provider, key: str, *, mode: PutMode, attributes: Attributes | None) -> Writer:
    """Return a writer, of the provider's own kind if it has one."""
    if isinstance(provider, SupportsWriter):
        return provider.writer(key, mode=mode, attributes=attributes)
    return _Spool(key, lambda file: provider.put(key, file, mode=mode, attributes=attributes))


def appending_writer(provider: Provider, key: str, *, attributes: Attributes | None) -> tuple[Writer, int]:
    """Return a writer that has what the object holds now, and how much that is.

    Where the provider can, the commit fails with `HeadMoved` or `AlreadyExists` if somebody else writes in between.
    """
    able = provider.capabilities
    try:
        old = provider.read(key)
    except NotFound:
        return open_writer(provider, key, mode=CREATE if able.create else OVERWRITE, attributes=attributes), 0
    with old:
        mode = Match(old.info.etag) if able.match else OVERWRITE
        attributes = attributes or transfer.carried_attributes(old.info, provider)
        writer = open_writer(provider, key, mode=mode, attributes=attributes)
        try:
            for chunk in transfer.read_chunks(old):
                writer.write(chunk)
        except BaseException:
            writer.abort()
            raise
    return writer, old.info.size
