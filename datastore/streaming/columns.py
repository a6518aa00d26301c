"""The columns that a stream is asked for, and what its files say of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from datastore.errors import ValidationError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["check_columns", "check_same"]


def check_columns(schema: "pa.Schema", columns: Sequence[str] | None, key: str) -> "pa.Schema":
    """Return what is left of a schema when some columns are selected, in their order.

    Raises:
        ValidationError: There is no such column.
    """
    import pyarrow as pa

    if columns is None:
        return schema.remove_metadata()
    for name in columns:
        if name not in schema.names:
            hint = nearest(name, schema.names, what="columns")
            raise ValidationError(f"{key!r} has no column {name!r}", hint=hint)
    return pa.schema([schema.field(name) for name in columns])


def check_same(first: "pa.Schema | None", schema: "pa.Schema", key: str) -> "pa.Schema":
    """Return the schema that all files have.

    Raises:
        ValidationError: This one has another.
    """
    if first is None or first.equals(schema):
        return schema
    missing = sorted(set(first.names) ^ set(schema.names))
    other = [name for name in first.names if name in schema.names and first.field(name).type != schema.field(name).type]
    if not missing and not other:  # in another order, or nullable or not
        return first
    names = ", ".join(map(repr, [*other, *missing][:5]))
    raise ValidationError(
        f"{key!r} differs from the files before it in columns {names}", hint="select columns= that all files share"
    )
