"""Listings as every store gives them: grouped by a delimiter, cut into pages, from any sorted source."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from datastore.values import ObjectInfo, Page

__all__ = ["PAGE_SIZE", "after_prefix", "grouped", "is_shown", "pages"]

T = TypeVar("T")

PAGE_SIZE = 1000
_LAST = 0x10FFFF
_SKIP = 32
"""How many rows of a common prefix are read past before seeking beyond it: a seek costs about as much."""


def after_prefix(prefix: str) -> str | None:
    """Return the smallest text that sorts after everything that starts with `prefix`; None if there is none.

    Not `prefix + U+10FFFF`, which would lose keys that contain that character (facts/trees.md, pitfalls).

    >>> after_prefix("a/"), after_prefix("")
    ('a0', None)
    """
    text = prefix.rstrip(chr(_LAST))
    if not text:
        return None
    code = ord(text[-1]) + 1
    return text[:-1] + chr(0xE000 if 0xD800 <= code <= 0xDFFF else code)


def is_shown(name: str, *, marks: str = "_.") -> bool:
    """Tell whether a name in a folder is data, as engines see it: no part begins with a mark.

    >>> is_shown("year=2026/0.parquet"), is_shown("_SUCCESS"), is_shown("a/.part.crc"), is_shown("a/")
    (True, False, False, False)
    """
    parts = name.split("/")
    return bool(parts[-1]) and not any(part.startswith(tuple(marks)) for part in parts)


def grouped(
    scan: Callable[[str], Iterator[tuple[str, T]]],
    *,
    prefix: str = "",
    delimiter: str | None = None,
    start_after: str | None = None,
) -> Iterator[T | str]:
    """Yield objects and common prefixes (as text) in key order.

    Args:
        scan: Gives (key, object) rows in key order from an inclusive start on; whatever stands for an object.
        prefix: What keys have to start with.
        delimiter: What ends a common prefix; None lists everything below.
        start_after: Exclusive lower bound, as `Provider.list` defines it.
    """
    start = _start(prefix, delimiter, start_after)
    if start is not None and not delimiter:
        for key, info in scan(start):
            if not key.startswith(prefix):
                return
            yield info
        return
    while start is not None and delimiter:
        resume: str | None = None
        common, skipped = "", 0
        for key, info in scan(start):
            if common and key.startswith(common):
                skipped += 1
                if skipped >= _SKIP:
                    resume = after_prefix(common)
                    break
                continue
            if not key.startswith(prefix):
                return
            end = key.find(delimiter, len(prefix))
            if end < 0:
                yield info
                continue
            common, skipped = key[: end + len(delimiter)], 0
            yield common
        start = resume


def _start(prefix: str, delimiter: str | None, start_after: str | None) -> str | None:
    """Return the first key that can be in the listing; None if none can."""
    if start_after is None or start_after < prefix:
        return prefix
    if delimiter and start_after.startswith(prefix):
        end = start_after.find(delimiter, len(prefix))
        if end >= 0:  # inside a common prefix, which was given before
            return after_prefix(start_after[: end + len(delimiter)])
    return start_after + "\0"


def pages(names: Iterable[ObjectInfo | str], *, size: int = PAGE_SIZE) -> Iterator[Page]:
    """Cut a listing into pages of at most `size` names."""
    objects: list[ObjectInfo] = []
    prefixes: list[str] = []
    for name in names:
        if isinstance(name, str):
            prefixes.append(name)
        else:
            objects.append(name)
        if len(objects) + len(prefixes) >= size:
            yield Page(objects, prefixes)
            objects, prefixes = [], []
    if objects or prefixes:
        yield Page(objects, prefixes)
