"""The row diff of two versions of one table.

Rows are matched by key columns and compared cell by cell, by value: 1 equals 1.0, floats are compared exactly, null equals null
(None, NaN, NaT and NA are one null). Order of rows and columns, and the index, do not matter.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from msgspec import Struct

from datastore.errors import UnsupportedType, ValidationError, nearest
from datastore.notebook.markup import change_text, shorten, value_text
from datastore.provider import Provider
from datastore.values import ChangeKind

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]
    Objects = np.ndarray[tuple[int], np.dtype[np.object_]]
    Positions = np.ndarray[tuple[int], np.dtype[np.intp]]

__all__ = ["Retyped", "RowChange", "TableDiff", "diff_tables", "is_table", "read_table"]


class RowChange(Struct, frozen=True, kw_only=True):
    """One row that differs between two versions of a table.

    Attributes:
        kind: `added`, `removed` or `changed`.
        key: Values of the key columns.
        before: The other cells on the left side, None for an added row; of a changed row only the cells that differ.
        after: The same for the right side, None for a removed row.
    """

    kind: ChangeKind
    key: Mapping[str, object]
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None


class Retyped(Struct, frozen=True):
    """A column that has another type on the right side, as pandas names types."""

    name: str
    old: str
    new: str


class TableDiff(Struct, frozen=True, kw_only=True):
    """How the rows of a table differ between two versions.

    Attributes:
        title: Names the table and its versions.
        key: Columns by which rows are matched.
        added, removed, changed, unchanged: Numbers of rows. A row is changed if a cell of a column that both sides have differs.
        columns_added, columns_removed: Names of columns that only one side has; a renamed column is one of each.
        columns_retyped: Columns whose type differs.
        columns: All columns but the key, in the order of the right side, then those that it does not have.
        rows: The first rows of each kind, by key.
    """

    title: str
    key: tuple[str, ...]
    added: int
    removed: int
    changed: int
    unchanged: int
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    columns_retyped: tuple[Retyped, ...]
    columns: tuple[str, ...]
    rows: tuple[RowChange, ...]

    @property
    def counts(self) -> dict[ChangeKind, int]:
        """Rows of each kind of change."""
        return {"added": self.added, "removed": self.removed, "changed": self.changed}

    def to_pandas(self) -> "pd.DataFrame":
        """Return `rows` as a frame: a column `change`, the key, and each column in which one of these rows differs.

        Added and removed rows hold their values; changed rows hold the text `old → new` and are blank where nothing changed.
        Where the table has a column `change`, ours is called `change_`.
        """
        import pandas as pd

        records: list[dict[str, object]] = []
        for row in self.rows:
            if row.before is not None and row.after is not None:
                cells = dict.fromkeys(self.columns, "") | {
                    name: change_text(old, row.after[name]) for name, old in row.before.items()
                }
            else:
                cells = dict.fromkeys(self.columns) | dict(row.before or row.after or {})
            records.append(dict(row.key) | cells)
        used = {name for row in self.rows for cells in (row.before, row.after) for name in cells or ()}
        names = [*self.key, *(name for name in self.columns if name in used)]
        frame = pd.DataFrame({name: pd.Series([record[name] for record in records], dtype=object) for name in names})
        label = "change"
        while label in frame.columns:
            label += "_"
        frame.insert(0, label, [row.kind for row in self.rows])
        return frame

    def __repr__(self) -> str:
        from datastore.notebook.reprs import table_diff_headline

        return table_diff_headline(self)

    def __str__(self) -> str:
        from datastore.notebook.reprs import table_diff_table

        return table_diff_table(self).text()

    def _repr_html_(self) -> str:
        from datastore.notebook.reprs import table_diff_table

        return table_diff_table(self).html()


# ------------------------------------------------------------------------------------------------------------- reading


def is_table(key: str) -> bool:
    """Tell whether `read_table` knows the key's extension.

    >>> is_table("a/train.PARQUET"), is_table("log.csv.gz"), is_table("train.parquet.gz")
    (True, True, False)
    """
    return _format_of(key) is not None


def read_table(provider: Provider, key: str) -> "pd.DataFrame":
    """Read an object as a table, by its extension.

    Integers with nulls stay integers (pandas' nullable types) in formats other than JSON. A named index becomes columns again.

    Args:
        provider: Where the object is.
        key: Ends in .parquet, .feather, .arrow, or in .csv, .tsv, .json, .jsonl, .ndjson with or without .gz.

    Raises:
        UnsupportedType: Another extension.
        ValidationError: The bytes are not what the extension says.
    """
    reader = _format_of(key)
    if reader is None:
        known = ", ".join([*_BINARY, *(f"{suffix}[.gz]" for suffix in _TEXT)])
        raise UnsupportedType(f"{key!r} is no table that can be compared by rows", hint=f"known: {known}")
    with provider.read(key) as stream:
        data = stream.readall()
    try:
        frame = reader(data)
    except (ValueError, OSError, EOFError) as error:  # what pandas and pyarrow raise on bytes they cannot read
        raise ValidationError(f"{key!r} cannot be read as a table: {str(error)[:200]}") from error
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    return frame.reset_index(named) if named else frame


def _format_of(key: str) -> "Callable[[bytes], pd.DataFrame] | None":
    name = key.lower()
    packed = name.endswith(".gz")
    suffix = "." + name.removesuffix(".gz").rpartition(".")[2]
    if suffix in _TEXT:
        return lambda data: _TEXT[suffix](io.BytesIO(data), "gzip" if packed else None)
    return None if packed else _BINARY.get(suffix)


def _read_csv(source: io.BytesIO, compression: Any, separator: str = ",") -> "pd.DataFrame":
    import pandas as pd

    # In one piece, else types are inferred piece by piece; round_trip, else two different floats may be read as one.
    return pd.read_csv(
        source,
        sep=separator,
        compression=compression,
        float_precision="round_trip",
        low_memory=False,
        dtype_backend="numpy_nullable",
    )


def _read_tsv(source: io.BytesIO, compression: Any) -> "pd.DataFrame":
    return _read_csv(source, compression, "\t")


def _read_json(source: io.BytesIO, compression: Any, *, lines: bool = False) -> "pd.DataFrame":
    import pandas as pd

    # Values as they stand: pandas would else turn "007" into 7 and a number in a column called "modified" into a date.
    return pd.read_json(
        source,
        lines=lines,
        compression=compression,
        dtype=False,
        convert_dates=False,
        convert_axes=False,
        precise_float=True,
    )


def _read_json_lines(source: io.BytesIO, compression: Any) -> "pd.DataFrame":
    return _read_json(source, compression, lines=True)


def _read_parquet(data: bytes) -> "pd.DataFrame":
    import pandas as pd

    return pd.read_parquet(io.BytesIO(data), dtype_backend="numpy_nullable")


def _read_arrow(data: bytes) -> "pd.DataFrame":
    import pandas as pd
    import pyarrow as pa
    from pyarrow import feather

    if not data.startswith((b"ARROW1", b"FEA1")):  # Arrow's stream format, which pandas does not read
        file = io.BytesIO()
        feather.write_feather(pa.ipc.open_stream(data).read_all(), file)
        data = file.getvalue()
    return pd.read_feather(io.BytesIO(data), dtype_backend="numpy_nullable")


_TEXT: "Final[Mapping[str, Callable[[io.BytesIO, Any], pd.DataFrame]]]" = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
}
_BINARY: "Final[Mapping[str, Callable[[bytes], pd.DataFrame]]]" = {
    ".parquet": _read_parquet,
    ".feather": _read_arrow,
    ".arrow": _read_arrow,
}


# ----------------------------------------------------------------------------------------------------------- comparing


def diff_tables(
    before: "pd.DataFrame",
    after: "pd.DataFrame",
    *,
    key: str | Sequence[str] | None,
    limit: int = 20,
    title: str = "",
) -> TableDiff:
    """Compare two versions of a table row by row.

    Args:
        before: Left side.
        after: Right side.
        key: Column, or columns, whose values name a row: unique on each side. A null is a value like any other.
        limit: How many rows of each kind of change to keep.
        title: Names the table and its versions.

    Raises:
        ValidationError: No key is given; a key column is missing, is not unique, or has types on the two sides that can never be
            equal; two columns of one side have the same name.

    >>> import pandas as pd
    >>> before = pd.DataFrame({"sku": [1, 2, 3], "price": [5.0, 6.0, None]})
    >>> after = pd.DataFrame({"price": [6.5, None, 9.0], "sku": [2, 3, 4]})
    >>> diff_tables(before, after, key="sku")
    TableDiff  key=sku   +1 added  -1 removed  ~1 changed
    """
    if limit < 0:
        raise ValidationError(f"limit is {limit}", hint="0 keeps only the counts")
    before, after = _with_text_names(before, "before"), _with_text_names(after, "after")
    names = _check_key(before, after, key)
    match = _match_rows(before, after, names)
    cells = _differing_cells(_pick(before, match.left), _pick(after, match.right), names)
    changed = _any_of([*cells.values()])
    return TableDiff(
        title=title,
        key=names,
        added=len(match.added),
        removed=len(match.removed),
        changed=len(changed),
        unchanged=len(match.left) - len(changed),
        columns_added=tuple(name for name in after.columns if name not in before.columns),
        columns_removed=tuple(name for name in before.columns if name not in after.columns),
        columns_retyped=tuple(
            Retyped(name, str(before[name].dtype), str(after[name].dtype))
            for name in after.columns
            if name in before.columns and str(before[name].dtype) != str(after[name].dtype)
        ),
        columns=tuple(name for name in dict.fromkeys([*after.columns, *before.columns]) if name not in names),
        rows=_sample(before, after, match, cells=cells, changed=changed, limit=limit),
    )


def _with_text_names(frame: "pd.DataFrame", side: str) -> "pd.DataFrame":
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValidationError(f"{side}: column {twice!r} is there more than once", hint="rename one of them")
    return frame


def _check_key(before: "pd.DataFrame", after: "pd.DataFrame", key: str | Sequence[str] | None) -> tuple[str, ...]:
    names = (key,) if isinstance(key, str) else tuple(dict.fromkeys(key or ()))
    if not names:
        raise ValidationError(
            "a row diff needs the key: the columns whose values name a row", hint=_key_hint(before, after)
        )
    for name in names:
        missing = {side: frame for side, frame in (("before", before), ("after", after)) if name not in frame.columns}
        if missing:
            columns = [column for frame in missing.values() for column in frame.columns]
            raise ValidationError(
                f"key column {name!r} is missing in {' and '.join(missing)}",
                hint=nearest(name, columns, what="columns"),
            )
    return names


def _key_hint(before: "pd.DataFrame", after: "pd.DataFrame") -> str:
    import pandas as pd

    def is_unique(column: "pd.Series[Any]") -> bool:
        try:
            return column.is_unique
        except TypeError:  # lists cannot be told apart by hash
            return False

    shared = [name for name in after.columns if name in before.columns]
    found = [name for name in shared if is_unique(before[name]) and is_unique(after[name])]
    found.sort(key=lambda name: pd.api.types.is_float_dtype(after[name].dtype))  # measurements are unique by chance
    if found:
        return f"unique on both sides: {', '.join(map(repr, found[:8]))}; pass key={found[0]!r}"
    return "no single column is unique on both sides; pass several, such as " + f"key={shared[:2]!r}"


# ------------------------------------------------------------------------------------------------------- matching rows


class _Match(NamedTuple):
    """Which rows of the two sides belong together.

    Attributes:
        keys: Values of the key columns of both sides, `after` below `before`.
        left, right: Positions of the two rows of each pair.
        added: Positions in `after`.
        removed: Positions in `before`.
    """

    names: tuple[str, ...]
    keys: "pd.DataFrame"
    left: "Positions"
    right: "Positions"
    added: "Positions"
    removed: "Positions"


def _match_rows(before: "pd.DataFrame", after: "pd.DataFrame", names: tuple[str, ...]) -> _Match:
    import numpy as np
    import pandas as pd

    keys = pd.DataFrame({name: _stacked(before[name], after[name]) for name in names})
    codes = _codes(keys)
    left, right = codes[: len(before)], codes[len(before) :]
    for side, frame, part in (("before", before, left), ("after", after, right)):
        _check_unique(frame[list(names)], part, side, hint=lambda: _key_hint(before, after))
    row_of = np.full(int(codes.max(initial=-1)) + 1, -1, dtype=np.intp)  # code → row of `before`
    row_of[left] = np.arange(len(left))
    found = row_of[right]
    pairs = np.flatnonzero(found >= 0)
    gone = np.ones(len(left), dtype=np.bool_)
    gone[found[pairs]] = False
    return _Match(names, keys, found[pairs], pairs, np.flatnonzero(found < 0), np.flatnonzero(gone))


def _stacked(left: "pd.Series[Any]", right: "pd.Series[Any]") -> "pd.Series[Any]":
    """Put two columns one below the other, without changing what their values are equal to."""
    import numpy as np
    import pandas as pd

    kinds = _kind(left), _kind(right)
    if None not in kinds and kinds[0] != kinds[1]:
        raise ValidationError(
            f"key column {left.name!r} holds {kinds[0]} in before ({left.dtype}) and {kinds[1]} in after ({right.dtype})",
            hint=f"give both sides one type, such as frame.astype({{{left.name!r}: 'str'}})",
        )
    if left.dtype == right.dtype and _is_elementwise(left, right):
        return pd.concat([left, right], ignore_index=True)
    return pd.Series(np.concatenate([_objects(left), _objects(right)]), dtype=object)


def _kind(column: "pd.Series[Any]") -> str | None:
    """Name what the values are, so far as values of another kind can never equal them; None where that is not known."""
    import pandas as pd

    if column.isna().all():
        return None
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return "times with a zone"
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    return _KINDS.get(pd.api.types.infer_dtype(values, skipna=True))


_KINDS: Final = {
    "boolean": "booleans",
    "bytes": "bytes",
    "date": "dates",
    "datetime64": "times",
    "decimal": "numbers",
    "floating": "numbers",
    "integer": "numbers",
    "integer-na": "numbers",
    "mixed-integer-float": "numbers",
    "string": "text",
    "timedelta64": "durations",
}


def _codes(keys: "pd.DataFrame") -> "Positions":
    """Number the keys: equal ones, and only those, get equal numbers."""
    import numpy as np
    import pandas as pd

    codes = np.zeros(len(keys), dtype=np.intp)
    for name in keys.columns:
        try:
            part, values = pd.factorize(keys[name])
        except TypeError as error:
            raise ValidationError(
                f"column {name!r} cannot be a key: {error}", hint="choose columns of plain values"
            ) from error
        codes = codes * (len(values) + 1) + part + 1  # a null has the code -1
        codes = pd.factorize(codes)[0] if len(keys.columns) > 1 else codes  # stays below rows², which fits
    return codes


def _check_unique(keys: "pd.DataFrame", codes: "Positions", side: str, *, hint: Callable[[], str]) -> None:
    import numpy as np
    import pandas as pd

    duplicated = pd.Series(codes).duplicated().to_numpy()
    if not duplicated.any():
        return
    repeated = np.unique(codes[duplicated])
    examples = keys.iloc[np.flatnonzero(duplicated)].drop_duplicates()
    shown = ["+".join(value_text(_plain(value)) for value in row) for row in examples.head(3).itertuples(index=False)]
    more = ", …" if len(repeated) > 3 else ""
    raise ValidationError(
        f"key {', '.join(map(repr, keys.columns))} is not unique in {side}: {len(repeated):,} of its values name several rows: "
        f"{', '.join(shorten(text, 60) for text in shown)}{more}",
        hint=hint(),
    )


# ----------------------------------------------------------------------------------------------------- comparing cells


def _pick(frame: "pd.DataFrame", rows: "Positions") -> "pd.DataFrame":
    import numpy as np

    if len(rows) == len(frame) and np.array_equal(rows, np.arange(len(rows))):
        return frame  # the usual case, in which nothing has to be copied
    return frame.take(rows)


def _differing_cells(left: "pd.DataFrame", right: "pd.DataFrame", names: tuple[str, ...]) -> "dict[str, Mask]":
    """Compare frames whose rows belong together; return a mask for each column in which some row differs."""
    shared = [name for name in right.columns if name in left.columns and name not in names]
    masks = {name: _unequal(left[name], right[name]) for name in shared}
    return {name: mask for name, mask in masks.items() if mask.any()}


def _any_of(masks: "Sequence[Mask]") -> "Positions":
    import numpy as np

    return np.flatnonzero(np.logical_or.reduce(masks)) if masks else np.empty(0, dtype=np.intp)


def _unequal(left: "pd.Series[Any]", right: "pd.Series[Any]") -> "Mask":
    import numpy as np

    left_null, right_null = _nulls(left), _nulls(right)
    both = ~(left_null | right_null)
    if _is_elementwise(left, right):
        compared: Any = left.array != right.array
        # pandas' own arrays say NA where a side is null
        unequal = compared if isinstance(compared, np.ndarray) else compared.to_numpy(dtype=np.bool_, na_value=False)
        return (left_null != right_null) | (unequal & both)
    mask = left_null != right_null
    rows = np.flatnonzero(both)
    mask[rows] = _comparable(_objects(left)[rows]) != _comparable(_objects(right)[rows])
    return mask


def _nulls(column: "pd.Series[Any]") -> "Mask":
    import numpy as np
    import pandas as pd

    if pd.api.types.is_float_dtype(column.dtype):  # older pandas do not take a NaN among nullable floats for a null
        return np.isnan(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return column.isna().to_numpy(dtype=np.bool_)


def _is_elementwise(left: "pd.Series[Any]", right: "pd.Series[Any]") -> bool:
    """Tell whether pandas compares the two columns by value. Integers with floats it does not: it rounds beyond 2**53."""
    import pandas as pd

    types, a, b = pd.api.types, left.dtype, right.dtype
    if a == b:
        plain = types.is_numeric_dtype(a) or types.is_datetime64_any_dtype(a) or types.is_timedelta64_dtype(a)
        return plain or isinstance(a, pd.StringDtype)
    return all(map(types.is_integer_dtype, (a, b))) or all(map(types.is_float_dtype, (a, b)))


def _objects(column: "pd.Series[Any]") -> "Objects":
    """Return the values as Python's own: they compare exactly whatever the types of the columns."""
    import numpy as np

    return np.fromiter(column.tolist(), dtype=object, count=len(column))


def _comparable(values: "Objects") -> "Objects":
    import numpy as np
    import pandas as pd

    if pd.api.types.infer_dtype(values, skipna=False) in _KINDS:
        return values
    return np.fromiter(map(_plain, values), dtype=object, count=len(values))


def _plain(value: Any) -> Any:
    """Return a cell's value as Python's own; every null, also within lists, becomes None."""
    import numpy as np
    import pandas as pd

    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in cast("Mapping[Any, Any]", value).items()}
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float | Decimal) and value != value else value  # noqa: PLR0124 - NaN


