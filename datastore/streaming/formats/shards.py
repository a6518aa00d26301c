"""WebDataset tar files: members that share a name up to its first dot are one row; a unit is a run of rows."""

import io
from collections.abc import Collection, Iterator, Sequence
from typing import IO, Any

from datastore.streaming.packed import is_packed, unpacked
from datastore.streaming.source import Source
from datastore.streaming.tarwalk import Member, members
from datastore.streaming.units import Part, Unit, close_to
from datastore.values import ByteRange

__all__ = ["Shards"]


class Shards:
    """Rows of tar files: `__key__`, and the bytes of each member by its suffix.

    Args:
        columns: Suffixes wanted; None for all.
    """

    tabular = False

    def __init__(self, columns: Sequence[str] | None) -> None:
        self._columns = None if columns is None else frozenset(columns)

    def units(self, source: Source) -> list[Unit]:
        """Return runs of rows; reads the header of each member."""
        found: list[Unit] = []
        for file, info in enumerate(source.objects):
            if is_packed(info.key):
                (data,) = source.read([(info, ByteRange(0, info.size))])
                plain = unpacked(info.key, data)
                rows = sum(1 for _ in _groups(io.BytesIO(plain), info.key))
                if rows:
                    found.append(Unit(file, 0, info.size, rows, len(plain)))
                continue
            with source.open_seekable(info) as stream:
                found += close_to(_groups(stream, info.key), file)
        return found

    def read(self, source: Source, parts: Sequence[Part]) -> list[list[dict[str, Any]]]:
        """Return the rows of each part."""
        wanted = [(source.objects[part.unit.file], ByteRange(part.unit.start, part.unit.stop)) for part in parts]
        found: list[list[dict[str, Any]]] = []
        for part, (info, _), data in zip(parts, wanted, source.read(wanted), strict=True):
            rows = _rows(unpacked(info.key, data), info.key, self._columns)
            found.append(rows[part.start : part.stop])
        return found


def _members(stream: IO[bytes], key: str) -> Iterator[tuple[Member, str, str]]:
    """Yield the files of an archive, with the name and the suffix of each."""
    for member in members(stream, key):
        folder, _, name = member.name.rpartition("/")
        stem, _, suffix = name.partition(".")
        # WebDataset leaves out what has no suffix, and names like `__meta__`.
        if suffix and not (stem.startswith("__") and stem.endswith("__")):
            yield member, f"{folder}/{stem}" if folder else stem, suffix.lower()


def _groups(stream: IO[bytes], key: str) -> Iterator[tuple[int, int, int]]:
    """Yield start, stop and 1 for each row."""
    last, begin, end = "", 0, 0
    for member, stem, _ in _members(stream, key):
        if stem != last:
            if last:
                yield begin, end, 1
            last, begin = stem, member.start
        end = member.stop
    if last:
        yield begin, end, 1


def _rows(data: bytes, key: str, columns: Collection[str] | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for member, stem, suffix in _members(io.BytesIO(data), key):
        if not rows or rows[-1]["__key__"] != stem:
            rows.append({"__key__": stem})
        if columns is None or suffix in columns:
            rows[-1][suffix] = data[member.data : member.data + member.size]
    return rows
