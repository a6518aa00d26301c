"""Cloudflare R2's rules in front of a real S3 server that is more generous: a reverse proxy for tests.

    with R2Rules(versitygw.endpoint, access_key=…, secret_key=…) as r2:      # endpoint, access_key, secret_key as R2's
        ds.mount("r2-test", provider="r2", endpoint=r2.endpoint, bucket=…, …)

What R2 documents (facts/media.md §1), and refuses here just so: parts of unequal size (10048, at the end of the
upload), aws-chunked bodies and trailer checksums, every header and subresource that it does not have (encryption by the
service, tags, requester pays, ACLs, object lock, versions, …), a second write of one key within a second (10058),
regions other than `auto` and its aliases, more than 8,192 bytes of metadata. It never answers `Expect: 100-continue`,
stores metadata that comes in RFC 2047 decoded, and takes conditions on the destination of a copy in headers of its own.
Signatures are checked, and requests signed anew for the server behind.
"""

import http.client
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self, cast
from urllib.parse import quote, unquote

from datastore.calls import HttpRequest, Method
from datastore.http.signing import UNSIGNED_PAYLOAD, Credentials, sign
from datastore.secret import Secret
from datastore.testing.r2_refusals import REGIONS, as_kept, check_signature, unequal, unsupported
from datastore.testing.s3_wire import LoopbackServer, Reply, Request, S3Handler, refusal

__all__ = ["R2Rules"]

_WRITES: Final = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload"})
_AUTH: Final = frozenset({"authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"})
_HOP: Final = frozenset({"host", "connection", "content-length", "expect", "accept-encoding", "transfer-encoding"})
_COPY_CONDITIONS: Final = frozenset({"cf-copy-destination-if-none-match", "cf-copy-destination-if-match"})
_NOT_R2: Final = frozenset({"connection", "date", "x-amz-bucket-region", "x-amz-version-id"})
_META: Final = "x-amz-meta-"


