"""Guesses which column chunks of a Parquet file will be asked for next, from those that were."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Final

from msgspec import Struct

from datastore.fs.footers import Chunks, Span

__all__ = ["READERS", "TOGETHER", "Foresight", "Guess"]

READERS: Final = 8
"""Threads with which pyarrow reads: a range may be asked for before so many others that come before it."""
TOGETHER: Final = 16
"""Requests that cost hardly more than one, when they are sent together."""
_RUN: Final = 3
"""Neighbouring chunks that are asked for one by one, after which the next ones are believed to be wanted, too."""
_STEP: Final = 1 << 20
"""Bytes that take about as long as a round trip."""
_FREE: Final = 2
"""Columns of a row group that are waited for one after the other before anything is read on the chance."""
_SMALL: Final = 128 << 10


class Guess(Struct, frozen=True):
    """Bytes that are likely to be asked for.

    Attributes:
        span: The columns that they belong to.
        start: First byte.
        stop: End, exclusive.
        chance: Whether nobody has asked for these columns in any row group yet.
    """

    span: Span
    start: int
    stop: int
    chance: bool = False


class Foresight:
    """What was asked for so far, and what follows from it.

    Args:
        chunks: Where the column chunks are.
    """

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._asked: set[Span] = set()
        self._columns: dict[tuple[int, int], None] = {}
        self._run = 0
        self._end = 0
        self._group = -1
        self._waited: list[int] = []

    def sent(self, span: Span) -> None:
        """Learn what was sent for, so that it is not guessed again."""
        self._asked.add(span)

    def wanted(self, span: Span) -> None:
        """Learn that columns were asked for."""
        self._asked.add(span)
        self._columns[span.first, span.last] = None

    def doubted(self, columns: tuple[int, int]) -> None:
        """Learn that columns were not asked for where it was guessed that they would be."""
        self._columns.pop(columns, None)

    def missed(self, span: Span, start: int, stop: int) -> Iterator[Guess]:
        """Learn that a range was asked for of which nothing was here; return what may follow, what is likely first.

        Neighbours that were asked for one by one mean all columns. Of columns that nobody has asked for before come
        their like of some other row groups; of others, all columns that are known to be wanted, of all row groups.

        Args:
            span: The columns that the range belongs to.
            start: First byte of the range.
            stop: Its end, exclusive.
        """
        self._run = self._run + 1 if start == self._end else 1
        self._end = stop
        new = (span.first, span.last) not in self._columns
        scan = self._run >= _RUN
        if scan:
            span = Span(span.group, span.first, self._chunks.columns - 1)
        self.wanted(span)
        return self._following(span, stop, scan=scan, new=new)

    def _following(self, span: Span, stop: int, *, scan: bool, new: bool) -> Iterator[Guess]:
        end = self._chunks.bounds(span)[1]
        if stop < end:
            yield Guess(span, stop, end)
        if scan:
            yield from self._like(span.group, [(span.first, span.last)])
        elif new:
            yield from self._window(span)
            yield from islice(self._like(span.group, [(span.first, span.last)]), TOGETHER - 1)
        else:
            yield from self._like(span.group, sorted(self._columns))

    def _like(self, group: int, columns: list[tuple[int, int]]) -> Iterator[Guess]:
        """Yield some columns of all row groups from some before this one on: threads race for the lock."""
        for each in range(max(group - READERS, 0), self._chunks.groups):
            for first, last in columns:
                other = Span(each, first, last)
                if other not in self._asked:
                    yield Guess(other, *self._chunks.bounds(other))

    def _window(self, span: Span) -> Iterator[Guess]:
        """Yield what follows small chunks in their row group: as many bytes more as were waited for in round trips.

        So the chance never costs much more time than the waiting did, whatever is asked for next.
        """
        if span.group != self._group:
            self._group, self._waited = span.group, []
        self._waited = sorted({*self._waited, span.first})
        start, stop = self._chunks.bounds(span)
        size = (len(self._waited) - _FREE) * _STEP
        if size <= 0 or stop - start > _SMALL:
            return
        following = self._waited[bisect_left(self._waited, span.last + 1) :]
        columns = range(span.last + 1, following[0] if following else self._chunks.columns)
        count = bisect_right(columns, stop + size, key=lambda column: self._end_of(span.group, column))
        if count:
            window = Span(span.group, columns[0], columns[count - 1])
            yield Guess(window, *self._chunks.bounds(window), chance=True)

    def _end_of(self, group: int, column: int) -> int:
        return self._chunks.bounds(Span(group, column, column))[1]
