"""Deleting branches so that the last one of a name can come back, which lakeFS itself does not know.

A deleted branch lives on as a hidden branch of a reserved name, with the uncommitted changes that it had. Hidden
branches, which transactions make, are just deleted.
"""

from typing import Final

from datastore.errors import AlreadyExists, DatastoreError, Forbidden, NotFound, nearest
from datastore.names import check_branch
from datastore.providers.lakefs.commits import unknown_branch
from datastore.providers.lakefs.differences import uncommitted_rows
from datastore.providers.lakefs.endpoints import Remote
from datastore.providers.lakefs.placing import carry
from datastore.providers.lakefs.protection import refuse_protected, rules_call
from datastore.values import BranchInfo

__all__ = ["delete_branch", "is_trash", "undelete_branch"]

_PREFIX: Final = "_deleted_"


def is_trash(name: str) -> bool:
    """Tell whether a branch is what was left of a deleted one."""
    return name.startswith(_PREFIX)


def delete_branch(remote: Remote, name: str) -> None:
    """Delete a branch; keep it aside for `undelete_branch`, unless it is a hidden one."""
    check_branch(name)
    visible, branch, rules = remote.three(
        remote.branches_call(prefix=name, amount=1), remote.branch_call(name), rules_call(remote)
    )
    if branch is None:
        raise unknown_branch(remote, name)
    if name == remote.client.repository(remote.name).default_branch:
        raise Forbidden(
            f"branch {name!r} is the default branch of {remote.name!r}", hint="delete the repo, or another branch"
        )
    refuse_protected(rules, name)
    if name in {row.id for row in visible.results}:
        _keep_aside(remote, name, branch.commit_id)
    remote.run(remote.delete_branch_call(name))


def _keep_aside(remote: Remote, name: str, head: str) -> None:
    trash = _PREFIX + name
    create = remote.create_branch_call(trash, head, hidden=True)
    try:
        remote.run(create)
    except AlreadyExists:  # of one that was deleted before
        remote.run(remote.delete_branch_call(trash))
        remote.run(create)
    _carry_over(remote, name, trash)


def _carry_over(remote: Remote, branch: str, other: str) -> None:
    """Put the uncommitted changes of a branch onto another one with the same head."""
    rows = list(uncommitted_rows(remote, branch))
    removed = [row.path for row in rows if row.type == "removed"]
    carry(remote, [row.path for row in rows if row.type != "removed"], source=branch, branch=other, gone=removed)


def undelete_branch(remote: Remote, name: str) -> BranchInfo:
    """Bring back the branch that was deleted last under this name."""
    check_branch(name)
    trash = _PREFIX + name
    kept, taken = remote.two(remote.branch_call(trash), remote.branch_call(name))
    if kept is None:
        raise _nothing_kept(remote, name)
    if taken is not None:
        raise AlreadyExists(f"there is a branch {name!r} already", hint="delete it, or leave it as it is")
    head = remote.run(remote.create_branch_call(name, kept.commit_id))
    _carry_over(remote, trash, name)
    remote.run(remote.delete_branch_call(trash))
    return BranchInfo(name=name, head=head)


def _nothing_kept(remote: Remote, name: str) -> NotFound:
    def hint() -> str | None:
        try:
            rows = remote.run(remote.branches_call(hidden=True, prefix=_PREFIX)).results
        except DatastoreError:
            return None
        return nearest(name, [row.id.removeprefix(_PREFIX) for row in rows], what="deleted branches")

    return NotFound(f"no deleted branch {name!r}", hint=hint)
