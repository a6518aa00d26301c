"""Listings page by page: the next one is on its way while the last one is read. Those of long ones come in parallel."""

import os
from collections.abc import Iterator, Sequence
from itertools import count as count_from
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from datastore.calls import HttpRequest, HttpResponse
from datastore.fanning import NamePage, fan_out
from datastore.http.engine import engine

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Paged", "list_pages"]

R = TypeVar("R")
P = TypeVar("P", bound=NamePage)

_LONG: Final = 3
"""Pages after which a listing is long: guesses about the rest are worth a request or two from there on."""


class Paged(Protocol[R, P]):
    """A listing of some service: how its pages are asked for and read."""

    def checked(self, response: HttpResponse) -> R:
        """Return what an answer holds, or raise what it says instead."""
        ...

    def following(self, answer: R) -> HttpRequest | None:
        """Return what asks for the next page, found with little work; None after the last."""
        ...

    def page(self, answer: R) -> P:
        """Read all of an answer."""
        ...

    def after(self, name: str) -> HttpRequest:
        """Return what asks for the page after any name."""
        ...

    def first(self, page: P, count: int) -> P:
        """Return a page of so many names of one, the first ones."""
        ...


def list_pages(listing: Paged[R, P], answer: R, *, floor: int | None) -> Iterator[P]:
    """Yield all pages, in order. From the second on, the next one is asked for before this one is read.

    Args:
        listing: What is listed.
        answer: With the first page: many want no more, so nothing else is asked for until the second is wanted.
        floor: Characters that all names have in common; None says that names cannot be guessed, as they are folded.
    """
    before: Sequence[str] = ()
    for count in count_from(1):
        following = listing.following(answer)
        wide = count == _LONG and floor is not None
        ahead = _Ahead(following) if following is not None and count > 1 and not wide else None
        page = listing.page(answer)
        yield page
        if following is None:
            return
        if wide and page.names:
            yield from fan_out(
                lambda name: engine().submit(listing.after(name)),
                lambda response: listing.page(listing.checked(response)),
                [*before, *page.names],
                first=listing.first,
                floor=floor or 0,
            )
            return
        before = page.names[-1:]
        answer = listing.checked((ahead or _Ahead(following)).result())


class _Ahead:
    """A request that is on its way, in the process that asks for its answer."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._process = os.getpid()
        self._future: Future[HttpResponse] = engine().submit(request)

    def result(self) -> HttpResponse:
        """Wait for the answer, and return it or raise."""
        if os.getpid() != self._process:  # what the parent asked for is not answered here
            return engine().send(self._request)
        return self._future.result()
