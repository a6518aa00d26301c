"""What was learned: which digest the bytes of an identity have, and what a URL led to."""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from datastore.cachestore.layout import CacheFolder
from datastore.values import Digest

__all__ = ["Record", "Records", "name_of"]

_ALIAS: Final = re.compile(rb"(sha256:[0-9a-f]{64}) (\d{1,20})\n", re.ASCII)
_PLAIN: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN
_LONGEST: Final = 1 << 14  # a key has 1 KiB at most


class Record(Struct, frozen=True, array_like=True):
    """What a URL led to when it was resolved.

    Attributes:
        url: As it was written; carries no credentials.
        entry: `files-<sha256>` or `trees-<id>`.
        name: The last name.
        size: Bytes.
    """

    url: str
    entry: str
    name: str
    size: int

    @property
    def hash(self) -> str:
        """Of the bytes of a file, or of the manifest of a folder."""
        return self.entry[6:]

    @property
    def is_tree(self) -> bool:
        """Whether it is a folder."""
        return self.entry.startswith("trees-")


def name_of(*parts: str) -> str:
    """Return one name for some texts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


class Records:
    """The folders `aliases/` and `urls/`. What cannot be read counts as not known.

    Args:
        folder: The cache.
    """

    def __init__(self, folder: CacheFolder) -> None:
        self._folder = folder

    def digest(self, identity: str, size: int) -> Digest | None:
        """Return the digest of bytes that were verified before."""
        try:
            found = _ALIAS.fullmatch(_read(self._folder.sharded("aliases", name_of(identity))))
        except FileNotFoundError:
            return None
        return Digest(found[1].decode()) if found and int(found[2]) == size else None

    def save_digest(self, identity: str, digest: Digest, size: int) -> None:
        """Note the digest of bytes that were just verified."""
        path, data = self._folder.sharded("aliases", name_of(identity)), f"{digest} {size}\n".encode()
        self._folder.make(os.path.dirname(path))  # noqa: PTH120
        try:
            fd = os.open(path, _FLAGS, self._folder.file_mode())
        except FileExistsError:
            if self.digest(identity, size) != digest:
                self._folder.write_small(path, data)
            return
        try:
            os.write(fd, data)  # what comes to less than this is not taken for an alias
        finally:
            os.close(fd)

    def url(self, name: str) -> Record | None:
        """Return what a URL led to."""
        try:
            return msgspec.msgpack.decode(_read(self._folder.sharded("urls", name)), type=Record)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def save_url(self, name: str, record: Record) -> None:
        """Note what a URL led to."""
        if self.url(name) != record:
            self._folder.write_small(self._folder.sharded("urls", name), msgspec.msgpack.encode(record))

    def urls(self) -> list[tuple[str, Record]]:
        """Return all of these, with the paths of their files."""
        found: list[tuple[str, Record]] = []
        root = Path(self._folder.place("urls"))
        for path in root.glob("??/*"):
            record = self.url(path.name)
            if record is not None:
                found.append((str(path), record))
        return found

    def forget(self, path: str) -> None:
        """Remove one of them."""
        with suppress(FileNotFoundError):
            Path(path).unlink()


def _read(path: str) -> bytes:
    """Return the bytes of a note, with half of the calls that a file object takes."""
    fd = os.open(path, os.O_RDONLY | _PLAIN)
    try:
        return os.read(fd, _LONGEST)
    finally:
        os.close(fd)
