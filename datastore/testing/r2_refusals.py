"""What R2 refuses although other S3 servers take it: its documented rules (facts/media.md §1) as pure functions."""

import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.header import Header, decode_header, make_header
from typing import Final, cast

from msgspec import Struct
from msgspec.structs import replace

from datastore.calls import HttpRequest, Method
from datastore.http.signing import Credentials, presign, sign
from datastore.testing.s3_wire import Reply, Request, refusal

__all__ = ["REGIONS", "Signature", "as_kept", "check_signature", "unequal", "unsupported"]

REGIONS: Final = frozenset({"auto", "us-east-1", ""})  # §1.1
_METADATA_BYTES: Final = 8192  # §1.1
_META: Final = "x-amz-meta-"
_CHECKSUM: Final = "x-amz-checksum-"
_CHECKSUMS: Final = frozenset({"crc64nvme", "crc32", "crc32c", "sha1", "sha256"})  # §1.2
_ABSENT_HEADERS: Final = re.compile(  # §1.2, right column
    r"x-amz-(acl|grant-.*|tagging.*|object-lock-.*|bypass-governance-retention|request-payer|expected-bucket-owner"
    r"|source-expected-bucket-owner|website-redirect-location|trailer|object-attributes|mfa|write-offset-bytes"
    r"|server-side-encryption(-aws-kms-key-id|-context|-bucket-key-enabled)?)"
)
_ABSENT_QUERIES: Final = frozenset(
    {
        "accelerate",
        "acl",
        "analytics",
        "attributes",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "tagging",
        "torrent",
        "versionId",
        "versioning",
        "versions",
        "website",
    }
)  # §1.2, right column
_UNCONDITIONAL: Final = frozenset({"CopyObject", "UploadPartCopy", "CompleteMultipartUpload"})  # §1.2
_STORAGE_CLASSES: Final = frozenset({"STANDARD", "STANDARD_IA"})  # §1.2
_AUTH: Final = frozenset({"authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"})
_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]*)/s3/aws4_request, ?SignedHeaders=([^,]+), ?"
    r"Signature=([0-9a-f]{64})"
)


def unsupported(request: Request) -> Reply | None:
    """Return R2's refusal of what it does not have or does not take, or None."""
    headers, query = request.headers, request.query
    if "aws-chunked" in headers.get("content-encoding", "") or "STREAMING" in headers.get("x-amz-content-sha256", ""):
        return refusal(501, "NotImplemented")
    if "transfer-encoding" in headers:
        return refusal(411, "MissingContentLength")
    if any(_ABSENT_HEADERS.fullmatch(name) for name in headers) or _ABSENT_QUERIES.intersection(query):
        return refusal(501, "NotImplemented")
    if request.method == "POST" and headers.get("content-type", "").startswith("multipart/form-data"):
        return refusal(501, "NotImplemented")
    if request.operation in _UNCONDITIONAL and _has_conditions(request):
        return refusal(501, "NotImplemented")
    return _unacceptable(headers)


def _has_conditions(request: Request) -> bool:
    """Tell whether a condition is sent that R2 does not document: it may ignore it, and a test has to see that."""
    of_source = request.operation != "CopyObject"
    starts = ("if-", "x-amz-copy-source-if-") if of_source else ("if-", "x-amz-checksum-algorithm")
    return any(name.startswith(starts) for name in request.headers)


def _unacceptable(headers: Mapping[str, str]) -> Reply | None:
    if headers.get("x-amz-storage-class", "STANDARD") not in _STORAGE_CLASSES:
        return refusal(400, "InvalidStorageClass")
    sums = {name.removeprefix(_CHECKSUM) for name in headers if name.startswith(_CHECKSUM)}
    algorithms = sums - {"mode", "algorithm", "type"}
    if len(algorithms) > 1 or not _CHECKSUMS.issuperset(algorithms):
        return refusal(400, "InvalidRequest")
    metadata = sum(len(name) - len(_META) + len(text) for name, text in headers.items() if name.startswith(_META))
    return refusal(400, "MetadataTooLarge") if metadata > _METADATA_BYTES else None


def unequal(sizes: Mapping[int, int]) -> bool:
    """Tell whether the parts of an upload break R2's rule: all but the last equal, the last one no longer.

    >>> unequal({1: 5, 2: 5, 3: 4}), unequal({1: 5, 2: 4, 3: 5}), unequal({1: 5, 2: 6}), unequal({7: 3})
    (False, True, True, False)
    """
    *others, last = [sizes[number] for number in sorted(sizes)]
    return len({*others}) > 1 or (bool(others) and last > others[0])


class Signature(Struct, frozen=True):
    """What a request says of who signed it, and whether that is so."""

    region: str
    valid: bool
    expired: bool


def check_signature(request: Request, credentials: Credentials, *, now: datetime) -> Signature | None:
    """Return what the signature of a request is worth; None if it has none."""
    url = f"http://{request.headers['host']}{request.target}"
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if found is not None:
        name, region, names, _ = found.groups()
        given = {one: request.headers.get(one, "") for one in names.split(";") if one not in {"host", *_AUTH}}
        at = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        again = sign(
            HttpRequest(what="check", method=cast("Method", request.method), url=url, headers=given),
            replace(credentials, access_key_id=name),
            region=region,
            now=at,
            payload=request.headers.get("x-amz-content-sha256", ""),
        )
        same = hmac.compare_digest(again.headers["authorization"], request.headers["authorization"])
        return Signature(region, same and name == credentials.access_key_id, abs(now - at) > timedelta(minutes=15))
    return _presigned(request, url, credentials, now=now) if "X-Amz-Signature" in request.query else None


def _presigned(request: Request, url: str, credentials: Credentials, *, now: datetime) -> Signature:
    query = request.query
    name, _, region, *_ = query["X-Amz-Credential"].split("/")
    at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    seconds = int(query["X-Amz-Expires"])
    names = [one for one in query["X-Amz-SignedHeaders"].split(";") if one != "host"]
    given = {one: request.headers.get(one, "") for one in names}
    path, _, rest = url.partition("?")
    plain = "&".join(pair for pair in rest.split("&") if not pair.startswith("X-Amz-"))
    who = replace(credentials, access_key_id=name)
    again = presign(request.method, f"{path}?{plain}", who, region=region, now=at, expires=seconds, headers=given)
    valid = again.endswith(f"X-Amz-Signature={query['X-Amz-Signature']}") and name == credentials.access_key_id
    return Signature(region, valid, not at - timedelta(minutes=15) < now < at + timedelta(seconds=seconds))


def as_kept(text: str) -> str:
    """Return a metadata value as R2 gives it back: decoded on its way in, encoded by R2 on its way out (§1.2).

    >>> as_kept("=?utf-8?Q?=C3=A4?="), as_kept("=?utf-8?q?plain?="), as_kept("a b")
    ('=?utf-8?b?w6Q=?=', 'plain', 'a b')
    """
    plain = str(make_header(decode_header(text)))
    return plain if plain.isascii() else Header(plain, "utf-8", maxlinelen=100_000).encode()
