"""From a job to a libcurl handle, and from libcurl's errors to ours."""

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import pycurl

from datastore.calls import FileSlice, HttpRequest
from datastore.errors import DatastoreError, IntegrityError, InvalidURL, SecurityError, Unavailable, ValidationError
from datastore.http.expectation import Wanted
from datastore.http.job import Job
from datastore.http.redaction import redacted
from datastore.http.retry import Failure, repeatable
from datastore.http.tls import ca_file
from datastore.streams import read_at

__all__ = ["failure_of", "header_lines", "host_of", "moved", "prepare", "ready", "rest", "unavailable"]

BUFFER: Final = 512 << 10
"""Bytes of a piece that libcurl hands over. Each needs the GIL: with a busy main thread 16 KiB pieces fell from
1,700 to 9 MB/s (DESIGN §8)."""
_UPLOAD_BUFFER: Final = 2 << 20
_CONNECT_SECONDS: Final = 8
_ALWAYS: Final = (
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),  # ranges on one HTTP/2 connection share one window
    (pycurl.PATH_AS_IS, 1),  # libcurl would turn the key `a/./b` into `a/b`, behind the signature's back
    (pycurl.NOSIGNAL, 1),
    (pycurl.TCP_KEEPALIVE, 1),
    (pycurl.CONNECTTIMEOUT, _CONNECT_SECONDS),
    (pycurl.BUFFERSIZE, BUFFER),
)
_NO_CONNECTION: Final = frozenset(
    {pycurl.E_COULDNT_RESOLVE_PROXY, pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_CONNECT}
)
_UNTRUSTED: Final = frozenset(
    {pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR}
)
_ONE_LINE: Final = re.compile(r"[^\r\n\0]*")


def ready() -> pycurl.Curl:
    """Return a new handle, for `prepare`."""
    easy = pycurl.Curl()
    _set_always(easy)
    return easy


def prepare(easy: pycurl.Curl, job: Job, wanted: Wanted) -> None:
    """Set up a handle for the next attempt of a job.

    Raises:
        ValidationError: A header has a line break in it, or a file of certificates is not there.
    """
    request, signed = job.request, job.signed
    url, headers = (signed.url, signed.headers) if signed else (request.url, request.headers)
    sends = bool(request.body) or request.method in {"PUT", "POST", "PATCH"}
    option = easy.setopt
    option(pycurl.HTTPHEADER, header_lines(headers, wanted, sends=sends))
    option(pycurl.URL, url)
    if sends or request.method != "GET":
        option(pycurl.CUSTOMREQUEST, request.method)
    option(pycurl.HEADERFUNCTION, job.lines.append)
    option(pycurl.WRITEFUNCTION, job.take)
    if url[:5].lower() == "https":
        option(pycurl.CAINFO, ca_file())
    if sends:
        _set_body(option, job)
    elif request.method == "HEAD":
        option(pycurl.NOBODY, 1)
    if not repeatable(request):
        option(pycurl.FRESH_CONNECT, 1)  # on a used connection that breaks libcurl would send it again, unasked


def rest(easy: pycurl.Curl, request: HttpRequest) -> None:
    """Take a request off a handle, which nothing of it may outlive."""
    if request.method == "GET" and not request.body:  # most are: these options are all that they set
        easy.setopt(pycurl.HEADERFUNCTION, _nothing)
        easy.setopt(pycurl.WRITEFUNCTION, _nothing)
        return
    easy.reset()
    _set_always(easy)


def _set_always(easy: pycurl.Curl) -> None:
    for option, value in _ALWAYS:
        easy.setopt(option, value)


def _nothing(_data: bytes) -> None:
    pass


