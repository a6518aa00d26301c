"""Listings of a ref: pages of a thousand, the next one on its way while the last one is read.

A page costs a round trip and the server some milliseconds. Those of a long listing come several at a time, each from a
guessed key on.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from datastore.calls import Call, HttpRequest, HttpResponse
from datastore.http.paging import list_pages as list_chain
from datastore.names import MAX_KEY_BYTES
from datastore.providers.lakefs.answers import ObjectPage, ObjectStats, decoded
from datastore.providers.lakefs.endpoints import PAGE, Remote
from datastore.values import ObjectInfo, Page

if TYPE_CHECKING:
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
    floor = None if delimiter else len(prefix)
    for page in list_chain(source, remote.run(source.call(after)), floor=floor):
        objects = [info(row) for row in page.rows if row.path_type == "object"]
        prefixes = [row.path for row in page.rows if row.path_type != "object"]
        if objects or prefixes:
            yield Page(objects, prefixes)


def _is_text(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


class _Source:
    """What is listed, and how a page of it is asked for."""

    def __init__(self, remote: Remote, ref: str, *, prefix: str, delimiter: str | None) -> None:
        self._prefix = prefix
        self._delimiter = delimiter
        self._remote = remote
        self._ref = ref

    def call(self, after: str | None) -> Call[ObjectPage]:
        remote = self._remote
        query: Query = {
            "prefix": self._prefix or None,
            "after": after or None,
            "delimiter": self._delimiter,
            "amount": PAGE,
        }
        return remote.client.call(
            "GET",
            ["repositories", remote.name, "refs", self._ref, "objects", "ls"],
            what=f"list {remote.name}@{self._ref}",
            query=query,
            finish=decoded(ObjectPage),
        )

    def checked(self, response: HttpResponse) -> ObjectPage:
        return self.call(None).finish(response)

    def following(self, answer: ObjectPage) -> HttpRequest | None:
        return self.after(answer.pagination.next_offset) if answer.pagination.has_more else None

    def page(self, answer: ObjectPage) -> "_Rows":
        rows = answer.results
        return _Rows(rows, [row.path for row in rows], answer.pagination.has_more)

    def after(self, name: str) -> HttpRequest:
        return self.call(name).request

    def first(self, page: "_Rows", count: int) -> "_Rows":
        return _Rows(page.rows[:count], page.names[:count], page.more)


class _Rows(Struct, frozen=True):
    """A page of a listing."""

    rows: Sequence[ObjectStats]
    names: Sequence[str]
    more: bool
