"""What the footer of a Parquet file tells about where its columns are.

A Parquet file is a sequence of row groups, each the sequence of its column chunks. Files have up to hundreds of
thousands of chunks, and pyarrow gives out each in some microseconds, so they are looked up one by one.
"""

import sys
from bisect import bisect_right
from typing import Any, Final

from msgspec import Struct

__all__ = ["TAIL", "Chunks", "Footer", "Span", "is_parquet"]

TAIL: Final = 256 << 10
"""Bytes of the end of a Parquet file that come with the first request; most footers are smaller."""

_SUFFIXES: Final = (".parquet", ".parq", ".pq")
_MAGIC: Final = b"PAR1"
_END: Final = 8


def is_parquet(key: str) -> bool:
    """Tell whether a key has a name that Parquet files have."""
    return key.endswith(_SUFFIXES)


class Span(Struct, frozen=True):
    """Neighbouring columns of one row group: numbers from 0, the last one included."""

    group: int
    first: int
    last: int


class Chunks:
    """Where the column chunks are.

    Args:
        metadata: pyarrow's `FileMetaData`.
    """

    def __init__(self, metadata: Any) -> None:
        self._metadata = metadata
        self.groups: int = metadata.num_row_groups
        self.columns: int = metadata.num_columns
        self._starts: list[int] | None = None

    def bounds(self, span: Span) -> tuple[int, int]:
        """Return the bytes (start, stop) of a span."""
        return self._chunk(span.group, span.first)[0], self._chunk(span.group, span.last)[1]

    def span_of(self, start: int, stop: int) -> Span | None:
        """Return the columns whose chunks a range of bytes touches; None if they are not all of one row group."""
        if not self.columns:
            return None
        if self._starts is None:
            self._starts = [self._chunk(group, 0)[0] for group in range(self.groups)]
        group = bisect_right(self._starts, start) - 1
        if group < 0:
            return None
        first, last = (
            bisect_right(range(self.columns), place, key=lambda column: self._chunk(group, column)[0]) - 1
            for place in (start, stop - 1)
        )
        span = Span(group, first, last)
        begin, end = self.bounds(span)
        # It does not fit where chunks are in another order than their columns, either.
        return span if begin <= start and stop <= end else None

    def _chunk(self, group: int, column: int) -> tuple[int, int]:
        chunk = self._metadata.row_group(group).column(column)
        dictionary: int | None = chunk.dictionary_page_offset
        start: int = chunk.data_page_offset
        if dictionary and dictionary < start:
            start = dictionary
        return start, start + chunk.total_compressed_size


class Footer:
    """The end of a Parquet file, as far as it is here; shared by all who have the file open.

    Attributes:
        tail: The last bytes of the file. Whoever has read more of the end puts it here.
    """

    def __init__(self, tail: bytes) -> None:
        self.tail = tail
        self._chunks: Chunks | None = None
        self._looked = False

    @property
    def size(self) -> int:
        """Bytes of the footer with its length and magic; 0 if the file does not end like one.

        >>> Footer(bytes([16, 0, 0, 0]) + b"PAR1").size
        24
        """
        if len(self.tail) < _END or not self.tail.endswith(_MAGIC):
            return 0
        return int.from_bytes(self.tail[-_END:-4], "little") + _END

    @property
    def chunks(self) -> Chunks | None:
        """Where the chunks are, if the whole footer is here and pyarrow is reading it anyway; else None."""
        parquet: Any = sys.modules.get("pyarrow.parquet")
        if not self._looked and parquet is not None and 0 < self.size <= len(self.tail):
            self._looked = True
            import pyarrow as pa

            try:
                self._chunks = Chunks(parquet.read_metadata(pa.BufferReader(self.tail)))
            except (pa.ArrowException, OSError):  # whoever reads the file will tell
                self._chunks = None
        return self._chunks
