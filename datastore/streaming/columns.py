"""The columns that a stream is asked for, and what its files say of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
    fields: list[Any] = [schema.field(name) for name in columns]
    return pa.schema(fields)


def check_same(first: "pa.Schema | None", schema: "pa.Schema", key: str) -> "pa.Schema":
    """Return the schema that all files have.

    Raises:
        ValidationError: This one has another.
    """
    if first is None or first.equals(schema):
        return schema
    missing = sorted(set(first.names) ^ set(schema.names))
    other = [
        name for name in first.names if name in schema.names and _plain(first.field(name)) != _plain(schema.field(name))
    ]
    if not missing and not other:  # in another order, or nullable or not
        return first
    names = ", ".join(map(repr, [*other, *missing][:5]))
    raise ValidationError(
        f"{key!r} differs from the files before it in columns {names}", hint="select columns= that all files share"
    )


def _plain(field: Any) -> Any:
    """Return a type without what is only its layout: pandas writes large strings, others strings."""
    import pyarrow as pa

    if pa.types.is_large_string(field.type):
        return pa.string()
    return pa.binary() if pa.types.is_large_binary(field.type) else field.type
