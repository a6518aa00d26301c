"""Objects written piece by piece: in memory while they are small, then in parts that are sent while more is written."""

import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, wait
from typing import IO, Final

from datastore.calls import Call, FileSlice, HttpResponse
from datastore.errors import TooLarge, ValidationError
from datastore.http.engine import engine
from datastore.provider import Bytes
from datastore.providers.s3.abandoned import leave, sweep
from datastore.providers.s3.conditions import check_free, way_of
from datastore.providers.s3.multipart import begin, complete, part_call
from datastore.providers.s3.proving import Proof, proof_of
from datastore.providers.s3.putting import put_single
from datastore.providers.s3.site import Site, Spot
from datastore.providers.s3.uploading import forget
from datastore.streams import as_bytes
from datastore.values import ObjectInfo, PartInfo, PutMode

__all__ = ["PART", "ObjectWriter"]

PART: Final = 16 << 20
"""Bytes of a part, and what a writer holds before it sends anything: 10,000 of them are 156 GiB."""
_AHEAD: Final = 4
_GRACE: Final = 5.0


class _Parts:
    """An upload under way: parts that were sent, and a few that are on their way."""

    def __init__(self, site: Site, spot: Spot, headers: Mapping[str, str]) -> None:
        self._site = site
        self._spot = spot
        self._proof: Proof = proof_of(site.preset)
        self._process = os.getpid()
        self._flying: deque[tuple[Call[PartInfo], Future[HttpResponse]]] = deque()
        self._sent: list[PartInfo] = []
        self._open = False  # for the destructor, should the next line fail
        self._upload = begin(site, spot, headers=headers, proof=self._proof)
        self._open = True

    def send(self, data: bytes) -> None:
        """Send the next part, once not too many are on their way."""
        number = len(self._sent) + len(self._flying) + 1
        if number > self._site.preset.parts:
            raise TooLarge(
                f"{self._spot.key[:120]!r} is longer than {self._site.preset.parts} parts of {PART >> 20} MiB",
                hint="put it from a file, whose size is known from the beginning",
            )
        while len(self._flying) >= _AHEAD:
            self._settle()
        call = part_call(self._site, self._spot, self._upload, number, data, proof=self._proof)
        self._flying.append((call, engine().submit(call.request)))

    def complete(self, mode: PutMode) -> ObjectInfo:
        """Wait for all parts and publish the object."""
        while self._flying:
            self._settle()
        info = complete(self._site, self._spot, self._upload, self._sent, mode=mode)
        self._open = False
        return info

    def abort(self) -> None:
        """Forget everything; parts that are on their way get a moment to arrive, so that they do not arrive later."""
        if self._open:
            self._open = False
            wait([future for _, future in self._flying], timeout=_GRACE)
            self._flying.clear()
            forget(self._site, self._spot, self._upload)

    def _settle(self) -> None:
        call, future = self._flying[0]
        self._sent.append(call.finish(future.result()))
        self._flying.popleft()

    def __del__(self) -> None:
        if self._open:
            leave(self._site, self._spot, self._upload, process=self._process)


class ObjectWriter:
    """An object in the making; see `datastore.provider.Writer`. It holds at most some 100 MB.

    Where a service keeps a condition for whole objects only, what does not fit into memory waits in a temporary file.

    Args:
        site: The service.
        spot: The object.
        mode: Checked when it is committed, and before the first part is sent.
        headers: The object's attributes.
    """

    def __init__(self, site: Site, spot: Spot, *, mode: PutMode, headers: Mapping[str, str]) -> None:
        sweep()
        self._site = site
        self._spot = spot
        self._mode: PutMode = mode
        self._headers = headers
        self._way = way_of(site.preset, mode, spot.key)
        self._pieces: list[bytes] = []
        self._held = 0
        self._parts: _Parts | None = None
        self._file: IO[bytes] | None = None
        self._open = True

    def write(self, data: Bytes, /) -> int:
        """Take some bytes; may wait for earlier ones to be sent."""
        self._check_open()
        view = memoryview(as_bytes(data))
        taken = 0
        while taken < len(view):
            if self._held == PART:
                self._guarded_flush()
            piece = bytes(view[taken : taken + PART - self._held])
            self._pieces.append(piece)
            self._held += len(piece)
            taken += len(piece)
        return taken

    def commit(self) -> ObjectInfo:
        """Publish the object; whatever goes wrong, nothing of it stays behind."""
        self._check_open()
        try:
            if self._parts is not None:
                self._flush()
                return self._parts.complete(self._mode)
            if self._file is not None:
                self._flush()
                self._file.flush()
                return self._put(FileSlice(self._file.fileno(), 0, self._file.tell()))
            return self._put(b"".join(self._pieces))
        finally:
            self.abort()

    def abort(self) -> None:
        """Forget everything."""
        self._open = False
        self._pieces.clear()
        if self._file is not None:
            self._file.close()
        if self._parts is not None:
            self._parts.abort()

    def _put(self, body: bytes | FileSlice) -> ObjectInfo:
        if self._way == "look":
            check_free(self._site, self._spot, self._mode)
        return put_single(self._site, self._spot, body, mode=self._mode, headers=self._headers)

    def _guarded_flush(self) -> None:
        try:
            self._flush()
        except BaseException:
            self.abort()
            raise

    def _flush(self) -> None:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        if self._way == "single":
            if self._file is None:
                import tempfile  # only few services need it

                check_free(self._site, self._spot, self._mode)
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the writer
            self._file.write(data)
            return
        if self._parts is None:
            check_free(self._site, self._spot, self._mode)
            self._parts = _Parts(self._site, self._spot, self._headers)
        self._parts.send(data)

    def _check_open(self) -> None:
        if not self._open:
            raise ValidationError(
                f"the writer of {self._spot.key[:120]!r} was committed or aborted", hint="open another one"
            )
