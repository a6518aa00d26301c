"""Which rows of two versions of a table belong together."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datastore.errors import ValidationError, nearest
from datastore.notebook.markup import shorten, value_text
from datastore.tables.equality import is_same, plain, stacked

__all__ = ["Match", "check_key", "match_rows", "take_rows"]


class Match(NamedTuple):
    """Which rows of the two sides belong together.

    Attributes:
        names: The key columns.
        keys: Their values on both sides, those of `after` below those of `before`, which stand for both if they are
            the same row by row.
        left: Position in `before` of each pair.
        right: Position in `after` of each pair.
        added: Positions in `after`.
        removed: Positions in `before`.
    """

    names: tuple[str, ...]
    keys: pd.DataFrame
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    added: NDArray[np.intp]
    removed: NDArray[np.intp]


def check_key(before: pd.DataFrame, after: pd.DataFrame, key: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the key columns, or raise `ValidationError` with the names that would do."""
    names = (key,) if isinstance(key, str) else tuple(dict.fromkeys(key or ()))
    if not names:
        message = "a row diff needs the key: the columns whose values name a row"
        raise ValidationError(message, hint=_key_hint(before, after))
    for name in names:
        missing = {side: frame for side, frame in (("before", before), ("after", after)) if name not in frame.columns}
        if missing:
            columns = [column for frame in missing.values() for column in frame.columns]
            message = f"key column {name!r} is missing in {' and '.join(missing)}"
            raise ValidationError(message, hint=nearest(str(name), columns, what="columns"))
    return names


def match_rows(before: pd.DataFrame, after: pd.DataFrame, names: tuple[str, ...]) -> Match:
    """Match rows by key, or raise `ValidationError`: a key is not unique on a side, or can never be equal."""
    if all(is_same(before[name], after[name]) for name in names):
        keys = before[list(names)]
        if not _is_ascending(keys):
            _check_unique(keys, _codes(keys), "before", hint=lambda: _key_hint(before, after))
        every, none = np.arange(len(keys)), np.empty(0, dtype=np.intp)
        return Match(names, keys, every, every, none, none)
    keys = pd.DataFrame({name: stacked(before[name], after[name]) for name in names})
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
    return Match(names, keys, found[pairs], pairs, np.flatnonzero(found < 0), np.flatnonzero(gone))


def take_rows(frame: pd.DataFrame, rows: NDArray[np.intp]) -> pd.DataFrame:
    """Return these rows; the frame itself where that is all of them in their order, the usual case."""
    every = len(rows) == len(frame) and np.array_equal(rows, np.arange(len(rows)))
    return frame if every else frame.take(rows)


def _codes(keys: pd.DataFrame) -> NDArray[np.intp]:
    """Number the keys from 0: equal ones, and only those, get equal numbers."""
    if (integers := _integers(keys)) is not None and len(integers):
        low, high = int(integers.min()), int(integers.max())
        if high - low <= 4 * len(integers):  # they number themselves
            return (integers - integers.dtype.type(low)).astype(np.intp)
    codes = np.zeros(len(keys), dtype=np.intp)
    for name in keys.columns:
        try:
            part, values = pd.factorize(keys[name])
        except TypeError as error:
            message = f"column {name!r} cannot be a key: {error}"
            raise ValidationError(message, hint="a key is made of plain values") from error
        # A null has the code -1. Numbered anew for each column, the product stays below rows², which fits.
        codes = pd.factorize(codes * (len(values) + 1) + part + 1)[0] if codes.any() else part + 1
    return codes


def _integers(keys: pd.DataFrame) -> "NDArray[np.integer[Any]] | None":
    """Return the keys if they are integers, the usual case; None if they are not, or if any is null."""
    column = keys.iloc[:, 0]
    if len(keys.columns) > 1 or not pd.api.types.is_integer_dtype(column.dtype) or column.hasnans:
        return None
    return column.to_numpy()


def _is_ascending(keys: pd.DataFrame) -> bool:
    """Tell whether each key is an integer above the one before it, so that none is there twice."""
    integers = _integers(keys)
    return integers is not None and bool((integers[1:] > integers[:-1]).all())


def _check_unique(keys: pd.DataFrame, codes: NDArray[np.intp], side: str, *, hint: Callable[[], str]) -> None:
    if not codes.size or np.bincount(codes).max() == 1:
        return
    again = np.flatnonzero(pd.Series(codes).duplicated().to_numpy())
    repeated, first = np.unique(codes[again], return_index=True)
    examples = keys.iloc[again[np.sort(first)[:3]]]
    shown = [" + ".join(value_text(plain(value)) for value in row) for row in examples.itertuples(index=False)]
    more = [f"… {len(repeated) - 3:,} more"] if len(repeated) > 3 else []
    names = ", ".join(map(repr, keys.columns))
    raise ValidationError(
        f"key {names} is not unique in {side}: {', '.join([*(shorten(text, 60) for text in shown), *more])}",
        hint=hint(),
    )


def _key_hint(before: pd.DataFrame, after: pd.DataFrame) -> str:
    shared = [name for name in after.columns if name in before.columns]
    found = [name for name in shared if _is_unique(before[name]) and _is_unique(after[name])]
    found.sort(key=lambda name: pd.api.types.is_float_dtype(after[name].dtype))  # measurements are unique by chance
    if found:
        return f"pass key={found[0]!r}; unique on both sides: {', '.join(map(repr, found[:8]))}"
    return f"no single column is unique on both sides; pass several, such as key={shared[:2]!r}"


def _is_unique(column: "pd.Series[Any]") -> bool:
    try:
        return column.is_unique
    except TypeError:  # lists have no hash
        return False
