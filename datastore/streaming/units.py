"""What a format has to do for a stream: cut objects into units that can be read alone, and read them."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from datastore.streaming.source import Source

__all__ = ["TARGET", "Block", "Format", "Part", "Unit", "close_to"]

TARGET: Final = 4 << 20
"""Bytes that a unit has at least, where the format leaves it to us."""

Block = Any
"""Rows: a pyarrow Table, or a list of dicts."""


class Unit(Struct, frozen=True, gc=False):
    """Some rows that are read together.

    Attributes:
        file: Which of the source's objects.
        start: Where in it they begin: bytes, or a row group.
        stop: Where they end, exclusive.
        rows: How many.
        size: Bytes in memory, about.
    """

    file: int
    start: int
    stop: int
    rows: int
    size: int


class Part(Struct, frozen=True):
    """Rows of a unit, from `start` to `stop`."""

    unit: Unit
    start: int
    stop: int


class Format(Protocol):
    """How the rows of one kind of object are found and read. Pickles with all that it has learned."""

    tabular: bool
    """Whether blocks are tables, so that they can become columns."""

    def units(self, source: Source) -> list[Unit]:
        """Return the units of all objects, in the order of keys and rows."""
        ...

    def read(self, source: Source, parts: Sequence[Part]) -> list[Block]:
        """Return the rows of each part; called in several threads."""
        ...


def close_to(sizes: Iterator[tuple[int, int, int]], file: int) -> Iterator[Unit]:
    """Join what lies one after the other in a file to units of at least `TARGET` bytes.

    >>> half = TARGET // 2
    >>> [unit.rows for unit in close_to(((n * half, n * half + half, 1) for n in range(5)), 0)]
    [2, 2, 1]

    Args:
        sizes: Start, stop and rows of each smallest part.
        file: Which.
    """
    begin, end, count = 0, 0, 0
    for start, stop, rows in sizes:
        begin = begin if count else start
        end, count = stop, count + rows
        if end - begin >= TARGET:
            yield Unit(file, begin, end, count, end - begin)
            count = 0
    if count:
        yield Unit(file, begin, end, count, end - begin)
