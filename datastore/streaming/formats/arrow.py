"""Arrow IPC, files and streams: a unit is a run of record batches.

The file format is the stream format between a magic and a footer, so both are read as streams: the bytes before the
first record batch (schema, dictionaries), and then those of the wanted batches, make a stream of their own.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from datastore.errors import IntegrityError, UnsupportedType
from datastore.streaming.columns import check_columns, check_same
from datastore.streaming.source import Source
from datastore.streaming.units import Part, Unit, close_to
from datastore.values import ByteRange

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Arrow"]

_MAGIC: Final = b"ARROW1\0\0"
_MARK: Final = b"\xff\xff\xff\xff"
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3


class Arrow:
    """Record batches of Arrow files.

    Args:
        columns: Top-level columns, in the order wanted; None for all.
    """

    tabular = True

    def __init__(self, columns: Sequence[str] | None) -> None:
        self._columns = columns
        self._heads: dict[int, int] = {}  # where the schema's message ends

    def units(self, source: Source) -> list[Unit]:
        """Return runs of record batches; walks through the messages, since nothing says how many rows each has."""
        found: list[Unit] = []
        first: pa.Schema | None = None
        for file, info in enumerate(source.objects):
            with source.open_seekable(info) as stream:
                messages = list(_messages(stream, info.key))
            begin = next((at for at, message in enumerate(messages) if message.kind == _BATCH), len(messages))
            batches = messages[begin:]
            if not messages or messages[0].kind != _SCHEMA:
                raise IntegrityError(f"{info.key!r} is not in the Arrow IPC format", hint='or format="files"')
            if any(message.kind != _BATCH for message in batches):
                raise UnsupportedType(
                    f"{info.key!r} changes its dictionaries between batches", hint="write it as Parquet"
                )
            self._heads[file] = batches[0].start if batches else messages[-1].stop
            first = check_same(first, self._schema(source, file), info.key)
            found += close_to(((batch.start, batch.stop, batch.rows) for batch in batches if batch.rows), file)
        return found

    def _schema(self, source: Source, file: int) -> "pa.Schema":
        import pyarrow as pa

        info = source.objects[file]
        (head,) = source.read([(info, ByteRange(0, self._heads[file]))])
        with pa.ipc.open_stream(head.removeprefix(_MAGIC)) as stream:
            return check_columns(stream.schema, self._columns, info.key)

    def read(self, source: Source, parts: Sequence[Part]) -> "list[pa.Table]":
        """Return the rows of each part."""
        import pyarrow as pa

        files = sorted({part.unit.file for part in parts})
        wanted = [(source.objects[file], ByteRange(0, self._heads[file])) for file in files]
        wanted += [(source.objects[part.unit.file], ByteRange(part.unit.start, part.unit.stop)) for part in parts]
        data = source.read(wanted)
        heads = {file: head.removeprefix(_MAGIC) for file, head in zip(files, data, strict=False)}
        found: list[pa.Table] = []
        for part, body in zip(parts, data[len(files) :], strict=True):
            with pa.ipc.open_stream(heads[part.unit.file] + body) as stream:
                table = stream.read_all()
            table = table if self._columns is None else table.select(list(self._columns))
            found.append(table.slice(part.start, part.stop - part.start))
        return found


class _Message(Struct, frozen=True):
    """Where a message is, and what it is."""

    kind: int
    start: int
    stop: int
    rows: int


def _messages(file: io.BufferedReader, key: str) -> Iterator[_Message]:
    """Yield the messages of a file; bodies are passed over (format: arrow.apache.org, Columnar, "IPC")."""
    place = len(_MAGIC) if file.peek(len(_MAGIC)).startswith(_MAGIC) else 0
    file.seek(place)
    while (mark := file.read(8))[:4] == _MARK and len(mark) == 8:
        size = int.from_bytes(mark[4:], "little")
        if not size:
            return
        kind, rows, body = _header(file.read(size), key)
        stop = place + 8 + size + body
        yield _Message(kind, place, stop, rows)
        place = stop
        file.seek(place)


def _header(data: bytes, key: str) -> tuple[int, int, int]:
    """Return kind, rows and size of the body that a message's flatbuffer tells."""
    try:
        table = _number("<I", data, 0)
        header = _field(data, table, 2)
        header += _number("<I", data, header)
        kind = _number("<B", data, _field(data, table, 1))
        length, size = (_field(data, header, 0) if kind == _BATCH else 0), _field(data, table, 3)
        return kind, _number("<q", data, length) if length else 0, _number("<q", data, size) if size else 0
    except struct.error as error:
        raise IntegrityError(f"{key!r} is not in the Arrow IPC format", hint='or format="files"') from error


def _number(form: str, data: bytes, place: int) -> int:
    return struct.unpack_from(form, data, place)[0]


def _field(data: bytes, table: int, number: int) -> int:
    """Return where a field of a flatbuffer's table is, 0 if it has its default."""
    offsets = table - _number("<i", data, table)
    if 4 + 2 * number >= _number("<H", data, offsets):
        return 0
    offset = _number("<H", data, offsets + 4 + 2 * number)
    return table + offset if offset else 0
