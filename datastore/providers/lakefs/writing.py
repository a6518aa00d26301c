"""Objects on their way up whose size nobody knows yet: what was written is kept until it is clear which way it goes.

The first 8 MiB stay in memory, then a temporary file takes over. From 64 MiB on, where the object store takes parts,
they go up while writing goes on, and the file is used anew for what comes: it never grows beyond 128 MiB.
"""

import os
import tempfile
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from datastore.calls import Call, FileSlice, HttpResponse
from datastore.errors import DatastoreError, TooLarge, Unavailable, ValidationError
from datastore.http.engine import engine
from datastore.provider import Body, Bytes
from datastore.providers.lakefs.multipart import MOST_PARTS, PART, Uploads, takes_parts
from datastore.providers.lakefs.sending import ONE_PUT, SMALL, in_memory, send
from datastore.providers.lakefs.targets import Target
from datastore.providers.lakefs.urls import goes_direct
from datastore.streams import as_bytes, body_chunks
from datastore.values import CREATE, Attributes, ObjectInfo, PartInfo, PutMode, UploadInfo

__all__ = ["LakeFSWriter", "put"]

_SLOTS: Final = 8
"""Places for parts in the temporary file: half of them are on their way while the others are filled."""


def put(target: Target, key: str, body: Body, *, mode: PutMode, attributes: Attributes) -> ObjectInfo:
    """Write an object; see `Provider.put`.

    Args:
        target: The branch.
        key: Checked.
        body: What is written.
        mode: As in `Provider.put`.
        attributes: Checked, with a content type.
    """
    target.conditions(mode, key)
    if isinstance(body, bytes | bytearray | memoryview):
        return send(target, key, bytes(as_bytes(body)), mode=mode, attributes=attributes)
    if isinstance(body, Path) and body.is_file():
        with body.open("rb", buffering=0) as file:
            content = in_memory(FileSlice.whole(file.fileno(), str(body)))
            return send(target, key, content, mode=mode, attributes=attributes)
    writer = LakeFSWriter(target, key, mode=mode, attributes=attributes)
    try:
        for piece in body_chunks(body):
            writer.write(piece)
    except BaseException:
        writer.abort()
        raise
    return writer.commit()


class LakeFSWriter:
    """An object in the making. Nothing is visible before `commit`.

    Args:
        target: The branch.
        key: Checked.
        mode: As in `Provider.put`.
        attributes: Checked, with a content type.
        done: Is given what was published, and returns it or raises.
    """

    def __init__(
        self,
        target: Target,
        key: str,
        *,
        mode: PutMode,
        attributes: Attributes,
        done: Callable[[ObjectInfo], ObjectInfo] | None = None,
    ) -> None:
        target.conditions(mode, key)
        if mode == CREATE and target.remote.run(target.remote.stat_call(target.branch, key)) is not None:
            raise target.taken(key)
        self._target = target
        self._key = key
        self._mode: PutMode = mode
        self._attributes = attributes
        self._done = done
        self._memory = bytearray()
        self._file: _File | None = None
        self._parts: _Parts | None = None
        self._may_part = mode != CREATE
        self._open = True

    def write(self, data: Bytes, /) -> int:
        """Take some bytes."""
        self._check_open()
        view = memoryview(as_bytes(data))
        if self._file is None and len(self._memory) + len(view) <= SMALL:
            self._memory += view
            return len(view)
        if self._file is None:
            self._file = _File()
            self._file.append(self._memory)
            self._memory = bytearray()
        taken = 0
        while taken < len(view):
            taken += self._take(self._file, view[taken:])
        return len(view)

    def _take(self, file: "_File", view: memoryview) -> int:
        if self._parts is not None:
            return self._parts.take(view)
        piece = view[: ONE_PUT - file.size] if self._may_part else view
        if piece:
            file.append(piece)
            return len(piece)
        self._may_part = goes_direct(self._target.client) and takes_parts(self._target.client)
        if self._may_part:
            self._parts = _Parts.begun(self._target, self._key, self._attributes, file)
            self._may_part = self._parts is not None
        return 0

    def commit(self) -> ObjectInfo:
        """Publish the object."""
        self._check_open()
        self._open = False
        try:
            info = self._publish()
        except BaseException:
            self.abort()
            raise
        self._let_go()
        return info if self._done is None else self._done(info)

    def _publish(self) -> ObjectInfo:
        if self._parts is not None:
            return self._parts.complete()
        body = bytes(self._memory) if self._file is None else self._file.slice(0, self._file.size)
        return send(self._target, self._key, body, mode=self._mode, attributes=self._attributes)

    def abort(self) -> None:
        """Forget everything."""
        self._open = False
        if self._parts is not None:
            self._parts.abort()
        self._let_go()

    def _let_go(self) -> None:
        self._memory = bytearray()
        self._parts = None
        if self._file is not None:
            self._file.close()

    def _check_open(self) -> None:
        if not self._open:
            raise ValidationError(f"the writer of {self._key!r} was committed or aborted", hint="open another one")


