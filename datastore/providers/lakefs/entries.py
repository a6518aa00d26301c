"""From lakeFS's description of an object to ours: infos, and identities that lead back to the bytes."""

from typing import Final
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from datastore.providers.lakefs.answers import ObjectStats
from datastore.providers.lakefs.attributes import shown
from datastore.values import ObjectInfo

__all__ = ["LOCAL", "Place", "address_of", "info_of", "leads_to", "place_of", "true_address"]

LOCAL: Final = "local://"
"""What addresses in the folder of a server's own disk begin with."""

_SCHEME: Final = "lakefs"


class Place(Struct, frozen=True):
    """Where the bytes of an object are.

    Attributes:
        origin: Host and port of the server that said so.
        address: In its object store; never written twice, if lakeFS made it.
    """

    origin: str
    address: str


def info_of(stats: ObjectStats, *, origin: str, address: str | None = None, commit: str | None = None) -> ObjectInfo:
    """Return what lakeFS said of an object.

    The identity names the server, since another one may use the same bucket name; and checksum and size, since bytes
    outside of the repo's own namespace (an import, a link) can be replaced under their address.

    Args:
        stats: The answer.
        origin: The server.
        address: Where the bytes are, if the answer has a signed URL in that place.
        commit: What it was read from, if that is a commit.
    """
    place = stats.physical_address if address is None else address
    checksum = stats.checksum if stats.checksum.isalnum() else quote(stats.checksum, safe="")
    return ObjectInfo(
        key=stats.path,
        size=stats.size_bytes,
        modified_us=stats.mtime * 1_000_000,
        etag=stats.checksum,
        identity=f"{_SCHEME} {origin} {checksum} {stats.size_bytes} {place}",
        content_type=stats.content_type or "application/octet-stream",
        metadata=shown(stats.metadata),
        commit=commit,
    )


def place_of(info: ObjectInfo) -> Place | None:
    """Return where the bytes of an info are; None if it is not lakeFS that keeps them.

    >>> stats = ObjectStats(path="a", physical_address="s3://lake/garments/data/g/c", checksum="5d41", mtime=0)
    >>> place_of(info_of(stats, origin="lakefs.example.com"))
    Place(origin='lakefs.example.com', address='s3://lake/garments/data/g/c')
    """
    parts = info.identity.split(" ", 4)
    if len(parts) != 5 or parts[0] != _SCHEME:
        return None
    return Place(parts[1], parts[4])


def address_of(url: str, *, namespace: str) -> str | None:
    """Return the address that a signed URL leads to; None if the URL does not tell.

    Args:
        url: Signed, as the object store understands it.
        namespace: Of the repo; its bucket tells where in the URL the key begins.

    >>> address_of("http://minio:9000/lake/g/data/x%2Cs?X-Amz-Date=1", namespace="s3://lake/g")
    's3://lake/g/data/x,s'
    >>> address_of("https://lake.s3.amazonaws.com/g/data/x?X-Amz-Date=1", namespace="s3://lake/g")
    's3://lake/g/data/x'
    """
    plain, _, _ = url.partition("?")
    if namespace.startswith("http"):  # Azure: the address is a URL itself
        whole = unquote(plain)
        return whole if whole.startswith(f"{namespace.rstrip('/')}/") else None
    scheme, _, place = namespace.rstrip("/").partition("://")
    bucket, _, prefix = place.partition("/")
    parts = urlsplit(plain)
    path, inside = unquote(parts.path), f"/{prefix}/" if prefix else "/"
    if path.startswith(f"/{bucket}{inside}"):
        return f"{scheme}:/{path}"
    if parts.netloc.startswith(f"{bucket}.") and path.startswith(inside):
        return f"{scheme}://{bucket}{path}"
    return None


def leads_to(url: str, address: str) -> bool:
    """Tell whether a signed URL leads to an address: its path ends with all that follows the bucket there."""
    key = address.partition("://")[2].partition("/")[2]
    return bool(key) and unquote(urlsplit(url).path).endswith(f"/{key}")


def true_address(address: str, *, namespace: str) -> str:
    """Return the address that the server takes for the bytes at the one that it shows.

    Of a local block store it shows `local://<its folder>/<namespace>/data/…`, and takes that for another name; but of
    that name it shows the folder twice, which it would not take again.

    >>> true_address("local:///b/lock/b/lock/g/data/x", namespace="local://g")
    'local:///b/lock/g/data/x'
    >>> true_address("s3://lake/g/data/x", namespace="s3://lake/g")
    's3://lake/g/data/x'
    """
    if not address.startswith(LOCAL):
        return address
    marker = f"/{namespace.removeprefix(LOCAL).strip('/')}/data/"
    folder, found, rest = address.removeprefix(LOCAL).rpartition(marker)
    half = len(folder) // 2
    if folder[:half] == folder[half:]:
        folder = folder[:half]
    return f"{LOCAL}{folder}{found}{rest}"
