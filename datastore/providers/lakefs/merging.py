"""Merging one ref into a branch of a lakeFS repo.

The server merges; what it does is planned here first, because it does not say where a conflict is, cannot settle one by
one, and goes wrong where `threeway` says.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from datastore.errors import HeadMoved, NotFound, NothingToCommit, UncommittedChanges, ValidationError
from datastore.names import check_branch
from datastore.providers.lakefs.byhand import prepare_merge, work_branch
from datastore.providers.lakefs.commits import (
    check_request,
    commit_info,
    exact,
    metadata_of,
    remember,
    resolve,
    unknown_branch,
)
from datastore.providers.lakefs.committing import land, landed_in, recent_call
from datastore.providers.lakefs.conflicts import key_conflicts, merge_conflict
from datastore.providers.lakefs.differences import DIRTY, both_diffs, uncommitted_error
from datastore.providers.lakefs.endpoints import MergeRefused, NoRepo, Remote
from datastore.providers.lakefs.rows import CommitRow, DiffRow, identity
from datastore.providers.lakefs.threeway import Rows, added_by_both, check_sides, drops_a_key, three_way
from datastore.values import CommitInfo, CommitRequest, KeyConflict, Side, Strategy

__all__ = ["conflicts", "merge"]

_TRIES: Final = 5
"""How often a merge is planned anew because the target moved meanwhile."""


class _Look(Struct, frozen=True):
    """Two refs at one moment, and what is in the way of a merge."""

    recent: list[CommitRow]
    dirty: list[DiffRow]
    ours: str
    theirs: str
    base: str


class _Wish(Struct, frozen=True):
    """What the caller wants."""

    source: str
    into: str
    request: CommitRequest
    strategy: Strategy | None
    choose: Mapping[str, Side]
    squash: bool

    @property
    def empty(self) -> bool:
        """Whether a commit without changes will do: a merge records that it was made, a squash nothing."""
        return self.request.allow_empty or not self.squash


def merge(
    remote: Remote,
    source: str,
    into: str,
    request: CommitRequest,
    *,
    strategy: Strategy | None,
    choose: Mapping[str, Side] | None,
    squash: bool,
) -> CommitInfo:
    """Merge the commit of `source` into a branch; five requests, or seven where both sides changed something."""
    check_request(request)
    check_sides(strategy, choose)
    check_branch(into)
    wish = _Wish(source, into, request, strategy, choose or {}, squash)
    for _ in range(_TRIES):
        look = _look(remote, exact(remote, source), into)
        done = landed_in(look.recent, request.op_id)
        try:
            return commit_info(remember(remote, done or _merge(remote, look, wish)))
        except (MergeRefused, _Dirtied):  # since the look; the next one shows what it is
            continue
    message = f"branch {into!r} of {remote.name!r} changed {_TRIES} times while {source!r} was being merged"
    raise HeadMoved(message, hint="nothing was changed; try again")


def _look(remote: Remote, source: str, into: str) -> _Look:
    calls = recent_call(remote, into), remote.uncommitted_call(into, amount=DIRTY), remote.merge_base_call(source, into)
    try:
        recent, dirty, found = remote.three(*calls)
    except NoRepo:
        raise
    except (NotFound, ValidationError):
        resolve(remote, source)  # says what is wrong with it
        raise unknown_branch(remote, into) from None
    pair = [found.source_commit_id, found.destination_commit_id]
    ours = recent.results[0].id
    if ours not in pair:  # the branch moved between the three answers
        ours = resolve(remote, into).id
        pair = [ours, resolve(remote, source).id]
        found = remote.run(remote.merge_base_call(*pair))
    pair.remove(ours)
    return _Look(recent.results, dirty.results, ours, pair[0], found.base_commit_id)


def _merge(remote: Remote, look: _Look, wish: _Wish) -> CommitRow:
    if look.dirty:
        raise uncommitted_error(wish.into, look.dirty)
    if look.base == look.theirs and not wish.request.allow_empty:
        message = f"all of {wish.source!r} is in {wish.into!r} already"
        raise NothingToCommit(message, hint="commit something on the source branch first")
    if look.ours in {look.base, look.theirs}:  # only one side changed anything
        return _land(remote, look.theirs, wish, strategy=None)
    theirs, ours = both_diffs(remote, look.base, look.theirs, look.ours)
    plan = three_way(theirs, ours, strategy=wish.strategy, choose=wish.choose)
    if plan.conflicts:
        commits = (look.base, look.theirs, look.ours)
        found = key_conflicts(remote, plan.conflicts, commits=commits, source=theirs, dest=ours)
        raise merge_conflict(found, wish.source, wish.into)
    if not plan.edits and not wish.empty:
        raise NothingToCommit(f"all changes of {wish.source!r} are in {wish.into!r} already")
    chosen = any(key in plan.settled for key in wish.choose)
    if not chosen and not _goes_wrong(remote, look.base, theirs, ours, strategy=wish.strategy):
        return _land(remote, look.theirs, wish, strategy=wish.strategy)
    with work_branch(remote, look.ours) as work:
        prepare_merge(remote, work, plan, wish.request, source=look.theirs, dest=look.ours)
        return _land(remote, work, wish, strategy=None)


def _goes_wrong(remote: Remote, base: str, theirs: Rows, ours: Rows, *, strategy: Strategy | None) -> bool:
    """Whether the server's merge would lose something; asks only about keys that both sides added."""
    if drops_a_key(theirs, ours):
        return True
    twins = added_by_both(theirs, ours) if strategy is not None else []
    following = remote.each(remote.objects_call(base, after=key, amount=1) for key in twins)
    contents = {identity(stats) for page in following for stats in page.results}
    return any(identity(rows[key].stats) in contents for key in twins for rows in (theirs, ours))


def _land(remote: Remote, source: str, wish: _Wish, *, strategy: Strategy | None) -> CommitRow:
    request = wish.request
    call = remote.merge_call(
        source,
        wish.into,
        request.message,
        metadata_of(request),
        strategy=strategy or "",
        squash=wish.squash,
        allow_empty=wish.empty,
    )

    def attempt() -> CommitRow:
        try:
            return resolve(remote, remote.run(call))
        except UncommittedChanges as error:
            raise _Dirtied from error

    return land(remote, wish.into, request.op_id, attempt)


class _Dirtied(Exception):
    """Somebody wrote to the branch after it was looked at."""


def conflicts(remote: Remote, source: str, into: str) -> Sequence[KeyConflict]:
    """Return what a merge would conflict on; four requests."""
    theirs, ours = resolve(remote, source).id, resolve(remote, into).id
    base = remote.run(remote.merge_base_call(theirs, ours)).base_commit_id
    if base in {theirs, ours}:
        return []
    source_rows, dest_rows = both_diffs(remote, base, theirs, ours)
    keys = three_way(source_rows, dest_rows).conflicts
    return key_conflicts(remote, keys, commits=(base, theirs, ours), source=source_rows, dest=dest_rows)
