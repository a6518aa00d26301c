"""The tasks of training streams, for whatever gives some data in batches, shuffled and each row once.

Clients import their library when they open a stream: the first batch of a fresh process is measured with it.
"""

import multiprocessing
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Any, cast

from benchmarks.measuring import Measured
from benchmarks.places import Place, StreamPlace

__all__ = ["BATCH", "SEED", "WORKERS", "Streaming", "first", "four", "one", "resumed"]

BATCH = 256
SEED = 17
WORKERS = 4


class Streaming(ABC):
    """One kind of data as one client streams it; a connection of these tasks."""

    def __init__(self, place: Place) -> None:
        """Take the place."""
        assert isinstance(place, StreamPlace)
        self.place = place

    @abstractmethod
    def open(self) -> Any:
        """Return a stream that stands at its beginning."""

    @abstractmethod
    def batches(self, stream: Any, *, worker: int = 0, workers: int = 1) -> Iterator[Any]:
        """Yield the batches of one of several workers."""

    @abstractmethod
    def state(self, stream: Any) -> Any:
        """Return the state of the stream, given in one process, after two thirds of its rows."""

    def reopened(self, state: Any) -> Any:
        """Return a stream that goes on from a state."""
        stream = self.open()
        stream.load_state_dict(state)
        return stream

    def drain(self, stream: Any) -> int:
        """Take all batches in four forked processes, each its own; return the number of rows."""
        context = multiprocessing.get_context("fork")
        counts = context.SimpleQueue()

        def work(worker: int) -> None:
            counts.put(_rows(self.batches(stream, worker=worker, workers=WORKERS)))

        children = [context.Process(target=work, args=(worker,)) for worker in range(WORKERS)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert not any(child.exitcode for child in children), "a worker failed"
        return sum(counts.get() for _ in children)


def _rows(batches: Iterator[Any]) -> int:
    """Count the rows of batches: dicts of columns, lists of rows, or their number."""
    return sum(map(_length, batches))


def _length(batch: Any) -> int:
    if isinstance(batch, dict):
        return len(next(iter(cast("dict[str, Sized]", batch).values())))
    return batch if isinstance(batch, int) else len(batch)


def _all(connection: Streaming, begin: float, rows: int) -> Measured:
    wall = time.perf_counter() - begin
    assert rows == connection.place.rows, f"{rows:,} of {connection.place.rows:,} rows came"
    return Measured(wall, rows=rows)


def one(connection: Streaming, folder: Path) -> Measured:
    stream = connection.open()
    begin = time.perf_counter()
    return _all(connection, begin, _rows(connection.batches(stream)))


def four(connection: Streaming, folder: Path) -> Measured:
    stream = connection.open()
    begin = time.perf_counter()
    return _all(connection, begin, connection.drain(stream))


def first(connection: Streaming, folder: Path) -> Measured:
    begin = time.perf_counter()
    next(iter(connection.batches(connection.open())))
    return Measured(time.perf_counter() - begin)


def resumed(connection: Streaming, folder: Path) -> Measured:
    state = connection.state(connection.open())
    begin = time.perf_counter()
    batch = next(iter(connection.batches(connection.reopened(state))), None)
    assert batch is not None, "no batch after the state"
    return Measured(time.perf_counter() - begin)
