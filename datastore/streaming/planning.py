"""What a stream consists of: the format of its objects, their units, and how many lanes and windows they make."""

import hashlib
from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from datastore.errors import NotFound, ValidationError
from datastore.listing import is_shown
from datastore.streaming.formats.arrow import Arrow
from datastore.streaming.formats.files import Files
from datastore.streaming.formats.jsonlines import JsonLines
from datastore.streaming.formats.parquet import Parquet
from datastore.streaming.formats.shards import Shards
from datastore.streaming.packed import PACKED
from datastore.streaming.source import Source
from datastore.streaming.units import Format, Unit
from datastore.values import ObjectInfo

__all__ = ["FormatName", "Plan", "digest_of", "format_for", "format_of", "lanes_for", "make_plan"]

FormatName = Literal["parquet", "arrow", "jsonl", "webdataset", "files"]

_SUFFIXES: Final[dict[FormatName, tuple[str, ...]]] = {
    "parquet": (".parquet", ".parq", ".pq"),
    "arrow": (".arrow", ".arrows", ".feather", ".ipc"),
    "jsonl": (".jsonl", ".ndjson"),
    "webdataset": (".tar", ".tgz"),
}
_LANES: Final = (48, 24, 12, 4, 2)
"""Each divides the one before it, so that as many numbers of workers as possible divide some."""
_UNITS_EACH: Final = 8
"""Units that a lane has at least: of each lane, one unit is read for its neighbour, too."""


class Plan(Struct, frozen=True):
    """What there is to read.

    Attributes:
        source: The objects.
        format: Reads them.
        units: In the order of keys and rows; none is empty.
        data: Digest of objects and units: equal for equal data, whatever it is called.
    """

    source: Source
    format: Format
    units: Sequence[Unit]
    data: str

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(unit.rows for unit in self.units)


def make_plan(source: Source, *, name: FormatName | None, columns: Sequence[str] | None) -> Plan:
    """Find out what is to be read; this looks into every object but plain files.

    Raises:
        NotFound: There are no objects, or no rows.
        ValidationError: Objects of several formats, or no such column.
    """
    objects = _shown(source, "_.") or _shown(source, ".")
    chosen = name or format_of([info.key for info in objects])
    if chosen is None:
        raise NotFound(f"there is nothing to stream under {source.url}", hint="list it with ds.filesystem().find(url)")
    if chosen == "files":  # there are folders with names like `_background_noise_`
        objects = _shown(source, ".")
    else:
        objects = [info for info in objects if _named(info.key) == chosen or info.key == source.url.key]
    kept = source.having(objects)
    reader = format_for(chosen, columns)
    units = reader.units(kept)
    if not units:
        raise NotFound(f"there are no rows under {source.url}", hint="list it with ds.filesystem().find(url)")
    return Plan(kept, reader, units, digest_of(chosen, objects, units))


def format_for(name: FormatName, columns: Sequence[str] | None) -> Format:
    """Return what reads a format.

    Raises:
        ValidationError: There is no such format, or it has no columns.
    """
    if columns is not None and (isinstance(columns, str) or not columns or len(set(columns)) < len(columns)):
        raise ValidationError(f"columns={columns!r} is no list of different names", hint='columns=["image", "label"]')
    if name == "files":
        if columns is not None:
            raise ValidationError("files have no columns", hint="leave out columns=")
        return Files()
    formats = {"parquet": Parquet, "arrow": Arrow, "jsonl": JsonLines, "webdataset": Shards}
    if name not in formats:
        raise ValidationError(f"format={name!r} is not known", hint=f"{', '.join(formats)} or files")
    return formats[name](columns)


def format_of(keys: Sequence[str]) -> FormatName | None:
    """Return the format of objects by their names; None if there are none.

    >>> format_of(["a.jsonl.gz", "b.jsonl"]), format_of(["a.jpg", "b.txt"])
    ('jsonl', 'files')

    Raises:
        ValidationError: They are of several.
    """
    found: dict[FormatName, str] = {_named(key): key for key in reversed(keys)}
    if len(found) > 1:
        (one, first), (other, second) = sorted(found.items())[:2]
        raise ValidationError(
            f"objects of several formats: {first!r} ({one}) and {second!r} ({other})",
            hint=f"name the one that you want, such as format={min(found.keys() - {'files'})!r}, or a narrower URL",
        )
    return next(iter(found), None)


def lanes_for(units: Sequence[Unit], window: int) -> tuple[int, int]:
    """Return how many lanes there are, and how many units make a window.

    Two windows of each lane fit into `window` bytes, one that is read from and the next one.

    >>> lanes_for([Unit(0, n, n + 1, 1000, 1 << 20) for n in range(100)], 256 << 20)
    (12, 10)
    """
    each = max(sum(unit.size for unit in units) // len(units), 1)
    fitting = max(window // (2 * each), 1)
    lanes = next((lanes for lanes in _LANES if lanes * _UNITS_EACH <= len(units) and lanes <= fitting), 1)
    return lanes, max(fitting // lanes, 1)


def digest_of(name: str, objects: Sequence[ObjectInfo], units: Sequence[Unit]) -> str:
    """Return a digest of what a stream reads; sizes in memory are estimates, but the order depends on them, too."""
    hashed = hashlib.sha256(name.encode())
    for info in objects:
        hashed.update(msgspec.json.encode((info.key, info.size, info.etag)))
    for unit in units:
        hashed.update(msgspec.json.encode(msgspec.structs.astuple(unit)))
    return hashed.hexdigest()


def _shown(source: Source, marks: str) -> list[ObjectInfo]:
    """Return the objects without those that other engines leave out: `_SUCCESS`, `.part.crc`, marks of folders."""
    itself = source.url.key
    return [info for info in source.objects if info.key == itself or is_shown(info.key[len(itself) :], marks=marks)]


def _named(key: str) -> FormatName:
    plain = key.lower()
    for suffix in PACKED:
        plain = plain.removesuffix(suffix)
    for name, suffixes in _SUFFIXES.items():
        if plain.endswith(suffixes) and (plain == key.lower() or name in {"jsonl", "webdataset"}):
            return name
    return "files"
