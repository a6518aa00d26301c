"""Moving a branch to a commit: a new one is prepared from a snapshot, landed by compare-and-swap, or begun anew.

One loop for commit, merge, revert and cherry-pick; they differ in the plan that they make of a snapshot.
"""

import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from msgspec import Struct

from datastore.embedded import commits, refs, staging
from datastore.embedded.commits import Commit
from datastore.embedded.content import blobs_of
from datastore.embedded.intents import Work
from datastore.embedded.objects import Drafts
from datastore.embedded.opened import OpenStore, SyncFailed
from datastore.embedded.refs import BranchRow
from datastore.embedded.staging import Edits
from datastore.errors import Diverged, Forbidden, HeadMoved, IntegrityError, UncommittedChanges
from datastore.values import BranchInfo, CommitInfo, CommitRequest

__all__ = ["Plan", "Snapshot", "advance", "fast_forward", "uncommitted"]

_TRIES = 30
_LONGEST_WAIT = 0.2


class Snapshot(Struct, frozen=True):
    """A branch at one moment.

    Attributes:
        branch: Its row.
        tree: Root of its head's tree.
        staged: Its uncommitted changes.
        seq: Number of the newest staged row of the store.
    """

    branch: BranchRow
    tree: str
    staged: Edits
    seq: int


class Plan(Struct, frozen=True):
    """What a new commit is to hold.

    Attributes:
        tree: Its tree, in nodes that exist or are drafts.
        parents: Its parents, the branch's head first.
        takes_staged: Whether the uncommitted changes of the snapshot are in it; if not, there must be none.
    """

    tree: str
    parents: tuple[str, ...]
    takes_staged: bool = False


class _Lost(Exception):
    """The branch is not what the snapshot says any more."""


Planner = Callable[[Snapshot, Drafts], Plan]


def advance(
    store: OpenStore,
    repo_name: str,
    branch: str,
    request: CommitRequest,
    planner: Planner,
    *,
    sources: Sequence[str] = (),
) -> CommitInfo:
    """Make a commit on a branch.

    Args:
        store: The store.
        repo_name: The repo.
        branch: The branch.
        request: Message and the rest; the same `op_id` again gives the same commit, whatever became of the first reply.
        planner: Decides the content; raises to give up, with nothing changed.
        sources: Commits that the content is taken from, beside the branch's head and its uncommitted changes.

    Raises:
        HeadMoved: Other writers were faster many times in a row.
        NotFound: A source was collected meanwhile.
    """
    store.require_writable()
    work = Work()
    try:
        return _advance(store, repo_name, branch, request, planner, sources=sources, work=work)
    finally:
        work.give_up(store.db)


def _advance(
    store: OpenStore,
    repo_name: str,
    branch: str,
    request: CommitRequest,
    planner: Planner,
    *,
    sources: Sequence[str],
    work: Work,
) -> CommitInfo:
    wait = 0.001
    for _ in range(_TRIES):
        with store.db.snapshot() as db:
            repo = refs.repo_id(db, repo_name)
            if (done := _by_op_id(store, db, repo, request.op_id)) is not None:
                return done
            row = refs.require_branch(db, repo, branch)
            tree = store.commit_from(db, repo, row.head).info.tree
            snapshot = Snapshot(row, tree, staging.rows(db, row.token), staging.latest(db))
        drafts = Drafts(store.node_files)
        with store.unless_collected(repo, [row.head, *sources]):
            plan = planner(snapshot, drafts)
        try:
            return _land(store, snapshot, plan, request, drafts, sources=sources, work=work)
        except SyncFailed as failed:
            raise store.distrust(failed.digests, failed.error) from failed.error
        except _Lost:
            time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            wait = min(wait * 2, _LONGEST_WAIT)
    message = f"branch {branch!r} of {repo_name!r} moved {_TRIES} times while this commit was being made"
    raise HeadMoved(message, hint="nothing was changed; try again, or write to a branch of your own and merge it")


def _by_op_id(store: OpenStore, db: sqlite3.Connection, repo: int, op_id: str) -> CommitInfo | None:
    found = db.execute("SELECT id FROM commits WHERE repo = ? AND op_id = ?", (repo, op_id)).fetchone()
    return None if found is None else store.commit_from(db, repo, found[0]).info