class _File:
    """A temporary file without a name, which ends with its owner."""

    def __init__(self) -> None:
        self.fd, name = tempfile.mkstemp(prefix="datastore-")
        self.close = weakref.finalize(self, os.close, self.fd)
        with suppress(OSError):  # Windows keeps the name while the file is open
            Path(name).unlink()
        self.size = 0

    def append(self, data: Bytes) -> None:
        self.write_at(self.size, data)
        self.size += len(data)

    def write_at(self, offset: int, data: Bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self.fd, view, offset)
            view, offset = view[written:], offset + written

    def slice(self, start: int, stop: int) -> FileSlice:
        return FileSlice(self.fd, start, stop - start)


class _Sent(Struct, frozen=True):
    """A part on its way."""

    call: Call[PartInfo]
    future: Future[HttpResponse]

    def result(self) -> PartInfo:
        return self.call.finish(self.future.result())


class _Parts:
    """An upload in parts that are sent while others are written: the temporary file is used round and round."""

    def __init__(self, target: Target, upload: UploadInfo, file: _File) -> None:
        self._target = target
        self._uploads = Uploads(target)
        self._upload = upload
        self._file = file
        self._position = file.size
        self._on_their_way: deque[_Sent] = deque()
        self._sent: list[PartInfo] = []
        # For one that is only dropped: nobody sees it, but its parts would take up room until they are collected.
        self._stop = weakref.finalize(self, _stop, self._uploads, upload)
        self._stop.atexit = False

    @classmethod
    def begun(cls, target: Target, key: str, attributes: Attributes, file: _File) -> "_Parts | None":
        """Begin with what is in the file; None if the object store cannot be reached from here."""
        parts = cls(target, Uploads(target).create(key, attributes), file)
        try:
            parts._send(1, 0, PART)
            parts._receive()  # alone, to find out whether it can be reached, while the file has everything
        except Unavailable:
            if target.client.learned.reachable or target.client.presign is True:
                raise
            parts.abort()
            return None
        for number, start in enumerate(range(PART, file.size, PART), 2):
            parts._send(number, start, PART)
        return parts

    def take(self, view: memoryview) -> int:
        """Take some bytes, at most up to the end of a part."""
        inside = self._position % PART
        if inside == 0 and len(self._on_their_way) >= _SLOTS - 1:
            self._receive()
        piece = view[: PART - inside]
        self._file.write_at(self._position % (_SLOTS * PART), piece)
        self._position += len(piece)
        if self._position % PART == 0:
            self._send_last(PART)
        return len(piece)

    def _send_last(self, size: int) -> None:
        number = -(-self._position // PART)
        if number > MOST_PARTS:
            limit = MOST_PARTS * PART >> 30
            raise TooLarge(
                f"object {self._upload.key!r} has more than {limit} GiB", hint="put a file: its size is known"
            )
        self._send(number, self._position - size, size)

    def _send(self, number: int, start: int, size: int) -> None:
        offset = start % (_SLOTS * PART)
        call = self._uploads.part_call(self._upload, number, self._file.slice(offset, offset + size))
        self._on_their_way.append(_Sent(call, engine().submit(call.request)))

    def _receive(self) -> None:
        self._sent.append(self._on_their_way.popleft().result())

    def complete(self) -> ObjectInfo:
        """Send what is left, and publish."""
        if rest := self._position % PART:
            self._send_last(rest)
        while self._on_their_way:
            self._receive()
        info = self._uploads.complete(self._upload, self._sent)
        self._stop.detach()
        return info

    def abort(self) -> None:
        """Forget everything; parts on their way are waited for, since they read from the file."""
        while self._on_their_way:
            with suppress(DatastoreError):
                self._receive()
        if self._stop.detach() is not None:
            self._uploads.abort(self._upload)


def _stop(uploads: Uploads, upload: UploadInfo) -> None:
    engine().submit(uploads.abort_call(upload).request)
