"""AWS Signature Version 4 for requests and for URLs, as pure functions of what they are given.

Paths are signed as S3 has them: percent-encoded once, never normalised. The URL that comes back is spelled as it was
signed, because servers decode what they get and encode it anew before they compare.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

from datastore.calls import HttpRequest, Signed
from datastore.errors import InvalidURL, ValidationError
from datastore.secret import Secret

__all__ = [
    "EMPTY_PAYLOAD",
    "LONGEST_PRESIGNED",
    "UNSIGNED_PAYLOAD",
    "Credentials",
    "clock_offset",
    "presign",
    "quote_path",
    "quote_query",
    "sign",
]

EMPTY_PAYLOAD: Final = hashlib.sha256(b"").hexdigest()
"""`payload` of a request without a body."""
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
"""`payload` that leaves the body out of the signature: TLS protects it, and nobody has to hash it."""
LONGEST_PRESIGNED: Final = 7 * 24 * 3600
"""Seconds that a presigned URL may be valid."""

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_END: Final = "aws4_request"
_SAFE: Final = "-._~"
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_ORIGIN: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII)
# What proxies and the transport add or change on the way: signed, it would break the signature.
_UNSIGNED: Final = frozenset({
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "expect",
    "te",
    "transfer-encoding",
    "user-agent",
    "x-amzn-trace-id",
})  # fmt: skip


class Credentials(Struct, frozen=True, kw_only=True):
    """What requests are signed with. Its repr shows the name of the key, never the secrets.

    Attributes:
        access_key_id: Name of the key.
        secret_access_key: What signs; it is never sent.
        session_token: Goes along with temporary keys.
        expires_us: When they end to be valid, microseconds since the epoch, UTC; None: not known, or never.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None
    expires_us: int | None = None


def sign(
    request: HttpRequest,
    credentials: Credentials,
    *,
    region: str,
    service: str = "s3",
    now: datetime,
    payload: str,
) -> Signed:
    """Return the request's URL and headers with a signature in the header `Authorization`.

    Args:
        request: What is signed; every header in it that no proxy changes. Host, Range, If-Match and Content-Length,
            which the engine adds, are not part of it, except for Host, which is signed as the URL has it.
        credentials: Whose signature.
        region: Region that the service answers for: `eu-central-1`, `auto`.
        service: Name of the service.
        now: Aware time, as the server has it (within 15 minutes).
        payload: SHA-256 of the body in hex, `EMPTY_PAYLOAD` or `UNSIGNED_PAYLOAD`.

    Raises:
        InvalidURL: The URL has no host that can be signed.
    """
    target = _target(request.url)
    stamp, scope = _scope(now, region, service)
    headers = {name.lower(): text for name, text in request.headers.items()}
    headers["x-amz-content-sha256"] = payload
    headers["x-amz-date"] = stamp
    if credentials.session_token:
        headers["x-amz-security-token"] = credentials.session_token.reveal()
    query = _canonical_query(target.query)
    names, lines = _canonical_headers(headers, host=target.host)
    canonical = f"{request.method}\n{target.path}\n{query}\n{lines}\n{names}\n{payload}"
    signature = _signature(credentials, stamp, scope, canonical)
    headers["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return Signed(target.url(query), headers)


def presign(
    method: str,
    url: str,
    credentials: Credentials,
    *,
    region: str,
    service: str = "s3",
    now: datetime,
    expires: float,
    headers: Mapping[str, str] | None = None,
) -> str:
    """Return a URL that anybody may use once or often until it expires.

    Args:
        method: The only HTTP method that it is for.
        url: Complete, percent-encoded.
        credentials: Whose signature; a session token in it becomes part of the URL, which dies with it.
        region: As for `sign`.
        service: As for `sign`.
        now: When it begins to be valid.
        expires: For how many seconds, 1 to 604,800.
        headers: What has to be sent with it, exactly so.

    Raises:
        InvalidURL: The URL has no host that can be signed.
        ValidationError: Too long, or no time at all.
    """
    seconds = int(expires)
    if not 1 <= seconds <= LONGEST_PRESIGNED:
        raise ValidationError(
            f"a presigned URL cannot be valid for {expires:g} seconds", hint="1 to 604,800 seconds (7 days)"
        )
    target = _target(url)
    stamp, scope = _scope(now, region, service)
    names, lines = _canonical_headers({name.lower(): text for name, text in (headers or {}).items()}, host=target.host)
    added = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": names,
    }
    if credentials.session_token:
        added["X-Amz-Security-Token"] = credentials.session_token.reveal()
    query = _canonical_query(f"{target.query}&{quote_query(added.items())}")
    canonical = f"{method}\n{target.path}\n{query}\n{lines}\n{names}\n{UNSIGNED_PAYLOAD}"
    return target.url(f"{query}&X-Amz-Signature={_signature(credentials, stamp, scope, canonical)}")


