"""The row diff of two versions of one table: matched by key, compared cell by cell."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from datastore.errors import ValidationError
from datastore.provider import Provider
from datastore.tables.reading import parse_table, table_bytes
from datastore.tables.report import Retyped, TableDiff

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["diff_objects", "diff_tables"]


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
        ValidationError: No key is given; a key column is missing, is not unique, or has types on the two sides that are
            never equal; two columns of one side have the same name.

    >>> import pandas as pd
    >>> before = pd.DataFrame({"sku": [1, 2, 3], "price": [5.0, 6.0, None]})
    >>> after = pd.DataFrame({"price": [6.5, None, 9.0], "sku": [2, 3, 4]})
    >>> diff_tables(before, after, key="sku")
    TableDiff  key=sku   +1 added  -1 removed  ~1 changed
    """
    before, after = _with_text_names(before, "before"), _with_text_names(after, "after")
    return _diff(before, after, _types(before), _types(after), key=key, limit=limit, title=title)


def diff_objects(
    before: tuple[Provider, str],
    after: tuple[Provider, str],
    *,
    key: str | Sequence[str] | None,
    limit: int = 20,
    title: str = "",
) -> TableDiff:
    """Compare two objects that are tables: as `diff_tables`, and decodes of Parquet only what may differ.

    Args:
        before: Left side: where it is, and its key there.
        after: Right side.
        key: As for `diff_tables`.
        limit: As for `diff_tables`.
        title: As for `diff_tables`.
    """
    old, new = table_bytes(*before), table_bytes(*after)
    if key and before[1].lower().endswith(".parquet") and after[1].lower().endswith(".parquet"):
        import pandas as pd

        from datastore.tables.columnwise import changed_columns, column_types, parquet_frame

        names = [key] if isinstance(key, str) else list(dict.fromkeys(key))
        if (changed := changed_columns(old, new, names)) is not None:
            keys = parquet_frame(new, names)  # those of both sides
            left, right = (
                _with_text_names(pd.concat([keys, parquet_frame(data, changed)], axis=1), "") for data in (old, new)
            )
            with suppress(ValidationError):  # whose hints name columns that were not read
                return _diff(left, right, column_types(old), column_types(new), key=names, limit=limit, title=title)
    return diff_tables(parse_table(before[1], old), parse_table(after[1], new), key=key, limit=limit, title=title)


def _diff(
    before: "pd.DataFrame",
    after: "pd.DataFrame",
    before_types: Mapping[str, str],
    after_types: Mapping[str, str],
    *,
    key: str | Sequence[str] | None,
    limit: int,
    title: str,
) -> TableDiff:
    """Compare frames, which need not have the columns that are known to be equal, nor those that one side has."""
    # These modules load pandas.
    from datastore.tables.equality import differing_cells, differing_rows
    from datastore.tables.matching import check_key, match_rows, take_rows
    from datastore.tables.sampling import sample

    if limit < 0:
        raise ValidationError(f"limit is {limit}", hint="0 keeps only the counts")
    names = check_key(before, after, key)
    match = match_rows(before, after, names)
    cells = differing_cells(take_rows(before, match.left), take_rows(after, match.right), names)
    changed = differing_rows(cells)
    return TableDiff(
        title=title,
        key=names,
        added=len(match.added),
        removed=len(match.removed),
        changed=len(changed),
        unchanged=len(match.left) - len(changed),
        columns_added=tuple(name for name in after_types if name not in before_types),
        columns_removed=tuple(name for name in before_types if name not in after_types),
        columns_retyped=tuple(
            Retyped(name, before_types[name], new)
            for name, new in after_types.items()
            if before_types.get(name, new) != new
        ),
        columns=tuple(name for name in {**after_types, **before_types} if name not in names),
        rows=sample(before, after, match, cells=cells, changed=changed, limit=limit),
    )


def _types(frame: "pd.DataFrame") -> dict[str, str]:
    return {str(name): str(frame[name].dtype) for name in frame.columns}


def _with_text_names(frame: "pd.DataFrame", side: str) -> "pd.DataFrame":
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValidationError(f"{side}: column {twice!r} is there more than once", hint="rename one of them")
    return frame
