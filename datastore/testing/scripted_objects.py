"""A small S3 in memory: what a scripted server holds, and what it answers where no script says otherwise.

Path-style addresses; signatures are not looked at, every bucket exists. Put, get with ranges and preconditions, head,
delete, batch delete, copy, list (version 2) and multipart uploads, as AWS documents them.
"""

import hashlib
import re
import threading
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from msgspec import Struct, field

from datastore.testing.s3_wire import Reply, Request, refusal

__all__ = ["ScriptedObjects", "Stored"]

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_KEPT: Final = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)
_META: Final = "x-amz-meta-"


class Stored(Struct, frozen=True, kw_only=True):
    """One object, or one part of an upload."""

    body: bytes
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))


class _Upload(Struct, frozen=True):
    key: tuple[str, str]
    headers: Mapping[str, str]
    parts: dict[int, Stored]


class ScriptedObjects:
    """Objects by (bucket, key), and unfinished uploads by their id; one request at a time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._objects: dict[tuple[str, str], Stored] = {}
        self._uploads: dict[str, _Upload] = {}
        self._started = 0

    def put(self, bucket: str, key: str, body: bytes, *, headers: Mapping[str, str] | None = None) -> Stored:
        """Put an object there as if somebody else had done it."""
        stored = Stored(body=body, etag=_md5(body), headers=dict(headers or {}))
        with self._lock:
            self._objects[bucket, key] = stored
        return stored

    def get(self, bucket: str, key: str) -> Stored | None:
        """Return an object."""
        return self._objects.get((bucket, key))

    def uploads(self) -> list[str]:
        """Return the ids of the unfinished uploads."""
        return list(self._uploads)

    def answer(self, request: Request) -> Reply:
        """Carry out a request."""
        verbs = {
            "GetObject": self._get,
            "HeadObject": self._get,
            "PutObject": self._put,
            "CopyObject": self._copy,
            "DeleteObject": self._delete,
            "DeleteObjects": self._delete_many,
            "ListObjectsV2": self._list,
            "CreateMultipartUpload": self._create,
            "UploadPart": self._part,
            "UploadPartCopy": self._part,
            "CompleteMultipartUpload": self._complete,
            "AbortMultipartUpload": self._abort,
            "ListParts": self._list_parts,
            "ListMultipartUploads": self._list_uploads,
        }
        if request.operation == "HeadBucket":
            return Reply()
        if (verb := verbs.get(request.operation)) is None:
            return refusal(501, "NotImplemented")
        with self._lock:
            return verb(request)

    def _get(self, request: Request) -> Reply:
        stored = self._objects.get((request.bucket, request.key))
        if stored is None:
            return refusal(404, "NoSuchKey")
        if (wanted := request.headers.get("if-match")) and wanted.strip('"') not in {"*", stored.etag}:
            return refusal(412, "PreconditionFailed")
        headers = {**_described(stored), "accept-ranges": "bytes"}
        if (known := request.headers.get("if-none-match")) and known.strip('"') in {"*", stored.etag}:
            return Reply(status=304, headers=headers)
        size = len(stored.body)
        bounds = _bounds(request.headers.get("range", ""), size)
        if bounds is None:
            return Reply(headers=headers, body=stored.body)
        start, stop = bounds
        if start >= stop:
            return refusal(416, "InvalidRange", headers={"content-range": f"bytes */{size}"})
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
        return Reply(status=206, headers=headers, body=stored.body[start:stop])

    def _put(self, request: Request) -> Reply:
        if (refused := self._refused(request)) is not None:
            return refused
        headers = _kept(request.headers)
        stored = self.put(request.bucket, request.key, request.body, headers=headers)
        return Reply(headers={"etag": f'"{stored.etag}"'})

    def _copy(self, request: Request) -> Reply:
        source = self._source(request)
        if source is None:
            return refusal(404, "NoSuchKey")
        replaced = request.headers.get("x-amz-metadata-directive") == "REPLACE"
        headers = _kept(request.headers) if replaced else source.headers
        stored = self.put(request.bucket, request.key, source.body, headers=headers)
        return _document("CopyObjectResult", f"{_etag(stored)}<LastModified>{_iso(stored)}</LastModified>")

    def _source(self, request: Request) -> Stored | None:
        bucket, _, key = unquote(request.headers["x-amz-copy-source"]).lstrip("/").partition("/")
        return self._objects.get((bucket, key))

    def _refused(self, request: Request) -> Reply | None:
        """Say why a write may not happen: its body arrived broken, or its condition does not hold."""
        md5 = request.headers.get("content-md5")
        if md5 and md5 != b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode():
            return refusal(400, "BadDigest")
        there = self._objects.get((request.bucket, request.key))
        if request.headers.get("if-none-match") == "*" and there is not None:
            return refusal(412, "PreconditionFailed")
        wanted = request.headers.get("if-match")
        if wanted and (there is None or wanted.strip('"') != there.etag):
            return refusal(412, "PreconditionFailed") if there else refusal(404, "NoSuchKey")
        return None

    def _delete(self, request: Request) -> Reply:
        self._objects.pop((request.bucket, request.key), None)
        return Reply(status=204)

    def _delete_many(self, request: Request) -> Reply:
        keys = [element.text or "" for element in _all(request.body, "Key")]
        for key in keys:
            self._objects.pop((request.bucket, key), None)
        return _document("DeleteResult", "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys))

    def _list(self, request: Request) -> Reply:
        query = request.query
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token") or query.get("start-after", "")
        most = int(query.get("max-keys", "1000"))
        names = sorted((key for bucket, key in self._objects if bucket == request.bucket), key=str.encode)
        groups = [_group(name, prefix, delimiter) for name in names if name.startswith(prefix)]
        wanted = [name for name in dict.fromkeys(groups) if name.encode() > after.encode()]
        shown, more = wanted[:most], len(wanted) > most
        quoted = query.get("encoding-type") == "url"
        encode = quote if quoted else escape
        rows = [self._row(request.bucket, name, encode(name), common=name not in names) for name in shown]
        token = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        return _document(
            "ListBucketResult",
            f"<Name>{request.bucket}</Name><KeyCount>{len(shown)}</KeyCount><MaxKeys>{most}</MaxKeys>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{'<EncodingType>url</EncodingType>' if quoted else ''}"
            f"{token}{''.join(rows)}",
        )

    def _row(self, bucket: str, name: str, shown: str, *, common: bool) -> str:
        if common:
            return f"<CommonPrefixes><Prefix>{shown}</Prefix></CommonPrefixes>"
        stored = self._objects[bucket, name]
        facts = f"<LastModified>{_iso(stored)}</LastModified>{_etag(stored)}<Size>{len(stored.body)}</Size>"
        return f"<Contents><Key>{shown}</Key>{facts}</Contents>"

    def _create(self, request: Request) -> Reply:
        self._started += 1
        name = f"upload{self._started}"
        self._uploads[name] = _Upload((request.bucket, request.key), _kept(request.headers), {})
        return _document("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>")

    def _part(self, request: Request) -> Reply:
        upload = self._uploads.get(request.query["uploadId"])
        if upload is None:
            return refusal(404, "NoSuchUpload")
        body = request.body
        copied = "x-amz-copy-source" in request.headers
        if copied:
            source = self._source(request)
            if source is None:
                return refusal(404, "NoSuchKey")
            bounds = _bounds(request.headers.get("x-amz-copy-source-range", ""), len(source.body))
            body = source.body if bounds is None else source.body[slice(*bounds)]
        elif (md5 := self._refused(request)) is not None and md5.status == 400:
            return md5
        part = Stored(body=body, etag=_md5(body))
        upload.parts[int(request.query["partNumber"])] = part
        return _document("CopyPartResult", _etag(part)) if copied else Reply(headers={"etag": f'"{part.etag}"'})

    def _complete(self, request: Request) -> Reply:
        upload = self._uploads.get(request.query["uploadId"])
        if upload is None:
            return refusal(404, "NoSuchUpload")
        if (refused := self._refused(request)) is not None:
            return refused
        numbers = [int(element.text or "0") for element in _all(request.body, "PartNumber")]
        if not numbers or any(number not in upload.parts for number in numbers):
            return refusal(400, "InvalidPart")
        parts = [upload.parts[number] for number in numbers]
        tags = b"".join(bytes.fromhex(part.etag) for part in parts)
        etag = f"{hashlib.md5(tags, usedforsecurity=False).hexdigest()}-{len(parts)}"
        stored = Stored(body=b"".join(part.body for part in parts), etag=etag, headers=upload.headers)
        self._objects[upload.key] = stored
        del self._uploads[request.query["uploadId"]]
        return _document("CompleteMultipartUploadResult", _etag(stored))

    def _abort(self, request: Request) -> Reply:
        gone = self._uploads.pop(request.query["uploadId"], None) is None
        return refusal(404, "NoSuchUpload") if gone else Reply(status=204)

    def _list_parts(self, request: Request) -> Reply:
        upload = self._uploads.get(request.query["uploadId"])
        if upload is None:
            return refusal(404, "NoSuchUpload")
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber>{_etag(part)}<Size>{len(part.body)}</Size></Part>"
            for number, part in sorted(upload.parts.items())
        )
        return _document("ListPartsResult", f"<IsTruncated>false</IsTruncated>{rows}")

    def _list_uploads(self, request: Request) -> Reply:
        rows = "".join(
            f"<Upload><Key>{escape(upload.key[1])}</Key><UploadId>{name}</UploadId>"
            "<Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>"
            for name, upload in self._uploads.items()
            if upload.key[0] == request.bucket and upload.key[1].startswith(request.query.get("prefix", ""))
        )
        return _document("ListMultipartUploadsResult", f"<IsTruncated>false</IsTruncated>{rows}")


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in headers.items() if name in _KEPT or name.startswith(_META)}


def _described(stored: Stored) -> dict[str, str]:
    modified = format_datetime(stored.modified, usegmt=True)
    return {
        "content-type": "binary/octet-stream",
        **stored.headers,
        "etag": f'"{stored.etag}"',
        "last-modified": modified,
    }


def _bounds(text: str, size: int) -> tuple[int, int] | None:
    """Return (start, stop) of a Range header; None where it asks for everything."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return max(size - int(last or 0), 0), size
    return int(first), min(int(last) + 1, size) if last else size


def _group(name: str, prefix: str, delimiter: str) -> str:
    rest = name[len(prefix) :]
    return prefix + rest[: rest.index(delimiter) + len(delimiter)] if delimiter and delimiter in rest else name


def _etag(stored: Stored) -> str:
    return f"<ETag>&quot;{stored.etag}&quot;</ETag>"


def _iso(stored: Stored) -> str:
    return stored.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _all(body: bytes, name: str) -> list[ET.Element]:
    return [element for element in ET.fromstring(body).iter() if element.tag.rpartition("}")[2] == name]  # noqa: S314 - a test's own


def _document(name: str, inner: str) -> Reply:
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    body = f"<?xml version='1.0' encoding='UTF-8'?><{name} xmlns='{space}'>{inner}</{name}>"
    return Reply(headers={"content-type": "application/xml"}, body=body.encode())
