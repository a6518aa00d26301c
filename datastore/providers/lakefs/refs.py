"""Branches and tags of a lakeFS repo: listed, made, and tags deleted."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from datastore.errors import AlreadyExists, Conflict, DatastoreError, NotFound, ValidationError, nearest
from datastore.names import check_branch, check_tag
from datastore.providers.lakefs.commits import exact, resolve
from datastore.providers.lakefs.endpoints import NoRepo, Remote
from datastore.providers.lakefs.protection import protecting, rules_call
from datastore.providers.lakefs.trash import is_trash
from datastore.values import BranchInfo, TagInfo

if TYPE_CHECKING:
    from datastore.providers.lakefs.answers import BranchRow

__all__ = ["branches", "create_branch", "create_tag", "delete_tag", "is_branch", "tags"]


def is_branch(remote: Remote, name: str) -> bool:
    """Tell whether the text is the bare name of a branch; no request for one that cannot be."""
    try:
        check_branch(name)
    except ValidationError:
        return False
    return remote.run(remote.branch_call(name)) is not None


def branches(remote: Remote, *, hidden: bool) -> Sequence[BranchInfo]:
    """Return the branches by name; one round trip for 1,000.

    The server lists hidden branches without saying which are, so they are those that a plain listing leaves out.
    """
    everything: list[BranchRow] = []
    if hidden:
        calls = remote.branches_call(), rules_call(remote), remote.branches_call(hidden=True)
        page, rules, whole = remote.three(*calls)
        everything = remote.all_rows(whole, partial(remote.branches_call, hidden=True))
    else:
        page, rules = remote.two(remote.branches_call(), rules_call(remote))
    visible = remote.all_rows(page, remote.branches_call)
    shown = {row.id for row in visible}
    return [
        BranchInfo(
            name=row.id,
            head=row.commit_id,
            hidden=row.id not in shown,
            protected=protecting(rules.patterns, row.id) is not None,
        )
        for row in (everything if hidden else visible)
        if not is_trash(row.id)
    ]


def tags(remote: Remote) -> Sequence[TagInfo]:
    """Return the tags by name."""
    rows = remote.all_rows(remote.run(remote.tags_call()), remote.tags_call)
    return [TagInfo(name=row.id, commit=row.commit_id) for row in rows]


def create_branch(remote: Remote, name: str, base: str, *, hidden: bool) -> BranchInfo:
    """Make a branch at the commit of `base`; one request."""
    check_branch(name)
    call = remote.create_branch_call(name, exact(remote, base), hidden=hidden)
    try:
        head = remote.run(call)
    except NoRepo:
        raise
    except (NotFound, ValidationError):
        resolve(remote, base)  # says what is wrong with it
        raise
    except (AlreadyExists, Conflict) as error:
        raise _taken(name, error) from None
    return BranchInfo(name=name, head=head, hidden=hidden)


def create_tag(remote: Remote, name: str, ref: str) -> TagInfo:
    """Make a tag; the same name for the same commit again is fine. One request, three if the name is taken."""
    check_tag(name)
    call = remote.create_tag_call(name, exact(remote, ref))
    try:
        return TagInfo(name=name, commit=remote.run(call).commit_id)
    except NoRepo:
        raise
    except (NotFound, ValidationError):
        resolve(remote, ref)
        raise
    except (AlreadyExists, Conflict) as error:
        found = remote.run(remote.tags_call(prefix=name, amount=1)).results
        if found and found[0].id == name and found[0].commit_id == resolve(remote, ref).id:
            return TagInfo(name=name, commit=found[0].commit_id)
        raise _taken(name, error) from None


def _taken(name: str, error: DatastoreError) -> DatastoreError:
    """The error for a name that a branch or tag has; the veto of a hook stays what it is."""
    if "branch already exists" in error.message or "branch name" in error.message:
        return AlreadyExists(f"there is a branch {name!r} already", hint="choose another name, or use exist_ok=True")
    if "tag already exists" in error.message or "tag ID" in error.message:
        return AlreadyExists(f"there is a tag {name!r} already", hint="choose another name; tags never move")
    return error


def delete_tag(remote: Remote, name: str) -> None:
    """Delete a tag."""
    try:
        remote.run(remote.delete_tag_call(name))
    except NoRepo:
        raise
    except NotFound:
        raise NotFound(f"no tag {name!r}", hint=lambda: _nearest_tag(remote, name)) from None


def _nearest_tag(remote: Remote, name: str) -> str | None:
    try:
        return nearest(name, [tag.name for tag in tags(remote)], what="tags")
    except DatastoreError:
        return None
