"""Objects in parts, which go straight to the object store; their URLs are asked for one by one, when a part is sent."""

import base64
import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from datastore.calls import Call, FileSlice, HttpRequest, HttpResponse, Signed, Verdict
from datastore.errors import DatastoreError, Forbidden, Unavailable, UnsupportedOperation
from datastore.http import retry
from datastore.http.engine import engine
from datastore.providers.lakefs.answers import ObjectStats, PartUpload, UploadTarget, decoded, message_of
from datastore.providers.lakefs.attributes import stored
from datastore.providers.lakefs.client import LakeFSClient, status_only
from datastore.providers.lakefs.targets import Target
from datastore.values import CREATE, OVERWRITE, Attributes, ObjectInfo, PartInfo, PresignedRequest, PutMode, UploadInfo

__all__ = ["MOST_PARTS", "PART", "Uploads", "part_size", "send_parts", "takes_parts"]

PART: Final = 16 << 20
"""Bytes of a part, always: the checksum of an object in parts depends on it, and equal bytes shall have equal ones."""
MOST_PARTS: Final = 10_000
_PARALLEL: Final = 4
_MIB: Final = 1 << 20
_PART_SENT: Final = frozenset({200, 201})
_DONE: Final = frozenset({204})
_COMPLETED: Final = frozenset({200})
_LONG: Final = 300.0
"""Seconds to wait for the end of an upload, when the object store puts its parts together."""


def takes_parts(client: LakeFSClient) -> bool:
    """Tell whether the server can sign for parts."""
    return client.config().storage_config.pre_sign_multipart_upload


