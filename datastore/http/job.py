"""One request on its way: what it asks next, and what it has received over all its attempts."""

import time
from collections.abc import Callable
from typing import Any, Final

from msgspec import structs

from datastore.calls import FileSlice, HttpRequest, HttpResponse, Signed
from datastore.errors import DatastoreError, HeadMoved, IntegrityError
from datastore.http.expectation import Expected, Wanted, expectation, wanted_of
from datastore.streams import write_pieces

__all__ = ["ERROR_LIMIT", "Job", "parse_head"]

ERROR_LIMIT: Final = 1 << 20
"""Most bytes that are read of an answer that was not expected: an error's text."""
_GATHER: Final = 1 << 20
"""Bytes that go to a file at once. libcurl hands over 16 KiB at a time, and each write gives the interpreter's lock
away: where another thread is busy, it comes back after 5 ms."""
_PIECES: Final = 1024  # most of them, for the system
_BODY: Final = frozenset({200, 206})
_CHANGED: Final = 412
_BEYOND: Final = 416


class Job:
    """The state of one request. All methods belong to the engine's thread.

    Args:
        request: The wish.
        done: Told once, when there is an outcome; called on the engine's thread, so it must be quick.
    """

    __slots__ = (
        "_body",
        "_expected",
        "_first",
        "_fits",
        "_gathered",
        "_gathered_size",
        "_other",
        "_pin",
        "_position",
        "_resumed",
        "_room",
        "_wanted",
        "_whole",
        "attempt",
        "began",
        "done",
        "easy",
        "enough",
        "error",
        "fatal",
        "first_began",
        "headers",
        "hops",
        "host",
        "lines",
        "moved",
        "moved_at",
        "over",
        "previous",
        "reauthorized",
        "received",
        "request",
        "response",
        "signed",
        "status",
        "unfit",
    )

    def __init__(self, request: HttpRequest, done: Callable[["Job"], object]) -> None:
        self.request = request
        self.done = done
        self.signed: Signed | None = None
        self.attempt = 0
        self.first_began = 0.0
        self.easy: Any = None  # the libcurl handle of the attempt that is running
        self.host: Any = None  # the loop's books on it
        self.hops = 0
        self.over = False
        self.reauthorized = False
        self.previous: HttpResponse | None = None
        self.response: HttpResponse | None = None
        self.error: BaseException | None = None
        self.fatal: Exception | None = None
        self._body: list[bytes] = []  # of an expected answer, over all attempts, where it has no sink
        self._gathered: list[bytes] = []  # on its way to a file
        self._gathered_size = 0
        self._position = 0  # how much of an expected answer is here
        self._first: int | None = None  # where in the object it begins
        self._pin: str | None = None  # which version it is of

    # ---------------------------------------------------------------------------------------------------- one attempt
    @property
    def sends(self) -> int:
        """Bytes of the body that goes out with each attempt."""
        body = self.request.body
        return len(body) if isinstance(body, bytes) else body.size

    def begin(self) -> Wanted:
        """Start the next attempt and return what it asks for."""
        self.attempt += 1
        self.began = self.moved_at = time.monotonic()
        self.moved = 0
        self.first_began = self.first_began or self.began
        self.lines: list[bytes] = []
        self.status = 0
        self.headers: dict[str, str] = {}
        self.received = 0
        self.enough = False
        self.unfit: DatastoreError | None = None
        self._expected: Expected | None = None
        self._fits = self._whole = False
        self._other: list[bytes] = []
        self._room: int | None = None
        self._resumed = self._position > 0
        self._wanted = wanted_of(self.request, first=self._first, received=self._position, pin=self._pin)
        return self._wanted

    def take(self, data: bytes) -> int | None:
        """Take the next bytes of the body: into the sink, or into memory. Anything but None ends the attempt."""
        try:
            return self._take(data)
        except Exception as error:  # noqa: BLE001 - a full disk, a closed descriptor, a released buffer: the caller is told
            self.fatal = error
            return -1

    def _take(self, data: bytes) -> int | None:
        if self._expected is None:
            self.look()
        size = len(data)
        self.received += size
        if self.unfit is not None:
            return -1
        if not self._fits:
            self._other.append(data)
            self.enough = self.received > ERROR_LIMIT and self.status not in self.request.statuses
            return -1 if self.enough else None
        if self._room is not None:
            self._room -= size
            if self._room < 0:
                self.unfit = self._too_long()
                return -1
        self._write(data, size)
        return None

    def _write(self, data: bytes, size: int) -> None:
        sink = self.request.sink
        if isinstance(sink, FileSlice):
            self._gathered.append(data)
            self._gathered_size += size
            if self._gathered_size >= _GATHER or len(self._gathered) == _PIECES:
                self._flush()
            return
        if sink is None:
            self._body.append(data)
        else:
            sink[self._position : self._position + size] = data
        self._position += size

    def _flush(self) -> None:
        """Write what is gathered. If that fails, it is as if it had not come."""
        sink, pieces = self.request.sink, self._gathered
        self._gathered, self._gathered_size = [], 0
        if pieces and isinstance(sink, FileSlice):
            self._position += write_pieces(sink.fd, pieces, sink.offset + self._position)

    def look(self) -> None:
        """Learn what the answer is, before the first byte of its body is kept: is it what was asked for?"""
        self.status, self.headers, self._whole = parse_head(self.lines)
        if not self._whole:  # libcurl takes headers that break off for an empty answer
            return
        request = self.request
        if request.method != "GET" or self.status not in _BODY or self.status not in request.statuses:
            self._expected = Expected(None)
            self.unfit = self._broken_off() if self._resumed else None
            return
        self._expected = found = expectation(self.status, self.headers, self._wanted)
        if found.problem is not None:
            text = f"{request.what}: {found.problem}"
            self.unfit = (
                HeadMoved(text, hint="read it again") if found.moved else IntegrityError(text, hint="try again")
            )
            return
        self._fits = True
        self._first = found.start if self._first is None else self._first
        etag = self.headers.get("etag", "")
        self._pin = etag if etag.startswith('"') else None  # a weak etag does not promise equal bytes
        self._room = self._space()
        if self._room is not None and found.length is not None and found.length > self._room:
            self.unfit = self._too_long()

    def _space(self) -> int | None:
        """Return how many bytes the body of this attempt may have; None if nobody knows."""
        sink, bounds = self.request.sink, [self.request.size]
        if isinstance(sink, FileSlice):
            bounds.append(sink.size)
        elif sink is not None:
            bounds.append(sink.nbytes)
        known = [bound - self._position for bound in bounds if bound is not None]
        if self.status == 206 and self._expected is not None and self._expected.length is not None:
            known.append(self._expected.length)
        return min(known, default=None)

    def _too_long(self) -> DatastoreError:
        text = f"{self.request.what}: the server sends more bytes than the object has"
        return IntegrityError(text, hint="try again")

    def _broken_off(self) -> DatastoreError | None:
        """Return why the rest of a body that broke off will not come."""
        if self.status == _CHANGED:
            return HeadMoved(f"{self.request.what}: the object is another version by now", hint="read it again")
        if self.status == _BEYOND:
            return IntegrityError(f"{self.request.what}: the server has no more than came before", hint="try again")
        return None

    # ------------------------------------------------------------------------------------------------------ its result
    def finished(self) -> HttpResponse | None:
        """Return the answer of an attempt that the wire calls complete; None if it is not, or its bytes are unfit."""
        if self._expected is None:
            self.look()
        if not self._whole or not self._flushed():
            return None
        if self._fits:
            length, size = self._expected.length if self._expected else None, self.request.size
            if (length is not None and self.received != length) or (size is not None and self._position != size):
                text = f"{self._position} bytes came, not {size if size is not None else length}"
                self.unfit = self.unfit or IntegrityError(f"{self.request.what}: {text}", hint="try again")
        if self.unfit is not None:
            return None
        if self._fits and self._resumed:  # what the last answer says is true of its own bytes only
            total = self.headers.get("content-range", "").rpartition("/")[2]
            start = self._first or 0
            self.headers["content-range"] = f"bytes {start}-{start + self._position - 1}/{total}"
            self.headers["content-length"] = str(self._position)
        chunks, size = (self._body, self._position) if self._fits else (self._other, self.received)
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return HttpResponse(status=self.status, headers=self.headers, body=body, size=size, attempts=self.attempt)

    def _flushed(self) -> bool:
        try:
            self._flush()
        except OSError as error:
            self.fatal = error
        return self.fatal is None

    def let_go(self) -> None:
        """Forget the caller's buffers: once he is told, they are his alone, and he may resize or unmap them."""
        if self.request.sink is not None or self.request.body:
            self.request = structs.replace(self.request, sink=None, body=b"")
            self._gathered = []

    def start_again(self) -> None:
        """Forget what was received: the next attempt cannot go on where this one broke off."""
        self._position = 0
        self._body = []
        self._gathered, self._gathered_size = [], 0
        self._first = self._pin = None

    def keep_what_came(self) -> None:
        """Prepare to go on at the position reached, if it is certain that the rest will be of the same version."""
        if self.request.method != "GET" or not (self._pin or self.request.if_match) or not self._flushed():
            self.start_again()


def parse_head(lines: list[bytes]) -> tuple[int, dict[str, str], bool]:
    r"""Return status and headers of the last answer in lines of headers, and whether they are all there.

    >>> parse_head([b"HTTP/1.1 100 Continue\r\n", b"\r\n", b"HTTP/1.1 200 OK\r\n", b'ETag: "1"\r\n', b"\r\n"])
    (200, {'etag': '"1"'}, True)
    """
    heads = b"".join(lines).decode("latin-1").replace("\r\n", "\n").split("\n\n")
    places = [place for place, head in enumerate(heads) if head.startswith("HTTP/")]
    if not places:
        return 0, {}, False
    # 100 Continue, or a proxy's answer, may have come before; what comes after it is a trailer.
    first, *rest = heads[places[-1]].split("\n")
    code = first.split(None, 2)[1:2]
    fields = (line.partition(":") for line in rest)
    found = {name.lower(): value.strip() for name, colon, value in fields if colon}
    return int(code[0]) if code and code[0].isdecimal() else 0, found, places[-1] < len(heads) - 1
