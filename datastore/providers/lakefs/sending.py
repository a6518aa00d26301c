"""The ways that the bytes of one object take: through the server, straight to the object store, or in parts.

Up to 8 MiB one upload is the quickest. From there on the bytes go to a signed URL and the server is told of them, with
the MD5 that it would have computed itself; from 64 MiB on in parts of one size, so that the same bytes always get the
same checksum. Where the object store cannot be reached or signed for, everything goes through the server.
"""

import base64
import hashlib
import os
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from datastore.calls import Call, FileSlice, HttpRequest, HttpResponse, Signed, Verdict
from datastore.errors import Forbidden, TooLarge, Unavailable
from datastore.http import retry
from datastore.http.engine import engine
from datastore.providers.lakefs.answers import ObjectStats, StagingAddress, decoded, message_of
from datastore.providers.lakefs.attributes import content_headers, stored
from datastore.providers.lakefs.multipart import send_parts, takes_parts
from datastore.providers.lakefs.targets import Target
from datastore.providers.lakefs.urls import goes_direct
from datastore.values import CREATE, Attributes, ObjectInfo, PutMode

__all__ = ["ONE_PUT", "SMALL", "in_memory", "send", "upload_call"]

SMALL: Final = 8 << 20
"""Bytes from which on an object does not go through the server."""
ONE_PUT: Final = 64 << 20
"""Bytes beyond which an object goes in parts."""
_LARGEST_PUT: Final = 5 << 30
_STEP: Final = 1 << 20
_CREATED: Final = frozenset({201})
_SENT: Final = frozenset({200, 201})

Body = bytes | FileSlice


def send(target: Target, key: str, body: Body, *, mode: PutMode, attributes: Attributes) -> ObjectInfo:
    """Write an object whose size is known.

    Args:
        target: The branch.
        key: Checked.
        body: Its bytes.
        mode: As in `Provider.put`.
        attributes: Checked, with a content type.
    """
    size, client = _size(body), target.client
    if size >= SMALL and goes_direct(client):
        sent: ObjectInfo | None = None
        if size > ONE_PUT and mode != CREATE and takes_parts(client):
            sent = send_parts(target, key, body, attributes=attributes)
        elif size <= _LARGEST_PUT:
            sent = _put_and_link(target, key, body, mode=mode, attributes=attributes)
        if sent is not None:
            return sent
    if size > _LARGEST_PUT:
        limit = "the limit is 5 GiB here: parts need an object store that can be reached and signed for"
        raise TooLarge(f"{target.about('put', key)}: it has {size} bytes", hint=f"{limit}; only OVERWRITE takes parts")
    return target.remote.run(upload_call(target, key, body, mode=mode, attributes=attributes))


def in_memory(body: FileSlice) -> Body:
    """Return the bytes of a small file, all of one state of it; a large file as it is.

    The server tells the MD5 of what it got only when it is on the branch.
    """
    if body.size >= SMALL:
        return body
    data = os.pread(body.fd, body.size, body.offset)
    body.check()
    return data


def upload_call(target: Target, key: str, body: Body, *, mode: PutMode, attributes: Attributes) -> Call[ObjectInfo]:
    """Return the call that writes an object through the server; arguments as in `send`."""
    metadata = stored(attributes.metadata)
    content_type = attributes.content_type or ""

    def finish(response: HttpResponse) -> ObjectInfo:
        if response.status == 201:
            return target.wrote(decoded(ObjectStats)(response))

        def same(stats: ObjectStats) -> bool:
            kept = (stats.checksum, stats.size_bytes, stats.content_type, stats.metadata or {})
            return kept == (_md5(body).hex(), _size(body), content_type, metadata)

        return _read_back(target, key, response, same)

    return target.client.call(
        "POST",
        [*target.path, "objects"],
        what=target.about("put", key),
        query={"path": key},
        headers=content_headers(content_type, metadata) | target.conditions(mode, key),
        body=body,
        statuses=_CREATED | {400, 404, 412},
        repeatable=True,
        finish=finish,
    )


