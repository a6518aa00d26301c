"""Tells by a file's time of change whether somebody wrote to it since its bytes were verified.

A published file gets a time that follows from its content, so that one `stat` tells whether it is still as it was, and
no index has to be kept. Two times stand for "verified". The *settled* one is for bytes that are on the disk for
certain; the *fresh* one names the boot of the machine as well: nothing was synced, and after the next boot the bytes
are hashed once more before they are believed.
"""

import functools
import hashlib
import os
import stat
import time
import zlib
from contextlib import suppress
from pathlib import Path

from datastore.durable import boot_id
from datastore.processes import uptime
from datastore.values import Digest

__all__ = ["digest_of_file", "fresh", "is_stamped", "is_whole", "put_stamp", "settled"]

_BASE = 1_000_000_000  # 2001, so that no tool takes it for a time that is not set
_SPAN = 500_000_000
_SECOND = 1_000_000_000
_SLACK = 120.0


def settled(digest: str) -> int:
    """Return the time, in nanoseconds since the epoch, of a file with this content; whole, even seconds (FAT)."""
    return (_BASE + int(digest[7:15], 16) % _SPAN & ~1) * _SECOND


def fresh(digest: str) -> int:
    """Return the time of a file that was written since this machine was started."""
    return settled(digest) + _of_boot()


@functools.cache
def _of_boot() -> int:
    return (zlib.crc32(boot_id().encode()) % 9_999_999 + 1) * 100  # NTFS counts in steps of 100 ns


def is_stamped(found: os.stat_result, digest: str, size: int) -> bool:
    """Tell whether nobody wrote to a file since it was verified."""
    base = found.st_mtime_ns - settled(digest)
    return found.st_size == size and base in {0, _of_boot()} and stat.S_ISREG(found.st_mode)


def put_stamp(path: str | Path, digest: str) -> None:
    """Say that a file, which this process has just verified, has this content."""
    os.utime(path, ns=(time.time_ns(), fresh(digest)))


def is_whole(path: str | Path, digest: Digest, size: int) -> bool:
    """Tell whether a file has this content: by its stamp, else by its bytes, which gives it a stamp again.

    Raises:
        FileNotFoundError: There is no such file.
    """
    found = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - thousands in a row
    if is_stamped(found, digest, size):
        return True
    if found.st_size != size or not stat.S_ISREG(found.st_mode) or digest_of_file(path) != digest:
        return False
    again = os.stat(path, follow_symlinks=False)  # noqa: PTH116
    if again.st_mtime_ns != found.st_mtime_ns:  # somebody is writing to it
        return False
    older = time.time() - found.st_ctime > uptime() + _SLACK
    with suppress(OSError):  # somebody else's file: it is hashed again the next time
        os.utime(path, ns=(found.st_atime_ns, settled(digest) if older else fresh(digest)))
    return True


def digest_of_file(path: str | Path) -> Digest:
    """Return the digest of a file's bytes."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