def clock_offset(date: str, *, now: datetime) -> timedelta | None:
    """Return how far the server's clock, as its header `Date` has it, is ahead of ours; None for no readable date.

    >>> clock_offset("Sat, 21 Nov 2026 12:00:00 GMT", now=datetime(2026, 11, 21, 11, 40, tzinfo=UTC))
    datetime.timedelta(seconds=1200)
    """
    try:
        there = parsedate_to_datetime(date)
    except ValueError:
        return None
    return (there if there.tzinfo else there.replace(tzinfo=UTC)) - now


def quote_path(key: str) -> str:
    """Return a key as it stands in the path of a URL.

    >>> quote_path("a b/ü+~%20//c")
    'a%20b/%C3%BC%2B~%2520//c'
    """
    return quote(key, safe="/-._~")


def quote_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the query of a URL; a flag such as `uploads` has the value "".

    >>> quote_query([("list-type", "2"), ("prefix", "a b/"), ("uploads", "")])
    'list-type=2&prefix=a%20b%2F&uploads='
    """
    return "&".join(f"{quote(name, safe=_SAFE)}={quote(value, safe=_SAFE)}" for name, value in pairs)


class _Target(Struct, frozen=True, gc=False):
    """A URL in its parts: origin and path as they are signed, query as it came."""

    scheme: str
    host: str
    path: str
    query: str

    def url(self, query: str) -> str:
        return f"{self.scheme}://{self.host}{self.path}{'?' if query else ''}{query}"


def _target(url: str) -> _Target:
    # Cut by hand: urlsplit drops tabs and line ends without a word, and takes a `#` in a path for a fragment.
    scheme, _, rest = url.partition("://")
    origin, _, rest = rest.partition("/")
    path, _, query = rest.partition("?")
    return _Target(scheme, _host(scheme, origin), quote(unquote_to_bytes(f"/{path}"), safe="/-._~"), query)


@lru_cache(maxsize=256)
def _host(scheme: str, origin: str) -> str:
    """Return host and port as libcurl puts them into the header Host: without the port that the scheme implies."""
    if scheme not in _DEFAULT_PORTS or not (match := _ORIGIN.fullmatch(origin)):
        raise InvalidURL(f"{scheme}://{origin.rpartition('@')[2]} is no address that can be signed")
    host, port = match.groups()
    return host.lower() if port in {None, _DEFAULT_PORTS[scheme]} else f"{host.lower()}:{port}"


def _scope(now: datetime, region: str, service: str) -> tuple[str, str]:
    """Return the time of signing and what the signing key is for."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    return stamp, f"{stamp[:8]}/{region}/{service}/{_END}"


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = [part.partition("=") for part in query.split("&") if part]
    return "&".join(
        f"{name}={value}" for name, value in sorted((_requoted(pair[0]), _requoted(pair[2])) for pair in pairs)
    )


def _requoted(text: str) -> str:
    # A `+` is a plus: whoever means a space writes %20, as `quote_query` does.
    return quote(unquote_to_bytes(text), safe=_SAFE)


def _canonical_headers(headers: Mapping[str, str], *, host: str) -> tuple[str, str]:
    """Return the names of the headers that are signed, and the lines that are."""
    pairs = [(name, " ".join(text.split())) for name, text in headers.items() if name not in _UNSIGNED]
    pairs.append(("host", host))
    pairs.sort()
    return ";".join(name for name, _ in pairs), "".join(f"{name}:{text}\n" for name, text in pairs)


def _signature(credentials: Credentials, stamp: str, scope: str, canonical: str) -> str:
    day, region, service, _ = scope.split("/")
    key = _signing_key(credentials.secret_access_key, day, region, service)
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.digest(key, text.encode(), "sha256").hex()


@lru_cache(maxsize=64)
def _signing_key(secret: Secret, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret.reveal()}".encode()
    for text in (day, region, service, _END):
        key = hmac.digest(key, text.encode(), "sha256")
    return key
