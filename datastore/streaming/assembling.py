"""Batches in the form that was asked for, out of the rows of windows."""

import io
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np

from datastore.errors import UnsupportedOperation, ValidationError

if TYPE_CHECKING:
    import pyarrow as pa

    from datastore.streaming.order import Rows

__all__ = ["As", "Decode", "Form", "decoders", "form_of"]

As = Literal["numpy", "arrow", "rows"]
Decode = Mapping[str, Callable[[bytes], Any]]
"""By suffix, without its dot: makes of the bytes of an object what a row shall have."""

_IMAGES: Final = ("bmp", "gif", "jpeg", "jpg", "png", "ppm", "tif", "tiff", "webp")


class Form(Protocol):
    """How rows are held in a window, and given out."""

    def window(self, blocks: Sequence[Any]) -> Any:
        """Join what a format has read."""
        ...

    def take(self, window: Any, rows: "Rows") -> Any:
        """Return some rows of a window, as a copy."""
        ...

    def batch(self, taken: Sequence[Any]) -> Any:
        """Join what was taken."""
        ...


class _Arrow:
    """Tables."""

    def window(self, blocks: "Sequence[pa.Table]") -> "pa.Table":
        import pyarrow as pa

        plain = [block.replace_schema_metadata(None) for block in blocks]
        return pa.concat_tables(plain, promote_options="permissive").combine_chunks()

    def take(self, window: "pa.Table", rows: "Rows") -> "pa.Table":
        return window.take(rows)

    def batch(self, taken: "Sequence[pa.Table]") -> Any:
        import pyarrow as pa

        return pa.concat_tables(taken, promote_options="permissive").combine_chunks()


class _TableRows(_Arrow):
    """Dicts of Python's own values."""

    def batch(self, taken: "Sequence[pa.Table]") -> list[dict[str, Any]]:
        return [row for table in taken for row in table.to_pylist()]


class _Numpy:
    """Dicts of arrays."""

    def window(self, blocks: "Sequence[pa.Table]") -> dict[str, Any]:
        table = _Arrow().window(blocks)
        return {name: _array(table.column(name)) for name in table.column_names}

    def take(self, window: dict[str, Any], rows: "Rows") -> dict[str, Any]:
        return {name: array[rows] for name, array in window.items()}

    def batch(self, taken: Sequence[dict[str, Any]]) -> dict[str, Any]:
        if len(taken) == 1:
            return taken[0]
        return {name: np.concatenate([part[name] for part in taken]) for name in taken[0]}


class _Rows:
    """Dicts of the bytes of files, or of what they are decoded to."""

    def __init__(self, decode: Decode) -> None:
        self._decode = decode

    def window(self, blocks: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
        return [row for block in blocks for row in block]

    def take(self, window: Sequence[dict[str, Any]], rows: "Rows") -> list[dict[str, Any]]:
        return [self._row(window[row]) for row in rows.tolist()]

    def batch(self, taken: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        return [row for part in taken for row in part]

    def _row(self, row: dict[str, Any]) -> dict[str, Any]:
        return {name: self._value(name, value, row) for name, value in row.items()}

    def _value(self, name: str, value: Any, row: dict[str, Any]) -> Any:
        if not isinstance(value, bytes):
            return value
        # A member of a tar is named by its suffix, `seg.png`; a file by its key.
        named = name if "__key__" in row else row["key"]
        suffix = named.rpartition(".")[2].lower()
        decode = self._decode.get(suffix)
        return value if decode is None else decode(value)


def form_of(as_: As | None, decode: Decode | Literal["pil"] | None, *, tabular: bool) -> Form:
    """Return the form that was asked for.

    Raises:
        ValidationError: There is none of that name, or it does not fit the data.
    """
    if as_ not in {None, "numpy", "arrow", "rows"}:
        raise ValidationError(f"as_={as_!r} is not known", hint='"numpy", "arrow" or "rows"')
    if not tabular:
        if as_ in {"numpy", "arrow"}:
            raise ValidationError(f"files come as rows, not as_={as_!r}", hint="leave out as_")
        return _Rows(decoders(decode))
    if decode is not None:
        raise ValidationError("decode= is for files and tar shards, not for tables", hint="leave it out")
    return {"numpy": _Numpy, "arrow": _Arrow, "rows": _TableRows}[as_ or "numpy"]()


def decoders(decode: Decode | Literal["pil"] | None) -> Decode:
    """Return what decodes which suffix.

    Raises:
        UnsupportedOperation: "pil", and Pillow is not installed.
    """
    if decode is None:
        return {}
    if decode == "pil":
        try:
            import_module("PIL.Image")
        except ImportError as error:
            raise UnsupportedOperation('decode="pil" needs Pillow', hint="pip install pillow") from error
        return dict.fromkeys(_IMAGES, _image)
    if isinstance(decode, str):
        raise ValidationError(f"decode={decode!r} is not known", hint='"pil", or {"jpg": function, …}')
    return {suffix.removeprefix(".").lower(): call for suffix, call in decode.items()}


def _image(data: bytes) -> Any:
    pil: Any = import_module("PIL.Image")
    image = pil.open(io.BytesIO(data))
    image.load()
    return image


def _array(column: Any) -> Any:
    """Return a column as an array; lists of one fixed length make one of two dimensions."""
    import pyarrow as pa

    kind = column.type
    if not pa.types.is_fixed_size_list(kind) or column.null_count or not len(column):
        return column.to_numpy()
    flat = [chunk.flatten() for chunk in column.chunks]
    return np.concatenate([part.to_numpy(zero_copy_only=False) for part in flat]).reshape(len(column), kind.list_size)
