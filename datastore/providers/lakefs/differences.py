"""What differs between two commits, or between a branch and its head, as lakeFS compares it."""

from collections.abc import Iterator
from typing import Final

from msgspec import structs

from datastore.errors import UncommittedChanges
from datastore.providers.lakefs.answers import ObjectStats
from datastore.providers.lakefs.commits import on_branch, unknown_branch
from datastore.providers.lakefs.endpoints import Remote
from datastore.providers.lakefs.entries import info_of
from datastore.providers.lakefs.placing import stats_of
from datastore.providers.lakefs.rows import DiffRow
from datastore.values import Change, ObjectInfo

__all__ = [
    "DIRTY",
    "both_diffs",
    "changes",
    "diff_rows",
    "has_uncommitted",
    "info_of_row",
    "info_of_stats",
    "uncommitted",
    "uncommitted_error",
    "uncommitted_rows",
]

DIRTY: Final = 100
"""Keys that an error about uncommitted changes knows at most."""


def diff_rows(remote: Remote, left: str, right: str, *, prefix: str = "") -> Iterator[DiffRow]:
    """Yield what differs from one state to another, in key order."""
    after: str | None = None
    while True:
        page = remote.run(remote.diff_call(left, right, prefix=prefix, after=after))
        yield from page.results
        if not page.pagination.has_more:
            return
        after = page.pagination.next_offset


def both_diffs(remote: Remote, base: str, a: str, b: str) -> tuple[dict[str, DiffRow], dict[str, DiffRow]]:
    """Return what differs from a commit to each of two others, by key; both are read at the same time."""
    found: tuple[dict[str, DiffRow], dict[str, DiffRow]] = ({}, {})
    after: dict[int, str | None] = {0: None, 1: None}
    while after:
        sides = list(after)
        pages = remote.same([remote.diff_call(base, (a, b)[side], after=after[side]) for side in sides])
        for side, page in zip(sides, pages, strict=True):
            found[side].update((row.path, row) for row in page.results)
            if page.pagination.has_more:
                after[side] = page.pagination.next_offset
            else:
                del after[side]
    return found


def uncommitted_rows(remote: Remote, branch: str, *, prefix: str = "") -> Iterator[DiffRow]:
    """Yield the paths of uncommitted changes in key order, without their sides."""
    after: str | None = None
    while True:
        page = remote.run(remote.uncommitted_call(branch, prefix=prefix, after=after))
        yield from page.results
        if not page.pagination.has_more:
            return
        after = page.pagination.next_offset


def changes(remote: Remote, left: str, right: str, *, prefix: str) -> Iterator[Change]:
    """Yield what differs between two commits with both sides; two requests for 1,000 changes.

    The server describes the right side only, so the left one is the right one of the opposite comparison.
    """
    after: str | None = None
    while left != right:
        page, opposite = remote.two(
            remote.diff_call(left, right, prefix=prefix, after=after),
            remote.diff_call(right, left, prefix=prefix, after=after),
        )
        others = {row.path: row for row in opposite.results}
        for row in page.results:
            before = row if row.type == "removed" else others[row.path] if row.type == "changed" else None
            yield Change(
                key=row.path,
                before=info_of_row(remote, before, left),
                after=info_of_row(remote, None if row.type == "removed" else row, right),
            )
        if not page.pagination.has_more:
            return
        after = page.pagination.next_offset


def uncommitted(remote: Remote, branch: str, *, prefix: str) -> Iterator[Change]:
    """Yield what differs between a branch and its head with both sides."""
    with on_branch(remote, branch):
        row = remote.run(remote.branch_call(branch))
    if row is None:
        raise unknown_branch(remote, branch)
    head, after = row.commit_id, None
    while True:
        page = remote.run(remote.diff_call(head, f"{branch}$", prefix=prefix, after=after))
        changed = stats_of(remote, head, [row.path for row in page.results if row.type == "changed"])
        for row in page.results:
            yield Change(
                key=row.path,
                before=info_of_row(remote, row, head)
                if row.type == "removed"
                else info_of_stats(remote, changed.get(row.path), head),
                after=info_of_row(remote, None if row.type == "removed" else row, None),
            )
        if not page.pagination.has_more:
            return
        after = page.pagination.next_offset


def has_uncommitted(remote: Remote, branch: str) -> bool:
    """Tell whether a branch has uncommitted changes; one request."""
    with on_branch(remote, branch):
        return bool(remote.run(remote.uncommitted_call(branch, amount=1)).results)


def uncommitted_error(branch: str, rows: list[DiffRow]) -> UncommittedChanges:
    """The error of a verb that needs a clean branch."""
    keys = [row.path for row in rows]
    names = ", ".join(repr(key) for key in keys[:5]) + (", …" if len(keys) > 5 else "")
    return UncommittedChanges(
        f"branch {branch!r} has uncommitted changes: {names}",
        keys=keys,
        hint="commit them, or drop them with reset; nothing was changed",
    )


def info_of_stats(remote: Remote, stats: ObjectStats | None, commit: str | None) -> ObjectInfo | None:
    """Return an object as people see it."""
    if stats is None:
        return None
    address = remote.client.true_address(remote.name, stats.physical_address)
    return info_of(stats, origin=remote.client.origin, address=address, commit=commit)


def info_of_row(remote: Remote, row: DiffRow | None, commit: str | None) -> ObjectInfo | None:
    """Return the known side of a difference as people see it.

    A comparison does not tell addresses, so the identity is that of an entry: what names it, its checksum and size.
    """
    if row is None:
        return None
    info = info_of(row.stats, origin=remote.client.origin, commit=commit)
    place = f"{remote.client.origin} {remote.name} {commit or ''}"
    return structs.replace(info, identity=f"lakefs-entry {place} {info.etag} {info.size} {info.key}")
