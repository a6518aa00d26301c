"""Signs the requests of one mount, with what earlier answers taught: clock, region, credentials that had ended."""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec.structs import replace

from datastore.calls import FileSlice, HttpRequest, HttpResponse, Signed
from datastore.errors import IntegrityError, UnsupportedOperation
from datastore.http.signing import EMPTY_PAYLOAD, UNSIGNED_PAYLOAD, clock_offset, presign, sign
from datastore.providers.s3.credentials import CredentialSource
from datastore.streams import read_at
from datastore.values import PresignedRequest

__all__ = ["S3Authorizer", "in_region", "payload_of"]

PayloadRule = Literal["tls", "signed", "unsigned"]

_CODE: Final = re.compile(rb"<Code>\s*([A-Za-z0-9]+)\s*</Code>")
_REGION: Final = re.compile(rb"<Region>\s*([a-z0-9-]+)\s*</Region>")
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"})
_TOLERATED: Final = timedelta(seconds=60)
_AWS_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d", re.ASCII)
_AWS_HOST: Final = re.compile(
    r"((?P<bucket>[a-z0-9._-]+)\.)?s3(?P<kind>(-fips)?(\.dualstack)?)([.-][a-z]{2}(-[a-z]+)+-\d)?\.amazonaws\.com",
    re.ASCII,
)
_CHUNK: Final = 2**20


class S3Authorizer:
    """Implements `calls.Authorize` for S3; equal to another one with the same source and region.

    An `x-amz-content-sha256` among the headers of a request counts; else the body is left out of the signature over
    TLS, and hashed without.

    Args:
        source: Where credentials come from.
        region: What requests are signed for until a service says better.
        payload: `tls` as above; `signed` or `unsigned` whatever the scheme.
        clock: Tells the time.
    """

    def __init__(
        self,
        source: CredentialSource,
        *,
        region: str,
        payload: PayloadRule = "tls",
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.source = source
        self.region = region
        self._payload: PayloadRule = payload
        self._clock = clock or _utcnow
        self._offset = timedelta()
        self._regions: dict[str, str] = {}

    @property
    def offset(self) -> timedelta:
        """How far the service's clock is ahead of ours, as far as it matters."""
        return self._offset

    def __call__(self, request: HttpRequest, previous: HttpResponse | None, /) -> Signed:
        """Return the request as it is sent; may look up credentials, which can take seconds."""
        if previous is not None:
            self._learn(request.url, previous)
        credentials = self.source.get()
        url, region = self._placed(request.url)
        if credentials is None:
            return Signed(url, request.headers)
        if url != request.url:
            request = replace(request, url=url)
        payload = request.headers.get("x-amz-content-sha256") or payload_of(request, self._payload)
        return sign(request, credentials, region=region, now=self._now(), payload=payload)

    def presign(
        self,
        method: Literal["GET", "HEAD", "PUT", "DELETE"],
        url: str,
        *,
        expires: float,
        headers: Mapping[str, str] | None = None,
    ) -> PresignedRequest:
        """Return a request that others may send; it ends with the credentials, if these end earlier.

        Raises:
            UnsupportedOperation: The mount is anonymous.
        """
        credentials = self.source.get()
        if credentials is None:
            raise UnsupportedOperation("an anonymous mount cannot sign URLs", hint="give it credentials")
        now = self._now()
        begin = int(now.timestamp())
        if credentials.expires_us is not None:
            expires = max(min(expires, credentials.expires_us / 1e6 - begin), 1)
        url, region = self._placed(url)
        signed = presign(method, url, credentials, region=region, now=now, expires=expires, headers=headers)
        # Told by our clock, although it is signed by theirs: who holds it looks at a clock like ours.
        ends = begin + int(expires) - self._offset.total_seconds()
        return PresignedRequest(
            method=method, url=signed, headers=dict(headers or {}), expires_us=int(ends * 1_000_000)
        )

    def _now(self) -> datetime:
        return self._clock() + self._offset

    def _placed(self, url: str) -> tuple[str, str]:
        """Return where the bucket really is, and its region."""
        region = self._regions.get(_place(url)) if self._regions else None
        return (in_region(url, region), region) if region else (url, self.region)

    def _learn(self, url: str, answer: HttpResponse) -> None:
        found = _CODE.search(answer.body)
        code = found[1].decode() if found else ""
        offset = clock_offset(answer.headers.get("date", ""), now=self._clock())
        if offset is not None:
            self._offset = offset if abs(offset) > _TOLERATED else timedelta()
        stated = _REGION.search(answer.body)
        region = answer.headers.get("x-amz-bucket-region") or (stated[1].decode() if stated else "")
        if region and region != self._placed(url)[1] and _believable(url, region):
            self._regions[_place(url)] = region
        elif code in _EXPIRED or (not code and not self._offset and answer.status in {400, 401, 403}):
            # HEAD has no body: keys that end may have ended, and looking again is cheap and done by one thread.
            held = self.source.get()
            if held is not None and held.session_token:
                self.source.renew()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, S3Authorizer) and (self.source, self.region, self._payload) == (
            other.source,
            other.region,
            other._payload,
        )

    def __hash__(self) -> int:
        return hash((S3Authorizer, self.source, self.region))

    def __repr__(self) -> str:
        return f"S3Authorizer({self.source!r}, region={self.region!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _authorizer, (self.source, self.region, self._payload)


