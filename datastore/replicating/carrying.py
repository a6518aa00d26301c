"""One commit made anew in another repo: its objects, then the commit, then the branch.

The work is done on a hidden branch of the dest that is named after the commit. So nobody sees half of it, what others
have uncommitted on the dest's branch is never swept up, and whoever comes back after an interruption knows what is
there already: everything that is staged on a branch of this name is of this commit.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Final

from msgspec import Struct, structs

from datastore.bridging import SupportsFastForward, SupportsOutsideLinks
from datastore.bulk.copying import copy_objects
from datastore.bulk.reading import head_objects
from datastore.errors import AlreadyExists, HeadMoved, UnsupportedOperation
from datastore.provider import Provider, SupportsCopy, SupportsRequests, SupportsVersioning
from datastore.replicating.origins import origin_of, recorded
from datastore.replicating.relating import Step
from datastore.threads import fan_out
from datastore.values import Change, CommitInfo, CommitRequest, ObjectInfo

__all__ = ["Moved", "carry", "forget_work"]

_WORK: Final = "incoming--"
_DELETE_BATCH: Final = 1000
_FEW: Final = 500
"""Objects up to which each is asked for; a listing tells of a thousand at once, also of those that nobody wants."""


class Moved(Struct):
    """What it took, counted as it goes: objects that were put, and the bytes that passed through here for them."""

    objects: int = 0
    bytes: int = 0


def carry(
    source: SupportsVersioning, dest: SupportsVersioning, step: Step, *, branch: str, head: str, moved: Moved
) -> CommitInfo:
    """Make one commit anew on a branch of another repo, and return it.

    Args:
        source: Has the commit.
        dest: Gets it.
        step: The commit and its parent.
        branch: Where it goes.
        head: The branch's head, a replica of the parent.
        moved: Counts what it takes.

    Raises:
        HeadMoved: The branch has another head by now. `landed` is the commit that came on top of it, if that happened.
        UncommittedChanges: The branch has some.
    """
    origin = origin_of(step.commit)
    work = _work_branch(origin)
    request = _request(step.commit, origin=origin, onto=head, branch=work)
    made = _begin(dest, work, head=head, origin=origin)
    if made is None or made.id == head:
        _stage(source, dest, step, work=work, staged={} if made is None else _staged(dest, work), moved=moved)
        made = _committed(dest, work, request)
    landed = _land(dest, branch, made, head=head, request=request)
    dest.delete_branch(work)
    return landed


def forget_work(dest: SupportsVersioning, origin: str) -> None:
    """Delete the branch that an interruption left after its commit had landed."""
    if dest.is_branch(work := _work_branch(origin)):
        dest.delete_branch(work)


def _work_branch(origin: str) -> str:
    # Hashed, because a stranger may have written anything into the metadata of a commit.
    return _WORK + hashlib.sha256(origin.encode()).hexdigest()[:16]


def _request(commit: CommitInfo, *, origin: str, onto: str, branch: str) -> CommitRequest:
    # The same work under the same name is the same commit, also if two processes do it at once.
    name = f"{origin}\0{onto}\0{branch}"
    return CommitRequest(
        message=commit.message if commit.message.strip() else "(no message)",
        author=commit.author,
        op_id=hashlib.sha256(name.encode()).hexdigest()[:32],
        metadata=recorded(commit.metadata, origin=origin, onto=onto),
        allow_empty=True,
        time_us=commit.time_us,
    )


def _begin(dest: SupportsVersioning, work: str, *, head: str, origin: str) -> CommitInfo | None:
    """Make the work branch; or find it again and return its head, which is the commit or where it will go."""
    try:
        dest.create_branch(work, head, hidden=True)
    except AlreadyExists:
        found = dest.commit_of(work)
        if found.id == head or (found.parents[:1] == (head,) and origin_of(found) == origin):
            return found
        dest.delete_branch(work)  # of a time when the branch had another head
        dest.create_branch(work, head, hidden=True)
    return None


def _committed(dest: SupportsVersioning, work: str, request: CommitRequest) -> CommitInfo:
    made = dest.commit(work, request)
    if dest.commit_of(work).id != made.id:
        # The store remembers this very commit from a work branch that is gone. It is as good as a new one.
        dest.delete_branch(work)
        dest.create_branch(work, made.id, hidden=True)
    return made


def _land(dest: SupportsVersioning, branch: str, made: CommitInfo, *, head: str, request: CommitRequest) -> CommitInfo:
    if isinstance(dest, SupportsFastForward):
        dest.fast_forward(branch, made.id, head=head)
        return made
    if (now := dest.commit_of(branch).id) != head:
        raise _moved_away(branch, head, now)
    op_id = hashlib.sha256(f"{request.op_id}\0{branch}".encode()).hexdigest()[:32]
    landed = dest.cherry_pick(branch, made.id, structs.replace(request, op_id=op_id))
    if landed.parents[:1] != (head,):
        raise _moved_away(branch, head, landed.parents[0], landed=landed.id)
    return landed


def _moved_away(branch: str, head: str, now: str, *, landed: str | None = None) -> HeadMoved:
    message = f"branch {branch!r} has moved from commit {head[:8]} to {now[:8]} meanwhile"
    if landed is not None:
        message += f"; commit {landed[:8]} came on top of it"
    return HeadMoved(message, hint="what was copied is kept; the same call again tells what to do", landed=landed)


_Staged = Mapping[str, ObjectInfo | None]


def _staged(dest: SupportsVersioning, work: str) -> _Staged:
    return {change.key: change.after for change in dest.uncommitted(work)}


def _stage(
    source: SupportsVersioning, dest: SupportsVersioning, step: Step, *, work: str, staged: _Staged, moved: Moved
) -> None:
    changes = list(_changes(source, step))
    here, there = source.at(step.commit.id), dest.at(work)
    wanted = _missing(changes, staged)
    moved.objects += len(wanted)
    if not staged:
        wanted = _not_renamed(there, wanted, _removed(changes))
    wanted = _unlinked(there, _described(here, wanted))
    for _, size in copy_objects(here, there, [(info, info.key) for info in wanted]):
        moved.bytes += size
    gone = [change.key for change in changes if change.after is None and staged.get(change.key, change) is not None]
    for at in range(0, len(gone), _DELETE_BATCH):
        for failure in there.delete(gone[at : at + _DELETE_BATCH]):
            raise failure.error


def _changes(source: SupportsVersioning, step: Step) -> Iterable[Change]:
    if step.parent is not None:
        return source.diff(step.parent.id, step.commit.id)
    pages = source.at(step.commit.id).list()
    return (Change(key=info.key, before=None, after=info) for page in pages for info in page.objects)


def _missing(changes: Iterable[Change], staged: _Staged) -> list[ObjectInfo]:
    """Return what has to be put. What an earlier attempt put is whole, and is of this commit."""
    found: list[ObjectInfo] = []
    for change in changes:
        here, there = change.after, staged.get(change.key)
        if here is not None and (there is None or there.size != here.size):
            found.append(here)
    return found


_Bytes = tuple[str, int]


def _removed(changes: Iterable[Change]) -> dict[_Bytes, str]:
    """Return, by etag and size, the keys that the dest still has from the parent until the very end."""
    pairs = ((change.key, change.before) for change in changes if change.after is None)
    return {(before.etag, before.size): key for key, before in pairs if before is not None}


def _unlinked(there: Provider, infos: list[ObjectInfo]) -> list[ObjectInfo]:
    """Put links to data outside as links, where the dest can, and return the rest."""
    links = [info for info in infos if info.link is not None]
    if links and isinstance(there, SupportsOutsideLinks):
        try:
            there.link_outside(links)
        except UnsupportedOperation:
            return infos
        return [info for info in infos if info.link is None]
    return infos


def _not_renamed(there: Provider, infos: list[ObjectInfo], removed: Mapping[_Bytes, str]) -> list[ObjectInfo]:
    """Let the dest itself copy what it has under the key that the object had in the parent; return the rest."""
    if not isinstance(there, SupportsCopy) or not removed:
        return infos

    def is_copied(info: ObjectInfo) -> bool:
        before = removed.get((info.etag, info.size))  # in one store they tell the bytes, see `same_object`
        if before is None:
            return False
        copied = there.copy(before, info.key)
        return copied.content_type == info.content_type and dict(copied.metadata) == dict(info.metadata)

    done = fan_out(is_copied, infos, local=there.capabilities.local)
    return [info for info, is_done in zip(infos, done, strict=True) if not is_done]


def _described(here: Provider, infos: list[ObjectInfo]) -> list[ObjectInfo]:
    """Return what the source itself says of objects; a comparison of commits need not know where their bytes are."""
    if not isinstance(here, SupportsRequests):
        return infos
    keys = [info.key for info in infos]
    found = _listed(here, keys) if len(keys) > _FEW else {}
    missing = [key for key in keys if key not in found]
    for number, info in head_objects(here, missing):
        if isinstance(info, Exception):
            raise info
        found[missing[number]] = info
    return [found[key] for key in keys]


def _listed(here: Provider, keys: list[str]) -> dict[str, ObjectInfo]:
    common = os.path.commonprefix(keys)  # noqa: RUF071 - a prefix of keys ends where it likes, not at a slash
    wanted, last = set(keys), max(keys)
    pages = takewhile(lambda page: page.objects[0].key <= last, here.list(common))
    return {info.key: info for page in pages for info in page.objects if info.key in wanted}
