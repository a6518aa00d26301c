"""Paths, infos and listings in the form that fsspec wants them.

A path is a URL without its scheme: `mount[@ref]/key`, verbatim. Everything before the key is its *base*. fsspec calls a
prefix a directory; here one exists as long as something is under it.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from datastore.errors import UnsupportedOperation
from datastore.urls import strip_scheme
from datastore.values import ObjectInfo

__all__ = ["Info", "IsPrefix", "children", "directory_info", "file_info", "join", "strip", "under"]

Info = dict[str, Any]
"""What fsspec calls the details of a path."""


class IsPrefix(UnsupportedOperation, IsADirectoryError):
    """A prefix or a mount, where an object is needed."""

    kind = "is-prefix"


def strip(path: str | os.PathLike[str]) -> str:
    """Return a path without scheme, leading slashes and one trailing slash.

    >>> strip("ds://garments@main/a b/#1%20.csv"), strip("/garments/"), strip("ds://")
    ('garments@main/a b/#1%20.csv', 'garments', '')
    """
    return strip_scheme(os.fspath(path)).removesuffix("/")


def join(base: str, key: str) -> str:
    """Return the path of a key."""
    return f"{base}/{key}" if key else base


def file_info(base: str, info: ObjectInfo) -> Info:
    """Return the details of an object: the keys that tools look for, then ours."""
    details: Info = {
        "name": f"{base}/{info.key}",
        "size": info.size,
        "type": "file",
        "ETag": info.etag,
        "etag": info.etag,
        "mtime": info.modified_us / 1e6,
        "LastModified": info.modified,
        "digest": info.digest,
        "commit": info.commit,
        "content_type": info.content_type,
    }
    if info.metadata:
        details["metadata"] = dict(info.metadata)
    return details


def directory_info(path: str) -> Info:
    """Return the details of a prefix, a mount or the root."""
    return {"name": path, "size": 0, "type": "directory"}


def children(base: str, prefix: str, objects: Iterable[ObjectInfo], prefixes: Iterable[str]) -> dict[str, Info]:
    """Return what a listing with delimiter found, by path; an object counts more than a prefix of its name."""
    found = {path: directory_info(path) for path in (f"{base}/{name[:-1]}" for name in prefixes)}
    for info in objects:
        if info.key != prefix:  # the marker that some tools put where they want an empty directory
            found[f"{base}/{info.key}"] = file_info(base, info)
    return dict(sorted(found.items()))


def under(
    base: str,
    prefix: str,
    objects: Sequence[ObjectInfo],
    *,
    maxdepth: int | None,
    withdirs: bool,
    details: Callable[[str, ObjectInfo], Info] = file_info,
) -> dict[str, Info]:
    """Return what a flat listing found, by path, with the directories that follow from it if they are wanted.

    Args:
        base: What stands before keys.
        prefix: Where depth is counted from; ends in a slash, or is empty.
        objects: The listing, in key order.
        maxdepth: 1 takes what is directly under the prefix, None everything.
        withdirs: Whether to name directories, too.
        details: Makes the details of an object.
    """
    if maxdepth is None and not withdirs:  # the usual case, which may be a million
        return {f"{base}/{info.key}": details(base, info) for info in objects if not info.key.endswith("/")}
    found: dict[str, Info] = {}
    for info in objects:
        parts = info.key[len(prefix) :].split("/")
        if withdirs:
            for depth in range(1, len(parts) if maxdepth is None else min(len(parts), maxdepth + 1)):
                path = f"{base}/{prefix}{'/'.join(parts[:depth])}"
                found.setdefault(path, directory_info(path))
        if parts[-1] and (maxdepth is None or len(parts) <= maxdepth):
            found[f"{base}/{info.key}"] = details(base, info)
    return dict(sorted(found.items()))
