"""Committing what another commit changed, or the opposite of it."""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from datastore.errors import (
    HeadMoved,
    NothingToCommit,
    Unavailable,
    UncommittedChanges,
    UnsupportedOperation,
    ValidationError,
)
from datastore.names import check_branch
from datastore.providers.lakefs.byhand import prepare_edits, work_branch
from datastore.providers.lakefs.commits import check_request, commit_info, metadata_of, on_branch, remember, resolve
from datastore.providers.lakefs.committing import land, landed_in, recent_call
from datastore.providers.lakefs.conflicts import key_conflicts, merge_conflict
from datastore.providers.lakefs.differences import DIRTY, both_diffs, uncommitted_error
from datastore.providers.lakefs.endpoints import MergeRefused, Remote
from datastore.providers.lakefs.protection import refuse_protected, rules_call
from datastore.providers.lakefs.rows import CommitRow
from datastore.providers.lakefs.threeway import Plan, drops_a_key, three_way
from datastore.values import CommitInfo, CommitRequest

__all__ = ["cherry_pick", "revert"]

_TRIES: Final = 5
"""How often it is planned anew because the branch changed meanwhile."""


class _Replay(Struct, frozen=True):
    """What is to be committed.

    Attributes:
        branch: Where.
        request: How.
        before: Id of the commit from which the changes are; empty for the nothing before the first commit.
        after: Id of the commit with the changes, or empty.
        what: In words.
        direct: Lets the server do it.
    """

    branch: str
    request: CommitRequest
    before: str
    after: str
    what: str
    direct: Callable[[], CommitRow]


def revert(remote: Remote, branch: str, commit: str, request: CommitRequest, *, parent: int) -> CommitInfo:
    """Commit the opposite of a commit; six requests, one less for a commit that was seen before."""
    check_request(request)
    check_branch(branch)
    undone = resolve(remote, commit)
    before = _parent_of(undone, parent)
    number = parent if len(undone.parents) > 1 else 0
    call = remote.revert_call(branch, undone.id, request.message, metadata_of(request), parent=number)

    def direct() -> CommitRow:
        remote.run(call)
        found = landed_in(remote.run(recent_call(remote, branch)).results, request.op_id)
        if found is None:
            raise Unavailable(f"the server reverted {undone.id[:8]} on {branch!r}, and its log does not show it")
        return found

    what = f"the opposite of {undone.id[:8]}"
    return _replay(remote, _Replay(branch, request, undone.id, before, what, direct))


def cherry_pick(remote: Remote, branch: str, commit: str, request: CommitRequest, *, parent: int) -> CommitInfo:
    """Commit the changes of one commit onto a branch; requests as for `revert`."""
    check_request(request)
    check_branch(branch)
    picked = resolve(remote, commit)
    before = _parent_of(picked, parent)
    # The server itself lets a protected branch take cherry-picks.
    refuse_protected(remote.run(rules_call(remote)), branch)
    call = remote.cherry_pick_call(branch, picked.id, request.message, metadata_of(request), parent=parent)
    what = f"commit {picked.id[:8]}"
    return _replay(remote, _Replay(branch, request, before, picked.id, what, lambda: remote.run(call)))


def _parent_of(row: CommitRow, parent: int) -> str:
    if not row.parents and parent == 1:
        if row.meta_range_id:  # lakeFS makes the first commit of a repo empty; this one came from somewhere else
            raise UnsupportedOperation(f"commit {row.id[:8]} is the first one of the repo, and lakeFS cannot undo it")
        return ""
    if not 1 <= parent <= len(row.parents):
        message = f"commit {row.id[:8]} has no parent {parent}; it has {len(row.parents)}"
        raise ValidationError(message, hint="parent=1 is the branch that it was made on")
    return row.parents[parent - 1]


def _replay(remote: Remote, replay: _Replay) -> CommitInfo:
    branch = replay.branch
    for _ in range(_TRIES):
        with on_branch(remote, branch):
            recent, dirty = remote.two(recent_call(remote, branch), remote.uncommitted_call(branch, amount=DIRTY))
        done = landed_in(recent.results, replay.request.op_id)
        if done is None and dirty.results:
            raise uncommitted_error(branch, dirty.results)
        try:
            done = done or _carry_out(remote, recent.results[0].id, replay)
        except (MergeRefused, UncommittedChanges):  # since the look; the next one shows what it is
            continue
        return commit_info(remember(remote, done))
    message = f"branch {branch!r} of {remote.name!r} changed {_TRIES} times while {replay.what} was being committed"
    raise HeadMoved(message, hint="nothing was changed; try again")


def _carry_out(remote: Remote, head: str, replay: _Replay) -> CommitRow:
    first = not (replay.before and replay.after)
    theirs, ours = ({}, {}) if first else both_diffs(remote, replay.before, replay.after, head)
    plan = three_way(theirs, ours)
    if plan.conflicts:
        commits = (replay.before, replay.after, head)
        found = key_conflicts(remote, plan.conflicts, commits=commits, source=theirs, dest=ours)
        raise merge_conflict(found, replay.what, replay.branch)
    if not plan.edits and not replay.request.allow_empty:
        message = f"{replay.what} changes nothing on {replay.branch!r}"
        raise NothingToCommit(message, hint="its changes are there already")
    if not plan.edits or drops_a_key(theirs, ours):
        return _by_hand(remote, head, plan, replay)
    return land(remote, replay.branch, replay.request.op_id, replay.direct)


def _by_hand(remote: Remote, head: str, plan: Plan, replay: _Replay) -> CommitRow:
    """Commit a plan on a hidden branch, and squash that into the target: one commit on top of its head."""
    branch, request = replay.branch, replay.request
    with work_branch(remote, head) as work:
        prepare_edits(remote, work, plan, request, source=replay.after)
        call = remote.merge_call(work, branch, request.message, metadata_of(request), squash=True, allow_empty=True)
        return land(remote, branch, request.op_id, lambda: resolve(remote, remote.run(call)))
