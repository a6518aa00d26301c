"""Listings of a ref: one page after the other, and several key ranges at a time where there are folders to tell them.

A page takes a round trip and the server some milliseconds, and the next one can only be asked for when its beginning
is known. Folders are known beforehand: when the first page is full, those behind it are asked for, and as many of them
as a few pages will hold become one range. Ranges are listed side by side and given out in order.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from datastore.calls import Call, HttpResponse
from datastore.http.engine import engine
from datastore.names import MAX_KEY_BYTES
from datastore.providers.lakefs.answers import ObjectPage, ObjectStats, decoded
from datastore.providers.lakefs.endpoints import PAGE, Remote
from datastore.values import ObjectInfo, Page

if TYPE_CHECKING:
    from concurrent.futures import Future

    from datastore.providers.lakefs.client import Query

__all__ = ["list_pages"]

_SIDE_BY_SIDE: Final = 8
_AHEAD: Final = 4
"""Most pages of a range that wait for those before it: 32,000 objects at the same time."""
_KEYS_PER_RANGE: Final = 4 * PAGE


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
    pages = source.pages(after) if delimiter else _side_by_side(source, after)
    for rows in pages:
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
        self._remote = remote
        self._ref = ref
        self._delimiter = delimiter

    def call(self, after: str | None, *, prefix: str | None = None, delimiter: str | None = None) -> Call[ObjectPage]:
        remote = self._remote
        query: Query = {
            "prefix": (self.prefix if prefix is None else prefix) or None,
            "after": after or None,
            "delimiter": delimiter or self._delimiter,
            "amount": PAGE,
        }
        return remote.client.call(
            "GET",
            ["repositories", remote.name, "refs", self._ref, "objects", "ls"],
            what=f"list {remote.name}@{self._ref}",
            query=query,
            finish=decoded(ObjectPage),
        )

    def page(self, after: str | None, *, prefix: str | None = None, delimiter: str | None = None) -> ObjectPage:
        return self._remote.run(self.call(after, prefix=prefix, delimiter=delimiter))

    def pages(self, after: str | None) -> Iterator[list[ObjectStats]]:
        more = True
        while more:
            page = self.page(after)
            yield page.results
            more, after = page.pagination.has_more, page.pagination.next_offset


def _side_by_side(source: _Source, after: str | None) -> Iterator[list[ObjectStats]]:
    first = source.page(after)
    yield first.results
    if not first.pagination.has_more:
        return
    last = first.pagination.next_offset
    base = _common_folder(first.results[0].path, last)
    folders = _folders_after(source, base, last)
    if not folders:
        yield from source.pages(last)
        return
    each = _folders_per_range(first.results, len(base))
    starts: list[str | None] = [last, *folders[each::each]]
    ranges = deque(_Range(source, start, stop) for start, stop in zip(starts, [*starts[1:], None], strict=True))
    while ranges:
        for one in list(ranges)[:_SIDE_BY_SIDE]:
            one.go_on()
        rows = ranges[0].take()
        if rows is None:
            ranges.popleft()
        elif rows:
            yield rows


def _common_folder(first: str, last: str) -> str:
    """Return the folder that two keys are in, with its slash.

    >>> _common_folder("a/b/1", "a/bc/2"), _common_folder("a", "b")
    ('a/', '')
    """
    end = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[: first.rfind("/", 0, end) + 1]


def _folders_after(source: _Source, base: str, last: str) -> list[str]:
    """Return the folders within one that come behind a key, at most 1,000."""
    end = last.find("/", len(base))
    page = source.page(last if end < 0 else last[: end + 1], prefix=base, delimiter="/")
    return [row.path for row in page.results if row.path_type != "object" and row.path.startswith(source.prefix)]


def _folders_per_range(rows: list[ObjectStats], base: int) -> int:
    """Return how many folders are likely to hold a few pages, going by the first page."""
    seen = len({row.path[: row.path.find("/", base) + 1] for row in rows})
    return seen * _KEYS_PER_RANGE // PAGE if seen > 1 else 1


class _Range:
    """Keys from behind one key up to another one and with it; asked for some pages ahead of who takes them."""

    def __init__(self, source: _Source, start: str | None, stop: str | None) -> None:
        self._source = source
        self._after = start
        self._stop = stop
        self._first = True
        self._ended = False
        self._future: tuple[Future[HttpResponse], Call[ObjectPage]] | None = None
        self._waiting: deque[list[ObjectStats]] = deque()

    def go_on(self) -> None:
        """Ask for the next page, unless one is on its way or enough are waiting."""
        if self._future is not None and self._future[0].done():
            self._receive()
        if self._future is None and not self._ended and len(self._waiting) < _AHEAD:
            call = self._source.call(self._after)
            self._future = engine().submit(call.request), call

    def take(self) -> list[ObjectStats] | None:
        """Return the next rows, which may be none; None at the end."""
        if not self._waiting and self._future is not None:
            self._receive()
        if self._waiting:
            return self._waiting.popleft()
        return None if self._ended else []

    def _receive(self) -> None:
        assert self._future is not None  # noqa: S101 - go_on and take have looked
        future, call = self._future
        self._future = None
        page = call.finish(future.result())
        rows = page.results
        if self._stop is not None:
            rows = [row for row in rows if row.path <= self._stop]
        self._ended = not page.pagination.has_more or len(rows) < len(page.results)
        self._after = page.pagination.next_offset
        self._waiting.append(rows)
