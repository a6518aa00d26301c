"""Merges that lakeFS cannot make by itself, prepared on a hidden branch: the target takes them whole or not at all."""

import contextlib
import secrets
from collections.abc import Generator

from datastore.errors import DatastoreError
from datastore.providers.lakefs.commits import author_of
from datastore.providers.lakefs.differences import diff_rows
from datastore.providers.lakefs.endpoints import Remote
from datastore.providers.lakefs.placing import carry
from datastore.providers.lakefs.rows import DiffRow, same_entry
from datastore.providers.lakefs.threeway import Plan, after
from datastore.values import CommitRequest

__all__ = ["prepare_edits", "prepare_merge", "work_branch"]


@contextlib.contextmanager
def work_branch(remote: Remote, base: str) -> Generator[str]:
    """Make a hidden branch at a commit, for the block."""
    name = f"tx-merge-{secrets.token_hex(8)}"
    remote.run(remote.create_branch_call(name, base, hidden=True))
    try:
        yield name
    finally:
        with contextlib.suppress(DatastoreError):  # what it was for has landed or has not; a branch too many is no harm
            remote.run(remote.delete_branch_call(name))


def prepare_merge(remote: Remote, work: str, plan: Plan, request: CommitRequest, *, source: str, dest: str) -> None:
    """Merge `source` into a branch at `dest`, and put right what the server did otherwise than the plan says.

    The more of the settled conflicts the server's strategy gets right, the fewer entries are left to put there.
    """
    sides = list(plan.settled.values())
    strategy = "source-wins" if sides.count("source") * 2 > len(sides) else "dest-wins"
    note = f"Merge {source[:8]}, with {len(sides)} settled conflicts, for: {request.message}"
    made = remote.run(remote.merge_call(source, work, note, author_of(request), strategy=strategy, allow_empty=True))
    found = {row.path: row for row in diff_rows(remote, dest, made)}
    wrong = [key for key in {*found, *plan.edits} if not _same(plan.edits.get(key), found.get(key))]
    if not wrong:
        return
    carry(remote, [key for key in wrong if key in plan.edits], source=source, branch=work)
    carry(remote, [key for key in wrong if key not in plan.edits], source=dest, branch=work)
    remote.run(remote.make_commit_call(work, note, author_of(request)))


def _same(wanted: DiffRow | None, made: DiffRow | None) -> bool:
    """Whether one key came out as planned, where None is as dest had it."""
    return wanted is not None and made is not None and same_entry(after(wanted), after(made))


def prepare_edits(remote: Remote, work: str, plan: Plan, request: CommitRequest, *, source: str) -> None:
    """Commit what a plan changes, taken from `source`."""
    gone = [key for key, row in plan.edits.items() if row.type == "removed"]
    carry(
        remote, [key for key, row in plan.edits.items() if row.type != "removed"], source=source, branch=work, gone=gone
    )
    if plan.edits:
        remote.run(remote.make_commit_call(work, request.message, author_of(request)))