def _land(
    store: OpenStore,
    snapshot: Snapshot,
    plan: Plan,
    request: CommitRequest,
    drafts: Drafts,
    *,
    sources: Sequence[str],
    work: Work,
) -> CommitInfo:
    """Bytes first, names last: blobs, nodes and the commit become durable before the transaction that shows them.

    Before any of them is looked for, intents say that they are needed, so that `collect` takes away nothing between.
    """
    branch = snapshot.branch
    with store.unless_collected(branch.repo, plan.parents):
        parents = [store.commit(branch.repo, parent) for parent in plan.parents]
    info, body = _commit_of(store, plan, request, parents)
    with store.db.write(durable=False) as db:
        store.require_commits(db, branch.repo, built_on := {*plan.parents, *sources})
        work.begin(db)
        work.needs(db, "base", map(bytes.fromhex, built_on), repo=branch.repo)
        work.needs(db, "node", map(bytes.fromhex, drafts.new))
        work.needs(db, "commit", [bytes.fromhex(info.id)])
    durable = _make_durable(store, snapshot) if plan.takes_staged else []
    store.node_files.put_new(drafts.new)
    store.commit_files.put_new({info.id: body})
    generation = 1 + max(parent.generation for parent in parents)
    change: dict[str, object] = {"do": "move", "repo": "", "branch": branch.name, "old": branch.head, "new": info.id}
    with store.changing_refs(change) as db:
        change["repo"] = refs.repo_name(db, branch.repo)
        if not work.end(db) or not refs.move_branch(db, branch, info.id):
            raise _Lost
        if plan.takes_staged:
            replaced = staging.forget_committed(db, branch.token, snapshot.staged, up_to=snapshot.seq)
            if not store.sync_again(db, blobs_of(replaced)):
                raise _Lost
        elif keys := staging.first_keys(db, branch.token):
            raise uncommitted(branch.name, keys)
        store.mark_durable(db, durable)
        store.index_commit(db, branch.repo, info, body, op_id=request.op_id, generation=generation)
    work.is_done()
    return info


def _commit_of(
    store: OpenStore, plan: Plan, request: CommitRequest, parents: Sequence[Commit]
) -> tuple[CommitInfo, bytes]:
    info = CommitInfo(
        id="",
        parents=plan.parents,
        author=request.author,
        # Time never goes backwards along history, whatever a machine's clock does; what comes from elsewhere keeps its.
        time_us=max(store.clock(), *(parent.info.time_us + 1 for parent in parents))
        if request.time_us is None
        else request.time_us,
        message=request.message,
        metadata=request.metadata,
        tree=plan.tree,
    )
    commit_id, body = commits.encode(info, op_id=request.op_id)
    return msgspec.structs.replace(info, id=commit_id), body


def _make_durable(store: OpenStore, snapshot: Snapshot) -> list[bytes]:
    try:
        return store.make_durable(blobs_of(snapshot.staged.values()))
    except IntegrityError:
        # What was written over since the snapshot may have been collected. What still stands was not.
        with store.db.read() as db:
            if staging.count(db, snapshot.branch.token, up_to=snapshot.seq) < len(snapshot.staged):
                raise _Lost from None
        raise


def fast_forward(store: OpenStore, repo_name: str, branch: str, commit: str, *, head: str) -> BranchInfo:
    """Move a clean branch from one commit to a descendant of it, in one transaction.

    Args:
        store: The store.
        repo_name: The repo.
        branch: The branch.
        commit: Full id of a commit of the repo.
        head: Where the branch has to be.

    Raises:
        HeadMoved: It is elsewhere.
        Diverged: The commit does not descend from there.
        UncommittedChanges: The branch has some.
        Forbidden: It is protected.
    """
    with store.db.snapshot() as db:
        repo = refs.repo_id(db, repo_name)
        row = refs.require_branch(db, repo, branch)
    if row.head == commit:
        return row.info
    with store.unless_collected(repo, [commit]):
        base = commits.merge_base(commit, head, load=partial(store.commit, repo))
    if base != head:
        raise Diverged(f"commit {commit[:8]} does not descend from {head[:8]}", hint="merge it")
    change: dict[str, object] = {"do": "move", "repo": repo_name, "branch": branch, "old": head, "new": commit}
    with store.changing_refs(change) as db:
        row = refs.require_branch(db, refs.repo_id(db, repo_name), branch)
        store.require_commits(db, row.repo, [commit])
        if row.protected:
            raise Forbidden(f"branch {branch!r} is protected: it takes changes only by merge and revert")
        if keys := staging.first_keys(db, row.token):
            raise uncommitted(branch, keys)
        if row.head != head or not refs.move_branch(db, row, commit):
            message = f"branch {branch!r} of {repo_name!r} has moved from commit {head[:8]} to {row.head[:8]}"
            raise HeadMoved(message, hint="nothing was changed; look at its log, then try again")
    return msgspec.structs.replace(row.info, head=commit)


def uncommitted(branch: str, keys: Sequence[str]) -> UncommittedChanges:
    """The error of a verb that needs a clean branch."""
    names = ", ".join(repr(key) for key in keys[:5]) + (", …" if len(keys) > 5 else "")
    return UncommittedChanges(
        f"branch {branch!r} has uncommitted changes: {names}",
        keys=keys,
        hint="commit them, or drop them with reset; nothing was changed",
    )
