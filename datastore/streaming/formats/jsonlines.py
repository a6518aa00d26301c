"""JSON lines, plain or compressed: a unit is a run of lines, or all of a compressed file."""

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from datastore.errors import IntegrityError, ValidationError
from datastore.streaming.columns import check_columns
from datastore.streaming.packed import is_packed, unpacked
from datastore.streaming.source import Source
from datastore.streaming.units import TARGET, Part, Unit
from datastore.values import ByteRange

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["JsonLines"]


class JsonLines:
    """Lines that are JSON objects.

    Args:
        columns: Top-level names, in the order wanted; None for all.
    """

    tabular = True

    def __init__(self, columns: Sequence[str] | None) -> None:
        self._columns = columns
        self._schema: pa.Schema | None = None

    def units(self, source: Source) -> list[Unit]:
        """Return runs of lines; reads everything once, to count them and to find one type for each column."""
        found: list[Unit] = []
        schemas: dict[Any, None] = {}
        for file, info in enumerate(source.objects):
            for start, stop, lines in self._runs(source, file):
                table = _table(lines, info.key)
                schemas[self._wanted(table.schema)] = None
                if table.num_rows:
                    found.append(Unit(file, start, stop, table.num_rows, max(table.nbytes, len(lines))))
            if schemas:
                schemas = {_joined([*schemas], info.key): None}
        for schema in schemas:
            self._schema = check_columns(schema, self._columns, source.url)
        return found

    def read(self, source: Source, parts: Sequence[Part]) -> "list[pa.Table]":
        """Return the rows of each part."""
        wanted = [(source.objects[part.unit.file], ByteRange(part.unit.start, part.unit.stop)) for part in parts]
        found: list[pa.Table] = []
        for part, (info, _), data in zip(parts, wanted, source.read(wanted), strict=True):
            table = _table(unpacked(info.key, data), info.key, schema=self._schema)
            found.append(table.slice(part.start, part.stop - part.start))
        return found

    def _wanted(self, schema: "pa.Schema") -> "pa.Schema":
        import pyarrow as pa

        names = [name for name in schema.names if self._columns is None or name in self._columns]
        fields: list[Any] = [(name, _said(schema.field(name).type)) for name in names]
        return pa.schema(fields)

    def _runs(self, source: Source, file: int) -> Iterator[tuple[int, int, bytes]]:
        info = source.objects[file]
        if is_packed(info.key):
            (data,) = source.read([(info, ByteRange(0, info.size))])
            yield 0, info.size, unpacked(info.key, data)
            return
        place = 0
        with source.open_seekable(info) as stream:
            while lines := stream.read(TARGET):
                lines += stream.readline()
                yield place, place + len(lines), lines
                place += len(lines)


def _table(lines: bytes, key: str, schema: "pa.Schema | None" = None) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import json

    if not lines.strip():
        return pa.table({})
    options = json.ParseOptions(
        explicit_schema=schema, unexpected_field_behavior="infer" if schema is None else "ignore"
    )
    reading = json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    try:
        return json.read_json(io.BytesIO(lines), read_options=reading, parse_options=options)
    except pa.ArrowException as error:
        raise IntegrityError(f"{key!r} cannot be read as JSON lines: {error}", hint='or format="files"') from error


def _joined(schemas: "Sequence[pa.Schema]", key: str) -> "pa.Schema":
    import pyarrow as pa

    try:
        return pa.unify_schemas(list(schemas), promote_options="permissive")
    except pa.ArrowException as error:
        raise ValidationError(
            f"{key!r}: a name means different types: {error}", hint='select columns=, or format="files"'
        ) from error


def _said(kind: Any) -> Any:
    """Return a type without times, which JSON does not have: texts that look like them stay texts."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_said(kind.value_type))
    if pa.types.is_struct(kind):
        inner: list[Any] = list(kind)
        fields: list[Any] = [(field.name, _said(field.type)) for field in inner]
        return pa.struct(fields)
    return kind
