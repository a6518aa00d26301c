"""One request on its way: what it asks next, and what it has received over all its attempts."""

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from datastore.calls import FileSlice, HttpRequest, HttpResponse, Signed
from datastore.errors import DatastoreError, HeadMoved, IntegrityError
from datastore.http.expectation import Expected, Wanted, expectation, wanted_of
from datastore.streams import write_at

__all__ = ["ERROR_LIMIT", "Job"]

ERROR_LIMIT: Final = 1 << 20
"""Most bytes that are kept of an answer that was not expected: an error's text."""
_BODY: Final = frozenset({200, 206})


class Job:
    """The state of one request. All methods but `cancel` belong to the engine's thread.

    Args:
        request: The wish.
        done: Told once, when there is an outcome; called on the engine's thread, so it must be quick.
    """

    __slots__ = (
        "_chunks",
        "_expected",
        "_first",
        "_kept",
        "_pin",
        "_position",
        "_wanted",
        "_went",
        "attempt",
        "began",
        "cancelled",
        "done",
        "error",
        "fatal",
        "first_began",
        "hops",
        "host",
        "lines",
        "previous",
        "reauthorized",
        "request",
        "response",
        "signed",
        "unfit",
    )

    def __init__(self, request: HttpRequest, done: "Callable[[Job], object]") -> None:
        self.request = request
        self.done = done
        self.signed: Signed | None = None
        self.attempt = 0
        self.first_began = 0.0
        self.began = 0.0
        self.host: Any = None  # the loop's books on it
        self.hops = 0
        self.cancelled = False
        self.reauthorized = False
        self.previous: HttpResponse | None = None
        self.response: HttpResponse | None = None
        self.error: Exception | None = None
        self.fatal: OSError | None = None
        self.unfit: DatastoreError | None = None
        self.lines: list[bytes] = []
        self._chunks: list[bytes] = []
        self._kept = 0
        self._went = 0
        self._position = 0
        self._first: int | None = None
        self._pin: str | None = None
        self._wanted = Wanted(None, None, None)
        self._expected: Expected | None = None

    # ---------------------------------------------------------------------------------------------------- one attempt
    def begin(self) -> Wanted:
        """Start the next attempt and return what it asks for."""
        self.attempt += 1
        self.began = time.monotonic()
        self.first_began = self.first_began or self.began
        self.lines = []
        self.unfit = None
        self._expected = None
        self._went = 0
        del self._chunks[self._kept :]
        received = self._position
        self._wanted = wanted_of(self.request, first=self._first, received=received, pin=self._pin)
        return self._wanted

    @property
    def room(self) -> int | None:
        """Most bytes that the body of this attempt may have; None if nobody knows."""
        sink, wanted = self.request.sink, self._wanted
        bounds = [self.request.size]
        if isinstance(sink, FileSlice):
            bounds.append(sink.size)
        elif sink is not None:
            bounds.append(sink.nbytes)
        if wanted.start is not None and wanted.start < 0:
            bounds.append(-wanted.start)
        elif wanted.start is not None and wanted.stop is not None:
            bounds.append(wanted.stop - wanted.start + self._position)
        known = [bound for bound in bounds if bound is not None]
        return min(known) - self._position if known else None

    def take(self, data: bytes) -> int | None:
        """Take the next bytes of the body: into the sink, or into memory. Anything but None ends the attempt."""
        expected = self._expected or self._look()
        if expected.problem is not None:
            return -1
        self._went += len(data)
        if self.status not in _BODY or self.status not in self.request.statuses:
            if self._went <= ERROR_LIMIT:
                self._chunks.append(data)
            return None
        room = self.room
        if room is not None and len(data) > room:
            self.unfit = IntegrityError(
                f"{self.request.what}: the server sends more bytes than the object has", hint="try again"
            )
            return -1
        try:
            self._write(data)
        except OSError as error:  # a full disk, a closed descriptor: the caller's affair, and no reason to try again
            self.fatal = error
            return -1
        self._position += len(data)
        return None

    def _write(self, data: bytes) -> None:
        sink = self.request.sink
        if sink is None:
            self._chunks.append(data)
            self._kept = len(self._chunks)
        elif isinstance(sink, FileSlice):
            done = 0
            while done < len(data):  # a nearly full disk writes less, and says why at the next try
                done += write_at(sink.fd, memoryview(data)[done:], sink.offset + self._position + done)
        else:
            sink[self._position : self._position + len(data)] = data

    def _look(self) -> Expected:
        # Before the first byte is kept: is this what was asked for?
        headers, status = self.headers(), self.status
        if status not in _BODY or status not in self.request.statuses or self.request.method != "GET":
            self._expected = Expected(None)
            return self._expected
        found = expectation(status, headers, self._wanted)
        if found.problem is not None:
            text = f"{self.request.what}: {found.problem}"
            self.unfit = (
                HeadMoved(text, hint="read it again") if found.moved else IntegrityError(text, hint="try again")
            )
        else:
            self._first = found.start if self._first is None else self._first
            etag = headers.get("etag", "")
            self._pin = etag if etag.startswith('"') else None  # a weak etag does not promise equal bytes
        self._expected = found
        return found

    # ------------------------------------------------------------------------------------------------------ its result
    def finished(self) -> HttpResponse | None:
        """Return the answer of an attempt that the wire calls complete; None if its bytes are unfit."""
        expected = self._expected or self._look()
        if expected.problem is not None:
            return None
        status = self.status
        wanted_body = status in _BODY and status in self.request.statuses
        if wanted_body and self.request.method == "GET":
            length, size = expected.length, self.request.size
            if (length is not None and self._went != length) or (size is not None and self._position != size):
                self.unfit = IntegrityError(
                    f"{self.request.what}: {self._position} bytes came, not {size if size is not None else length}",
                    hint="try again",
                )
                return None
        size = self._position if wanted_body else self._went
        chunks = self._chunks if wanted_body else self._chunks[self._kept :]
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return HttpResponse(status=status, headers=self.headers(), body=body, size=size, attempts=self.attempt)

    def start_again(self) -> None:
        """Forget what was received: the next attempt cannot go on where this one broke off."""
        self._position = self._kept = 0
        self._chunks.clear()
        self._first = self._pin = None

    def keep_what_came(self) -> None:
        """Prepare to go on at the position reached, if it is certain that the rest will be of the same version."""
        resumable = self.request.method == "GET" and self._position and (self._pin or self.request.if_match)
        if not resumable:
            self.start_again()

    @property
    def received(self) -> int:
        """Bytes that this attempt brought."""
        return self._went

    @property
    def status(self) -> int:
        """Status of the last answer of this attempt; 0 if there is none yet."""
        for line in reversed(self.lines):
            if line.startswith(b"HTTP/"):
                with contextlib.suppress(IndexError, ValueError):
                    return int(line.split(None, 2)[1])
        return 0

    def headers(self) -> Mapping[str, str]:
        """Headers of the last answer of this attempt."""
        found: dict[str, str] = {}
        for line in self.lines:
            if line.startswith(b"HTTP/"):
                found = {}  # 100 Continue, or a proxy's answer, came before
                continue
            name, colon, value = line.decode("latin-1").partition(":")
            if colon:
                found[name.strip().lower()] = value.strip()
        return found
