"""Objects that are tables, read into pandas by their extension."""

import gzip
import io
import json
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, cast

from datastore.errors import UnsupportedType, ValidationError
from datastore.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

__all__ = ["is_table", "parse_table", "read_table", "table_bytes"]


def is_table(key: str) -> bool:
    """Tell whether `read_table` knows the key's extension.

    >>> is_table("a/train.PARQUET"), is_table("log.csv.gz"), is_table("train.parquet.gz")
    (True, True, False)
    """
    return _reader_of(key.lower()) is not None


def read_table(provider: Provider, key: str) -> "pd.DataFrame":
    """Read an object as a table, by its extension.

    Integers with nulls stay integers (pandas' nullable types). A named index becomes columns again.

    Args:
        provider: Where the object is.
        key: Ends in .parquet, .feather, .arrow, or in .csv, .tsv, .json, .jsonl, .ndjson with or without .gz.

    Raises:
        UnsupportedType: Another extension.
        ValidationError: The bytes are not what the extension says.
    """
    return parse_table(key, table_bytes(provider, key))


def table_bytes(provider: Provider, key: str) -> bytes:
    """Read the bytes of an object that `parse_table` will take, or raise `UnsupportedType` before anything is read."""
    if not is_table(key):
        known = ", ".join([*_BINARY, *(f"{suffix}[.gz]" for suffix in _TEXT)])
        raise UnsupportedType(f"{key!r} is no table that can be compared by rows", hint=f"known: {known}")
    with provider.read(key) as stream:
        return stream.readall()


def parse_table(key: str, data: bytes) -> "pd.DataFrame":
    """Return the table that an object of a known extension holds, as `read_table` does."""
    reader = _reader_of(key.lower())
    assert reader is not None  # noqa: S101 - `table_bytes` has seen to it
    try:
        frame = reader(gzip.decompress(data) if key.lower().endswith(".gz") else data)
    except (
        ValueError,
        OSError,
        EOFError,
        NotImplementedError,
        zlib.error,
    ) as error:  # what bytes of another kind raise
        raise ValidationError(f"{key!r} cannot be read as a table: {str(error)[:200]}") from error
    named = [level for level in frame.index.names if level is not None and level not in frame.columns]
    return frame.reset_index(named) if named else frame


def _reader_of(name: str) -> "Callable[[bytes], pd.DataFrame] | None":
    unpacked = PurePosixPath(name.removesuffix(".gz"))
    known = _TEXT if name.endswith(".gz") else _TEXT | _BINARY
    return known.get(unpacked.suffix)


def _read_csv(data: bytes, separator: str = ",") -> "pd.DataFrame":
    import pandas as pd

    # low_memory infers types piece by piece, so that one column may hold 1 and "1".
    return pd.read_csv(io.BytesIO(data), sep=separator, low_memory=False, dtype_backend="numpy_nullable")


def _read_tsv(data: bytes) -> "pd.DataFrame":
    return _read_csv(data, "\t")


# Not by pandas' own reader: it turns "007" into 7, a number in a column called "modified" into a date, and rounds.
def _read_json(data: bytes) -> "pd.DataFrame":
    return _from_json(json.loads(data))


def _read_json_lines(data: bytes) -> "pd.DataFrame":
    return _from_json([json.loads(line) for line in data.split(b"\n") if line.strip()])


def _from_json(content: object) -> "pd.DataFrame":
    import pandas as pd

    rows = list(cast("dict[str, object]", content).values()) if isinstance(content, dict) else content
    kinds = {type(row) for row in cast("list[object]", rows)} if isinstance(rows, list) else set[type]()
    if kinds not in ({dict}, {list}):
        raise ValueError("it holds neither rows nor columns")
    frame = pd.DataFrame(cast("Any", content), dtype=object)
    return pd.DataFrame({name: _typed(frame[name]) for name in frame.columns}, index=frame.index)


def _typed(column: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd

    # Not by infer_objects or convert_dtypes: both round large integers that stand beside a null.
    kind: Any = _NULLABLE.get(pd.api.types.infer_dtype(column, skipna=True))
    try:
        return cast("pd.Series[Any]", column.astype(kind)) if kind else column
    except OverflowError:  # integers of more than 64 bits stay Python's
        return column


_NULLABLE: Final = {"boolean": "boolean", "floating": "Float64", "integer": "Int64", "string": "string"}


def _read_parquet(data: bytes) -> "pd.DataFrame":
    from datastore.tables.columnwise import parquet_frame

    return parquet_frame(data)


def _read_arrow(data: bytes) -> "pd.DataFrame":
    import pandas as pd
    import pyarrow as pa
    from pyarrow import feather

    if not data.startswith((b"ARROW1", b"FEA1")):  # Arrow's stream format, which pandas does not read
        file = io.BytesIO()
        feather.write_feather(pa.ipc.open_stream(data).read_all(), file)
        data = file.getvalue()
    return pd.read_feather(io.BytesIO(data), dtype_backend="numpy_nullable")


_TEXT: "Final[dict[str, Callable[[bytes], pd.DataFrame]]]" = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
}
_BINARY: "Final[dict[str, Callable[[bytes], pd.DataFrame]]]" = {
    ".parquet": _read_parquet,
    ".feather": _read_arrow,
    ".arrow": _read_arrow,
}
