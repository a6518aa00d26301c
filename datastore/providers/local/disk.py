"""What the local disk says, in our words: paths with their links followed, infos, errors."""

import errno
import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from datastore.errors import (
    AlreadyExists,
    Conflict,
    DatastoreError,
    Forbidden,
    InvalidURL,
    NotFound,
    TooLarge,
    Unavailable,
    UnsafeKey,
)
from datastore.names import content_type_of
from datastore.values import ObjectInfo

__all__ = ["TEMP", "etag_of", "followed", "info_of", "may_exist", "taken", "temp_name", "translated", "utf8"]

TEMP: Final = re.compile(r"\.datastore-tmp-[0-9a-f]{16}")
"""Names of files that are not finished; no verb shows them."""


def temp_name(token: str) -> str:
    """Return the name of an unfinished file; the token is 16 hex digits."""
    return f".datastore-tmp-{token}"


def may_exist(key: str) -> bool:
    """Tell whether a listing could show this key; the disk itself would take `a//b` for `a/b`."""
    if any(segment in {"", "."} or TEMP.fullmatch(segment) for segment in key.split("/")):
        return False
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in key)


def utf8(key: str) -> str:
    """Return a key that a listing met, or raise `InvalidURL`: Python shows bytes that are not UTF-8 as surrogates."""
    try:
        key.encode()
    except UnicodeEncodeError:
        raise InvalidURL(f"the file {os.fsencode(key)!r} has a name that is not UTF-8", hint="rename it") from None
    return key


def followed(root: str, path: str, key: str) -> str:
    """Return a path with its links followed, or raise `UnsafeKey` where they leave the root."""
    real = os.path.realpath(path)
    if real != root and not real.startswith(root.rstrip(os.sep) + os.sep):
        raise UnsafeKey(f"key {key[:120]!r} is a link that leaves its folder", hint="mount the folder that it leads to")
    return real


def etag_of(found: os.stat_result) -> str:
    """Return the tag that changes whenever a file is replaced, or written to in place."""
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def info_of(key: str, path: str, found: os.stat_result) -> ObjectInfo:
    """Return the info of a regular file; everything else raises `NotFound`."""
    if not stat.S_ISREG(found.st_mode):
        raise NotFound(f"no object has the key {key!r}")
    etag = etag_of(found)
    return ObjectInfo(
        key=key,
        size=found.st_size,
        modified_us=found.st_mtime_ns // 1000,
        etag=etag,
        identity=f"{path}#{etag}",
        content_type=content_type_of(key),
    )


def taken(key: str) -> AlreadyExists:
    """Return the error of a key that exists already."""
    return AlreadyExists(f"the key {key!r} is taken", hint="choose another key, or overwrite it on purpose")


@contextmanager
def translated(key: str, *, writing: bool = False) -> Generator[None]:
    """Turn what the operating system says of a key into our errors."""
    try:
        yield
    except DatastoreError:
        raise
    except OSError as error:
        ours = _translation(error, key, writing=writing)
        if ours is None:
            raise
        raise ours from error


def _translation(error: OSError, key: str, *, writing: bool) -> DatastoreError | None:
    ours: DatastoreError | None = None
    match error.errno:
        case errno.EACCES | errno.EPERM | errno.EROFS:
            ours = Forbidden(f"the disk refuses {key!r}: {error.strerror}")
        case errno.ENAMETOOLONG if writing:
            ours = TooLarge(f"key {key[:60]!r}… has a name that is too long for this disk", hint="most take 255 bytes")
        case errno.EINVAL | errno.EILSEQ if writing:
            ours = InvalidURL(f"key {key[:120]!r} has a name that this disk does not take", hint="choose a plainer one")
        case errno.EISDIR | errno.ENOTDIR | errno.EEXIST if writing:
            ours = Conflict(f"{key!r} cannot be written: it, or a part of it, is a file and a folder at once")
        case errno.ENOENT if writing:
            ours = Unavailable(f"cannot write {key!r}: its folder or its unfinished file was taken away meanwhile")
        case errno.ENOSPC | errno.EDQUOT:
            ours = Unavailable(f"cannot write {key!r}: {error.strerror}", hint="make room on the disk")
        case errno.ENAMETOOLONG | errno.ENOENT | errno.ENOTDIR | errno.ELOOP | errno.ENXIO:
            ours = NotFound(f"no object has the key {key[:120]!r}")
        case _:
            pass  # the disk itself is in trouble: its own words are the best
    return ours
