"""Walks through the members of a tar file, ten times as fast as `tarfile`, which is asked wherever it is not simple."""

import io
import tarfile
from collections.abc import Iterator
from typing import IO, Final

from msgspec import Struct

from datastore.errors import IntegrityError

__all__ = ["Member", "members"]

_BLOCK: Final = tarfile.BLOCKSIZE
_FILES: Final = b"0\0"
_PASSED: Final = b"123456"
"""Links, devices, folders: they have no bytes of their own."""


class Member(Struct, frozen=True):
    """A file in an archive: where its header begins, where its bytes do, and how many they are."""

    name: str
    start: int
    data: int
    size: int

    @property
    def stop(self) -> int:
        """Where the next header is."""
        return self.data + -(-self.size // _BLOCK) * _BLOCK


def members(stream: IO[bytes], key: str) -> Iterator[Member]:
    """Yield the files of an archive; the stream has to be able to seek.

    Raises:
        IntegrityError: It is no archive, or is cut off, which `tarfile` would take for its end.
    """
    place, end = 0, stream.seek(0, io.SEEK_END)
    while True:
        stream.seek(place)
        header = stream.read(_BLOCK)
        if (place and not header) or (len(header) == _BLOCK and not header.strip(b"\0")):
            return
        found = (_simple(header, place) or _by_tarfile(stream, place, key)) if len(header) == _BLOCK else None
        if found is None or found.data + found.size > end:
            raise IntegrityError(f"{key!r} is no tar file, or is cut off at byte {place}", hint='or format="files"')
        if found.name:
            yield found
        place = found.stop


def _simple(header: bytes, place: int) -> Member | None:
    """Return what a header of POSIX tells, without a name if it is not of a file; None if there is more to it."""
    kind = header[156:157]
    if header[257:262] != b"ustar" or (header[257:265] == b"ustar  \0" and header[345:346] != b"\0"):
        return None
    try:
        size = int(header[124:136].strip(b" \0") or b"0", 8)
        name = header[:100].partition(b"\0")[0].decode()
        prefix = header[345:500].partition(b"\0")[0].decode()
    except ValueError:  # a size in base 256, a name in another encoding
        return None
    if kind and kind in _PASSED:
        return Member("", place, place + _BLOCK, 0)
    if kind and kind in _FILES and name:
        return Member(f"{prefix}/{name}" if prefix else name, place, place + _BLOCK, size)
    return None


def _by_tarfile(stream: IO[bytes], place: int, key: str) -> Member | None:
    stream.seek(place)
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            info = archive.next()
    except (tarfile.TarError, EOFError) as error:
        raise IntegrityError(f"{key!r} cannot be read as a tar file: {error}", hint='or format="files"') from error
    if info is None:
        return None
    return Member(info.name if info.isreg() else "", place, info.offset_data, info.size if info.isreg() else 0)
