"""Copies and links that move no bytes: another name for an address in the object store."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import structs

from datastore.calls import Call, HttpResponse
from datastore.errors import DatastoreError, UnsupportedOperation
from datastore.names import content_type_of
from datastore.providers.lakefs.answers import ObjectStats, decoded
from datastore.providers.lakefs.attributes import checked, stored
from datastore.providers.lakefs.entries import place_of
from datastore.providers.lakefs.targets import Target
from datastore.values import CREATE, OVERWRITE, Attributes, ObjectInfo, PutMode

__all__ = ["copy", "link", "link_many"]

_STAGED: Final = frozenset({201})
_LOCAL: Final = "local://"
_SCRATCH: Final = ".datastore-link-"


def copy(target: Target, source: ObjectStats, key: str, *, mode: PutMode) -> ObjectInfo:
    """Give an object of the same repo another name; metadata goes along as the server has it.

    Args:
        target: The branch.
        source: As the server describes it, without a signed URL.
        key: Checked.
        mode: As in `Provider.put`.
    """
    content_type = followed(source.content_type, source.path, key)
    return _stage(
        target,
        key,
        source.physical_address,
        checksum=source.checksum,
        size=source.size_bytes,
        content_type=content_type,
        metadata=source.metadata or {},
        mode=mode,
    )


def link(target: Target, source: ObjectInfo, key: str, *, mode: PutMode) -> ObjectInfo | None:
    """Give bytes that the server's object store holds another name; None if it does not, or may collect them.

    Arguments as in `copy`.
    """
    place = place_of(source)
    if place is None or place.origin != target.client.origin:
        return None
    content_type = followed(source.content_type, source.key, key)
    metadata = stored(source.metadata)
    if _inside(place.address, target.client.repository(target.repo).storage_namespace):
        return _stage(
            target,
            key,
            place.address,
            checksum=source.etag,
            size=source.size,
            content_type=content_type,
            metadata=metadata,
            mode=mode,
        )
    if source.commit is None or place.address.startswith(_LOCAL):
        return None
    call = link_outside_call(
        target,
        key,
        place.address,
        checksum=source.etag,
        size=source.size,
        content_type=content_type,
        metadata=metadata,
        mode=mode,
    )
    return target.remote.run(call)


def followed(content_type: str, source: str, key: str) -> str:
    """Return the content type of a copy: one that followed from the old extension follows from the new one.

    >>> followed("text/csv", "a.csv", "b.json"), followed("text/x-own", "a.csv", "b.json")
    ('application/json', 'text/x-own')
    """
    return content_type_of(key) if content_type == content_type_of(source) else content_type


def _stage(
    target: Target,
    key: str,
    address: str,
    *,
    checksum: str,
    size: int,
    content_type: str,
    metadata: Mapping[str, str],
    mode: PutMode,
) -> ObjectInfo:
    target.conditions(mode, key)
    remote = target.remote
    if mode == CREATE and remote.run(remote.stat_call(target.branch, key)) is not None:
        raise target.taken(key)

    def finish(response: HttpResponse) -> ObjectInfo:
        if response.status != 201:
            raise target.refused(response, "link", key)
        stats = decoded(ObjectStats)(response)
        return target.wrote(stats, metadata=metadata)

    call = target.client.call(
        "PUT",
        [*target.path, "objects"],
        what=target.about("link", key),
        query={"path": key},
        json={
            "physical_address": target.client.true_address(target.repo, address),
            "checksum": checksum,
            "size_bytes": size,
            "content_type": content_type,
            "metadata": metadata,
        },
        statuses=_STAGED | {400, 404},
        finish=finish,
    )
    return remote.run(call)


def link_outside_call(
    target: Target,
    key: str,
    address: str,
    *,
    checksum: str,
    size: int,
    content_type: str,
    metadata: Mapping[str, str],
    mode: PutMode = OVERWRITE,
) -> Call[ObjectInfo]:
    """Return the call that gives an address outside of the repo's namespace a name; it has to stay as it is there.

    Args:
        target: The branch.
        key: Checked.
        address: Such as `s3://bucket/key`, in an object store of the server's own kind that it can read.
        checksum: Its etag there.
        size: Bytes.
        content_type: Media type.
        metadata: As the server keeps it.
        mode: As in `Provider.put`; `CREATE` is atomic.
    """

    def finish(response: HttpResponse) -> ObjectInfo:
        if response.status != 200:
            raise target.refused(response, "link", key)
        return target.wrote(decoded(ObjectStats)(response), metadata=metadata)

    return target.link_call(
        key,
        address,
        checksum=checksum,
        size=size,
        content_type=content_type,
        metadata=metadata,
        finish=finish,
        mode=mode,
    )


def link_many(
    target: Target, infos: Sequence[ObjectInfo], check: Callable[[ObjectInfo], Call[bytes]]
) -> list[ObjectInfo]:
    """Give objects in other buckets names here; see `SupportsOutsideLinks`.

    The server takes any address. Whether it can read there, and finds what the etag says, is tried with the first one,
    under a name that is deleted again.

    Args:
        target: The branch.
        infos: With the key that each shall have, and its link.
        check: Gives the call that reads the beginning of an object.

    Raises:
        UnsupportedOperation: It cannot; nothing was put.
    """
    namespace = target.client.repository(target.repo).storage_namespace
    scheme = namespace.partition("://")[0] + "://"
    for info in infos:
        checked(info.key, Attributes(content_type=info.content_type, metadata=info.metadata))
        address = info.link.address if info.link else ""
        if not address.startswith(scheme) or scheme == _LOCAL or _inside(address, namespace):
            what = f"{target.about('link', info.key)}: this lakeFS reads {scheme}… outside of its own {namespace}"
            raise UnsupportedOperation(f"{what}, not {address or 'a source without an address'!r}", hint="copy it")
    if infos:
        _try_one(target, infos[0], check)
    return target.remote.same([_outside_call(target, info) for info in infos])


def _try_one(target: Target, info: ObjectInfo, check: Callable[[ObjectInfo], Call[bytes]]) -> None:
    scratch = structs.replace(info, key=f"{_SCRATCH}{secrets.token_hex(8)}")
    linked = target.remote.run(_outside_call(target, scratch))
    try:
        target.remote.run(check(linked))
    except DatastoreError as error:
        text = f"{target.about('link', info.key)}: its bytes cannot be read there: {error.message}"
        raise UnsupportedOperation(text, hint="copy it, or let the server's own credentials read that bucket") from None
    finally:
        target.remote.run(target.remote.delete_objects_call(target.branch, [scratch.key]))


def _outside_call(target: Target, info: ObjectInfo) -> Call[ObjectInfo]:
    assert info.link is not None  # noqa: S101 - looked at before
    return link_outside_call(
        target,
        info.key,
        info.link.address,
        checksum=info.link.etag,
        size=info.size,
        content_type=info.content_type,
        metadata=stored(info.metadata),
    )


def _inside(address: str, namespace: str) -> bool:
    """Tell whether an address is in a namespace.

    >>> _inside("s3://lake/g/data/x", "s3://lake/g"), _inside("local:///var/lakefs/block/g/data/x", "local://g")
    (True, True)
    """
    if namespace.startswith(_LOCAL):
        return f"/{namespace.removeprefix(_LOCAL).strip('/')}/data/" in address
    return address.startswith(f"{namespace.rstrip('/')}/")
