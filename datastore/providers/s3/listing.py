"""Listings: pages of a thousand names, the next one on its way while the last one is read."""

from collections.abc import Iterable, Iterator
from itertools import dropwhile
from typing import Final

from msgspec import Struct

from datastore.calls import HttpRequest, HttpResponse
from datastore.http.engine import engine
from datastore.http.paging import list_pages as list_chain
from datastore.listing import PAGE_SIZE, grouped, pages
from datastore.names import content_type_of
from datastore.providers.s3.attributes import identity_of
from datastore.providers.s3.documents import Listing, listing, next_token
from datastore.providers.s3.refusals import UNSPEAKABLE, code_of, judge_document, refused
from datastore.providers.s3.site import Site, Spot
from datastore.values import ObjectInfo, Page

__all__ = ["Scope", "fold", "list_pages"]

_OK: Final = frozenset({200})


class Scope(Struct, frozen=True):
    """What is listed, and how the caller calls it.

    Attributes:
        site: The service.
        bucket: Which bucket.
        prefix: Whole names begin with it.
        start_after: Whole name; exclusive.
        cut: Characters that a key leaves out of a name: the prefix of a mount.
        lead: What a key has in front of a name: the bucket, where the mount has several.
    """

    site: Site
    bucket: str
    prefix: str
    start_after: str | None = None
    cut: int = 0
    lead: str = ""

    def key_of(self, name: str) -> str:
        """Return what the caller calls an object."""
        return f"{self.lead}{name[self.cut :]}" if self.cut or self.lead else name

    def infos(self, found: Listing) -> list[ObjectInfo]:
        """Return what a listing tells of objects; their content types are those of their extensions."""
        place, after = f"{self.site.endpoint}/{self.bucket}/", self.start_after
        keys = map(self.key_of, found.names)
        columns = zip(found.names, keys, found.sizes, found.modified_us, found.etags, strict=True)
        return [
            ObjectInfo(
                key=key,
                size=size,
                modified_us=modified_us,
                etag=etag,
                identity=identity_of(place + name, etag=etag, size=size),
                content_type=content_type_of(key),
            )
            for name, key, size, modified_us, etag in columns
            if after is None or name > after
        ]

    def request(
        self, *, delimiter: str | None, token: str | None = None, start_after: str | None = None
    ) -> HttpRequest:
        """Return the request for one page."""
        query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", str(PAGE_SIZE)), ("prefix", self.prefix)]
        if delimiter:
            query.append(("delimiter", delimiter))
        if token:
            query.append(("continuation-token", token))
        elif start_after:
            query.append(("start-after", start_after))
        what = f"listing of {self.key_of(self.prefix)[:120]!r}"
        spot = Spot(self.bucket, "", "")
        return self.site.request("GET", spot, what=what, query=query, statuses=_OK, judge=judge_document)

    def checked(self, response: HttpResponse) -> bytes:
        """Return the document of an answer, or raise what it says instead."""
        if response.status != 200:
            raise refused(f"listing of {self.key_of(self.prefix)[:120]!r}", response, bucket=self.bucket)
        return response.body


def list_pages(scope: Scope, *, delimiter: str | None) -> Iterator[Page]:
    """Yield the pages of `Provider.list`. Nothing is asked for before the first one is."""
    after, prefix = scope.start_after, scope.prefix
    if after is not None and after >= prefix and not after.startswith(prefix):
        return iter(())  # everything with this prefix is before it
    if not delimiter or delimiter == "/":
        return _pages(scope, delimiter or None)
    after_key = None if after is None else scope.key_of(after)
    return fold(_pages(scope, None), prefix=scope.key_of(prefix), delimiter=delimiter, start_after=after_key)


def fold(found: Iterable[Page], *, prefix: str, delimiter: str, start_after: str | None) -> Iterator[Page]:
    """Fold a listing of all objects by a delimiter: not every service does so by anything but a slash."""
    rows = ((info.key, info) for page in found for info in page.objects)
    return pages(
        grouped(
            lambda start: dropwhile(lambda row: row[0] < start, rows),
            prefix=prefix,
            delimiter=delimiter,
            start_after=start_after,
        )
    )


def _pages(scope: Scope, delimiter: str | None) -> Iterator[Page]:
    after = scope.start_after
    for found in _chain(scope, delimiter):
        folders = [scope.key_of(name) for name in found.prefixes if after is None or name > after]
        page = Page(scope.infos(found), folders)
        if page.objects or page.prefixes:  # a page of nothing but what was deleted is empty
            yield page


def _chain(scope: Scope, delimiter: str | None) -> Iterator[Listing]:
    response = engine().send(scope.request(delimiter=delimiter, start_after=scope.start_after))
    if code_of(response) in UNSPEAKABLE:
        return iter(())
    chain = _Chain(scope, delimiter)
    return list_chain(chain, chain.checked(response), floor=None if delimiter else len(scope.prefix))


class _Chain(Struct, frozen=True):
    """The pages of a scope, as `http.paging` takes them."""

    scope: Scope
    delimiter: str | None

    def checked(self, response: HttpResponse) -> bytes:
        return self.scope.checked(response)

    def following(self, answer: bytes) -> HttpRequest | None:
        token = next_token(answer)
        return None if token is None else self.scope.request(delimiter=self.delimiter, token=token)

    def page(self, answer: bytes) -> Listing:
        return listing(answer)

    def after(self, name: str) -> HttpRequest:
        return self.scope.request(delimiter=self.delimiter, start_after=name)

    def first(self, page: Listing, count: int) -> Listing:
        return page.first(count)
