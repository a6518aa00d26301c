"""The HTTP side of servers for tests that speak S3: requests in, answers out, on the loopback."""

from abc import abstractmethod
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import unquote

from msgspec import Struct, field

__all__ = ["LoopbackServer", "Reply", "Request", "S3Handler", "operation_of", "refusal"]


class Request(Struct, frozen=True, kw_only=True):
    """One request as it arrived.

    Attributes:
        method: HTTP method.
        operation: S3's name of what is asked: `GetObject`, `UploadPart`, `ListObjectsV2`, ….
        target: Path and query as they came.
        bucket: First segment of the path, decoded.
        key: The rest of it, decoded.
        query: Parameters, decoded; flags have the value "".
        headers: Names in lower case.
        body: What was sent.
    """

    method: str
    operation: str
    target: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Reply(Struct, frozen=True, kw_only=True):
    """One answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


def refusal(status: int, code: str, *, headers: Mapping[str, str] | None = None) -> Reply:
    """Return an error as S3 words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}, as the script says</Message></Error>"
    return Reply(status=status, headers={"content-type": "application/xml", **(headers or {})}, body=body.encode())


_OF_BUCKETS: Final = {
    "GET uploads": "ListMultipartUploads",
    "GET list-type": "ListObjectsV2",
    "HEAD": "HeadBucket",
    "POST delete": "DeleteObjects",
}
_OF_OBJECTS: Final = {
    "GET uploadId": "ListParts",
    "POST uploadId": "CompleteMultipartUpload",
    "DELETE uploadId": "AbortMultipartUpload",
    "POST uploads": "CreateMultipartUpload",
    "PUT partNumber copy": "UploadPartCopy",
    "PUT partNumber": "UploadPart",
    "PUT copy": "CopyObject",
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
}


def operation_of(method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """Return S3's name of what a request asks for; "" if this server does not know it.

    >>> operation_of("POST", "k", {"uploadId": "1"}, {}), operation_of("GET", "", {"list-type": "2"}, {})
    ('CompleteMultipartUpload', 'ListObjectsV2')
    """
    marks = {*query, *(["copy"] if "x-amz-copy-source" in headers else [])}
    table = _OF_OBJECTS if key else _OF_BUCKETS
    for words, name in table.items():
        verb, *needed = words.split()
        if verb == method and marks.issuperset(needed):
            return name
    return ""


class LoopbackServer(ThreadingHTTPServer):
    """A server on a free port of this machine, which says nothing when clients hang up."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


class S3Handler(BaseHTTPRequestHandler):
    """Reads requests and hands them to `answer`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @abstractmethod
    def answer(self, request: Request) -> None:
        """Answer one request."""

    def do_GET(self) -> None:
        """Take any request."""
        path, _, query = self.path.partition("?")
        bucket, _, key = unquote(path[1:]).partition("/")
        pairs = [pair.partition("=") for pair in query.split("&") if pair]
        parameters = {unquote(name): unquote(value) for name, _, value in pairs}
        headers = {name.lower(): text for name, text in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        operation = operation_of(self.command, key, parameters, headers)
        self.answer(
            Request(
                method=self.command,
                operation=operation,
                target=self.path,
                bucket=bucket,
                key=key,
                query=parameters,
                headers=headers,
                body=body,
            )
        )

    do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""
