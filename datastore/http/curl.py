"""From a job to a libcurl handle, and from libcurl's errors to ours."""

from collections.abc import Callable
from typing import Any, Final

import pycurl

from datastore.calls import FileSlice
from datastore.errors import DatastoreError, InvalidURL, SecurityError, Unavailable
from datastore.http.expectation import Wanted
from datastore.http.job import ERROR_LIMIT, Job
from datastore.http.redaction import redacted
from datastore.http.retry import Failure
from datastore.streams import read_at

__all__ = ["FATAL", "failure_of", "host_of", "prepare", "unavailable"]

BUFFER: Final = 512 << 10
"""Bytes of a piece that libcurl hands over. Each needs the GIL: with a busy main thread 16 KiB pieces fell from
1,700 to 9 MB/s (DESIGN §8)."""
_UPLOAD_BUFFER: Final = 2 << 20
_CONNECT_SECONDS: Final = 8
_SLOWEST: Final = 64  # bytes a second; less than that for the patience of a request is a stall
_NO_CONNECTION: Final = frozenset(
    {pycurl.E_COULDNT_RESOLVE_PROXY, pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_CONNECT}
)
_UNTRUSTED: Final = frozenset(
    {pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR}
)
_BAD_URL: Final = frozenset({pycurl.E_URL_MALFORMAT, pycurl.E_UNSUPPORTED_PROTOCOL})
FATAL: Final = _UNTRUSTED | _BAD_URL


def prepare(easy: pycurl.Curl, job: Job, wanted: Wanted, *, ca: str) -> None:
    """Set up a handle, fresh or reset, for the next attempt of a job."""
    request, signed = job.request, job.signed
    url = signed.url if signed else request.url
    headers = dict(signed.headers if signed else request.headers)
    if wanted.header is not None:
        headers["Range"] = wanted.header
    if wanted.etag is not None:
        headers["If-Match"] = wanted.etag
    option = easy.setopt
    option(pycurl.URL, url)
    option(pycurl.CUSTOMREQUEST, request.method)
    option(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    option(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)  # ranges on one HTTP/2 connection share one window
    option(pycurl.NOSIGNAL, 1)
    option(pycurl.TCP_KEEPALIVE, 1)
    option(pycurl.CONNECTTIMEOUT, _CONNECT_SECONDS)
    option(pycurl.LOW_SPEED_LIMIT, _SLOWEST)
    option(pycurl.LOW_SPEED_TIME, max(int(request.patience), 1))
    option(pycurl.BUFFERSIZE, BUFFER)
    if url.startswith("https"):
        option(pycurl.CAINFO, ca)
    option(pycurl.HEADERFUNCTION, job.lines.append)
    option(pycurl.WRITEFUNCTION, job.take)
    if request.method == "HEAD":
        option(pycurl.NOBODY, 1)
    elif request.body or request.method in {"PUT", "POST", "PATCH"}:
        _set_body(option, request.body)
        headers.setdefault("Content-Type", "")
    # An empty value keeps libcurl from sending its own; R2 never answers 100 Continue (facts/media.md §1.2).
    headers["Expect"] = ""
    headers.setdefault("Accept-Encoding", "identity")
    headers.setdefault("User-Agent", "datastore")
    option(pycurl.HTTPHEADER, [f"{name}: {value}" if value else f"{name}:" for name, value in headers.items()])
    room = job.room
    if room is not None:
        option(pycurl.MAXFILESIZE_LARGE, max(room, ERROR_LIMIT))


def _set_body(option: Callable[[int, Any], None], body: bytes | FileSlice) -> None:
    if isinstance(body, bytes):
        option(pycurl.POST, 1)
        option(pycurl.POSTFIELDS, body)
        return
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        buffer = bytearray(min(size, body.size - position))
        count = read_at(body.fd, memoryview(buffer), body.offset + position) if buffer else 0
        position += count
        return bytes(buffer) if count == len(buffer) else bytes(buffer[:count])

    def seek(offset: int, _origin: int) -> int:
        nonlocal position
        position = offset
        return pycurl.SEEKFUNC_OK

    option(pycurl.UPLOAD, 1)
    option(pycurl.INFILESIZE_LARGE, body.size)
    option(pycurl.UPLOAD_BUFFERSIZE, _UPLOAD_BUFFER)
    option(pycurl.READFUNCTION, read)
    option(pycurl.SEEKFUNCTION, seek)


def host_of(url: str) -> str:
    """Return scheme, host and port: what connections and congestion are counted by."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"


def failure_of(code: int) -> Failure:
    """Return the kind of a libcurl error that is worth another attempt."""
    if code in _NO_CONNECTION:
        return "connect"
    return "integrity" if code == pycurl.E_FILESIZE_EXCEEDED else "transport"


def unavailable(job: Job, code: int, text: str) -> DatastoreError:
    """Return the error of an attempt that got no answer."""
    url = redacted(job.request.url)
    host = host_of(url)
    if code in _UNTRUSTED:
        return SecurityError(
            f"{job.request.what}: the certificate of {host} is not trusted: {text}",
            hint="name the file of your certificate authority in SSL_CERT_FILE",
        )
    if code in _BAD_URL:
        return InvalidURL(f"{job.request.what}: {url!r} is no http address", hint="check the endpoint of the mount")
    tries = f" ({job.attempt} attempts)" if job.attempt > 1 else ""
    return Unavailable(
        f"{job.request.what}: no answer from {host}{tries}: {text or f'libcurl error {code}'}",
        hint="check the endpoint of the mount, the network, and the proxy if there is one",
    )
