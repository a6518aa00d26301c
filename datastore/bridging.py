"""What stores may offer to other stores and to other clients: the part of the contract that spans two of them.

Each protocol is asked for with `isinstance` before it is used, as those in `datastore.provider`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from msgspec import Struct

from datastore.provider import Provider, Reader, SupportsRequests
from datastore.secret import Secret
from datastore.values import OVERWRITE, BranchInfo, ByteRange, Link, ObjectInfo, PutMode

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = [
    "Connection",
    "Opener",
    "SupportsAddress",
    "SupportsConnection",
    "SupportsCopyFrom",
    "SupportsFastForward",
    "SupportsFollowing",
    "SupportsLocalFiles",
    "SupportsLocalPaths",
    "SupportsOutsideLinks",
    "SupportsReadMany",
    "SupportsRemote",
    "serves_requests",
]


class Connection(Struct, frozen=True, kw_only=True):
    """What other clients of a service have to know in order to see what a mount sees.

    Attributes:
        service: The protocol that they have to speak.
        endpoint: `https://host[:port]` without a path; empty for AWS's own.
        region: Empty where it does not matter.
        access_key_id: Empty for anonymous access, and with a token.
        secret_access_key: Belongs to it.
        token: The session's token (S3), or one instead of the key pair (lakeFS).
        path_style: Whether buckets stand in the path, not in the host name.
        place: Bucket and prefix (`acme-raw/2026/`), or the repo (lakeFS); empty if the mount has all of them.
        ca_file: Certificates to trust instead of the usual ones.
    """

    service: Literal["s3", "lakefs"]
    endpoint: str
    region: str = ""
    access_key_id: str = ""
    secret_access_key: Secret | None = None
    token: Secret | None = None
    path_style: bool = False
    place: str = ""
    ca_file: str = ""

    def __repr__(self) -> str:
        return f"Connection({self.service} {self.endpoint or 'AWS'} {self.place})"


@runtime_checkable
class SupportsAddress(Protocol):
    """Its objects have a name that other services know, too."""

    def address(self, key: str) -> str:
        """Return the name of an object as its service has it: `s3://acme-raw/2026/a.csv`. Asks nobody."""
        ...


@runtime_checkable
class SupportsCopyFrom(Protocol):
    """Copies out of other mounts of its service without the bytes passing through here."""

    def copy_from(
        self, source: Provider, source_key: str, target: str, *, mode: PutMode = OVERWRITE
    ) -> ObjectInfo | None:
        """Copy one object of another mount with its attributes; None if that is not one of the same service and user.

        A content type that followed from the old extension follows the new one.
        """
        ...


@runtime_checkable
class SupportsLocalFiles(Protocol):
    """Keeps the bytes of some objects as plain files of this machine."""

    def local_file(self, info: ObjectInfo) -> Path | None:
        """Return the file that has just the bytes of an object, to be read only; None if there is no such file."""
        ...


@runtime_checkable
class SupportsLocalPaths(Protocol):
    """Its objects are files of this machine, under their own names; others may change them."""

    def local_path(self, key: str) -> Path:
        """Return the file of an object, which need not be there."""
        ...


@runtime_checkable
class SupportsOutsideLinks(Protocol):
    """Keeps entries for objects whose bytes stay in another store."""

    def link_outside(self, infos: Sequence[ObjectInfo]) -> Sequence[ObjectInfo]:
        """Put an entry for each of these objects, all in one step where the store can.

        Args:
            infos: The entries as they shall be: `key` is the new one; `link` (never None) says where the bytes are;
                size, content type, metadata, identity and digest are those to show.

        Raises:
            UnsupportedOperation: This store cannot read what is at such an address. Nothing was put.
        """
        ...


Opener = Callable[[Link, ByteRange | None], Reader]
"""Opens the source of a link, or a range of it, if it still has its etag; else raises `HeadMoved` or `NotFound`."""


@runtime_checkable
class SupportsFollowing(Protocol):
    """Has entries whose bytes are in other mounts, of which it knows nothing itself."""

    def follow_links(self, opener: Opener) -> None:
        """Take what opens the source of a link from now on."""
        ...


@runtime_checkable
class SupportsConnection(Protocol):
    """Can tell other clients how to reach the same service."""

    def connection(self) -> Connection:
        """Return address and credentials as they are at this moment."""
        ...


@runtime_checkable
class SupportsFastForward(Protocol):
    """A repo whose branches can be moved forward to a commit that is there, exactly."""

    def fast_forward(self, branch: str, commit: str, *, head: str) -> BranchInfo:
        """Move a branch from the commit `head` to a descendant of it; where it is there already, do nothing.

        Raises:
            HeadMoved: The branch's head is another commit.
            Diverged: The commit does not descend from it.
            UncommittedChanges: The branch has some.
            Forbidden: The branch is protected.
        """
        ...


@runtime_checkable
class SupportsRemote(Protocol):
    """A repo that remembers with which other one it exchanges commits."""

    def remote(self) -> str | None:
        """Return the URL that was remembered."""
        ...

    def set_remote(self, url: str | None) -> None:
        """Remember a URL, which carries no credentials; None forgets it."""
        ...


@runtime_checkable
class SupportsReadMany(Protocol):
    """Opens many objects for the price of one question."""

    def read_many(self, keys: Sequence[str], *, range: ByteRange | None = None) -> "Iterator[Reader | None]":
        """Yield a reader for each key, as they all are at one moment; None for what `read` raises an error of.

        An object that was written over since, and whose bytes are gone, is read as it is by then.
        """
        ...


def serves_requests(provider: object) -> "TypeIs[SupportsRequests]":
    """Tell whether a provider is a `SupportsRequests`, for each class of providers once.

    Asking a protocol takes as long as half a read of a small local object.
    """
    return _serves_requests(type(provider))


@cache
def _serves_requests(kind: type) -> bool:
    return issubclass(kind, SupportsRequests)
