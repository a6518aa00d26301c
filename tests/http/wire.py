"""A server that sends exactly the bytes that a test wants, on connections that it counts."""

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct

__all__ = ["CLOSE", "RESET", "STALL", "Asked", "Pause", "Piece", "Wire", "reply"]


class Asked(Struct, frozen=True):
    """A request as it came over the wire; `connection` counts from 1, `nth` counts all requests from 1."""

    method: str
    target: str
    headers: Mapping[str, str]
    lines: tuple[str, ...]
    body: bytes
    connection: int
    nth: int


class Pause(Struct, frozen=True):
    seconds: float


CLOSE: Final = "close"
RESET: Final = "reset"
STALL: Final = "stall"
Piece = bytes | Pause | str
Script = Callable[[Asked], bytes | Iterable[Piece]]


def reply(body: bytes = b"", *, status: int = 200, headers: Mapping[str, str] | None = None, length: int | None = None):
    """Return an answer; `length` is what it says of its body, -1 for nothing."""
    given = dict(headers or {})
    if length != -1:
        given["Content-Length"] = str(len(body) if length is None else length)
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} Because\r\n{lines}\r\n".encode("latin-1") + body


class Wire:
    """The server. `script` returns the answer to a request, or the pieces of it; it runs in a thread per connection."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, early: bool = False) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self.endings: list[
            str
        ] = []  # how clients left: "closed", "reset", or "unfinished" for TLS without close_notify
        self._early = early
        self._tls = tls
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def wait_for(self, true: Callable[[], bool]) -> None:
        """Wait until something is so; what a test says then fails clearly if it never is."""
        deadline = time.monotonic() + 20
        while not true() and time.monotonic() < deadline:
            time.sleep(0.005)

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            left = list(self._open)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                number = self.connections
                self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, raw: socket.socket, number: int) -> None:
        connection = raw
        try:
            if self._tls:
                connection = self._tls.wrap_socket(raw, server_side=True, suppress_ragged_eofs=False)
                with self._lock:
                    self._open.discard(raw)
                    self._open.add(connection)
            self._talk(connection, number)
        except ssl.SSLEOFError:
            self.endings.append("unfinished")
        except (ConnectionError, ssl.SSLError):
            self.endings.append("reset")
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
                self._open.discard(raw)
            connection.close()

    def _talk(self, connection: socket.socket, number: int) -> None:
        with connection.makefile("rb") as file:
            while (asked := self._request(file, number)) is not None:
                answer = self.script(asked)
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    if isinstance(piece, bytes):
                        connection.sendall(piece)
                    elif isinstance(piece, Pause):
                        self._over.wait(piece.seconds)
                    elif piece == STALL:
                        self._wait_for_its_end(connection)
                        return
                    elif piece == RESET:
                        time.sleep(0.02)  # what was sent has to be on its way: a reset throws the rest away
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    else:
                        return
            self.endings.append("closed")

    def _wait_for_its_end(self, connection: socket.socket) -> None:
        while not self._over.wait(0.02):
            readable, _, _ = select.select([connection], [], [], 0)
            if readable and not connection.recv(1 << 16):
                return

    def _request(self, file, number: int) -> Asked | None:
        first = file.readline()
        if not first:
            return None
        method, target, _ = (
            first.decode("latin-1").split(None, 2) if first.endswith(b" HTTP/1.1\r\n") else ("?", "", "")
        )
        lines: list[str] = []
        while (line := file.readline().decode("latin-1").rstrip("\r\n")) != "":
            lines.append(line)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = b"" if self._early else file.read(int(headers.get("content-length", "0")))
        with self._lock:
            asked = Asked(method, target, headers, tuple(lines), body, number, len(self.asked) + 1)
            self.asked.append(asked)
        return asked
