"""Parquet: a unit is a row group, of which the wanted columns are fetched and decoded."""

import io
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from datastore.errors import IntegrityError
from datastore.fs.footers import Chunks, Footer, Span
from datastore.fs.ranges import plan_ranges
from datastore.streaming.columns import check_columns, check_same
from datastore.streaming.source import Source
from datastore.streaming.units import Part, Unit
from datastore.values import ByteRange, ObjectInfo

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Parquet"]

_TAIL: Final = 64 << 10
_FOOTERS: Final = 256
_MORE: Final = 128
"""Of old files, whose sizes leave out the header of a dictionary, Arrow reads 100 bytes more (PARQUET-816)."""


class Parquet:
    """Row groups of Parquet files.

    Args:
        columns: Top-level columns, in the order wanted; None for all.
    """

    tabular = True

    def __init__(self, columns: Sequence[str] | None) -> None:
        self._columns = columns
        self._footers: dict[int, Any] = {}

    def units(self, source: Source) -> list[Unit]:
        """Return the row groups that have rows; reads the footers."""
        found: list[Unit] = []
        first: pa.Schema | None = None
        for begin in range(0, len(source.objects), _FOOTERS):
            for file, metadata in self._load(source, range(begin, min(begin + _FOOTERS, len(source.objects)))):
                schema = check_columns(metadata.schema.to_arrow_schema(), self._columns, source.objects[file].key)
                first = check_same(first, schema, source.objects[file].key)
                leaves = self._leaves(metadata)
                for group in range(metadata.num_row_groups):
                    about = metadata.row_group(group)
                    size = sum(about.column(leaf).total_uncompressed_size for leaf in leaves)
                    if about.num_rows:
                        found.append(Unit(file, group, group + 1, about.num_rows, size))
        return found

    def read(self, source: Source, parts: Sequence[Part]) -> "list[pa.Table]":
        """Return the rows of each part."""
        missing = sorted({part.unit.file for part in parts} - self._footers.keys())
        known = {**self._footers, **dict(self._load(source, missing))}
        spans = [self._bounds(known[part.unit.file], part.unit.start) for part in parts]
        blocks = [
            plan_ranges([""] * len(bounds), [start for start, _ in bounds], [stop for _, stop in bounds])
            for bounds in spans
        ]
        wanted = [
            (source.objects[part.unit.file], block.range)
            for part, planned in zip(parts, blocks, strict=True)
            for block in planned
        ]
        data = iter(source.read(wanted))
        return [
            self._decoded(known[part.unit.file], part, source, {b.range.start: next(data) for b in planned})
            for part, planned in zip(parts, blocks, strict=True)
        ]

    def _decoded(self, metadata: Any, part: Part, source: Source, pieces: dict[int, bytes]) -> "pa.Table":
        import pyarrow as pa
        import pyarrow.parquet as pq

        info = source.objects[part.unit.file]
        file = pa.PythonFile(_Sparse(info, pieces), mode="r")
        with pq.ParquetFile(file, metadata=metadata) as parquet:
            columns = None if self._columns is None else list(self._columns)
            # Windows are read in several threads; a forked child does not inherit those of pyarrow.
            table = parquet.read_row_group(part.unit.start, columns=columns, use_threads=False)
        table = table if columns is None else table.select(columns)
        return table.slice(part.start, part.stop - part.start)

    def _load(self, source: Source, files: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Yield the footers of some files, and keep those of the first few hundred."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        infos = [source.objects[file] for file in files]
        tails = source.read([(info, ByteRange(max(info.size - _TAIL, 0), info.size)) for info in infos])
        for file, info, tail in zip(files, infos, tails, strict=True):
            size = Footer(tail).size
            if len(tail) < size <= info.size:
                (tail,) = source.read([(info, ByteRange(info.size - size, info.size))])  # noqa: PLW2901
            try:
                metadata = pq.read_metadata(pa.BufferReader(tail))
            except (pa.ArrowException, OSError) as error:
                raise IntegrityError(f"{info.key!r} is no Parquet file: {error}", hint='or format="files"') from error
            if len(self._footers) < _FOOTERS:
                self._footers[file] = metadata
            yield file, metadata

    def _leaves(self, metadata: Any) -> list[int]:
        every = range(metadata.num_columns)
        if self._columns is None:
            return list(every)
        paths = [metadata.schema.column(leaf).path for leaf in every]
        return [
            leaf
            for leaf in every
            if any(paths[leaf] == name or paths[leaf].startswith(f"{name}.") for name in self._columns)
        ]

    def _bounds(self, metadata: Any, group: int) -> list[tuple[int, int]]:
        chunks = Chunks(metadata)
        spans = [chunks.bounds(Span(group, leaf, leaf)) for leaf in self._leaves(metadata)]
        return [(start, stop + _MORE) for start, stop in spans]  # the end of the file comes after its footer

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_footers": {}}


class _Sparse(io.RawIOBase):
    """A file of which some pieces are here."""

    def __init__(self, info: ObjectInfo, pieces: dict[int, bytes]) -> None:
        super().__init__()
        self._info = info
        self._starts = sorted(pieces)
        self._pieces = pieces
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._info.size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1, /) -> memoryview:  # pyright: ignore[reportIncompatibleMethodOverride]
        place = bisect_right(self._starts, self._position) - 1
        start = self._starts[max(place, 0)]
        view = memoryview(self._pieces[start])[self._position - start :][:size]
        if place < 0 or self._position < start or len(view) < size:
            raise IntegrityError(f"{self._info.key!r}: column chunks are not where the footer says")
        self._position += size
        return view
