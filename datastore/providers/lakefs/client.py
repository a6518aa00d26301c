"""The API of one lakeFS server: calls with their credentials, and what a process has learned about the server.

A client is a free handle. Two of them with the same address and credentials are equal and share what they learned.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from datastore.bridging import Connection
from datastore.calls import Call, FileSlice, HttpRequest, HttpResponse, Method, Signed
from datastore.http.engine import engine
from datastore.providers.lakefs.answers import RepositoryRow, ServerConfig, decoded, failed, judge
from datastore.providers.lakefs.credentials import Login
from datastore.providers.lakefs.entries import LOCAL, true_address
from datastore.providers.lakefs.learned import Learned

__all__ = ["JSON", "LakeFSClient", "Presign", "Query", "quoted", "status_only"]

T = TypeVar("T")

Presign = Literal["auto"] | bool
"""Whether bytes go straight to and from the object store: as it turns out, always, or never."""

Query = Mapping[str, str | int | bool | Sequence[str] | None]
"""Parameters of a URL; None leaves one out, several texts repeat it."""

JSON: Final = frozenset({200, 201})
"""The statuses of an answer that has a body."""


_learned: Final[dict["LakeFSClient", Learned]] = {}


class LakeFSClient:
    """One server with one set of credentials. Made without I/O.

    Args:
        url: Of the API, as `credentials.api_url` gives it.
        login: What requests are sent with.
        presign: Whether bytes go straight to the object store.
    """

    def __init__(self, url: str, login: Login, *, presign: Presign = "auto") -> None:
        self.url = url
        self.presign: Presign = presign
        self.login = login
        self._known: Learned | None = None

    def __repr__(self) -> str:
        return f"<lakeFS at {self.url}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LakeFSClient):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Callable[..., "LakeFSClient"], tuple[object, ...]]:
        return _client, (self.url, self.login, self.presign)

    def _key(self) -> tuple[str, Login, str]:
        return self.url, self.login, str(self.presign)

    @property
    def origin(self) -> str:
        """Host and port of the server, as identities and errors name it."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def learned(self) -> Learned:
        """What is known about the server by now."""
        if self._known is None:
            self._known = _learned.setdefault(self, Learned())
        return self._known

    def call(
        self,
        method: Method,
        segments: Sequence[str],
        *,
        what: str,
        finish: Callable[[HttpResponse], T],
        query: Query | None = None,
        json: object = None,
        body: bytes | FileSlice = b"",
        headers: Mapping[str, str] | None = None,
        statuses: frozenset[int] = JSON,
        repeatable: bool | None = None,
        patience: float = 30.0,
    ) -> Call[T]:
        """Return a call of the API.

        Args:
            method: HTTP method.
            segments: Of the path, as they are: `["repositories", repo, "refs", "main~2", "objects", "stat"]`.
            what: What is being done, for errors: `stat object 'a.csv' of garments@main`.
            finish: What to make of an expected answer: `decoded(Kind)`, or `status_only`.
            query: Parameters of the URL.
            json: Body, as data.
            body: Body, as bytes or part of a file.
            headers: More of them.
            statuses: What is expected; every other answer raises what `answers.failed` makes of it.
            repeatable: Whether it may be sent twice; None: as HTTP says of its method.
            patience: Seconds without a byte after which it has failed.
        """
        content = headers or {}
        if json is not None:
            body, content = msgspec.json.encode(json), {"Content-Type": "application/json", **content}

        def finished(response: HttpResponse) -> T:
            if response.status not in statuses:
                raise failed(response, what)
            return finish(response)

        request = HttpRequest(
            what=what,
            method=method,
            url=f"{self.url}/{'/'.join(map(quoted, segments))}{_query_text(query or {})}",
            headers=content,
            body=body,
            statuses=statuses,
            authorize=self.authorize,
            judge=judge,
            repeatable=repeatable,
            patience=patience,
        )
        return Call(request, finished)

    def run(self, call: Call[T]) -> T:
        """Carry out a call and wait for its result."""
        return engine().run(call)

    def authorize(self, request: HttpRequest, previous: HttpResponse | None, /) -> Signed:  # noqa: ARG002 - the protocol's
        """Add the credentials to a request to this server."""
        return Signed(request.url, {**request.headers, "Authorization": self.login.header()})

    def config_call(self) -> Call[ServerConfig]:
        """Return the call that asks what the server can do; it fails if the credentials are wrong."""

        def keep(response: HttpResponse) -> ServerConfig:
            self.learned.config = found = decoded(ServerConfig)(response)
            return found

        return self.call("GET", ["config"], what=f"connect to lakeFS at {self.origin}", finish=keep)

    def config(self) -> ServerConfig:
        """Return what the server can do; asked for once per process."""
        return self.learned.config or self.run(self.config_call())

    def repository_call(self, name: str) -> Call[RepositoryRow]:
        """Return the call that asks for a repo."""

        def keep(response: HttpResponse) -> RepositoryRow:
            found = decoded(RepositoryRow)(response)
            self.learned.repositories[name] = found
            return found

        return self.call("GET", ["repositories", name], what=f"open repo {name!r}", finish=keep)

    def repository(self, name: str) -> RepositoryRow:
        """Return a repo as it was when this process first asked. Raises `NotFound`."""
        return self.learned.repositories.get(name) or self.run(self.repository_call(name))

    def connection(self, place: str = "") -> Connection:
        """Return what other clients have to know to reach the server; see `SupportsConnection`.

        Args:
            place: The repo, if it is one.
        """
        token = not self.login.access_key_id
        return Connection(
            service="lakefs",
            endpoint=self.url.removesuffix("/api/v1"),
            access_key_id=self.login.access_key_id,
            secret_access_key=None if token else self.login.secret,
            token=self.login.secret if token else None,
            path_style=True,
            place=place,
        )

    def true_address(self, repo: str, address: str) -> str:
        """Return the address that the server takes for the bytes at one that it shows; see `entries.true_address`."""
        if not address.startswith(LOCAL):
            return address
        return true_address(address, namespace=self.repository(repo).storage_namespace)

    def forget_repository(self, name: str) -> None:
        """Ask again next time: it was made, deleted, or is another one by now."""
        self.learned.repositories.pop(name, None)


def quoted(segment: str) -> str:
    """Return a text as one segment of a path, or as one value of a query.

    >>> quoted("main~2^1"), quoted("main@"), quoted("a/b c.txt")
    ('main~2%5E1', 'main%40', 'a%2Fb%20c.txt')
    """
    return quote(segment, safe="")


def status_only(response: HttpResponse) -> None:
    """Make nothing of an expected answer but that it came."""


def _query_text(query: Query) -> str:
    pairs: list[str] = []
    for name, value in query.items():
        for one in value if isinstance(value, Sequence) and not isinstance(value, str) else [value]:
            if one is not None:
                text = str(one).lower() if isinstance(one, bool) else str(one)
                pairs.append(f"{quoted(name)}={quoted(text)}")
    return f"?{'&'.join(pairs)}" if pairs else ""


def _client(url: str, login: Login, presign: Any) -> LakeFSClient:
    return LakeFSClient(url, login, presign=presign)