def payload_of(request: HttpRequest, rule: PayloadRule = "tls") -> str:
    """Return what a signature says of the body: its SHA-256 in hex, or that it is not signed.

    Raises:
        IntegrityError: The file of a body became shorter.
    """
    body = request.body
    if not (body.size if isinstance(body, FileSlice) else len(body)):
        return EMPTY_PAYLOAD
    if rule == "unsigned" or (rule == "tls" and request.url.startswith("https://")):
        return UNSIGNED_PAYLOAD
    return _hash_of_file(body) if isinstance(body, FileSlice) else hashlib.sha256(body).hexdigest()


def in_region(url: str, region: str) -> str:
    """Return a URL of AWS's S3 in another region; one of another service stays as it is.

    >>> in_region("https://raw.s3.us-east-1.amazonaws.com/k%20?x=1", "eu-west-1")
    'https://raw.s3.eu-west-1.amazonaws.com/k%20?x=1'
    """
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    match = _AWS_HOST.fullmatch(host)
    if match is None or not _AWS_REGION.fullmatch(region):
        return url
    bucket = f"{match['bucket']}." if match["bucket"] else ""
    return f"{scheme}://{bucket}s3{match['kind']}.{region}.amazonaws.com{slash}{path}"


def _place(url: str) -> str:
    """Return what has one region: a bucket of AWS, any other endpoint as a whole."""
    parts = urlsplit(url)
    match = _AWS_HOST.fullmatch(parts.netloc)
    return (
        f"{parts.netloc}/{parts.path.split('/')[1]}" if match and not match["bucket"] and parts.path else parts.netloc
    )


def _believable(url: str, region: str) -> bool:
    """Tell whether a region that an answer states is one that may be signed for."""
    if _AWS_HOST.fullmatch(urlsplit(url).netloc):
        return _AWS_REGION.fullmatch(region) is not None
    return re.fullmatch(r"[a-z0-9-]{1,63}", region, re.ASCII) is not None


def _hash_of_file(body: FileSlice) -> str:
    digest, buffer, at, end = hashlib.sha256(), memoryview(bytearray(_CHUNK)), body.offset, body.offset + body.size
    while at < end:
        count = read_at(body.fd, buffer[: min(_CHUNK, end - at)], at)
        if not count:
            raise IntegrityError("the file became shorter while it was sent")
        digest.update(buffer[:count])
        at += count
    return digest.hexdigest()


def _authorizer(source: CredentialSource, region: str, payload: PayloadRule) -> S3Authorizer:
    return S3Authorizer(source, region=region, payload=payload)


def _utcnow() -> datetime:
    return datetime.now(UTC)