def _read_back(target: Target, key: str, response: HttpResponse, same: Callable[[ObjectStats], bool]) -> ObjectInfo:
    """Return what an earlier attempt wrote, whose answer was lost; raise the error if it was not written by us."""
    if response.status == 412 and response.attempts > 1:
        stats = target.remote.run(target.remote.stat_call(target.branch, key))
        if stats is not None and same(stats):
            return target.wrote(stats)
    raise target.refused(response, "put", key)


class _Place:
    """Where the bytes of a new object go; another place when the signed URL has ended."""

    def __init__(self, target: Target, key: str) -> None:
        self._target = target
        self._key = key
        self.now = self._ask()

    @property
    def host(self) -> str:
        return urlsplit(self.now.presigned_url).netloc

    def _ask(self) -> StagingAddress:
        target = self._target
        call = target.client.call(
            "GET",
            [*target.path, "staging", "backing"],
            what=target.about("find a place for", self._key),
            query={"path": self._key, "presign": True},
            finish=decoded(StagingAddress),
        )
        return target.remote.run(call)

    def authorize(self, request: HttpRequest, previous: HttpResponse | None, /) -> Signed:
        if previous is not None:
            self.now = self._ask()
        return Signed(self.now.presigned_url, request.headers)

    def judge(self, request: HttpRequest, response: HttpResponse) -> Verdict:
        self._target.client.learned.reachable.add(self.host)
        return "reauthorize" if response.status == 403 else retry.judge(request, response)


def _put_and_link(target: Target, key: str, body: Body, *, mode: PutMode, attributes: Attributes) -> ObjectInfo | None:
    """Send bytes to the object store, then tell the server; None if the object store cannot be reached from here."""
    client, learned = target.client, target.client.learned
    place = _Place(target, key)
    if learned.unreachable(place.host) and client.presign is not True:
        return None
    md5 = _md5(body)
    headers = {"Content-MD5": base64.b64encode(md5).decode()}
    if client.config().storage_config.blockstore_type == "azure":
        headers["x-ms-blob-type"] = "BlockBlob"
    request = HttpRequest(
        what=target.about("put", key),
        method="PUT",
        url=place.now.presigned_url.partition("?")[0],
        headers=headers,
        body=body,
        statuses=_SENT,
        authorize=place.authorize,
        judge=place.judge,
    )
    try:
        response = engine().send(request)
    except Unavailable:
        if place.host in learned.reachable or client.presign is True:
            raise
        learned.not_reached(place.host)
        return None
    if response.status not in _SENT:
        text = f"{request.what}: the object store at {place.host} answered {response.status}"
        raise (Forbidden if response.status == 403 else Unavailable)(f"{text}: {message_of(response)[:200]}")
    if isinstance(body, FileSlice):
        body.check()
    address = place.now.physical_address
    call = _link_call(target, key, address, checksum=md5.hex(), size=_size(body), mode=mode, attributes=attributes)
    return target.remote.run(call)


def _link_call(
    target: Target, key: str, address: str, *, checksum: str, size: int, mode: PutMode, attributes: Attributes
) -> Call[ObjectInfo]:
    def finish(response: HttpResponse) -> ObjectInfo:
        if response.status == 200:
            return target.wrote(decoded(ObjectStats)(response))
        return _read_back(target, key, response, lambda stats: stats.physical_address == address)

    return target.link_call(
        key,
        address,
        checksum=checksum,
        size=size,
        content_type=attributes.content_type or "",
        metadata=stored(attributes.metadata),
        mode=mode,
        finish=finish,
    )


def _size(body: Body) -> int:
    return body.size if isinstance(body, FileSlice) else len(body)


def _md5(body: Body) -> bytes:
    total = hashlib.md5(usedforsecurity=False)
    if isinstance(body, bytes):
        total.update(body)
        return total.digest()
    position, stop = body.offset, body.offset + body.size
    while position < stop and (piece := os.pread(body.fd, min(_STEP, stop - position), position)):
        total.update(piece)
        position += len(piece)
    return total.digest()
