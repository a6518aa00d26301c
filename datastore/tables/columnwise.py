"""Two versions of one Parquet file, without the columns that are byte for byte the same in both."""

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["changed_columns", "column_types", "parquet_frame"]


def parquet_frame(data: bytes, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """Read Parquet, index and all, or some columns of it without; integers with nulls stay integers."""
    import pandas as pd

    # Arrow's own reader lets several threads read the bytes where they are.
    file: Any = pa.BufferReader(data)
    frame = pd.read_parquet(file, columns=None if columns is None else list(columns), dtype_backend="numpy_nullable")
    return frame if columns is None else frame.reset_index(drop=True)


def changed_columns(before: bytes, after: bytes, key: Sequence[str]) -> list[str] | None:
    """Name the columns that both versions have and that may differ, in the order of `after`; decodes none.

    A row group's part of a column has the same values if its bytes are the same: they hold the encoding as well.

    Args:
        before: One version.
        after: The other one.
        key: Columns that name a row.

    Returns:
        The names; None if that cannot be told from the bytes, or if a column of the key may differ.
    """
    try:
        left, right = _Parquet(before), _Parquet(after)
    except (pa.ArrowException, OSError, ValueError):  # whoever reads it will say so
        return None
    if not (left.is_plain and right.is_plain and left.group_rows == right.group_rows):
        return None
    shared = [name for name in right.numbers if name in left.numbers]
    differing = [name for name in shared if not left.has_same(name, right)]
    return differing if set(key) <= set(shared).difference(differing) else None


def column_types(data: bytes) -> dict[str, str]:
    """Return the types that the columns of `parquet_frame` have, without reading any."""
    sink = io.BytesIO()
    pq.write_table(pq.read_schema(pa.BufferReader(data)).empty_table(), sink)
    return {str(name): str(dtype) for name, dtype in parquet_frame(sink.getvalue()).dtypes.items()}


class _Parquet:
    """What the footer says of a file.

    Attributes:
        numbers: Number of each column.
        group_rows: Rows of each row group.
        is_plain: Whether no column is nested, and each is one of the frame that pandas makes of the file.
    """

    def __init__(self, data: bytes) -> None:
        file = pq.ParquetFile(pa.BufferReader(data))
        self._data = pa.py_buffer(data)
        self._schema = file.schema_arrow
        self._footer = file.metadata
        names = self._schema.names
        self.numbers = {name: at for at, name in enumerate(names)}
        self.group_rows = [self._footer.row_group(at).num_rows for at in range(self._footer.num_row_groups)]
        pandas = cast("dict[str, list[object]]", self._schema.pandas_metadata or {})
        self.is_plain = len(self.numbers) == len(names) == self._footer.num_columns and all(
            isinstance(level, dict) and cast("dict[str, object]", level).get("name") is None
            for level in pandas.get("index_columns", [])
        )

    def has_same(self, name: str, other: "_Parquet") -> bool:
        """Tell whether a column is stored as another file stores it, to the byte."""
        return self._schema.field(name).equals(other._schema.field(name)) and all(  # noqa: SLF001 - its own class
            mine == theirs
            for mine, theirs in zip(self._parts(name), other._parts(name), strict=True)  # noqa: SLF001
        )

    def _parts(self, name: str) -> Iterator[tuple[str, str, int, pa.Buffer]]:
        for group in range(len(self.group_rows)):
            part = self._footer.row_group(group).column(self.numbers[name])
            start = part.data_page_offset
            if part.has_dictionary_page and part.dictionary_page_offset:  # some writers say 0 for none
                start = min(start, part.dictionary_page_offset)
            data = self._data.slice(start, part.total_compressed_size)
            yield part.physical_type, part.compression, part.num_values, data