# ----------------------------------------------------------------------------------------------------------- sampling


def _sample(
    before: "pd.DataFrame",
    after: "pd.DataFrame",
    match: _Match,
    *,
    cells: "Mapping[str, Mask]",
    changed: "Positions",
    limit: int,
) -> tuple[RowChange, ...]:
    import numpy as np

    below = len(before)  # where the rows of `after` begin in `match.keys`
    added = match.added[_order(match.keys, match.added + below)[:limit]]
    removed = match.removed[_order(match.keys, match.removed)[:limit]]
    pairs = changed[_order(match.keys, match.left[changed])[:limit]]
    rows = [
        RowChange(kind="added", key=key, before=None, after=rest) for key, rest in _records(after, added, match.names)
    ]
    rows += [
        RowChange(kind="removed", key=key, before=rest, after=None)
        for key, rest in _records(before, removed, match.names)
    ]
    olds, news = _records(before, match.left[pairs], match.names), _records(after, match.right[pairs], match.names)
    for pair, (key, old), (_, new) in zip(pairs, olds, news, strict=True):
        differing = [name for name, mask in cells.items() if mask[pair]]
        old_cells, new_cells = ({name: side[name] for name in differing} for side in (old, new))
        rows.append(RowChange(kind="changed", key=key, before=old_cells, after=new_cells))
    everywhere = np.concatenate([added + below, removed, match.left[pairs]])
    return tuple(rows[i] for i in _order(match.keys, everywhere))


def _order(keys: "pd.DataFrame", rows: "Positions") -> "Positions":
    """Return the permutation that puts these rows in the order of their keys, nulls last."""
    chosen = keys.take(rows).reset_index(drop=True)
    try:
        ordered = chosen.sort_values(list(chosen.columns))
    except TypeError:  # values that have no order among each other
        ordered = chosen.map(lambda value: f"{type(value).__name__} {value!r}").sort_values(list(chosen.columns))
    return ordered.index.to_numpy()


def _records(
    frame: "pd.DataFrame", rows: "Positions", names: tuple[str, ...]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the rows as plain values: the key, and the other cells."""
    taken = frame.take(rows)
    columns = {str(name): [_plain(value) for value in taken[name].tolist()] for name in taken.columns}
    rest = [name for name in columns if name not in names]
    return [
        ({name: columns[name][i] for name in names}, {name: columns[name][i] for name in rest})
        for i in range(len(taken))
    ]
