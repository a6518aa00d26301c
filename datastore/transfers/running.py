"""One transfer between two sides: what is judged, what is done about it, and the plan that tells of both."""

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from datastore.errors import AlreadyExists, ValidationError
from datastore.namespace import Namespace
from datastore.repository import Repo
from datastore.transfers import acting
from datastore.transfers.deciding import Check, Compare, Pair, is_dressed, paired, same_attributes, verdict
from datastore.transfers.hashing import Doubt, settled
from datastore.transfers.landing import check_place
from datastore.transfers.plans import Plan
from datastore.transfers.sides import Row, Side
from datastore.values import Change, ObjectInfo

if TYPE_CHECKING:
    from datastore.history import Commit

__all__ = ["Job", "run"]


class Job(Struct, frozen=True, kw_only=True):
    """What is wanted of a transfer.

    Attributes:
        namespace: Where the names of both sides were looked up.
        source: Where objects are.
        dest: Where they shall be.
        compare: What tells that an object need not be sent again.
        delete: Whether what only the dest has goes.
        overwrite: Whether what differs there is replaced.
        dry_run: Whether nothing is done.
        message: Of the commit at the end; None makes none.
        callback: Progress.
    """

    namespace: Namespace
    source: Side
    dest: Side
    compare: Compare
    delete: bool = False
    overwrite: bool = True
    dry_run: bool = False
    message: str | None = None
    callback: Any = None


class _Judged(Struct, frozen=True):
    """What is the case with each name.

    Attributes:
        changes: What has to be done, or may have to be, in the order of names.
        unsure: Names among them of files that are hashed only on their way; they may be there already.
        skipped: What the dest has already.
    """

    changes: list[Change]
    unsure: frozenset[str]
    skipped: list[ObjectInfo]


def run(job: Job, ours: Iterable[Row], theirs: Iterable[Row]) -> Plan:
    """Judge, and, unless it is a dry run, act.

    Args:
        job: What is wanted.
        ours: What the source has, in the order of names.
        theirs: What the dest has of it; all that it has, if `delete` is wanted.
    """
    if job.message is not None and job.dest.target.versioned is None:
        raise ValidationError(f"message=: {job.dest.title!r} has no commits", hint="leave it out, or use a branch")
    pairs = list(paired(ours, theirs))
    target = job.dest.target
    if job.dry_run and target.versioned and target.ref and not any(there for _, _, there in pairs):
        target.versioned.commit_of(target.ref)  # nothing is there because there is no such branch?
    judged = _judged(job, pairs)
    if job.dest.root is not None:
        check_place(job.dest.root, [change.key for change in judged.changes if change.after])
    blocked = [] if job.overwrite else [change.key for change in judged.changes if change.before and change.after]
    if job.dry_run:
        return _plan(job, judged, blocked=blocked)
    if blocked:
        raise _in_the_way(job, blocked)
    done = _done(job, judged) if judged.changes else judged
    return _plan(job, done, commit=_committed(job))


def _judged(job: Job, pairs: Sequence[Pair]) -> _Judged:
    rule = _rule_of(job)
    pairs = _with_attributes(job, rule, pairs)
    verdicts = {name: _verdict(rule, a, b) for name, a, b in pairs if a is not None and b is not None}
    late = acting.imports(job.source, job.dest) and not job.dry_run
    unsure: set[str] = set()
    doubts: dict[str, Doubt] = {}
    for name, here, there in pairs:
        found = verdicts.get(name)
        if isinstance(found, Check) and here is not None and there is not None:
            if late and found.of == "source" and found.wanted == there.digest and not is_dressed(there):
                unsure.add(name)
            else:
                doubts[name] = (here, there, found)
    same = dict(zip(doubts, settled(job.source, job.dest, [*doubts.values()]), strict=True))
    current = {name for name, found in verdicts.items() if found is True or same.get(name)}
    changes = [
        Change(key=name, before=there, after=here)
        for name, here, there in pairs
        if name not in current and (here is not None or job.delete)
    ]
    return _Judged(changes, frozenset(unsure), [here for name, here, _ in pairs if here and name in current])


