"""Commits: their bytes, and questions about ancestry that need nothing but parents and generations.

A commit is canonical JSON, named by its sha256; a person can read it with `cat`.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from datastore.errors import IntegrityError
from datastore.values import CommitInfo

__all__ = ["Commit", "decode", "encode", "history", "merge_base"]


class _Body(Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of a commit file, in the order of its bytes."""

    author: str
    format: int
    message: str
    metadata: dict[str, str]
    op_id: str
    parents: list[str]
    time_us: int
    tree: str


class Commit(Struct, frozen=True):
    """A commit as the store uses it: what people see, and its place in history."""

    info: CommitInfo
    generation: int


def encode(info: CommitInfo, *, op_id: str) -> tuple[str, bytes]:
    """Return (id, bytes) of a commit; its `id` field is not looked at."""
    body = _Body(
        author=info.author,
        format=1,
        message=info.message,
        metadata=dict(sorted(info.metadata.items())),
        op_id=op_id,
        parents=list(info.parents),
        time_us=info.time_us,
        tree=info.tree,
    )
    data = msgspec.json.encode(body)
    return hashlib.sha256(data).hexdigest(), data


def decode(commit_id: str, data: bytes) -> CommitInfo:
    """Return the commit with these bytes, or raise `IntegrityError`."""
    if hashlib.sha256(data).hexdigest() != commit_id:
        raise IntegrityError(f"commit {commit_id[:8]} has other bytes than its id says", hint="run `datastore check`")
    try:
        body = msgspec.json.decode(data, type=_Body)
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"commit {commit_id[:8]} cannot be read: {error}", hint="run `datastore check`") from error
    return CommitInfo(
        id=commit_id,
        parents=tuple(body.parents),
        author=body.author,
        time_us=body.time_us,
        message=body.message,
        metadata=body.metadata,
        tree=body.tree,
    )


def history(start: str, *, load: Callable[[str], Commit], first_parent: bool = False) -> Iterator[CommitInfo]:
    """Yield a commit and its ancestors, children before parents, newer before older where that leaves a choice."""
    first = load(start)
    heap = [(-first.generation, -first.info.time_us, start)]
    seen = {start}
    while heap:
        _, _, commit_id = heapq.heappop(heap)
        commit = load(commit_id)
        yield commit.info
        for parent in commit.info.parents[:1] if first_parent else commit.info.parents:
            if parent not in seen:
                seen.add(parent)
                above = load(parent)
                heapq.heappush(heap, (-above.generation, -above.info.time_us, parent))


def merge_base(a: str, b: str, *, load: Callable[[str], Commit]) -> str | None:
    """Return the common ancestor with the largest generation (a commit counts as its own ancestor), or None.

    No other common ancestor descends from it: a descendant would have a larger generation. Where several are as good
    (criss-cross merges) the newest wins, then the smallest id, so that every machine chooses the same.
    """
    sides = {a: 1}
    sides[b] = sides.get(b, 0) | 2
    heap = [_rank(load(commit_id), commit_id) for commit_id in sides]
    heapq.heapify(heap)
    while heap:
        _, _, commit_id = heapq.heappop(heap)
        side = sides[commit_id]
        if side == 3:  # reached from both, and everything later is older
            return commit_id
        for parent in load(commit_id).info.parents:
            if parent not in sides:
                heapq.heappush(heap, _rank(load(parent), parent))
            sides[parent] = sides.get(parent, 0) | side
    return None


def _rank(commit: Commit, commit_id: str) -> tuple[int, int, str]:
    return -commit.generation, -commit.info.time_us, commit_id
