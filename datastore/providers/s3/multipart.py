"""The verbs of uploads in parts: begin, send, list, complete, abort."""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from msgspec import structs

from datastore.calls import Call, FileSlice, HttpRequest, HttpResponse
from datastore.errors import IntegrityError, NotFound, Unavailable, UnsupportedOperation, ValidationError
from datastore.http.engine import engine
from datastore.providers.s3.attributes import unquoted
from datastore.providers.s3.conditions import check_free, condition_headers, is_conflict, way_of, write_refused
from datastore.providers.s3.documents import complete_request, parse, parse_parts, parse_uploads, text_of
from datastore.providers.s3.proving import CRC_HEADER, Proof, body_size, proof_headers, proof_of
from datastore.providers.s3.reading import head_call
from datastore.providers.s3.refusals import judge_document, refused
from datastore.providers.s3.site import Site, Spot
from datastore.values import CREATE, ObjectInfo, PartInfo, PutMode, UploadInfo

__all__ = ["abort", "begin", "complete", "etag_of_parts", "held_parts", "part_call", "part_query", "unfinished"]

_MD5: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PATIENCE: Final = 10.0
_WHOLE_KEYS: Final = frozenset({"minio", "custom"})
"""Services that find uploads by their whole keys only, or by none."""
_PROOFS: Final[Mapping[str, Proof]] = {"": "sha256", "null": "sha256", "CRC64NVME": "sha256", "CRC32": "crc32"}
"""What parts need by the checksum of their upload; the one that AWS takes for itself needs nothing."""


