"""Finding what a store does not need, by comparing what is on its disk with a `Mark`; removes nothing."""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

from msgspec import Struct

from datastore.embedded.mark import Mark
from datastore.embedded.opened import OpenStore
from datastore.processes import is_gone, owner_of
from datastore.values import Garbage

__all__ = [
    "LEFT_OVER",
    "UNUSED",
    "Row",
    "Tally",
    "Victim",
    "commit_rows",
    "file_victims",
    "if_old",
    "listing",
    "scratch_victims",
    "size_and_age",
    "unlink",
]

Row = tuple[int, int, str]
"""A row of a commit nobody needs: (generation, repo, id)."""

UNUSED = {
    "commit": "no branch or tag leads to it",
    "tree": "no commit needs it",
    "blob": "no commit and no uncommitted change needs it",
}
LEFT_OVER = "left over by a write that was interrupted"


class Victim(Struct, frozen=True):
    """A file that nobody needed when it was looked at; its blob's row goes with it.

    Attributes:
        kind: `commit`, `tree`, `blob` or `tmp`.
        name: Its id in hex; of a file in the making, the name.
        path: Where it is, or was.
        size: Bytes; 0 if the file is not there.
        reason: Why nobody needs it.
    """

    kind: Literal["commit", "tree", "blob", "tmp"]
    name: str
    path: Path
    size: int
    reason: str


class Tally:
    """Counts what goes and what stays because it is young.

    Args:
        limit: Bytes that may go.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._gone: dict[tuple[str, str], tuple[int, int]] = {}
        self._young: dict[tuple[str, str], tuple[int, int]] = {}
        self.bytes = 0
        self.complete = True

    def has_room(self, size: int) -> bool:
        """Tell whether so much more may go."""
        fits = self._limit is None or self.bytes + size <= self._limit
        self.complete = self.complete and fits
        return fits

    def goes(self, kind: str, reason: str, size: int, *, count: int = 1) -> None:
        """Count something that went, or would go."""
        _add(self._gone, (kind, reason), count, size)
        self.bytes += size

    def stays(self, kind: str, reason: str, size: int) -> None:
        """Count something that is too young to go."""
        _add(self._young, (kind, reason), 1, size)

    def removed(self) -> list[Garbage]:
        """Return what went."""
        return _listed(self._gone)

    def young(self) -> list[Garbage]:
        """Return what stays because it is young."""
        return _listed(self._young)

    def begin_anew(self, *, nothing_went: bool) -> None:
        """Count what is young anew; or everything, if nothing went."""
        self._young.clear()
        if nothing_went:
            self._gone.clear()
            self.bytes = 0


def _add(counts: dict[tuple[str, str], tuple[int, int]], key: tuple[str, str], count: int, size: int) -> None:
    before = counts.get(key, (0, 0))
    counts[key] = before[0] + count, before[1] + size


def _listed(counts: dict[tuple[str, str], tuple[int, int]]) -> list[Garbage]:
    return [
        Garbage(kind=kind, reason=reason, count=count, bytes=size)
        for (kind, reason), (count, size) in sorted(counts.items())
    ]


def size_and_age(path: Path | os.DirEntry[str], now: float) -> tuple[int, timedelta] | None:
    """Return bytes and age of a file, or None if it is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, timedelta(seconds=now - found.st_mtime)


def commit_rows(store: OpenStore, mark: Mark) -> list[Row]:
    """Return the rows of commits that nobody needs, descendants before their ancestors."""
    found: list[Row] = []
    with store.db.read() as db:
        cursor = db.execute("SELECT generation, repo, id FROM commits")
        while rows := cursor.fetchmany(10_000):
            found += [row for row in rows if row[2] not in mark.commits[row[1]]]
    return sorted(found, reverse=True)


def file_victims(
    store: OpenStore, mark: Mark, tally: Tally, *, grace: timedelta, rows: list[Row], now: float
) -> Iterator[Victim]:
    """Yield the files of commits, then of nodes, that nobody needs."""
    unused = {commit for _, _, commit in rows}
    kept = {commit for commits in mark.commits.values() for commit in commits}
    for name, entry in listing(store.layout.commits):
        if name not in kept and name not in mark.held:
            reason = UNUSED["commit"] if name in unused else LEFT_OVER
            yield from if_old("commit", name, entry, reason, tally, grace=grace, now=now)
    for name, entry in listing(store.layout.trees):
        if name not in mark.nodes and name not in mark.held:
            yield from if_old("tree", name, entry, UNUSED["tree"], tally, grace=grace, now=now)


def listing(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the objects in a folder, by id. What has another name is not ours."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(entry.name) == 64 and entry.name.strip("0123456789abcdef") == "":
                yield entry.name, entry


def if_old(
    kind: Literal["commit", "tree", "blob"],
    name: str,
    entry: os.DirEntry[str],
    reason: str,
    tally: Tally,
    *,
    grace: timedelta,
    now: float,
) -> Iterator[Victim]:
    """Yield a file as a victim, or count it as too young."""
    if (found := size_and_age(entry, now)) is None:
        return
    size, age = found
    if grace and age < grace:
        tally.stays(kind, reason, size)
    else:
        yield Victim(kind, name, Path(entry.path), size, reason)


def scratch_victims(store: OpenStore) -> Iterator[Victim]:
    """Yield the files in the making whose processes have ended."""
    with os.scandir(store.layout.scratch) as entries:
        for entry in list(entries):
            owner = owner_of(entry.name)
            found = size_and_age(entry, time.time())
            if owner is not None and found is not None and is_gone(owner, age=found[1].total_seconds()):
                yield Victim("tmp", entry.name, Path(entry.path), found[0], "its process has ended")


def unlink(path: Path) -> bool:
    """Remove a file; False if it was not there, or is open in a system that does not allow this then."""
    try:
        if os.name == "nt":
            path.chmod(0o600)  # Windows does not remove what is read-only
        path.unlink()
    except FileNotFoundError:
        return False
    except PermissionError:
        if os.name != "nt":
            raise
        return False
    return True
