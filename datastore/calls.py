"""What an HTTP engine carries out: one signed request, what its answer has to be, and what to make of that answer.

Moving bytes = carrying out signed requests. A provider that lives behind HTTP turns a verb into a `Call`, a pure value;
`datastore.http` runs one or thousands of them, with retry, integrity and progress in one place. A body can always be
sent again and a sink be filled again from any offset, so every request can be tried anew after a failure.
"""

from collections.abc import Callable, Mapping
from typing import Final, Generic, Literal, Protocol, TypeVar

from msgspec import Struct, field

from datastore.steady import Steady

__all__ = [
    "NO_RANGE",
    "Authorize",
    "Call",
    "FileSlice",
    "HttpRequest",
    "HttpResponse",
    "Judge",
    "Method",
    "Signed",
    "Sink",
    "Verdict",
]

T = TypeVar("T")

Method = Literal["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]

Verdict = Literal["final", "retry", "slow", "reauthorize"]
"""What an answer means for the engine: hand it over; try again; try again, and less at a time; sign anew and try again.

`reauthorize` is followed once per request: a second answer of that kind is handed over.
"""

NO_RANGE: Final = (0, None)


class FileSlice(Struct, frozen=True):
    """Part of an open local file: a body that is read from it, or a sink that is written into it, at offsets.

    The descriptor stays the caller's, who closes it when all calls that use it have ended.

    Attributes:
        fd: Of the file.
        offset: Where the part begins.
        size: Its bytes.
        steady: The file as it was when it was opened, if it may not change before the object is published.
    """

    fd: int
    offset: int
    size: int
    steady: Steady | None = None

    @classmethod
    def whole(cls, fd: int, name: str) -> "FileSlice":
        """Return all of a file, as it is now."""
        steady = Steady.of(fd, name)
        return cls(fd, 0, steady.seen[0] if steady.seen else 0, steady)

    def check(self) -> None:
        """Raise `IntegrityError` if the file may not change and has; to be asked before anything is published."""
        if self.steady is not None:
            self.steady.check()


Sink = FileSlice | memoryview | None
"""Where the body of an answer goes: a slice of a file, a writable buffer, or (None) the memory of the response.

Fewer bytes than its size may come; more are an `IntegrityError`, and nothing is ever written beyond it.
"""


class HttpResponse(Struct, frozen=True, kw_only=True):
    """The last answer to a request.

    Attributes:
        status: HTTP status.
        headers: Names in lower case; of repeated headers the last one.
        body: What came, unless the request had a sink and was answered as expected.
        size: Bytes of the body, wherever they went.
        attempts: How often it was sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    size: int = 0
    attempts: int = 1

    def __repr__(self) -> str:
        # A server that refuses a signature quotes what was signed, with tokens; tracebacks of some tools show locals.
        return f"HttpResponse(status={self.status}, size={self.size}, attempts={self.attempts})"


class Signed(Struct, frozen=True):
    """A request as it goes over the wire: URL and headers with their credentials. Never shown, never logged."""

    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return "Signed(***)"


class Authorize(Protocol):
    """Gives a request its credentials, anew for each attempt; may itself make requests (a token, a presigned URL)."""

    def __call__(self, request: "HttpRequest", previous: HttpResponse | None, /) -> Signed:
        """Return what is sent. `previous` is the answer that asked for new credentials, with its `Date`, if any did."""
        ...


Judge = Callable[["HttpRequest", HttpResponse], Verdict]
"""Tells what an answer means; pure and quick. The usual one is `datastore.http.retry.judge`."""


class HttpRequest(Struct, frozen=True, kw_only=True):
    """One request; nothing in it is secret before it is authorized.

    Attributes:
        what: What is being done, for errors and logs: `read object 'a.csv'`.
        method: HTTP method.
        url: Complete, percent-encoded, without credentials.
        headers: What is sent besides Host, Range, If-Match, Content-Length and what `authorize` adds.
        body: Bytes or part of a file.
        sink: Where the body of an expected answer goes.
        statuses: The answers that the caller expects. Others are retried or handed over, as the judge says.
        range: Bytes that are wanted, (start, stop) with stop None for the end; None for the whole object. The engine
            writes the header, checks `Content-Range`, and asks for the rest after a broken transfer.
        if_match: Etag as the header has it; the answer must then carry the same one.
        size: How long the body must be, where that is known.
        authorize: Signs; None sends the request as it is.
        judge: None for the usual one.
        repeatable: Whether it may be sent again when it is unknown if it was carried out; None: as HTTP says of its
            method (all but POST and PATCH).
        patience: Seconds without a byte in either direction after which it counts as failed.
        follow: Whether a GET or HEAD follows redirects; another host gets no credentials.
    """

    what: str
    method: Method
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes | FileSlice = b""
    sink: Sink = None
    statuses: frozenset[int] = frozenset({200, 201, 204, 206})
    range: tuple[int, int | None] | None = None
    if_match: str | None = None
    size: int | None = None
    authorize: Authorize | None = None
    judge: Judge | None = None
    repeatable: bool | None = None
    patience: float = 30.0
    follow: bool = False


class Call(Struct, Generic[T], frozen=True):
    """A request with the meaning of its answer.

    Attributes:
        request: What is sent.
        finish: Turns the last answer into the result or raises the typed error; pure. It runs in the caller's thread,
            and sees only answers that are expected or final: transport failures were raised before.
    """

    request: HttpRequest
    finish: Callable[[HttpResponse], T]
