"""Making a commit land exactly once, although replies get lost and others write to the same branch."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from datastore.calls import Call
from datastore.errors import DatastoreError, HeadMoved, NothingToCommit, Unavailable
from datastore.providers.lakefs import staged
from datastore.providers.lakefs.commits import (
    check_request,
    commit_info,
    metadata_of,
    on_branch,
    op_id_of,
    remember,
)
from datastore.providers.lakefs.endpoints import Remote
from datastore.providers.lakefs.rows import CommitPage, CommitRow
from datastore.values import CommitInfo, CommitRequest

__all__ = ["commit", "land", "landed_in", "recent_call"]

_RECENT: Final = 20
"""Commits of the branch that are looked at before a commit, for one that was made before with this `op_id`."""

_SCAN: Final = 100
"""Commits that are looked at to find out what became of an attempt without a clear answer."""

_TRIES: Final = 12
_LOST: Final = 3
_LONGEST_WAIT: Final = 2.0


def recent_call(remote: Remote, branch: str) -> Call[CommitPage]:
    """Return the call for the newest commits of a branch, its head first; along first parents, where ours land."""
    return remote.log_call(branch, amount=_RECENT, first_parent=True)


def landed_in(rows: Sequence[CommitRow], op_id: str) -> CommitRow | None:
    """Return the commit that an attempt made, if it is among these."""
    return next((row for row in rows if op_id_of(row) == op_id), None)


def land(remote: Remote, branch: str, op_id: str, attempt: Callable[[], CommitRow]) -> CommitRow:
    """Carry out an attempt until it is known whether its commit is on the branch.

    Args:
        remote: The repo.
        branch: Where the commit lands.
        op_id: What the commit carries, by which it is found again.
        attempt: Makes the commit; called again when nothing came of it.

    Raises:
        HeadMoved: Other writers were faster many times in a row.
        Unavailable: The server cannot be reached; a note says if the commit may have landed.
    """
    wait, lost = 0.05, 0
    for _ in range(_TRIES):
        try:
            return attempt()
        except (NothingToCommit, Unavailable) as error:
            found = _scan(remote, branch, op_id, error)
            if found is not None:
                return found
            if isinstance(error, NothingToCommit):
                raise
            if not _is_contention(error):
                lost += 1
                if lost >= _LOST or "lakeFS answered" in error.message:
                    raise
        time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        wait = min(wait * 2, _LONGEST_WAIT)
    message = f"branch {branch!r} of {remote.name!r} moved {_TRIES} times while this commit was being made"
    raise HeadMoved(message, hint="nothing was changed; try again, or write to a branch of your own and merge it")


def _is_contention(error: Unavailable) -> bool:
    """Whether the server says that it changed nothing because others wrote to the branch at that moment."""
    return "predicate failed" in error.message or "is busy" in error.message


def _scan(remote: Remote, branch: str, op_id: str, error: DatastoreError) -> CommitRow | None:
    try:
        rows = remote.run(remote.log_call(branch, amount=_SCAN, first_parent=True)).results
    except Unavailable:
        error.add_note(f"it is not known whether the commit landed; look for it in the log of {branch!r}")
        raise error from None
    return landed_in(rows, op_id)


def commit(remote: Remote, branch: str, request: CommitRequest) -> CommitInfo:
    """Turn the uncommitted changes of a branch into a commit; two requests."""
    check_request(request)
    date = None if request.time_us is None else request.time_us // 1_000_000
    call = remote.make_commit_call(
        branch, request.message, metadata_of(request), allow_empty=request.allow_empty, date=date
    )
    with on_branch(remote, branch):
        done = landed_in(remote.run(recent_call(remote, branch)).results, request.op_id)
        try:
            if done is None:
                done = land(remote, branch, request.op_id, lambda: remote.run(call))
        except NothingToCommit:
            raise _nothing_to_commit(remote, branch) from None
    staged.forget(remote.client, remote.name, branch)
    return commit_info(remember(remote, done))


def _nothing_to_commit(remote: Remote, branch: str) -> NothingToCommit:
    if (taker := _taker(remote, branch)) is not None:
        return NothingToCommit(
            f"nothing to commit on {branch!r}: commit {taker.id[:8]} by {taker.author} took your changes",
            hint='they are safe; pass empty="skip" if other writers commit on this branch',
        )
    message = f"branch {branch!r} of {remote.name!r} has no uncommitted changes"
    return NothingToCommit(message, hint='write something first, or pass empty="skip" (or "allow")')


def _taker(remote: Remote, branch: str) -> CommitInfo | None:
    """The commit that has what this process wrote last: the newest one that changed the key, if it is not older."""
    written = staged.last(remote.client, remote.name, branch)
    staged.forget(remote.client, remote.name, branch)
    if written is None:
        return None
    key, modified_us = written
    rows = remote.run(remote.log_call(branch, amount=1, objects=[key])).results
    return next((commit_info(row) for row in rows if row.creation_date >= modified_us // 1_000_000), None)
