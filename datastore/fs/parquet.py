"""Reads Parquet files over a network: the footer with the first request, then column chunks, many at a time.

Whoever reads such a file through Python asks for one chunk after the other: pyarrow holds a lock around each read. So
when a chunk is asked for, those that are likely to follow are sent for as well, in parallel. They are served from
memory when their turn comes; how many are sent for goes by how many of them were wanted so far.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from datastore.calls import Call, HttpResponse
from datastore.errors import DatastoreError, HeadMoved, IntegrityError
from datastore.fs.footers import Footer, Span
from datastore.fs.foresight import READERS, TOGETHER, Foresight, Guess
from datastore.fs.merging import covering, merged
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
_GAP: Final = 128 << 10
"""Bytes that cost no more than another request: a millisecond, at 1 Gbit/s."""
_BLOCK: Final = 2 << 20
"""Bytes that several chunks and what is between them come in, at most."""


_Range = tuple[tuple[int, int], Guess | None]
"""Bytes (start, stop) to send for; None if somebody waits for them."""


class _Block:
    """Bytes on their way, some of which are wanted; when they are here, only those are kept."""

    __slots__ = ("_call", "_future", "_start", "coming", "pieces", "size")

    def __init__(self, call: Call[bytes], start: int, stop: int) -> None:
        self.size = stop - start
        self.coming = True
        self.pieces: list[_Piece] = []
        self._start = start
        self._call = call
        self._future: Future[HttpResponse] | None = engine().submit(call.request)

    def arrive(self) -> None:
        assert self._future is not None  # noqa: S101 - it arrives once
        data = self._call.finish(self._future.result())
        if len(data) != self.size:
            raise IntegrityError(f"{self._call.request.what}: a range came short", hint="read it again")
        for piece in self.pieces:
            piece.data = data[piece.start - self._start : piece.stop - self._start]
        self.coming, self.pieces, self._future = False, [], None


class _Piece:
    """Some bytes that are on their way, or here."""

    __slots__ = ("ahead", "block", "chance", "columns", "data", "group", "start", "stop")

    def __init__(self, block: _Block, start: int, stop: int, guess: Guess | None) -> None:
        self.start = start
        self.stop = stop
        self.block = block
        self.data: bytes | None = None
        self.ahead = guess is not None
        self.chance = guess is not None and guess.chance
        self.group = sys.maxsize if guess is None else guess.span.group
        self.columns = (-1, -1) if guess is None else (guess.span.first, guess.span.last)

    def bytes(self) -> bytes:
        if self.data is None:
            self.block.arrive()
        assert self.data is not None  # noqa: S101 - its block has arrived
        return self.data


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
        self._foresight: Foresight | None = None

    def _fill(self, buffer: memoryview, position: int) -> int:
        if os.getpid() != self._process:  # what is on its way in the parent will not come here
            self._process = os.getpid()
            self._pieces.clear()
            self._foresight = None
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
            count = _copied(buffer, piece.bytes(), position - piece.start)
        except HeadMoved:
            raise
        except DatastoreError:
            self._pieces = [other for other in self._pieces if other.block is not piece.block]
            if not piece.ahead:
                raise
            return 0
        if piece.ahead:
            piece.ahead = False
            self._budget = min(self._budget * 2, _HELD)
        if piece.chance:
            self._learn(position, position + count)
        if position + count == piece.stop:
            self._pieces.remove(piece)
        return count

    def _sent_for(self, buffer: memoryview, position: int) -> int:
        """Read what nobody has thought of before, and have what may follow sent for."""
        stop = position + len(buffer)
        if len(buffer) > PART:
            self._send_ahead(position, stop)
            fill(self._get, buffer, start=position, stop=stop)
            return len(buffer)
        piece = self._send([((position, stop), None)])
        self._send_ahead(position, stop)
        return self._served(piece, buffer, position)

    def _send(self, wanted: Sequence[_Range]) -> _Piece:
        """Send for some ranges by one request, and return the first of them."""
        whole = covering([bounds for bounds, _ in wanted])
        block = _Block(self._get(ByteRange(*whole), None), *whole)
        block.pieces += (_Piece(block, *bounds, guess) for bounds, guess in wanted)
        self._pieces += block.pieces
        return block.pieces[0]

    def _learn(self, start: int, stop: int) -> None:
        """Note what was asked for of bytes that came by chance."""
        chunks = self._footer.chunks
        span = chunks and chunks.span_of(start, stop)
        if span and self._foresight:
            self._foresight.wanted(span)

    def _send_ahead(self, start: int, stop: int) -> None:
        chunks = self._footer.chunks
        span = chunks and chunks.span_of(start, stop)
        if not chunks or not span:
            return
        foresight = self._foresight = self._foresight or Foresight(chunks)
        self._judge(span, foresight)
        room = min(self._budget, _HELD - self._held())
        found = [*self._affordable(foresight.missed(span, start, stop), room)]
        gap = _GAP if len(found) > TOGETHER else 0
        for block in merged([bounds for bounds, _ in found], gap=gap, largest=_BLOCK):
            wanted = [found[at] for at in block]
            begin, finish = covering([bounds for bounds, _ in wanted])
            room -= finish - begin
            if room < 0:
                return
            for _, guess in wanted:
                foresight.sent(guess.span)
            self._send(wanted)

    def _affordable(self, guesses: Iterable[Guess], room: int) -> Iterator[tuple[tuple[int, int], Guess]]:
        """Yield the ranges to read as long as there is room for them; a footer may tell anything."""
        limit = self.info.size - self._footer.size
        for guess in guesses:
            for begin, finish in parts(guess.start, guess.stop, size=_BLOCK if guess.chance else PART):
                room -= finish - begin
                if room < 0:
                    return
                if begin >= 0 and finish <= limit:
                    yield (begin, finish), guess

    def _held(self) -> int:
        """Return the bytes that are here, and those that are on their way with what is between them."""
        coming = {piece.block for piece in self._pieces if piece.block.coming}
        here = sum(piece.stop - piece.start for piece in self._pieces if not piece.block.coming)
        return here + sum(block.size for block in coming)

    def _judge(self, span: Span, foresight: Foresight) -> None:
        """Learn from what was guessed and not wanted: it skips row groups, goes at random, or needs a column rarely."""
        columns = (span.first, span.last)
        if any(piece.ahead and piece.columns == columns for piece in self._pieces):
            self._budget //= 2
        passed = [piece for piece in self._pieces if piece.group < span.group - READERS]
        unwanted = [piece for piece in passed if piece.ahead and not piece.chance]
        if len(unwanted) <= READERS:  # threads may still be waiting for the lock to read these
            unwanted = []
        for piece in unwanted:
            if piece.columns != columns:
                foresight.doubted(piece.columns)
        crowded = self._held() > _HELD // 2
        gone = set(passed) if crowded else {piece for piece in unwanted if piece.columns == columns}
        self._pieces = [piece for piece in self._pieces if piece not in gone]

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
