"""A branch brought up to another one in another repo, commit by commit."""

from collections.abc import Sequence

from msgspec import Struct

from datastore.errors import Diverged, Forbidden, UncommittedChanges
from datastore.provider import SupportsVersioning
from datastore.replicating.carrying import Moved, carry, forget_work
from datastore.replicating.origins import origin_of
from datastore.replicating.relating import History, Split, relate
from datastore.values import CommitInfo

__all__ = ["Side", "replicate"]


class Side(Struct, frozen=True, kw_only=True):
    """One of the two branches.

    Attributes:
        repo: Where it is.
        branch: Its name.
        title: What errors call it: `ds://garments@main`.
    """

    repo: SupportsVersioning
    branch: str
    title: str


def replicate(source: Side, dest: Side) -> tuple[Sequence[CommitInfo], Moved]:
    """Make the commits anew on the dest that it lacks; return them, oldest first, and what it took.

    After an interruption the same call goes on where it was; where the dest has everything it does nothing.

    Args:
        source: Has the commits.
        dest: A clean branch whose head the source has, too.

    Raises:
        Diverged: The dest has commits that the source lacks; names the newest commit that both have.
        UncommittedChanges: The dest has some.
        Forbidden: The dest is protected, or its store is read-only.
        HeadMoved: Somebody else committed to the dest meanwhile.
    """
    mine, theirs = History(source.repo, source.branch), History(dest.repo, dest.branch)
    steps = relate(mine, theirs)
    if isinstance(steps, Split):
        raise _diverged(source, dest, steps)
    if (origin := origin_of(theirs.head)) != theirs.head.id:
        forget_work(dest.repo, origin)
    if steps:
        _check_dest(dest)
    made: list[CommitInfo] = []
    moved, head = Moved(), theirs.head
    for step in steps:
        head = carry(source.repo, dest.repo, step, branch=dest.branch, head=head.id, moved=moved)
        made.append(head)
    return made, moved


def _check_dest(dest: Side) -> None:
    # Before anything is copied, which may take hours.
    if not dest.repo.at(dest.branch).capabilities.writable:
        raise Forbidden(f"{dest.title} is protected or read-only", hint="choose another branch, and merge it there")
    if dest.repo.has_uncommitted(dest.branch):
        keys = [change.key for change, _ in zip(dest.repo.uncommitted(dest.branch), range(10), strict=False)]
        names = ", ".join(map(repr, keys[:5])) + (", …" if len(keys) > 5 else "")
        raise UncommittedChanges(
            f"{dest.title} has uncommitted changes: {names}",
            keys=keys,
            hint="commit them there, or drop them with reset; nothing was changed",
        )


def _diverged(source: Side, dest: Side, split: Split) -> Diverged:
    if split.source is None or split.dest is None:
        since = "have no commit in common"
    else:
        since = f"went different ways after commit {split.source.id[:8]} ({split.dest.id[:8]} in the other repo)"
    return Diverged(
        f"{source.title} and {dest.title} {since}",
        hint="repo.fetch() brings the other side as a hidden branch: merge that, then push; nothing was changed",
    )