class Uploads:
    """The uploads in parts to one branch.

    lakeFS wants content type and metadata at the end; an `UploadInfo` carries them in its `place`, after the address.

    Args:
        target: The branch.
    """

    def __init__(self, target: Target) -> None:
        self._target = target

    def create(self, key: str, attributes: Attributes) -> UploadInfo:
        """Begin. Raises `NotFound` if there is no such branch."""
        target = self._target
        if not takes_parts(target.client):
            raise UnsupportedOperation(
                f"{target.about('upload', key)}: this lakeFS does not take parts", hint="put it as a whole"
            )

        def finish(response: HttpResponse) -> PartUpload:
            if response.status != 201:
                raise target.refused(response, "upload", key)
            return decoded(PartUpload)(response)

        call = target.client.call(
            "POST",
            [*target.path, "staging", "pmpu"],
            what=target.about("upload", key),
            query={"path": key, "parts": 0},
            statuses=frozenset({201, 400, 404}),
            finish=finish,
        )
        made = target.remote.run(call)
        kept = msgspec.json.encode([attributes.content_type, attributes.metadata]).decode()
        place = f"{made.physical_address}\n{kept}"
        return UploadInfo(key=key, id=made.upload_id, started_us=time.time_ns() // 1000, place=place)

    def part_call(self, upload: UploadInfo, number: int, body: bytes | FileSlice) -> Call[PartInfo]:
        """Return the call that sends one part."""
        sender = _PartSender(self, self._target.client, upload, number)
        size = body.size if isinstance(body, FileSlice) else len(body)
        request = HttpRequest(
            what=self._target.about(f"upload part {number} of", upload.key),
            method="PUT",
            url=f"{self._target.client.url}/part/{number}",  # where it really goes, the server tells
            headers={"Content-MD5": base64.b64encode(_md5(body)).decode()},
            body=body,
            statuses=_PART_SENT,
            authorize=sender.authorize,
            judge=sender.judge,
        )

        def finish(response: HttpResponse) -> PartInfo:
            if response.status not in _PART_SENT:
                raise sender.refused(request, response)
            return PartInfo(number=number, etag=response.headers.get("etag", "").strip('"'), size=size)

        return Call(request, finish)

    def url(self, upload: UploadInfo, number: int) -> str:
        """Ask for the signed URL of one part."""
        address, _, _ = upload.place.partition("\n")
        call = self._target.client.call(
            "PUT",
            [*self._target.path, "staging", "pmpu", upload.id, "parts", str(number)],
            what=self._target.about(f"upload part {number} of", upload.key),
            query={"path": upload.key},
            json={"physical_address": address},
            finish=decoded(UploadTarget),
        )
        return self._target.remote.run(call).presigned_url

    def presign_part(self, upload: UploadInfo, number: int) -> PresignedRequest:
        """Return a request with which another client sends one part."""
        url = self.url(upload, number)
        life = parse_qs(urlsplit(url).query).get("X-Amz-Expires", ["60"])[0]
        expires = int(time.time()) + (int(life) if life.isdecimal() else 60)
        return PresignedRequest(method="PUT", url=url, headers={}, expires_us=expires * 1_000_000)

    def parts(self, upload: UploadInfo) -> Sequence[PartInfo]:
        """Raise `UnsupportedOperation`."""
        text = f"{self._target.about('upload', upload.key)}: lakeFS does not tell which parts it has"
        raise UnsupportedOperation(text, hint="keep what part_call gave, or begin anew")

    def unfinished(self, prefix: str) -> Sequence[UploadInfo]:
        """Raise `UnsupportedOperation`."""
        text = f"lakeFS does not tell which uploads under {prefix!r} are unfinished"
        raise UnsupportedOperation(text, hint="garbage collection takes their parts after a day")

    def complete(self, upload: UploadInfo, parts: Sequence[PartInfo], *, mode: PutMode = OVERWRITE) -> ObjectInfo:
        """Publish the object."""
        target, remote = self._target, self._target.remote
        target.conditions(mode, upload.key)
        if mode == CREATE and remote.run(remote.stat_call(target.branch, upload.key)) is not None:
            raise target.taken(upload.key)
        address, _, kept = upload.place.partition("\n")
        content_type, metadata = msgspec.json.decode(kept, type=tuple[str | None, dict[str, str]])

        def finish(response: HttpResponse) -> ObjectStats:
            if response.status != 200:
                raise target.refused(response, "upload", upload.key)
            return decoded(ObjectStats)(response)

        call = target.client.call(
            "PUT",
            [*target.path, "staging", "pmpu", upload.id],
            what=target.about("upload", upload.key),
            query={"path": upload.key},
            json={
                "physical_address": address,
                "parts": [{"part_number": part.number, "etag": part.etag} for part in parts],
                "content_type": content_type,
                "user_metadata": stored(metadata),
            },
            statuses=_COMPLETED | {400, 404},
            repeatable=False,
            patience=_LONG,
            finish=finish,
        )
        try:
            stats = remote.run(call)
        except Unavailable:  # the answer may be lost, not the object
            found = remote.run(remote.stat_call(target.branch, upload.key))
            if found is None or found.physical_address != address:
                raise
            stats = found
        return target.wrote(stats, address=address)

    def abort(self, upload: UploadInfo) -> None:
        """Forget it with its parts; harmless when it is gone."""
        with suppress(DatastoreError):  # nobody sees it, and garbage collection takes it
            self._target.client.run(self.abort_call(upload))

    def abort_call(self, upload: UploadInfo) -> Call[None]:
        """Return the call that forgets an upload."""
        address, _, _ = upload.place.partition("\n")
        return self._target.client.call(
            "DELETE",
            [*self._target.path, "staging", "pmpu", upload.id],
            what=self._target.about("stop the upload of", upload.key),
            query={"path": upload.key},
            json={"physical_address": address},
            statuses=_DONE,
            finish=status_only,
        )


class _PartSender:
    """One part on its way, with its URL for each attempt."""

    def __init__(self, uploads: Uploads, client: LakeFSClient, upload: UploadInfo, number: int) -> None:
        self._uploads = uploads
        self._client = client
        self._upload = upload
        self._number = number
        self._host = ""

    def authorize(self, request: HttpRequest, previous: HttpResponse | None, /) -> Signed:
        learned = self._client.learned
        if self._host and previous is None and self._host not in learned.reachable:
            learned.not_reached(self._host)
        url = self._uploads.url(self._upload, self._number)
        self._host = urlsplit(url).netloc
        if learned.unreachable(self._host) and self._client.presign is not True:
            raise _unreachable(request, self._host)
        return Signed(url, request.headers)

    def judge(self, request: HttpRequest, response: HttpResponse) -> Verdict:
        self._client.learned.reachable.add(self._host)
        return "reauthorize" if response.status == 403 else retry.judge(request, response)

    def refused(self, request: HttpRequest, response: HttpResponse) -> DatastoreError:
        text = f"{request.what}: the object store at {self._host} answered {response.status}: {message_of(response)}"
        return Forbidden(text) if response.status == 403 else Unavailable(text)


def _unreachable(request: HttpRequest, host: str) -> Unavailable:
    return Unavailable(f"{request.what}: the object store at {host} cannot be reached", hint="set presign: false")


def send_parts(target: Target, key: str, body: bytes | FileSlice, *, attributes: Attributes) -> ObjectInfo | None:
    """Write an object in parts, several at a time; None if the object store cannot be reached from here.

    Nothing is left behind if it fails.
    """
    uploads = Uploads(target)
    upload = uploads.create(key, attributes)
    try:
        parts = _sent(uploads, upload, body)
        if isinstance(body, FileSlice):
            body.check()
        return uploads.complete(upload, parts)
    except BaseException as error:
        uploads.abort(upload)
        if isinstance(error, Unavailable) and not target.client.learned.reachable and target.client.presign is not True:
            return None
        raise


def _sent(uploads: Uploads, upload: UploadInfo, body: bytes | FileSlice) -> list[PartInfo]:
    size = body.size if isinstance(body, FileSlice) else len(body)
    step = part_size(size)
    calls = (
        (number, uploads.part_call(upload, number, _slice(body, start, min(start + step, size))))
        for number, start in enumerate(range(0, size, step), 1)
    )
    done: list[PartInfo] = []
    for _, part in engine().bulk(calls, limit=_PARALLEL):
        if isinstance(part, DatastoreError):
            raise part
        done.append(part)
    return sorted(done, key=lambda part: part.number)


def part_size(size: int) -> int:
    """Return the bytes of a part of an object.

    >>> part_size(100 << 20) >> 20, part_size(200 << 30) >> 20
    (16, 21)
    """
    return max(PART, -(-size // (MOST_PARTS * _MIB)) * _MIB)


def _slice(body: bytes | FileSlice, start: int, stop: int) -> bytes | FileSlice:
    if isinstance(body, FileSlice):
        return FileSlice(body.fd, body.offset + start, stop - start)
    return body[start:stop]


def _md5(body: bytes | FileSlice) -> bytes:
    data = body if isinstance(body, bytes) else os.pread(body.fd, body.size, body.offset)
    return hashlib.md5(data, usedforsecurity=False).digest()
