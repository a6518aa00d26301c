"""Listings of a ref: pages of a thousand, the next one on its way while the last one is read.

A page costs a round trip and the server some milliseconds. Those of a long listing come several at a time, each from a
guessed key on.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count as count_from
from typing import TYPE_CHECKING

from msgspec import Struct

from datastore.calls import Call, HttpResponse
from datastore.fanning import LONG, fan_out
from datastore.http.ahead import Ahead
from datastore.http.engine import engine
from datastore.names import MAX_KEY_BYTES
from datastore.providers.lakefs.answers import ObjectPage, ObjectStats, decoded
from datastore.providers.lakefs.endpoints import PAGE, Remote
from datastore.values import ObjectInfo, Page

if TYPE_CHECKING:
    from concurrent.futures import Future

    from datastore.providers.lakefs.client import Query

__all__ = ["list_pages"]


def list_pages(
    remote: Remote,
    ref: str,
    info: Callable[[ObjectStats], ObjectInfo],
    *,
    prefix: str = "",
    delimiter: str | None = None,
    start_after: str | None = None,
) -> Iterator[Page]:
    """Yield the pages of a listing, as `Provider.list` defines it.

    Args:
        remote: The repo.
        ref: What is listed.
        info: Makes an info of what the server says of an object.
        prefix: What keys have to start with.
        delimiter: What ends a common prefix.
        start_after: Exclusive lower bound.
    """
    if len(prefix.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES or not _is_text(prefix):
        return
    after = start_after if start_after is None or _is_text(start_after) else None
    if delimiter and after is not None and after.startswith(prefix):
        end = after.find(delimiter, len(prefix))
        if end >= 0:  # inside a common prefix, which was given before
            after = after[: end + len(delimiter)]
    source = _Source(remote, ref, prefix=prefix, delimiter=delimiter)
    for rows in _pages(source, after):
        objects = [info(row) for row in rows if row.path_type == "object"]
        prefixes = [row.path for row in rows if row.path_type != "object"]
        if objects or prefixes:
            yield Page(objects, prefixes)


def _is_text(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


class _Source:
    """What is listed, and how a page of it is asked for."""

    def __init__(self, remote: Remote, ref: str, *, prefix: str, delimiter: str | None) -> None:
        self.prefix = prefix
        self.delimiter = delimiter
        self._remote = remote
        self._ref = ref

    def call(self, after: str | None) -> Call[ObjectPage]:
        remote = self._remote
        query: Query = {
            "prefix": self.prefix or None,
            "after": after or None,
            "delimiter": self.delimiter,
            "amount": PAGE,
        }
        return remote.client.call(
            "GET",
            ["repositories", remote.name, "refs", self._ref, "objects", "ls"],
            what=f"list {remote.name}@{self._ref}",
            query=query,
            finish=decoded(ObjectPage),
        )

    def first(self, after: str | None) -> "_Rows":
        return _rows_of(self._remote.run(self.call(after)))

    def ahead(self, after: str) -> Ahead:
        return Ahead(self.call(after).request)

    def ask(self, after: str) -> "Future[HttpResponse]":
        return engine().submit(self.call(after).request)

    def read(self, response: HttpResponse) -> "_Rows":
        return _rows_of(self.call(None).finish(response))


class _Rows(Struct, frozen=True):
    """A page of a listing."""

    rows: Sequence[ObjectStats]
    names: Sequence[str]
    more: bool
    next: str


def _rows_of(page: ObjectPage) -> _Rows:
    rows = page.results
    return _Rows(rows, [row.path for row in rows], page.pagination.has_more, page.pagination.next_offset)


def _up_to(page: _Rows, count: int) -> _Rows:
    return _Rows(page.rows[:count], page.names[:count], page.more, page.next)


def _pages(source: _Source, after: str | None) -> Iterator[Sequence[ObjectStats]]:
    found = source.first(after)
    yield found.rows
    if not found.more:
        return
    answer = source.ahead(found.next)
    for count in count_from(2):
        before = found.names[-1:]
        found = source.read(answer.result())
        wide = count == LONG and not source.delimiter
        if found.more and not wide:
            answer = source.ahead(found.next)
        yield found.rows
        if not found.more:
            return
        if wide:
            names = [*before, *found.names]
            rest = fan_out(source.ask, source.read, names, first=_up_to, floor=len(source.prefix))
            yield from (page.rows for page in rest)
            return
