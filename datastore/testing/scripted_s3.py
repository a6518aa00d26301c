r"""An S3 server that fails by script, in ways in which no real one can be made to fail.

    from datastore.testing.scripted_s3 import Answer, Cut, ScriptedS3, refused

    with ScriptedS3() as server:                              # http://127.0.0.1:PORT, path style, any credentials
        server.objects.put("bucket", "a.bin", b"x" * 1000)
        server.on("GetObject", r"a\.bin", Cut(after=100))      # its first GET breaks after 100 bytes
        server.on("GET", r".*", refused(503, "SlowDown"), times=3)
        ...                                                   # what is tested runs against server.endpoint
        assert [request.headers.get("range") for request in server.requests] == [...]

A rule goes by operation (an HTTP method, or S3's name of what is asked), by a pattern for the whole key, and by which
of the requests that fit it is meant: the `nth`, and `times` of them from there on. Each rule counts for itself; the
first whose turn it is decides. Where no rule does, the server is a small, correct S3 (`scripted_objects`).
"""

import re
import socket
import struct
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import TracebackType
from typing import Self, cast

from msgspec import Struct
from msgspec.structs import replace

from datastore.testing.s3_wire import LoopbackServer, Reply, Request, S3Handler, refusal
from datastore.testing.scripted_objects import ScriptedObjects

__all__ = [
    "Answer",
    "Chunked",
    "Cut",
    "ErrorInside",
    "Fault",
    "Late",
    "LostReply",
    "Malformed",
    "NoRange",
    "Reset",
    "ScriptedS3",
    "Slow",
    "Stall",
    "Swapped",
    "WrongLength",
    "WrongRange",
    "refused",
]


class Answer(Struct, frozen=True):
    """Say this instead; nothing is done."""

    reply: Reply


class Cut(Struct, frozen=True):
    """Promise the whole body, and close the connection after some bytes of it."""

    after: int


class Reset(Struct, frozen=True):
    """Reset the connection after some bytes of the body; None: without having done or said anything."""

    after: int | None = None


class LostReply(Struct, frozen=True):
    """Do what was asked, and reset the connection without a word."""


class Stall(Struct, frozen=True):
    """Say nothing more after some bytes of the body; None: nothing at all. Ends with the server."""

    after: int | None = None


class Slow(Struct, frozen=True):
    """Send the body in pieces, with a pause of some seconds after each."""

    piece: int
    pause: float


class Late(Struct, frozen=True):
    """Answer after some seconds."""

    seconds: float


class Swapped(Struct, frozen=True):
    """Before this is answered, somebody else writes other bytes to its key."""

    body: bytes


class NoRange(Struct, frozen=True):
    """Know nothing of ranges: 200 and the whole object."""


class WrongRange(Struct, frozen=True):
    """Send the bytes of another place, and say so in `Content-Range`."""

    shift: int


class WrongLength(Struct, frozen=True):
    """Promise some bytes more or fewer than are sent."""

    by: int


class Chunked(Struct, frozen=True):
    """Send the body in chunks, without its length; `ended=False` leaves out the last one."""

    ended: bool = True


class ErrorInside(Struct, frozen=True):
    """Say 200, and that it failed in the body, as S3 does of what takes long."""

    code: str = "InternalError"


class Malformed(Struct, frozen=True):
    """Do it, and answer with XML that breaks off in the middle, at the length that was promised."""


Fault = (
    Answer | Chunked | Cut | ErrorInside | Late | LostReply | Malformed | NoRange | Reset | Slow | Stall | Swapped
    | WrongLength | WrongRange
)  # fmt: skip