def header_lines(headers: Mapping[str, str], wanted: Wanted, *, sends: bool) -> list[str]:
    """Return headers as libcurl takes them, those of the engine among them.

    Raises:
        ValidationError: A header has a line break in it: what follows would be another header.
    """
    # `name;` is libcurl's way to write an empty header, `name:` to leave out its own.
    lines = [f"{name}: {value}" if value.strip() else f"{name};" for name, value in headers.items()]
    names = {name.lower() for name in headers}
    lines.append("Expect:")  # R2 never answers 100 Continue (facts/media.md §1.2)
    if "accept-encoding" not in names:
        lines.append("Accept-Encoding: identity")
    if "user-agent" not in names:
        lines.append("User-Agent: datastore")
    if sends and "content-type" not in names:
        lines.append("Content-Type:")
    if wanted.header is not None:
        lines.append(f"Range: {wanted.header}")
    if wanted.etag is not None:
        lines.append(f"If-Match: {wanted.etag}")
    text = "".join(lines)
    if "\r" in text or "\n" in text or "\0" in text:
        name = next(line for line in lines if not _ONE_LINE.fullmatch(line)).partition(":")[0]
        raise ValidationError(f"the header {name!r} has a line break or a zero byte in it")
    return lines


def _set_body(option: Callable[[int, Any], None], job: Job) -> None:
    body = job.request.body
    if isinstance(body, bytes):
        option(pycurl.POST, 1)
        option(pycurl.POSTFIELDS, body)
        return
    upload = _Upload(job, body)
    option(pycurl.UPLOAD, 1)
    option(pycurl.INFILESIZE_LARGE, body.size)
    option(pycurl.UPLOAD_BUFFERSIZE, _UPLOAD_BUFFER)
    option(pycurl.READFUNCTION, upload.read)
    option(pycurl.SEEKFUNCTION, upload.seek)


class _Upload:
    """Gives libcurl the bytes of a file."""

    def __init__(self, job: Job, body: FileSlice) -> None:
        self._job = job
        self._body = body
        self._position = 0

    def read(self, size: int) -> bytes | int:
        buffer = bytearray(min(size, self._body.size - self._position))
        if not buffer:
            return b""
        try:
            count = read_at(self._body.fd, memoryview(buffer), self._body.offset + self._position)
        except OSError as error:  # the caller's affair, and no reason to try again
            self._job.fatal = error
            return pycurl.READFUNC_ABORT
        if count == 0:
            what = self._job.request.what
            self._job.fatal = IntegrityError(
                f"{what}: the file became shorter while it was read", hint="send it again when nobody writes to it"
            )
            return pycurl.READFUNC_ABORT
        self._position += count
        return bytes(buffer) if count == len(buffer) else bytes(buffer[:count])

    def seek(self, offset: int, origin: int) -> int:
        if origin != os.SEEK_SET:
            return pycurl.SEEKFUNC_FAIL
        self._position = offset
        return pycurl.SEEKFUNC_OK


def moved(easy: pycurl.Curl) -> int:
    """Return the bytes of bodies that an attempt has moved so far, in both directions."""
    return easy.getinfo(pycurl.SIZE_UPLOAD_T) + easy.getinfo(pycurl.SIZE_DOWNLOAD_T)


def host_of(url: str) -> str:
    """Return scheme, host and port: what connections and congestion are counted by."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"


def failure_of(job: Job, code: int) -> Failure | None:
    """Return what kind of failure a libcurl error is; None if it would be the same next time."""
    if code in _UNTRUSTED or _is_bad_url(job, code):
        return None
    return "connect" if code in _NO_CONNECTION else "transport"


def _is_bad_url(job: Job, code: int) -> bool:
    # An answer that is no HTTP is E_UNSUPPORTED_PROTOCOL, too.
    known = job.request.url.lower().startswith(("http://", "https://"))
    return code == pycurl.E_URL_MALFORMAT or (code == pycurl.E_UNSUPPORTED_PROTOCOL and not known)


def unavailable(job: Job, code: int, text: str) -> DatastoreError:
    """Return the error of an attempt that got no answer."""
    url = redacted(job.request.url)
    host = host_of(url)
    if code in _UNTRUSTED:
        return SecurityError(
            f"{job.request.what}: the certificate of {host} is not trusted: {text}",
            hint="name the file of your certificate authority in SSL_CERT_FILE",
        )
    if _is_bad_url(job, code):
        return InvalidURL(f"{job.request.what}: {url!r} is no http address", hint="check the endpoint of the mount")
    tries = f" ({job.attempt} attempts)" if job.attempt > 1 else ""
    return Unavailable(
        f"{job.request.what}: no answer from {host}{tries}: {text or f'libcurl error {code}'}",
        hint="check the endpoint of the mount, the network, and the proxy if there is one",
    )
