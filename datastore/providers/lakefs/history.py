"""The log of a lakeFS repo, children before parents, whole or of one key.

The server orders by time in seconds, where a parent can come before its child, and leaves merges out of the log of a
key. So its pages are only what the commits are taken from.
"""

import heapq
import math
from collections.abc import Iterator
from typing import Final

from datastore.errors import IntegrityError, NotFound, ValidationError
from datastore.providers.lakefs.commits import commit_info, exact, remember, resolve, unknown_ref
from datastore.providers.lakefs.endpoints import PAGE, NoRepo, Remote
from datastore.providers.lakefs.rows import CommitRow
from datastore.values import CommitInfo

__all__ = ["log", "merge_base"]

_FEWEST: Final = 8
"""Matches that are asked for at least, since the server has to search for each anyway."""


def log(remote: Remote, ref: str, *, key: str | None, limit: int | None, first_parent: bool) -> Iterator[CommitInfo]:
    """Yield commits, newest first; a page of up to 1,000 is one request."""
    wanted = math.inf if limit is None else limit
    pages = _Pages(remote, ref, size=int(min(max(wanted, 1), PAGE)) if key is None else PAGE, first_parent=first_parent)
    touched = None if key is None else _Touched(pages, key, size=int(min(max(wanted, _FEWEST), PAGE)))
    rows = _walk(pages, first_parent=first_parent)
    count = 0
    while count < wanted and (row := next(rows, None)) is not None:
        if touched is None or touched(row):
            count += 1
            yield commit_info(row)


class _Pages:
    """The server's log of a ref: commits by id, and their places in its order."""

    def __init__(self, remote: Remote, ref: str, *, size: int, first_parent: bool) -> None:
        self.remote = remote
        self.first_parent = first_parent
        self.places: dict[str, int] = {}
        self._rows: dict[str, CommitRow] = {}
        self._more = True
        self._after: str | None = None
        self.start = ""
        self._fetch(exact(remote, ref), size, ref)

    def _fetch(self, start: str, size: int, ref: str) -> None:
        call = self.remote.log_call(start, amount=size, after=self._after, first_parent=self.first_parent)
        try:
            page = self.remote.run(call)
        except NoRepo:
            raise
        except (NotFound, ValidationError):
            resolve(self.remote, ref)  # says what is wrong with it
            raise
        for row in page.results:
            self.places.setdefault(row.id, len(self.places))
            self._rows[row.id] = remember(self.remote, row)
        self._more = page.pagination.has_more
        self._after = page.pagination.next_offset
        if not self.start:
            if not page.results:
                raise unknown_ref(self.remote, ref)
            self.start = page.results[0].id

    def load(self, commit: str) -> CommitRow:
        """Return a commit of this history; most are here already."""
        while commit not in self._rows:
            if not self._more:
                raise IntegrityError(f"commit {commit[:8]} is named as a parent, and is not in the log of the server")
            self._fetch(self.start, PAGE, self.start)
        return self._rows[commit]


def _walk(pages: _Pages, *, first_parent: bool) -> Iterator[CommitRow]:
    """Yield a history by generation, then newer before older: the order of the embedded store."""
    heap = [_rank(pages.load(pages.start))]
    seen = {pages.start}
    while heap:
        row = pages.load(heapq.heappop(heap)[2])
        yield row
        for parent in row.parents[:1] if first_parent else row.parents:
            if parent not in seen:
                seen.add(parent)
                heapq.heappush(heap, _rank(pages.load(parent)))


def _rank(row: CommitRow) -> tuple[int, int, str]:
    return -row.generation, -row.creation_date, row.id


class _Touched:
    """Tells which commits changed a key, or something under `key/`: they differ from each parent, as git has it.

    The server searches ordinary commits, in its own order; merges, which it skips, are compared one by one.
    """

    def __init__(self, pages: _Pages, key: str, *, size: int) -> None:
        self._pages = pages
        self._objects = [] if key.endswith("/") else [key]
        self._prefixes = [key.rstrip("/") + "/"]
        self._size = size
        self._found: set[str] = set()
        self._last: str | None = None
        self._all = False

    def __call__(self, row: CommitRow) -> bool:
        if not row.parents:  # the first commit, which lakeFS makes empty
            return False
        if len(row.parents) == 1:
            while row.id not in self._found and not self._decided(row):
                self._search()
            return row.id in self._found
        parents = row.parents[:1] if self._pages.first_parent else row.parents
        return all(self._differs(parent, row.id) for parent in parents)

    def _decided(self, row: CommitRow) -> bool:
        """Whether the search has come by a commit: the last match is further down in the server's order."""
        if self._all or self._last is None:
            return self._all
        places = self._pages.places
        return places[row.id] <= places.get(self._last, len(places))

    def _search(self) -> None:
        remote = self._pages.remote
        call = remote.log_call(
            self._pages.start,
            amount=self._size,
            after=self._last,
            first_parent=self._pages.first_parent,
            objects=self._objects,
            prefixes=self._prefixes,
        )
        rows = remote.run(call).results
        self._found.update(row.id for row in rows)
        self._all = len(rows) < self._size
        self._last = rows[-1].id if rows else self._last
        self._size = PAGE

    def _differs(self, parent: str, commit: str) -> bool:
        remote = self._pages.remote
        calls = [remote.diff_call(parent, commit, prefix=prefix, amount=1) for prefix in self._prefixes + self._objects]
        under, *exactly = remote.same(calls)
        return bool(under.results) or any(row.path in self._objects for page in exactly for row in page.results)


def merge_base(remote: Remote, a: str, b: str) -> CommitInfo | None:
    """Return the best common ancestor."""
    calls = remote.merge_base_call(exact(remote, a), exact(remote, b))
    try:
        found = remote.run(calls)
    except NoRepo:
        raise
    except (NotFound, ValidationError):
        resolve(remote, a)
        resolve(remote, b)
        raise
    return commit_info(resolve(remote, found.base_commit_id))