def refused(status: int, code: str, *, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the fault of an error answer, such as `refused(429, "TooManyRequests", headers={"retry-after": "1"})`."""
    return Answer(refusal(status, code, headers=headers))


def _shifted(text: str, by: int) -> str:
    return re.sub(r"\d+", lambda match: str(int(match[0]) + by), text)


class _Rule(Struct):
    operation: str
    key: re.Pattern[str]
    fault: Fault
    nth: int
    times: int
    seen: int = 0

    def takes(self, request: Request) -> bool:
        """Count a request that fits, and tell whether it is its turn."""
        if self.operation not in {request.method, request.operation} or not self.key.fullmatch(request.key):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times


class ScriptedS3:
    """The server; use it in a `with` block, or call `close`.

    Attributes:
        objects: What it holds.
        requests: What it was asked, in the order of arrival.
        clock: How far its clock is ahead; signed requests further than 15 minutes away are refused, as by AWS.
    """

    def __init__(self) -> None:
        self.objects = ScriptedObjects()
        self.requests: list[Request] = []
        self.clock = timedelta()
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def on(self, operation: str, key: str, fault: Fault, *, nth: int = 1, times: int = 1) -> None:
        """Let some requests fail.

        Args:
            operation: `GET` or `GetObject`, `POST` or `CompleteMultipartUpload`, ….
            key: Pattern that the whole key has to match; of requests about a bucket the key is "".
            fault: What happens.
            nth: Which of the requests that fit is the first, from 1.
            times: How many of them.
        """
        with self._lock:
            self._rules.append(_Rule(operation, re.compile(key, re.DOTALL), fault, nth, times))

    def asked(self, operation: str) -> list[Request]:
        """Return the requests of one operation."""
        return [request for request in self.requests if operation in {request.method, request.operation}]

    def fault_for(self, request: Request) -> Fault | None:
        """Record a request, and return what is to happen to it."""
        with self._lock:
            self.requests.append(request)
            turns = [rule for rule in self._rules if rule.takes(request)]
        if turns:
            return turns[0].fault
        return refused(403, "RequestTimeTooSkewed") if self._too_far(request) else None

    def now(self) -> datetime:
        """Return the time as this server has it."""
        return datetime.now(UTC) + self.clock

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the end of the server, or for some seconds."""
        self._over.wait(seconds)

    def close(self) -> None:
        """Stop."""
        if not self._over.is_set():
            self._over.set()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _too_far(self, request: Request) -> bool:
        stamp = request.headers.get("x-amz-date")
        if not stamp:
            return False
        signed = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return abs(signed - self.now()) > timedelta(minutes=15)


class _Server(LoopbackServer):
    def __init__(self, script: ScriptedS3) -> None:
        super().__init__(_Handler)
        self.script = script


class _Handler(S3Handler):
    @property
    def script(self) -> ScriptedS3:
        return cast("_Server", self.server).script

    def answer(self, request: Request) -> None:
        fault = self.script.fault_for(request)
        if isinstance(fault, Reset | Stall) and fault.after is None:
            self._break_off(fault)
            return
        reply = self._reply(request, fault)
        if isinstance(fault, LostReply):
            self._reset()
            return
        self._send(reply, fault, bodiless=request.method == "HEAD" or reply.status in {204, 304})

    def _reply(self, request: Request, fault: Fault | None) -> Reply:
        objects = self.script.objects
        match fault:
            case Answer(reply):
                return reply
            case Late(seconds):
                self.script.wait(seconds)
            case Swapped(body):
                objects.put(request.bucket, request.key, body)
            case NoRange():
                rest = {name: text for name, text in request.headers.items() if name != "range"}
                return objects.answer(replace(request, headers=rest))
            case WrongRange(shift):
                moved = _shifted(request.headers.get("range", ""), shift)
                return objects.answer(replace(request, headers={**request.headers, "range": moved}))
            case ErrorInside(code):
                return replace(refusal(200, code), status=200)
            case Malformed():
                reply = objects.answer(request)
                return replace(reply, body=reply.body[: len(reply.body) * 2 // 3])
            case _:
                pass
        return objects.answer(request)

    def _send(self, reply: Reply, fault: Fault | None, *, bodiless: bool) -> None:
        body = b"" if bodiless else reply.body
        length = len(reply.body) + (fault.by if isinstance(fault, WrongLength) else 0)
        self.send_response_only(reply.status)
        self.send_header("Date", format_datetime(self.script.now(), usegmt=True))
        self.send_header("Server", "scripted")
        for name, text in reply.headers.items():
            self.send_header(name, text)
        if isinstance(fault, Chunked):
            self.send_header("Transfer-Encoding", "chunked")
        elif reply.status != 204:
            self.send_header("Content-Length", str(max(length, 0)))
        self.end_headers()
        self._send_body(body, fault)

    def _send_body(self, body: bytes, fault: Fault | None) -> None:
        match fault:
            case Cut(after) | Reset(int(after)) | Stall(int(after)):
                self.wfile.write(body[:after])
                self.wfile.flush()
                self._break_off(fault)
            case Slow(piece, pause):
                for at in range(0, len(body), piece):
                    self.wfile.write(body[at : at + piece])
                    self.script.wait(pause)
            case Chunked(ended):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body) if body else b"")
                self.wfile.write(b"0\r\n\r\n" if ended else b"")
                self.close_connection = not ended
            case WrongLength():
                self.wfile.write(body)
                self.close_connection = True
            case _:
                self.wfile.write(body)

    def _break_off(self, fault: Fault) -> None:
        self.close_connection = True
        if isinstance(fault, Reset):
            self._reset()
        elif isinstance(fault, Stall):
            self.script.wait()

    def _reset(self) -> None:
        """Close the connection so that the other side sees a reset and no orderly end."""
        self.close_connection = True
        time.sleep(0.02)  # what was written has to be on its way: a reset throws the rest away
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()  # holds the socket, too
        self.connection.close()