class _Rule(Struct, frozen=True):
    """What the two sides can tell; asked once, since a branch has to look whether it is one.

    Attributes:
        attributes: Whether the dest keeps attributes, and the source's are known.
        listed: Whether the dest's listing tells them.
        local: Which sides are on this machine.
        compare: What tells that an object need not be sent again.
    """

    attributes: bool
    listed: bool
    local: tuple[bool, bool]
    compare: Compare


def _rule_of(job: Job) -> _Rule:
    source, dest = job.source.provider.capabilities, job.dest.provider.capabilities
    attributes = source.attributes and source.lists_attributes and dest.attributes
    return _Rule(attributes, dest.lists_attributes, (source.local, dest.local), job.compare)


def _verdict(rule: _Rule, here: ObjectInfo, there: ObjectInfo) -> bool | Check:
    if rule.attributes and not same_attributes(here, there):
        return False
    readable = rule.local[0] and here.link is None, rule.local[1] and there.link is None
    return verdict(here, there, readable=readable, near=all(rule.local), compare=rule.compare)


def _with_attributes(job: Job, rule: _Rule, pairs: Sequence[Pair]) -> Sequence[Pair]:
    """Ask for the attributes of what has some at the source, if the dest's listing does not tell them."""
    if not rule.attributes or rule.listed:
        return pairs
    asked = [there for _, here, there in pairs if here and there and here.size == there.size and is_dressed(here)]
    told = {info.key: info for info in acting.with_attributes(job.dest.provider, asked)}
    return [(name, here, told.get(there.key, there) if there else None) for name, here, there in pairs]


def _in_the_way(job: Job, blocked: Sequence[str]) -> AlreadyExists:
    some = ", ".join(map(repr, blocked[:3])) + (", …" if len(blocked) > 3 else "")
    count = f"{len(blocked):,} file{'' if len(blocked) == 1 else 's'}"
    return AlreadyExists(
        f"{count} in {job.dest.root!r} would be replaced by other bytes: {some}; nothing was written",
        hint="overwrite=True replaces what differs; dry_run=True tells all that would be done",
    )


def _done(job: Job, judged: _Judged) -> _Judged:
    """Do it, and return what there was to do."""
    acting.check_writable(job.dest)
    wanted = [change for change in judged.changes if change.after]
    if not wanted:
        pass
    elif acting.imports(job.source, job.dest):
        judged = _settled(judged, acting.import_files(job.source, job.dest, wanted, job.callback), job.dest.folder)
    else:
        acting.carry(job.source, job.dest, wanted, job.callback)
    # After all copies: if one of them fails, nothing is lost yet.
    gone = [change.before.key for change in judged.changes if change.before and not change.after]
    acting.delete(job.dest.provider, gone)
    return judged


def _settled(judged: _Judged, infos: Iterable[ObjectInfo], folder: str) -> _Judged:
    """Leave out what turned out to be there already."""
    now = {info.key: info.digest for info in infos}
    news = [
        not (change.key in judged.unsure and change.before and change.before.digest == now[folder + change.key])
        for change in judged.changes
    ]
    known = [change.after for change, new in zip(judged.changes, news, strict=True) if change.after and not new]
    return structs.replace(judged, changes=[*compress(judged.changes, news)], skipped=judged.skipped + known)


def _committed(job: Job) -> "Commit | None":
    if job.message is None:
        return None
    target = job.dest.target
    return Repo(target.name, namespace=job.namespace).branch(target.ref).commit(job.message, empty="skip")


def _plan(job: Job, judged: _Judged, *, blocked: Sequence[str] = (), commit: "Commit | None" = None) -> Plan:
    return Plan(
        judged.changes,
        title=f"{job.source.title} → {job.dest.title}",
        sides=(job.dest.provider, job.source.provider),
        prefixes=(job.dest.folder, job.source.folder),
        skipped=judged.skipped,
        blocked=blocked,
        dry_run=job.dry_run,
        commit=commit,
    )