def begin(site: Site, spot: Spot, *, headers: Mapping[str, str], proof: Proof = "sha256") -> UploadInfo:
    """Begin an upload; one request.

    Args:
        site: The service.
        spot: The object that it will be.
        headers: Its attributes.
        proof: What each part will bring; `crc32` has to be announced, and then has to come with every part.
    """
    announced = {"x-amz-checksum-algorithm": "CRC32"} if proof == "crc32" else {}
    what = f"begin of the upload of {spot.key[:120]!r}"
    request = site.request(
        "POST",
        spot,
        what=what,
        query=(("uploads", ""),),
        headers={**headers, **announced},
        statuses=frozenset({200}),
        repeatable=True,  # one that is begun twice is aborted by the bucket's rule, if ever
        judge=judge_document,
        sealed=True,
    )
    response = engine().send(request)
    if response.status != 200:
        raise write_refused(site, spot, "overwrite", response, what=what)
    upload = text_of(parse(response.body), "UploadId")
    if not upload:
        raise IntegrityError(f"{what}: the service names no upload", hint="try again")
    return UploadInfo(key=spot.key, id=upload, started_us=time.time_ns() // 1000)


def part_query(upload: UploadInfo, number: int) -> tuple[tuple[str, str], ...]:
    """Return the parameters of a part's request, or raise `ValidationError`."""
    if not 1 <= number <= 10_000:
        raise ValidationError(f"an upload has no part {number}", hint="parts are numbered from 1 to 10,000")
    return ("partNumber", str(number)), ("uploadId", upload.id)


def part_call(
    site: Site, spot: Spot, upload: UploadInfo, number: int, body: bytes | FileSlice, *, proof: Proof = "sha256"
) -> Call[PartInfo]:
    """Return the call that sends one part, with the proof that was announced when the upload was begun."""
    what = f"part {number} of {spot.key[:120]!r}"
    headers = proof_headers(body, proof)
    part = PartInfo(number=number, etag="", size=body_size(body), checksum=headers.get(CRC_HEADER, ""))
    request = site.request(
        "PUT",
        spot,
        what=what,
        query=part_query(upload, number),
        headers=headers,
        body=body,
        statuses=frozenset({200}),
        sealed=True,
    )
    return Call(request, partial(_sent, spot, what, part))


def _sent(spot: Spot, what: str, part: PartInfo, response: HttpResponse) -> PartInfo:
    etag = unquoted(response.headers.get("etag", ""))
    if response.status != 200:
        raise refused(what, response, bucket=spot.bucket, key=spot.key)
    if not etag:
        raise IntegrityError(f"{what}: the service gives it no etag", hint="try again")
    return structs.replace(part, etag=etag)


def held_parts(site: Site, spot: Spot, upload: UploadInfo) -> tuple[list[PartInfo], Proof | None]:
    """Return the parts that the service holds, and the proof that more of them need; one request per thousand.

    The proof is None where it is one that is not made here.

    Raises:
        NotFound: The upload is gone.
    """
    what = f"parts of the upload of {spot.key[:120]!r}"
    found: list[PartInfo] = []
    marker: str | None = ""
    checksum = ""
    while marker is not None:
        query = [("uploadId", upload.id)] + ([("part-number-marker", marker)] if marker else [])
        sealed = proof_of(site.preset) == "crc32"  # checksums are kept encrypted, too
        request = site.request("GET", spot, what=what, query=query, judge=judge_document, sealed=sealed)
        response = engine().send(request)
        if response.status != 200:
            raise _no_upload(what, spot, response)
        page, checksum, marker = parse_parts(response.body)
        found += page
    return found, _PROOFS.get(checksum)


def unfinished(site: Site, bucket: str, prefix: str) -> list[UploadInfo]:
    """Return the unfinished uploads below a prefix by their whole names, oldest first; one request per thousand."""
    what = f"unfinished uploads of {prefix[:120]!r}"
    found: list[UploadInfo] = []
    markers: tuple[str, str] | None = ("", "")
    while markers is not None:
        query = [("encoding-type", "url"), ("prefix", prefix), ("uploads", "")]
        if any(markers):
            query += [("key-marker", markers[0]), ("upload-id-marker", markers[1])]
        request = site.request("GET", Spot(bucket, "", ""), what=what, query=query, judge=judge_document)
        response = engine().send(request)
        if response.status != 200:
            raise refused(what, response, bucket=bucket)
        page, markers = parse_uploads(response.body)
        found += page
    if not found and prefix and site.preset.name in _WHOLE_KEYS:
        return [upload for upload in unfinished(site, bucket, "") if upload.key.startswith(prefix)]
    return sorted(found, key=lambda upload: upload.started_us)


def complete(site: Site, spot: Spot, upload: UploadInfo, parts: Sequence[PartInfo], *, mode: PutMode) -> ObjectInfo:
    """Publish an object, and look at what was published: two requests; errors as in `SupportsMultipart`."""
    way = way_of(site.preset, mode, spot.key)
    if way == "single":
        raise UnsupportedOperation(
            f"{site.preset.name!r} cannot complete an upload on a condition", hint="put the object as a whole"
        )
    if way == "look":
        check_free(site, spot, CREATE)
    ordered = sorted(parts, key=lambda part: part.number)
    request = _completion(site, spot, upload, ordered, mode)
    try:
        response = engine().send(request)
    except Unavailable:
        found = _completed(site, spot, upload, ordered)
        if found is None:
            raise
        return found
    if response.status == 200:
        return _published(site, spot, ordered, etag=text_of(parse(response.body), "ETag").strip('"'))
    found = _completed(site, spot, upload, ordered) if is_conflict(response) else None
    if found is not None:
        return found
    if response.status == 404:
        raise _no_upload(request.what, spot, response)
    raise write_refused(site, spot, mode, response, what=request.what)


def _completion(site: Site, spot: Spot, upload: UploadInfo, parts: Sequence[PartInfo], mode: PutMode) -> HttpRequest:
    return site.request(
        "POST",
        spot,
        what=f"completion of the upload of {spot.key[:120]!r}",
        query=(("uploadId", upload.id),),
        headers={"content-type": "application/xml", **condition_headers(mode, site.preset.complete, spot)},
        body=complete_request(parts),
        statuses=frozenset({200}),
        repeatable=True,
        judge=judge_document,
        sealed=any(part.checksum for part in parts),  # checksums are kept encrypted, too
        patience=300.0,  # a service may take minutes to put 10,000 parts together
    )


def _published(site: Site, spot: Spot, parts: Sequence[PartInfo], *, etag: str) -> ObjectInfo:
    info, size = engine().run(head_call(site, spot)), sum(part.size for part in parts)
    if info.etag == etag and info.size != size:  # with another etag it is somebody else's by now
        raise IntegrityError(
            f"{spot.key[:120]!r} was put together to {info.size} bytes, not {size}", hint="upload it again"
        )
    return info


def abort(site: Site, spot: Spot, upload: UploadInfo) -> None:
    """Forget an upload with its parts; harmless when it is gone."""
    what = f"abort of the upload of {spot.key[:120]!r}"
    request = site.request("DELETE", spot, what=what, query=(("uploadId", upload.id),), patience=_PATIENCE)
    response = engine().send(request)
    if response.status not in {200, 204, 404}:
        raise refused(what, response, bucket=spot.bucket, key=spot.key)


def etag_of_parts(parts: Sequence[PartInfo]) -> str | None:
    """Return the etag that S3 gives an object of these parts; None if theirs are no MD5.

    >>> etag_of_parts([PartInfo(number=1, etag="900150983cd24fb0d6963f7d28e17f72", size=3)])
    'af5da9f45af7a300e3aded972f8ff687-1'
    """
    if not all(_MD5.fullmatch(part.etag) for part in parts):
        return None
    joined = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _completed(site: Site, spot: Spot, upload: UploadInfo, parts: Sequence[PartInfo]) -> ObjectInfo | None:
    """Return the object if it is the one of these parts: completed by an attempt whose answer was lost.

    The upload is gone then. While it is there, an object of the same bytes is somebody else's.
    """
    expected = etag_of_parts(parts)
    if expected is None or _is_there(site, spot, upload):
        return None
    try:
        info = engine().run(head_call(site, spot))
    except NotFound:
        return None
    return info if (info.etag, info.size) == (expected, sum(part.size for part in parts)) else None


def _is_there(site: Site, spot: Spot, upload: UploadInfo) -> bool:
    try:
        held_parts(site, spot, upload)
    except NotFound:
        return False
    return True


def _no_upload(what: str, spot: Spot, response: HttpResponse) -> Exception:
    error = refused(what, response, bucket=spot.bucket, key=spot.key)
    if isinstance(error, NotFound) and "NoSuchUpload" in error.message:
        return NotFound(
            f"the upload of {spot.key[:120]!r} is gone", hint="it was completed or aborted; begin a new one"
        )
    return error
