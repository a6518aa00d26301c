"""Reads the windows of the next batches while a batch is being used, within a bound of bytes."""

import os
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, Final

from datastore.streaming.assembling import Form
from datastore.streaming.order import Cut, Order, WindowId
from datastore.streaming.planning import Plan
from datastore.streaming.units import Part

__all__ = ["batches"]

_THREADS: Final = 4
_AHEAD: Final = 8
"""Batches by which the view ahead grows with each batch, at most: the first one must not wait for a long look."""


def batches(
    plan: Plan, order: Order, form: Form, wanted: Iterator[tuple[int, int]], *, lanes: int, limit: int
) -> Generator[tuple[int, int, Any]]:
    """Yield batches with their epoch and number.

    Args:
        plan: What to read.
        order: Which rows are in which batch.
        form: How rows are given out.
        wanted: Epoch and number of each.
        lanes: How many lanes these batches are from.
        limit: Bytes of rows that are held or on their way, beyond what the next batches cannot do without.
    """
    loader = _Loader(plan, order, form)
    ahead: deque[tuple[int, int, Sequence[Cut]]] = deque()
    try:
        while True:
            # As long as the next batch of each lane is in view, no window is dropped before it is used up.
            needed = lanes + 1 - len(ahead)
            for epoch, number in islice(wanted, max(needed, _AHEAD if loader.held < limit else 0)):
                cuts = order.cuts(epoch, number)
                ahead.append((epoch, number, cuts))
                loader.want(cuts)
                needed -= 1
                if needed <= 0 and loader.held >= limit:
                    break
            if not ahead:
                return
            epoch, number, cuts = ahead.popleft()
            taken = [form.take(*loader.rows(cut)) for cut in cuts]
            loader.used(cuts)
            yield epoch, number, form.batch(taken)
    finally:
        loader.close()


class _Loader:
    """The windows that somebody waits for."""

    def __init__(self, plan: Plan, order: Order, form: Form) -> None:
        self.held = 0
        self._plan = plan
        self._order = order
        self._form = form
        self._uses: Counter[WindowId] = Counter()
        self._sizes: dict[WindowId, int] = {}
        self._futures: dict[WindowId, Future[tuple[Any, Any]]] = {}
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="datastore-stream")
        self._futures = {window: self._threads.submit(self._load, window) for window in self._uses}

    def want(self, cuts: Sequence[Cut]) -> None:
        """Begin to read the windows of a batch."""
        for cut in cuts:
            self._uses[cut.window] += 1
            if cut.window not in self._futures:
                self.held += self._sizes.setdefault(cut.window, self._size(cut.window))
                self._futures[cut.window] = self._threads.submit(self._load, cut.window)

    def rows(self, cut: Cut) -> tuple[Any, Any]:
        """Return a window, and the places in it of some rows, in order."""
        if self._process != os.getpid():  # threads do not come along when a process forks
            self._start()
        window, rows = self._futures[cut.window].result()
        return window, rows[cut.start : cut.stop]

    def used(self, cuts: Sequence[Cut]) -> None:
        """Drop the windows of a batch that no batch in view needs."""
        for cut in cuts:
            self._uses[cut.window] -= 1
            if not self._uses[cut.window]:
                del self._uses[cut.window], self._futures[cut.window]
                self.held -= self._sizes.pop(cut.window)

    def close(self) -> None:
        """Forget everything; what is being read comes to its end first."""
        if self._process == os.getpid():
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._futures.clear()

    def _size(self, window: WindowId) -> int:
        return sum(self._plan.units[piece.unit].size for piece in self._order.pieces(window))

    def _load(self, window: WindowId) -> tuple[Any, Any]:
        parts = [Part(self._plan.units[piece.unit], piece.start, piece.stop) for piece in self._order.pieces(window)]
        blocks = self._plan.format.read(self._plan.source, parts)
        count = sum(part.stop - part.start for part in parts)
        return self._form.window(blocks), self._order.rows_of(window, count)
