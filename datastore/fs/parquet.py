"""Reads Parquet files over a network: the footer with the first request, then column chunks, many at a time.

Whoever reads such a file through Python asks for one chunk after the other: pyarrow holds a lock around each read. So
when a chunk is asked for, the same columns of other row groups are sent for as well, in parallel. They are served from
memory when their turn comes; how many are sent for goes by how many of them were wanted so far.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from datastore.calls import Call, HttpResponse
from datastore.errors import DatastoreError, HeadMoved, IntegrityError
from datastore.fs.footers import Chunks, Footer, Span
from datastore.http.engine import engine
from datastore.http.filling import GetCall, fill
from datastore.parts import PART, parts
from datastore.streams import PositionedReader
from datastore.values import ByteRange, ObjectInfo

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["ParquetReader"]

_HELD: Final = 64 << 20
"""Most bytes that are held, or on their way, before anybody asks for them."""
_FIRST: Final = 16 << 20
_READERS: Final = 8
"""Threads with which pyarrow reads: a range may be asked for before so many others that come before it."""
_RUN: Final = 3
"""Neighbouring chunks that are asked for one by one, after which the next ones are believed to be wanted, too."""


class _Piece:
    """Some bytes that are on their way, or here."""

    __slots__ = ("_call", "_future", "ahead", "start", "stop")

    def __init__(self, call: Call[bytes], *, start: int, stop: int, ahead: Span | None) -> None:
        self.start = start
        self.stop = stop
        self.ahead = ahead
        self._call = call
        self._future: Future[HttpResponse] = engine().submit(call.request)

    def data(self) -> bytes:
        data = self._call.finish(self._future.result())
        if len(data) != self.stop - self.start:
            raise IntegrityError(f"{self._call.request.what}: a range came short", hint="read it again")
        return data


class ParquetReader(PositionedReader):
    """A reader over one version of a Parquet file.

    Args:
        info: The object.
        get: Reads ranges of just this version.
        footer: The end of the object.
    """

    def __init__(self, info: ObjectInfo, get: GetCall, *, footer: Footer) -> None:
        super().__init__(info, info.size)
        self._get = get
        self._footer = footer
        self._process = os.getpid()
        self._pieces: list[_Piece] = []
        self._budget = _FIRST
        self._asked: set[Span] = set()
        self._run = 0
        self._end = 0

    def _fill(self, buffer: memoryview, position: int) -> int:
        if os.getpid() != self._process:  # what is on its way in the parent will not come here
            self._process = os.getpid()
            self._pieces.clear()
            self._asked.clear()
        begin = self.info.size - len(self._footer.tail)
        if position >= begin:
            return _copied(buffer, self._footer.tail, position - begin)
        try:
            return self._fetched(buffer[: begin - position], position)
        except HeadMoved as error:  # one word for it in the middle of a read, as every reader has it
            raise IntegrityError(error.message, hint="open it again to read what is there now") from None

    def _fetched(self, buffer: memoryview, position: int) -> int:
        footer = self.info.size - min(self._footer.size, self.info.size, _HELD)
        if position >= footer:  # it is larger than the tail that came first
            return _copied(buffer, self._rest_of_footer(footer), position - footer)
        piece = next((piece for piece in self._pieces if piece.start <= position < piece.stop), None)
        if piece is not None:
            count = self._served(piece, buffer, position)
            if count:
                return count
        starts = [piece.start for piece in self._pieces if piece.start > position]
        stop = min([position + len(buffer), footer, *starts])
        return self._sent_for(buffer[: stop - position], position)

    def _served(self, piece: _Piece, buffer: memoryview, position: int) -> int:
        """Copy from a piece; 0 if it failed and was only a guess, so that it has to be asked for anew."""
        try:
            count = _copied(buffer, piece.data(), position - piece.start)
        except HeadMoved:
            raise
        except DatastoreError:
            self._pieces.remove(piece)
            if piece.ahead is None:
                raise
            return 0
        if piece.ahead is not None:
            piece.ahead = None
            self._budget = min(self._budget * 2, _HELD)
        if position + count == piece.stop:
            self._pieces.remove(piece)
        return count

    def _sent_for(self, buffer: memoryview, position: int) -> int:
        """Read what nobody has thought of before, and have the like of it sent for."""
        stop = position + len(buffer)
        if len(buffer) > PART:
            self._send_for_the_like(position, stop)
            fill(self._get, buffer, start=position, stop=stop)
            return len(buffer)
        piece = self._send(position, stop)
        self._send_for_the_like(position, stop)
        return self._served(piece, buffer, position)

    def _send(self, start: int, stop: int, *, ahead: Span | None = None) -> _Piece:
        piece = _Piece(self._get(ByteRange(start, stop), None), start=start, stop=stop, ahead=ahead)
        self._pieces.append(piece)
        return piece

    def _send_for_the_like(self, start: int, stop: int) -> None:
        chunks = self._footer.chunks
        span = chunks and chunks.span_of(start, stop)
        if not chunks or not span:
            return
        self._run = self._run + 1 if start == self._end else 1
        self._end = stop
        self._judge(span)
        self._asked.add(span)
        if self._run >= _RUN:
            span = Span(span.group, span.first, chunks.columns - 1)
        _, end = chunks.bounds(span)
        room = min(self._budget, _HELD - sum(piece.stop - piece.start for piece in self._pieces))
        for other, first, last in ((span, stop, end), *self._others(chunks, span)):
            self._asked.add(other)
            for begin, finish in parts(first, last):
                room -= finish - begin
                if room < 0:
                    return
                self._send(begin, finish, ahead=other)

    def _others(self, chunks: Chunks, span: Span) -> Iterator[tuple[Span, int, int]]:
        after, before = range(span.group + 1, chunks.groups), range(max(span.group - _READERS, 0), span.group)
        for group in (*after, *before):
            other = Span(group, span.first, span.last)
            if other not in self._asked:
                yield other, *chunks.bounds(other)

    def _judge(self, span: Span) -> None:
        """Learn from what was guessed for these columns and was not wanted: it skips row groups, or goes at random."""
        unwanted = [
            piece
            for piece in self._pieces
            if piece.ahead and (piece.ahead.first, piece.ahead.last) == (span.first, span.last)
        ]
        if unwanted:
            self._budget //= 2
        passed = {piece for piece in unwanted if piece.ahead and piece.ahead.group < span.group - _READERS}
        self._pieces = [piece for piece in self._pieces if piece not in passed]

    def _rest_of_footer(self, start: int) -> bytes:
        begin = self.info.size - len(self._footer.tail)
        missing = bytearray(begin - start)
        fill(self._get, memoryview(missing), start=start, stop=begin)
        self._footer.tail = bytes(missing) + self._footer.tail
        return self._footer.tail

    def close(self) -> None:
        """Forget what was read ahead."""
        self._pieces.clear()
        super().close()


def _copied(buffer: memoryview, data: bytes, start: int) -> int:
    piece = memoryview(data)[start : start + len(buffer)]
    buffer[: len(piece)] = piece
    return len(piece)