class R2Rules:
    """The proxy; use it in a `with` block, or call `close`.

    Args:
        upstream: Endpoint of the server behind, `http://host:port`.
        access_key: What it is asked with; R2's clients use the same.
        secret_key: Its secret.
        region: What the server behind wants to be signed for.
        write_seconds: Least time between two writes of one key.

    Attributes:
        requests: What was asked, in the order of arrival.
        refusals: S3's codes of what the rules refused.
    """

    def __init__(
        self, upstream: str, *, access_key: str, secret_key: str, region: str = "us-east-1", write_seconds: float = 1.0
    ) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.requests: list[Request] = []
        self.refusals: list[str] = []
        self._address = upstream.removeprefix("http://")
        self._region = region
        self._write_seconds = write_seconds
        self._credentials = Credentials(access_key_id=access_key, secret_access_key=Secret(secret_key))
        self._turns = [threading.Lock() for _ in range(64)]
        self._written: dict[tuple[str, str], float] = {}
        self._parts: dict[str, dict[int, int]] = {}
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def reply(self, request: Request, connection: http.client.HTTPConnection) -> Reply:
        """Answer one request: by the rules, else by the server behind."""
        self.requests.append(request)
        refused = self._unauthorized(request) or unsupported(request)
        if refused is None and request.operation not in _WRITES:
            answer = self._forward(request, connection)
            self._note_part(request, answer, connection)
            return answer
        if refused is None:
            with self._turns[hash((request.bucket, request.key)) % len(self._turns)]:
                refused = self._refused_write(request, connection)
                if refused is None:
                    return self._write(request, connection)
        self.refusals.append(re.sub(r".*<Code>(\w+)<.*", r"\1", refused.body.decode()))
        return refused

    def _unauthorized(self, request: Request) -> Reply | None:
        if request.operation == "" and request.method == "OPTIONS":
            return None
        found = check_signature(request, self._credentials, now=datetime.now(UTC))
        if found is None:
            return refusal(401, "Unauthorized")
        if found.region not in REGIONS:
            return refusal(400, "InvalidRegionName")
        if not found.valid:
            return refusal(403, "SignatureDoesNotMatch")
        return refusal(400, "ExpiredRequest") if found.expired else None

    def _refused_write(self, request: Request, connection: http.client.HTTPConnection) -> Reply | None:
        before = self._written.get((request.bucket, request.key))
        if before is not None and time.monotonic() - before < self._write_seconds:
            return refusal(429, "TooManyRequests")
        if request.operation == "CompleteMultipartUpload":
            sizes = self._parts.get(request.query["uploadId"], {})
            named = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", request.body)]
            return refusal(400, "InvalidPart") if unequal({n: sizes[n] for n in named if n in sizes}) else None
        return self._refused_condition(request, connection)

    def _refused_condition(self, request: Request, connection: http.client.HTTPConnection) -> Reply | None:
        """Check a condition while nobody else writes the key: the server behind need not do it atomically."""
        kind = "cf-copy-destination-if-" if request.operation == "CopyObject" else "if-"
        free, wanted = (request.headers.get(f"{kind}{name}") for name in ("none-match", "match"))
        if free is None and wanted is None:
            return None
        there = self._head(f"/{quote(f'{request.bucket}/{request.key}')}", connection)
        etag = there.headers.get("etag", "").strip('"') if there.status == 200 else None
        held = (free is None or etag is None) and (wanted is None or wanted.strip('"') == etag)
        return None if held else refusal(412, "PreconditionFailed")

    def _write(self, request: Request, connection: http.client.HTTPConnection) -> Reply:
        answer = self._forward(request, connection)
        if answer.status == 200 and b"<Error>" not in answer.body:
            self._written[request.bucket, request.key] = time.monotonic()
            self._parts.pop(request.query.get("uploadId", ""), None)
        return answer

    def _note_part(self, request: Request, answer: Reply, connection: http.client.HTTPConnection) -> None:
        """Remember how long a part is; the server behind only tells it of parts that were listed."""
        if answer.status != 200 or request.operation not in {"UploadPart", "UploadPartCopy"}:
            return
        size = len(request.body)
        if request.operation == "UploadPartCopy":
            bounds = re.findall(r"\d+", request.headers.get("x-amz-copy-source-range", ""))
            source = quote("/" + unquote(request.headers["x-amz-copy-source"]).lstrip("/"))
            if bounds:
                size = int(bounds[1]) - int(bounds[0]) + 1
            else:
                size = int(self._head(source, connection).headers["content-length"])
        self._parts.setdefault(request.query["uploadId"], {})[int(request.query["partNumber"])] = size

    def _head(self, target: str, connection: http.client.HTTPConnection) -> Reply:
        asked = Request(
            method="HEAD", operation="HeadObject", target=target, bucket="", key="", query={}, headers={}, body=b""
        )
        return self._forward(asked, connection)

    def _forward(self, request: Request, connection: http.client.HTTPConnection) -> Reply:
        """Sign a request anew and let the server behind answer it."""
        path, _, query = request.target.partition("?")
        rest = "&".join(pair for pair in query.split("&") if pair and not pair.startswith("X-Amz-"))
        headers = {
            name: as_kept(text) if name.startswith(_META) else text
            for name, text in request.headers.items()
            if name not in _AUTH | _HOP and name not in _COPY_CONDITIONS
        }
        signed = sign(
            HttpRequest(
                what="forward",
                method=cast("Method", request.method),
                url=f"http://{self._address}{path}{'?' if rest else ''}{rest}",
                headers=headers,
            ),
            self._credentials,
            region=self._region,
            now=datetime.now(UTC),
            payload=request.headers.get("x-amz-content-sha256") or UNSIGNED_PAYLOAD,
        )
        target = signed.url.removeprefix(f"http://{self._address}")
        return _exchanged(connection, request.method, target, body=request.body, headers=signed.headers)

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to the server behind, for one client."""
        return http.client.HTTPConnection(self._address, timeout=120)


def _exchanged(
    connection: http.client.HTTPConnection, method: str, target: str, *, body: bytes, headers: Mapping[str, str]
) -> Reply:
    try:
        connection.request(method, target, body=body or None, headers=dict(headers))
        answer = connection.getresponse()
    except (http.client.RemoteDisconnected, ConnectionError):
        connection.close()  # it was idle for too long
        connection.request(method, target, body=body or None, headers=dict(headers))
        answer = connection.getresponse()
    content = answer.read()
    return Reply(
        status=answer.status,
        headers={
            name.lower(): text for name, text in answer.getheaders() if name.lower() not in {"connection", "date"}
        },
        body=content,
    )


class _Server(LoopbackServer):
    def __init__(self, rules: R2Rules) -> None:
        super().__init__(_Handler)
        self.rules = rules


class _Handler(S3Handler):
    def setup(self) -> None:
        super().setup()
        self.rules = cast("_Server", self.server).rules
        self.upstream = self.rules.connect()

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def handle_expect_100(self) -> bool:
        """Say nothing: R2 does not support it (§1.2)."""
        return True

    def answer(self, request: Request) -> None:
        reply = self.rules.reply(request, self.upstream)
        self.send_response_only(reply.status)
        for name, text in reply.headers.items():
            if name not in {"content-length", "transfer-encoding"}:
                self.send_header(name, text)
        if request.method == "HEAD":
            self.send_header("Content-Length", reply.headers.get("content-length", "0"))
        elif reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Date", self.date_time_string())
        self.end_headers()
        self.wfile.write(b"" if request.method == "HEAD" else reply.body)
