"""What is in a resolved folder: names, sizes and digests, as a file whose own hash names the folder."""

import hashlib
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from datastore.cachestore.stamps import settled
from datastore.values import Digest

__all__ = ["Manifest", "Member", "pack", "unpack"]


class Member(Struct, frozen=True, array_like=True, gc=False):
    """One file of a folder.

    Attributes:
        name: Path within the folder, with `/`.
        size: Bytes.
        digest: Of its bytes.
        stamp: The settled one, so that a look at many files does not have to work it out.
    """

    name: str
    size: int
    digest: Digest
    stamp: int


class Manifest(Struct, frozen=True):
    """A folder.

    Attributes:
        id: sha256 of its text.
        data: The text.
        members: By name.
    """

    id: str
    data: bytes
    members: list[Member]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(member.size for member in self.members)


def pack(files: Iterable[tuple[str, int, Digest]]) -> Manifest:
    """Return the manifest of some files: name, size, digest.

    >>> pack([("a.csv", 0, Digest("sha256:" + "0" * 64))]).members[0].name
    'a.csv'
    """
    members = [Member(name, size, digest, settled(digest)) for name, size, digest in sorted(files)]
    data = msgspec.msgpack.encode(members)
    return Manifest(hashlib.sha256(data).hexdigest(), data, members)


def unpack(data: bytes, id: str) -> Manifest | None:  # noqa: A002 - the word for it
    """Read a manifest; None if its text was damaged."""
    if hashlib.sha256(data).hexdigest() != id:
        return None
    return Manifest(id, data, msgspec.msgpack.decode(data, type=list[Member]))
