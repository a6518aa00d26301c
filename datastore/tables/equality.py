"""The one meaning of "equal" that a row diff has, for keys as for cells.

By value, as Python's `==`: 1 equals 1.0 and True, "1" does not; floats are compared exactly, also with integers.
Every null (None, NaN, NaT, NA) equals every other one, also within lists.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datastore.errors import ValidationError

__all__ = ["differing_cells", "differing_rows", "is_same", "plain", "stacked"]

Column: TypeAlias = "pd.Series[Any]"

_KINDS: Final = {  # of what pandas infers, only kinds whose values compare by themselves
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


def differing_cells(left: pd.DataFrame, right: pd.DataFrame, key: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Compare frames whose rows belong together; return a mask for each column in which some row differs."""
    shared = [name for name in right.columns if name in left.columns and name not in key]
    masks = {name: _unequal(left[name], right[name]) for name in shared}
    return {name: mask for name, mask in masks.items() if mask.any()}


def is_same(left: Column, right: Column) -> bool:
    """Tell whether the columns have one type and the same values in the same order; False where that is slow to say."""
    quick = len(left) == len(right) and left.dtype == right.dtype and _is_elementwise(left, right)
    return quick and not _unequal(left, right).any()


def differing_rows(cells: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.intp]:
    """Return the positions of the rows in which any cell differs."""
    return np.flatnonzero(np.logical_or.reduce([*cells.values()])) if cells else np.empty(0, dtype=np.intp)


def stacked(left: Column, right: Column) -> Column:
    """Put two columns one below the other so that equal values are equal there too, and have one order.

    Raises:
        ValidationError: The values of the two sides are of kinds that are never equal.
    """
    kinds = _kind(left), _kind(right)
    if None not in kinds and kinds[0] != kinds[1]:
        raise ValidationError(
            f"key column {left.name!r} holds {kinds[0]} in before ({left.dtype}), {kinds[1]} in after ({right.dtype})",
            hint=f"give both sides one type, such as frame.astype({{{left.name!r}: 'str'}})",
        )
    left, right = _in_utc(left), _in_utc(right)
    if left.dtype == right.dtype and _is_elementwise(left, right):
        return pd.concat([left, right], ignore_index=True)
    return pd.Series(np.concatenate([_objects(left), _objects(right)]), dtype=object)


def _kind(column: Column) -> str | None:
    """Name what the values are, so far as it decides whether keys can be equal; None where that is not known."""
    if column.isna().all():
        return None
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return "times with a zone"
    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    return _KINDS.get(pd.api.types.infer_dtype(values, skipna=True))


def _in_utc(column: Column) -> Column:
    # Python's hash of a time in the hour that a zone has twice differs from that of the same time in another zone.
    return column.dt.tz_convert("UTC") if isinstance(column.dtype, pd.DatetimeTZDtype) else column


def _unequal(left: Column, right: Column) -> NDArray[np.bool_]:
    left, right = _in_utc(left), _in_utc(right)
    left_null, right_null = _nulls(left), _nulls(right)
    mask = left_null != right_null
    both = ~(left_null | right_null)
    if _is_elementwise(left, right):
        compared: Any = left.array != right.array
        if not isinstance(compared, np.ndarray):  # the nullable types answer NA for a null
            compared = compared.to_numpy(dtype=np.bool_, na_value=False)
        return mask | (compared & both)
    rows = np.flatnonzero(both)
    mask[rows] = _comparable(_objects(left)[rows]) != _comparable(_objects(right)[rows])
    return mask


def _nulls(column: Column) -> NDArray[np.bool_]:
    if pd.api.types.is_float_dtype(column.dtype):  # older pandas do not take a NaN among nullable floats for a null
        return np.isnan(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return column.isna().to_numpy(dtype=np.bool_)


def _is_elementwise(left: Column, right: Column) -> bool:
    """Tell whether pandas compares the columns by value. Integers with floats it does not: it rounds beyond 2**53."""
    types, a, b = pd.api.types, left.dtype, right.dtype
    if a == b:
        times = types.is_datetime64_any_dtype(a) or types.is_timedelta64_dtype(a)
        return times or types.is_numeric_dtype(a) or isinstance(a, pd.StringDtype)
    return all(map(types.is_integer_dtype, (a, b))) or all(map(types.is_float_dtype, (a, b)))


def _objects(column: Column) -> NDArray[np.object_]:
    """Return the values as Python's own: they compare exactly whatever the types of the columns."""
    return np.fromiter(column.tolist(), dtype=object, count=len(column))


def _comparable(values: NDArray[np.object_]) -> NDArray[np.object_]:
    if pd.api.types.infer_dtype(values, skipna=False) in _KINDS:
        return values
    return np.fromiter(map(plain, values), dtype=object, count=len(values))


def plain(value: Any) -> Any:
    """Return a cell's value as Python's own; every null, also within lists, becomes None."""
    if isinstance(value, np.ndarray):
        array = cast("NDArray[Any]", value)
        return plain(
            (pd.Index(array) if array.dtype.kind in "mM" else array).tolist()
        )  # numpy makes ints of nanoseconds
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("Sequence[Any]", value)]
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in cast("Mapping[Any, Any]", value).items()}
    if value is pd.NA or value is pd.NaT:
        return None
    own: Any = cast("np.generic[Any]", value).item() if isinstance(value, np.generic) else value
    return None if isinstance(own, float | Decimal) and own != own else own  # noqa: PLR0124 - NaN
