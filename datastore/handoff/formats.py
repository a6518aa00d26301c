"""The formats of tables, by the names of objects."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from datastore.errors import UnsupportedType, ValidationError
from datastore.streaming.packed import PACKED

__all__ = ["FORMATS", "FormatName", "format_of", "named"]

FormatName = Literal["parquet", "csv", "tsv", "jsonl", "arrow", "orc"]

_SUFFIXES: Final[dict[FormatName, tuple[str, ...]]] = {
    "parquet": (".parquet", ".parq", ".pq"),
    "csv": (".csv",),
    "tsv": (".tsv",),
    "jsonl": (".jsonl", ".ndjson"),
    "arrow": (".arrow", ".feather", ".ipc"),
    "orc": (".orc",),
}
FORMATS: Final = tuple(_SUFFIXES)
_TEXT: Final = ("csv", "tsv", "jsonl")
"""Their objects may be compressed as a whole."""


def named(key: str) -> FormatName | None:
    """Return the format that a name says; None if it says none that engines read.

    >>> named("a/t.PARQUET"), named("t.csv.gz"), named("t.parquet.gz"), named("README.md")
    ('parquet', 'csv', None, None)
    """
    plain = key.lower()
    for suffix in PACKED:
        plain = plain.removesuffix(suffix)
    packed = plain != key.lower()
    for name, suffixes in _SUFFIXES.items():
        if plain.endswith(suffixes) and (name in _TEXT or not packed):
            return name
    return None


def format_of(keys: Sequence[str]) -> FormatName:
    """Return the one format of some objects.

    >>> format_of(["a.csv", "b.csv.zst"])
    'csv'

    Raises:
        ValidationError: They are of several; names the choice.
        UnsupportedType: A name says nothing.
    """
    found: dict[FormatName | None, str] = {named(key): key for key in reversed(keys)}
    if len(found) == 1 and None not in found:
        return named(keys[0]) or "parquet"
    if list(found) == [None]:
        raise UnsupportedType(f"{keys[0]!r} is no table by its name", hint=f"name its format: {_choice(FORMATS)}")
    names = sorted(name for name in found if name is not None)
    examples = " and ".join(f"{key!r} ({name or 'no table'})" for name, key in list(found.items())[:2])
    raise ValidationError(f"objects of several kinds: {examples}", hint=f"name the one that you want: {_choice(names)}")


def _choice(names: Iterable[str]) -> str:
    return " or ".join(f"format={name!r}" for name in names)
