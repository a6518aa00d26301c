"""Which rows are in which batch of an epoch: pure arithmetic, the same in every process.

The units (row groups, shards) are permuted. Their rows, one after the other, are cut into *lanes* of equally many
batches, and batch number b of the epoch is the next one of lane b modulo the number of lanes. Within a lane some
units make a *window*, whose rows are permuted. So a worker that takes every n-th batch reads its own lanes only, if n
divides their number, and whoever takes a batch needs no more than a window of each lane. How many workers there are
changes nothing. Decision 023 tells why.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from msgspec import Struct

__all__ = ["Cut", "Order", "Piece", "WindowId", "permutation"]

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]


class Piece(Struct, frozen=True):
    """Some rows of a unit: numbers from `start` to `stop`, exclusive."""

    unit: int
    start: int
    stop: int


class WindowId(Struct, frozen=True):
    """A window: which epoch, which lane, which of its windows."""

    epoch: int
    lane: int
    number: int


class Cut(Struct, frozen=True):
    """Some rows of a window, by their places after it was permuted."""

    window: WindowId
    start: int
    stop: int


def permutation(size: int, *key: int) -> Rows:
    """Return the numbers below `size` in an order that depends on the key alone, in every version of numpy.

    numpy promises the raw numbers of a bit generator, but not what its `permutation` makes of them.

    >>> permutation(5, 17, 0).tolist()
    [2, 4, 3, 0, 1]
    """
    digest = hashlib.sha256(",".join(map(str, key)).encode()).digest()
    raw = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(size)
    return np.argsort(raw, kind="stable")


class Order:
    """The order of the rows of all epochs.

    Args:
        rows: Of each unit; none is 0.
        batch_size: Rows of a batch; the last batch of an epoch may have fewer.
        seed: Of the permutations; None leaves everything in its place.
        lanes: How many batches in a row come from different lanes.
        units: So many units of a lane make a window.
        drop_last: Whether a last, smaller batch is left out.
    """

    def __init__(
        self,
        rows: Sequence[int],
        *,
        batch_size: int,
        seed: int | None,
        lanes: int = 1,
        units: int = 1,
        drop_last: bool = False,
    ) -> None:
        self._rows = np.asarray(rows, dtype=np.int64)
        self._total = int(self._rows.sum())
        self._size = batch_size
        self._seed = seed
        self.lanes = lanes
        self._units = units
        self.batches = self._total // batch_size if drop_last else -(-self._total // batch_size)
        self._epoch = lru_cache(maxsize=2)(self._placed)

    def cuts(self, epoch: int, batch: int) -> list[Cut]:
        """Return where the rows of a batch are, in order."""
        lane, place = batch % self.lanes, batch // self.lanes
        start, end = self._bounds(lane)
        row = start + place * self._size
        stop = min(row + self._size, end)
        found: list[Cut] = []
        while row < stop:
            number, first, last = self._window_at(epoch, lane, row)
            until = min(stop, last)
            found.append(Cut(WindowId(epoch, lane, number), row - first, until - first))
            row = until
        return found

    def pieces(self, window: WindowId) -> list[Piece]:
        """Return what the rows of a window are before they are permuted."""
        units, ends = self._epoch(window.epoch)
        first, last = self._span(ends, window.lane)
        first += window.number * self._units
        last = min(first + self._units - 1, last)
        start, end = self._bounds(window.lane)
        found: list[Piece] = []
        for place in range(first, last + 1):
            unit = int(units[place])
            stop = int(ends[place])
            begin = stop - int(self._rows[unit])
            found.append(Piece(unit, max(start - begin, 0), min(end, stop) - begin))
        return found

    def rows_of(self, window: WindowId, count: int) -> Rows:
        """Return in which order the rows of a window of so many come."""
        if self._seed is None:
            return np.arange(count)
        return permutation(count, self._seed, window.epoch, window.lane, window.number)

    def _placed(self, epoch: int) -> tuple[Rows, Rows]:
        """Return the units in the order of an epoch, and how many rows there are up to the end of each."""
        count = len(self._rows)
        units = np.arange(count) if self._seed is None else permutation(count, self._seed, epoch)
        return units, np.cumsum(self._rows[units])

    def _bounds(self, lane: int) -> tuple[int, int]:
        """Return the rows of a lane, start and stop: all its batches are full but the last one of the epoch."""
        each, more = divmod(self.batches, self.lanes)
        # The smaller batch is the last one of the epoch, and so it is in this lane, which need not be the last one.
        short = self.batches * self._size - self._total if self.batches else 0
        special = (self.batches - 1) % self.lanes
        start = (lane * each + min(lane, more)) * self._size
        stop = start + (each + (lane < more)) * self._size
        if short > 0:
            start -= short if lane > special else 0
            stop -= short if lane >= special else 0
        return start, stop

    def _span(self, ends: Rows, lane: int) -> tuple[int, int]:
        """Return the first and the last unit that have rows of a lane."""
        start, stop = self._bounds(lane)
        first, last = np.searchsorted(ends, (start, stop - 1), side="right")
        return int(first), int(last)

    def _window_at(self, epoch: int, lane: int, row: int) -> tuple[int, int, int]:
        """Return the number of the window that has a row, and its rows, start and stop."""
        _, ends = self._epoch(epoch)
        first, last = self._span(ends, lane)
        number = (int(np.searchsorted(ends, row, side="right")) - first) // self._units
        begin = first + number * self._units
        finish = min(begin + self._units - 1, last)
        start, stop = self._bounds(lane)
        return number, max(start, int(ends[begin - 1]) if begin else 0), min(stop, int(ends[finish]))
