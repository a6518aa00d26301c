"""Parts of large objects: which ranges they are read in, and which of them have come."""

import os
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

__all__ = ["PART", "Marks", "parts"]

PART: Final = 8 << 20
"""Bytes of a part; S3 recommends 8 to 16 MiB (facts/media.md §2.1)."""
_HERE: Final = b"\1"


def parts(start: int, stop: int, *, size: int = PART) -> Iterator[tuple[int, int]]:
    """Yield the ranges that a long one is read in.

    >>> list(parts(0, 20, size=8))
    [(0, 8), (8, 16), (16, 20)]
    """
    for position in range(start, stop, size):
        yield position, min(position + size, stop)


class Marks(Struct, frozen=True):
    """What outlives a process of what has come: a byte in a file for each part, which is set when the part is there.

    A byte is there or not, whoever dies; and two who set the same one do no harm. The file is the caller's.

    Attributes:
        at: Where in it the marks begin.
        size: Bytes of the object.
    """

    at: int
    size: int

    @property
    def count(self) -> int:
        """How many parts, and marks, there are."""
        return -(-self.size // PART)

    def lacks(self, fd: int, start: int) -> bool:
        """Tell whether the part that begins here has still to come."""
        os.lseek(fd, self.at + start // PART, os.SEEK_SET)
        return os.read(fd, 1) != _HERE

    def missing(self, fd: int) -> list[tuple[int, int]]:
        """Return the parts that have still to come, as (start, stop)."""
        return [(start, stop) for start, stop in parts(0, self.size) if self.lacks(fd, start)]

    def came(self, fd: int, start: int) -> None:
        """Note that the part that begins here is complete."""
        os.lseek(fd, self.at + start // PART, os.SEEK_SET)
        os.write(fd, _HERE)

    def all_came(self, fd: int) -> None:
        """Note that all are."""
        os.lseek(fd, self.at, os.SEEK_SET)
        os.write(fd, _HERE * self.count)
