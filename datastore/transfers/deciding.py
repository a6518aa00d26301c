"""What has to be done, decided from what is known of both sides. Nothing here does I/O.

Whether two objects have the same bytes is told by their hashes: digests, or etags that are MD5s. Where one side tells
a hash and the other is on this machine, the other is hashed (`hashing`). A time is believed only if that is asked for,
and only, which is git's rule, if the copy cannot have been under way while the source was written to.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from msgspec import Struct

from datastore.errors import ValidationError
from datastore.names import content_type_of
from datastore.values import ObjectInfo

__all__ = ["Check", "Compare", "Pair", "check_compare", "is_dressed", "paired", "same_attributes", "verdict"]

Row = tuple[str, ObjectInfo]
Pair = tuple[str, ObjectInfo | None, ObjectInfo | None]
"""A name, and what each side has under it."""
Compare = Literal["content", "time"]
"""What tells that an object need not be sent again: its bytes alone, or a later time of the dest, too."""


_Of = Literal["source", "dest", "both"]
_HASHED: Final = re.compile(r"[0-9a-f]{32}(?:-([0-9]{1,5}))?", re.ASCII)
_MIB: Final = 1 << 20
_PARTS: Final = tuple(size * _MIB for size in (8, 16, 5, 10, 15, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024))
"""How long parts of uploads commonly are: ours (S3, lakeFS), then those of other tools."""
_MOST_PARTS: Final = 10_000
_GUESSES: Final = 3
_TICK: Final = 2.0
"""Seconds that tell two times apart for certain: some disks and services count in seconds, FAT in two of them."""
_UNDER_WAY: Final = 600.0
_SLOWEST: Final = 32 << 10
"""How long a copy over a network may take, at most: retries, and as many bytes a second as the engine insists on."""


class Check(Struct, frozen=True):
    """The hash that tells whether two objects have the same bytes.

    Attributes:
        of: Which sides are to be hashed.
        wanted: What the hash has to be: a digest, an MD5, or an etag of parts; empty if both sides are hashed.
        parts: How long the parts may have been that such an etag is of.
    """

    of: _Of
    wanted: str = ""
    parts: tuple[int, ...] = ()


def check_compare(compare: str) -> None:
    """Raise `ValidationError` for a word that means nothing."""
    if compare not in {"content", "time"}:
        raise ValidationError(f"compare={compare!r} is not known", hint='"content" or "time"')


def paired(source: Iterable[Row], dest: Iterable[Row]) -> Iterator[Pair]:
    """Bring what both sides have, each in key order, together by name.

    >>> from datastore.providers.memory import MemoryProvider
    >>> info = MemoryProvider().put("a", b"1")
    >>> [(name, a is not None, b is not None) for name, a, b in paired([("a", info), ("b", info)], [("b", info)])]
    [('a', True, False), ('b', True, True)]
    """
    ours, theirs = iter(source), iter(dest)
    here, there = next(ours, None), next(theirs, None)
    while here is not None or there is not None:
        if there is None or (here is not None and here[0] < there[0]):
            assert here is not None  # noqa: S101 - the loop's condition
            yield here[0], here[1], None
            here = next(ours, None)
        elif here is None or there[0] < here[0]:
            yield there[0], None, there[1]
            there = next(theirs, None)
        else:
            yield here[0], here[1], there[1]
            here, there = next(ours, None), next(theirs, None)


def verdict(
    source: ObjectInfo, dest: ObjectInfo, *, readable: tuple[bool, bool], near: bool, compare: Compare
) -> bool | Check:
    """Tell whether the dest has the bytes of the source, or which hash tells.

    Args:
        source: The object.
        dest: What is in its place.
        readable: Whether the bytes of each are on this machine.
        near: Whether both of them are there.
        compare: See `Compare`.
    """
    if source.size != dest.size:
        return False
    if source.digest is not None and dest.digest is not None:
        return source.digest == dest.digest
    same = source.etag == dest.etag and _HASHED.fullmatch(dest.etag) is not None
    if same or (compare == "time" and dest.modified_us - source.modified_us > _margin(source.size, near=near)):
        return True
    return _check(source, dest, readable) or False


def _margin(size: int, *, near: bool) -> float:
    """Return how much later, in microseconds, a copy has to be: it may have been read long before it was complete."""
    return (_TICK if near else _TICK + _UNDER_WAY + size / _SLOWEST) * 1_000_000


def _check(source: ObjectInfo, dest: ObjectInfo, readable: tuple[bool, bool]) -> Check | None:
    here, there = readable
    ways: tuple[tuple[ObjectInfo, _Of, bool], ...] = ((dest, "source", here), (source, "dest", there))
    for told, of, can in ways:
        if can and told.digest is not None:
            return Check(of, told.digest)
    for told, of, can in ways:
        found = _HASHED.fullmatch(told.etag)
        if can and found is not None:
            return Check(of, told.etag, _parts_of(told.size, int(found[1])) if found[1] else ())
    return Check("both") if here and there else None


def _parts_of(size: int, count: int) -> tuple[int, ...]:
    """Return how long the parts of an object may have been, likely lengths first.

    >>> [length >> 20 for length in _parts_of(40 << 20, 5)], [length >> 20 for length in _parts_of(100 << 20, 7)]
    ([8], [16, 15])
    """
    least = -(-size // (_MOST_PARTS * _MIB)) * _MIB  # what tools take for the very large
    lengths = dict.fromkeys((*_PARTS, least) if least > _PARTS[0] else _PARTS)
    return tuple(length for length in lengths if max(-(-size // length), 1) == count)[:_GUESSES]


def is_dressed(info: ObjectInfo) -> bool:
    """Tell whether an object has metadata, or another content type than the one of its extension."""
    return bool(info.metadata) or info.content_type != content_type_of(info.key)


def same_attributes(source: ObjectInfo, dest: ObjectInfo) -> bool:
    """Tell whether two objects have the attributes that a copy would have."""
    followed = source.content_type == content_type_of(source.key)
    content_type = content_type_of(dest.key) if followed else source.content_type
    return (content_type, dict(source.metadata)) == (dest.content_type, dict(dest.metadata))
