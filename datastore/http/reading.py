"""Readers over objects behind HTTP: what is read next is on its way already."""

import os
from collections import deque
from collections.abc import Callable
from typing import Final

from datastore.calls import Call
from datastore.errors import HeadMoved, IntegrityError
from datastore.http.engine import engine
from datastore.http.filling import GetCall, fill
from datastore.parts import PART
from datastore.provider import Reader
from datastore.streams import PositionedReader
from datastore.values import ByteRange, ObjectInfo

__all__ = ["FIRST", "RangedReader", "open_reader"]

FIRST: Final = 1 << 20
"""Bytes that a reader asks for before it knows how it is read."""
_SMALLEST: Final = 256 << 10
_NEAR: Final = 1 << 20
"""Bytes that may be passed over: reading on from there is still reading in sequence, as from one header of a tar file
to the next."""
_WINDOW: Final = 4 << 20
_AHEAD: Final = 4


def open_reader(info: ObjectInfo, get: GetCall, *, range: ByteRange | None = None, first: bytes = b"") -> Reader:
    """Return a reader over one version of an object, or over a range of it.

    Args:
        info: The object.
        get: Reads ranges of just this version.
        range: Which bytes; None means all.
        first: The beginning of the range, if it is here already.
    """
    start, stop = (range or ByteRange()).bounds(info.size)
    return RangedReader(info, get, start=start, size=stop - start, first=first)


class _Window:
    """A piece of the range that is on its way, or here."""

    __slots__ = ("_data", "_receive", "start", "stop")

    def __init__(self, start: int, stop: int, receive: Callable[[], bytes]) -> None:
        self.start = start
        self.stop = stop
        self._receive = receive
        self._data: bytes | None = None

    def data(self) -> bytes:
        if self._data is None:
            self._data = self._receive()
        return self._data


def _asked(call: Call[bytes]) -> Callable[[], bytes]:
    future = engine().submit(call.request)
    return lambda: call.finish(future.result())


class RangedReader(PositionedReader):
    """Reads ranges: large reads as parallel requests straight into the caller's buffer, small ones from read-ahead.

    Read-ahead begins with one small request and grows while reading goes on in sequence, up to 4 × 4 MiB in flight.
    Whoever jumps to the end wants what is before it, too: archives have their tables there.
    """

    def __init__(self, info: ObjectInfo, get: GetCall, *, start: int, size: int, first: bytes = b"") -> None:
        super().__init__(info, size)
        self._get = get
        self._start = start
        self._process = os.getpid()
        self._windows: deque[_Window] = deque()
        self._ahead = 1
        self._step = FIRST
        self._next = 0
        if first:
            self._windows.append(_Window(0, min(len(first), size), lambda: first))
            self._next = min(len(first), size)
            self._step = max(_SMALLEST, min(len(first), _WINDOW))

    def _fill(self, buffer: memoryview, position: int) -> int:
        try:
            return self._filled(buffer, position)
        except HeadMoved as error:  # one word for it in the middle of a read, as every reader has it
            raise IntegrityError(error.message, hint="open it again to read what is there now") from None

    def _filled(self, buffer: memoryview, position: int) -> int:
        if os.getpid() != self._process:  # what is on its way in the parent will not come here
            self._process = os.getpid()
            self._restart(position)
        while self._windows and self._windows[0].stop <= position:
            self._windows.popleft()
            self._ahead = min(self._ahead + 1, _AHEAD)
        here = bool(self._windows) and self._windows[0].start <= position
        if not here and len(buffer) >= PART:
            self._restart(position + len(buffer))
            first = self._start + position
            fill(self._get, buffer, start=first, stop=first + len(buffer))
            return len(buffer)
        if not here:
            self._land(position)
        if not (here and len(buffer) >= PART):  # the rest of a large read goes straight into its buffer
            self._look_ahead(len(buffer))
        window = self._windows[0]
        data = window.data()
        if len(data) < window.stop - window.start:
            raise IntegrityError(f"object {self.info.key!r}: a range came short", hint="read it again")
        piece = memoryview(data)[position - window.start :][: len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def _land(self, position: int) -> None:
        """Go on at a position that nothing is on its way for."""
        if not self._windows and 0 <= position - self._next <= _NEAR:
            self._next = position
        else:
            self._restart(min(position, max(self._size - _SMALLEST, 0)))

    def _restart(self, position: int) -> None:
        self._windows.clear()
        self._ahead, self._step, self._next = 1, _SMALLEST, position

    def _look_ahead(self, wish: int) -> None:
        while self._next < self._size and len(self._windows) < self._ahead:
            stop = min(self._next + max(self._step, wish), self._size)
            call = self._get(ByteRange(self._start + self._next, self._start + stop), None)
            self._windows.append(_Window(self._next, stop, _asked(call)))
            self._next = stop
            self._step = min(self._step * 2, _WINDOW)

    def close(self) -> None:
        """Forget what was read ahead."""
        self._windows.clear()
        super().close()
