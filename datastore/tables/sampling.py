"""The first rows of each kind of change, as plain values in the order of their keys."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datastore.tables.equality import plain
from datastore.tables.matching import Match
from datastore.tables.report import RowChange

__all__ = ["sample"]


def sample(
    before: pd.DataFrame,
    after: pd.DataFrame,
    match: Match,
    *,
    cells: Mapping[str, NDArray[np.bool_]],
    changed: NDArray[np.intp],
    limit: int,
) -> tuple[RowChange, ...]:
    """Return the first `limit` rows of each kind.

    Args:
        before: Left side.
        after: Right side.
        match: How their rows belong together.
        cells: For each column that differs, a mask over the pairs.
        changed: Pairs that differ.
        limit: Rows of each kind.
    """
    names = match.names
    below = len(before)  # where the rows of `after` begin in `match.keys`
    added = match.added[_order(match.keys, match.added + below)[:limit]]
    removed = match.removed[_order(match.keys, match.removed)[:limit]]
    pairs = changed[_order(match.keys, match.left[changed])[:limit]]
    rows = [
        *(RowChange(kind="added", key=key, before=None, after=new) for key, new in _records(after, added, names)),
        *(RowChange(kind="removed", key=key, before=old, after=None) for key, old in _records(before, removed, names)),
    ]
    olds, news = _records(before, match.left[pairs], names), _records(after, match.right[pairs], names)
    for pair, (_, old), (key, new) in zip(pairs, olds, news, strict=True):
        differing = [name for name, mask in cells.items() if mask[pair]]
        old_cells, new_cells = ({name: side[name] for name in differing} for side in (old, new))
        rows.append(RowChange(kind="changed", key=key, before=old_cells, after=new_cells))
    everywhere = np.concatenate([added + below, removed, match.left[pairs]])
    in_order = cast("Sequence[int]", _order(match.keys, everywhere))
    return tuple(rows[i] for i in in_order)


def _order(keys: pd.DataFrame, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the permutation that puts these rows in the order of their keys, nulls last."""
    chosen = keys.take(rows)
    return np.lexsort([_ranks(chosen[name]) for name in reversed(chosen.columns)])


def _ranks(column: "pd.Series[Any]") -> NDArray[np.intp]:
    # pandas' own sort by several columns takes large integers beside floats for floats, and fails.
    if column.dtype != object:
        codes, values = pd.factorize(column)
        order = values.argsort()
    else:
        codes, values = pd.factorize(cast("NDArray[Any]", column.to_numpy()))
        order = np.array(_sorted_places(values), dtype=np.intp)
    ranks = np.empty(len(order) + 1, dtype=np.intp)
    ranks[order] = np.arange(len(order))
    ranks[-1] = len(order)  # the code of a null is -1
    return ranks[codes]


def _sorted_places(values: NDArray[Any]) -> list[int]:
    try:
        return sorted(range(len(values)), key=values.__getitem__)
    except TypeError:  # values that have no order among each other
        return sorted(range(len(values)), key=lambda i: _sort_text(values[i]))


def _sort_text(value: object) -> str:
    return f"{type(value).__name__} {value!r}"


def _records(
    frame: pd.DataFrame, rows: NDArray[np.intp], names: tuple[str, ...]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the rows as plain values: the key, and the other cells."""
    taken = frame.take(rows)
    columns = {str(name): [plain(value) for value in taken[name].tolist()] for name in taken.columns}
    rest = [name for name in columns if name not in names]
    return [
        ({name: columns[name][i] for name in names}, {name: columns[name][i] for name in rest})
        for i in range(len(taken))
    ]
