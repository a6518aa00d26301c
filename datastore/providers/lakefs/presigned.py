"""Reading bytes: straight from the object store by signed URLs, or through the server where that does not work."""

from typing import Final
from urllib.parse import urlsplit

from msgspec import structs

from datastore.calls import Call, HttpRequest, HttpResponse, Signed, Sink, Verdict
from datastore.errors import DatastoreError, Forbidden, HeadMoved, IntegrityError, Unavailable
from datastore.http import retry
from datastore.providers.lakefs.answers import failed, judge, message_of
from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.entries import place_of
from datastore.providers.lakefs.urls import forget_url, goes_direct, signed_url
from datastore.values import ByteRange, ObjectInfo

__all__ = ["get_call"]

_READ: Final = frozenset({200, 206})


class _Fetch:
    """One read on its way: which way it goes may change from one attempt to the next."""

    __slots__ = ("_client", "_direct", "_host", "_info", "_ref", "_repo", "_tries")

    def __init__(self, client: LakeFSClient, repo: str, ref: str, info: ObjectInfo) -> None:
        self._client = client
        self._repo = repo
        self._ref = ref
        self._info = info
        self._direct = False
        self._host = ""
        self._tries = 0

    def authorize(self, request: HttpRequest, previous: HttpResponse | None, /) -> Signed:
        """Return the signed URL; or the server's own, if the object store cannot be reached from here."""
        learned = self._client.learned
        if previous is not None:  # refused: it has ended, or the clocks differ
            forget_url(self._client, self._repo, self._info)
        elif self._direct and self._host not in learned.reachable:
            learned.not_reached(self._host)
        self._direct = goes_direct(self._client)
        if self._direct:
            url = signed_url(self._client, self._repo, self._ref, self._info)
            self._host = urlsplit(url).netloc
            self._direct = self._client.presign is True or not learned.unreachable(self._host)
            if self._direct:
                return Signed(url, request.headers)
        return self._client.authorize(request, previous)

    def judge(self, request: HttpRequest, response: HttpResponse) -> Verdict:
        """Take a refusal of the object store for a URL that has ended."""
        if not self._direct:
            return judge(request, response)
        self._client.learned.reachable.add(self._host)
        ended = response.status == 403 or (response.status == 400 and b"Expired" in response.body)
        return "reauthorize" if ended else retry.judge(request, response)

    def finish(self, response: HttpResponse) -> bytes:
        """Return the bytes, if they are those of the info."""
        if response.status not in _READ:
            raise self._refused(response)
        self._check(response.headers.get("etag", "").strip('"'))
        return response.body

    def _check(self, etag: str) -> None:
        if not etag or etag == self._info.etag:
            return
        if not self._direct:
            raise HeadMoved(f"{self._what} has other bytes by now", hint="read it again")
        # The object store's own etag may be another one than the checksum that the server computed. Bytes in the repo's
        # namespace are never replaced; but those of an import may be, and then the etag is what tells.
        place = place_of(self._info)
        namespace = self._client.repository(self._repo).storage_namespace
        if place and place.address.startswith("s3:") and not place.address.startswith(f"{namespace.rstrip('/')}/"):
            hint = "lakeFS has only imported its name; import it again, or restore the file in its bucket"
            raise IntegrityError(f"{self._what} was changed in its bucket ({place.address})", hint=hint)

    @property
    def _what(self) -> str:
        return f"object {self._info.key!r} of {self._repo}@{self._ref}"

    def _refused(self, response: HttpResponse) -> DatastoreError:
        what = f"read {self._what}"
        if not self._direct:
            if response.status == 404:
                return HeadMoved(f"{self._what} is gone by now", hint="read it again")
            return failed(response, what)
        if response.status in {404, 412, 416}:
            hint = "the object store lost it, or garbage collection took it; lakeFS has only its name"
            return IntegrityError(f"{what}: its bytes are gone from {self._host}", hint=hint)
        text = f"{what}: the object store at {self._host} answered {response.status}: {message_of(response)[:200]}"
        if response.status == 403:
            return Forbidden(text, hint="the server's own credentials may have ended, or its clock is wrong")
        return Unavailable(text, hint="try again")


def get_call(
    client: LakeFSClient,
    repo: str,
    ref: str,
    info: ObjectInfo,
    *,
    range: ByteRange | None = None,
    sink: Sink = None,
) -> Call[bytes]:
    """Return the call that reads an object or a range of it; see `SupportsRequests.get_call`.

    Args:
        client: The server.
        repo: The repo.
        ref: Where the server finds the key: the commit that the info is from, or the branch.
        info: The object.
        range: Which bytes; None means all.
        sink: Where they go.
    """
    start, stop = (range or ByteRange()).bounds(info.size)
    whole, empty = (start, stop) == (0, info.size), start == stop
    if empty and not whole:  # there is no way to ask for nothing
        start, stop, sink = 0, 1, None
    fetch = _Fetch(client, repo, ref, info)
    call = client.call(
        "GET",
        ["repositories", repo, "refs", ref, "objects"],
        what=f"read object {info.key!r} of {repo}@{ref}",
        query={"path": info.key},
        statuses=_READ,
        finish=fetch.finish,
    )
    request = structs.replace(
        call.request,
        sink=sink,
        range=None if whole else (start, stop),
        size=stop - start,
        authorize=fetch.authorize,
        judge=fetch.judge,
    )

    def nothing(response: HttpResponse) -> bytes:
        fetch.finish(response)
        return b""

    return Call(request, nothing if empty else fetch.finish)
