"""Push, pull, fetch and clone: which branch of which repo is brought up to which other one."""

import contextlib
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from datastore.bridging import SupportsRemote
from datastore.errors import (
    AlreadyExists,
    Diverged,
    Forbidden,
    InvalidURL,
    NotFound,
    UnsupportedOperation,
    ValidationError,
    nearest,
)
from datastore.namespace import Namespace
from datastore.notebook.markup import size_text
from datastore.provider import SupportsVersioning
from datastore.replicating.relating import History, newest_common
from datastore.replicating.replicate import Side, replicate
from datastore.urls import SCHEME, DatasetURL, format_location

if TYPE_CHECKING:
    from datastore.repository import Branch, Repo

__all__ = ["TRACKING", "Exchange", "clone", "fetch", "pull", "push", "remote_of"]

TRACKING: Final = "origin--"
"""What the name of a hidden branch begins with that has what `fetch` saw; lakeFS allows no `/` in names of branches."""


class Exchange(Struct, frozen=True, kw_only=True):
    """What a push or pull did.

    Attributes:
        source: URL of the branch that has the commits.
        dest: URL of the branch that got them.
        commits: Ids of the new commits at the dest, oldest first; none if it had them all.
        tags: Names of the tags that are new there.
        objects: How many were put.
        bytes: How many bytes passed through here for them; what the dest's store held already is not among them.
    """

    source: str
    dest: str
    commits: tuple[str, ...]
    tags: tuple[str, ...] = ()
    objects: int = 0
    bytes: int = 0

    def __repr__(self) -> str:
        if not (self.commits or self.tags):
            return f"{self.dest} has all of {self.source} already"
        tags = f" and {_count(len(self.tags), 'tag')}" if self.tags else ""
        moved = f"{_count(self.objects, 'object')}, {size_text(self.bytes)} moved"
        return f"{_count(len(self.commits), 'commit')}{tags} from {self.source} to {self.dest} ({moved})"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def push(repo: "Repo", url: str | None, *, branch: str | None, tags: bool) -> Exchange:
    """Bring a branch of another repo up to the one here; see `Repo.push`."""
    here, there = _sides(repo, url, branch)
    if not here.repo.is_branch(here.branch):
        raise _no_branch(here)
    done = _exchange(here, there, tags=tags)
    _remember(repo, url)
    return done


def pull(repo: "Repo", url: str | None, *, branch: str | None, tags: bool) -> Exchange:
    """Bring a branch here up to the one of another repo; see `Repo.pull`."""
    here, there = _sides(repo, url, branch)
    if not there.repo.is_branch(there.branch):
        raise _no_branch(there)
    done = _exchange(there, here, tags=tags)
    _remember(repo, url)
    return done


def fetch(repo: "Repo", url: str | None, *, branch: str | None) -> "Branch":
    """Bring a branch of another repo here, as a hidden branch; see `Repo.fetch`."""
    here, there = _sides(repo, url, branch)
    if not there.repo.is_branch(there.branch):
        raise _no_branch(there)
    tracking = Side(repo=here.repo, branch=TRACKING + there.branch, title=_title(repo.name, TRACKING + there.branch))
    _place_tracking(here, there, tracking)
    replicate(there, tracking)
    _remember(repo, url)
    return repo.branch(tracking.branch)


def clone(namespace: Namespace, url: str, name: str, *, tags: bool) -> "Repo":
    """Make a repo with what a branch of another one has; see `ds.clone`."""
    from datastore.repository import Repo

    place, versioned = _other(namespace, url)
    branch = place.ref or versioned.default_branch
    if not versioned.is_branch(branch):
        raise _no_branch(Side(repo=versioned, branch=branch, title=place))
    remembered = _repo_url(place)
    namespace.check_free(name)
    store, inner = namespace.store_of(name)
    try:
        made = store.create_repo(inner, default_branch=branch)
    except AlreadyExists:
        made = store.repo(inner)
        if not (isinstance(made, SupportsRemote) and made.remote() == remembered):
            raise
    if isinstance(made, SupportsRemote):
        made.set_remote(remembered)
    repo = Repo(name, namespace=namespace)
    pull(repo, place, branch=branch, tags=tags)
    return repo


def remote_of(repo: "Repo") -> DatasetURL | None:
    """Return the URL of the repo that one exchanges commits with, if that was ever said."""
    versioned = repo.versioned
    found = versioned.remote() if isinstance(versioned, SupportsRemote) else None
    return None if found is None else repo.namespace.url(found)


def _exchange(source: Side, dest: Side, *, tags: bool) -> Exchange:
    if not dest.repo.is_branch(dest.branch):
        _begin_branch(source, dest)
    made, moved = replicate(source, dest)
    names = _copy_tags(source, dest) if tags else ()
    return Exchange(
        source=source.title,
        dest=dest.title,
        commits=tuple(commit.id for commit in made),
        tags=names,
        objects=moved.objects,
        bytes=moved.bytes,
    )


def _begin_branch(source: Side, dest: Side) -> None:
    """Make the branch where the source's history parts from the dest's default branch."""
    default = dest.repo.default_branch
    common = newest_common(History(source.repo, source.branch), History(dest.repo, default))
    if common is None or common.dest is None:
        raise Diverged(
            f"{source.title} and branch {default!r} of {dest.title} have no commit in common",
            hint="push into a new repo: ds.create_repo(name)",
        )
    dest.repo.create_branch(dest.branch, common.dest.id)


def _place_tracking(here: Side, there: Side, tracking: Side) -> None:
    """Let the tracking branch begin at the newest commit of the other side that is known here.

    Where the local branch has a newer one than the tracking branch, that one is it: a merge then compares with what
    both have in common.
    """
    theirs = History(there.repo, there.branch)
    local = here.branch if here.repo.is_branch(here.branch) else here.repo.default_branch
    known = History(here.repo, local).by_origin
    found = History(here.repo, tracking.branch).head if here.repo.is_branch(tracking.branch) else None
    seen = None if found is None else History(here.repo, found.id).origin(found)
    for commit in theirs.all:
        origin = theirs.origin(commit)
        if origin in known:
            if found is not None and found.id != known[origin].id:
                here.repo.delete_branch(tracking.branch)
            if found is None or found.id != known[origin].id:
                here.repo.create_branch(tracking.branch, known[origin].id, hidden=True)
            return
        if origin == seen:
            return
    raise Diverged(
        f"{here.title} and {there.title} have no commit in common", hint="ds.clone(url, name) makes a repo of its own"
    )


def _copy_tags(source: Side, dest: Side) -> tuple[str, ...]:
    """Make the tags of the source whose commits the dest has; all of them or, if one is taken, none."""
    known = History(dest.repo, dest.branch)
    taken = {tag.name: tag.commit for tag in dest.repo.tags()}
    missing: dict[str, str] = {}
    mine = History(source.repo, source.branch)
    for tag in source.repo.tags():
        origin = mine.origin(source.repo.commit_of(tag.commit))
        there = known.by_origin.get(origin)
        if tag.name in taken:
            if known.origin(dest.repo.commit_of(taken[tag.name])) != origin:
                raise AlreadyExists(
                    f"tag {tag.name!r} names commit {tag.commit[:8]} in {source.title} and another one, "
                    f"{taken[tag.name][:8]}, in {dest.title}",
                    hint="tags never move: give one of them another name; the commits were copied",
                )
        elif there is not None:
            missing[tag.name] = there.id
    for name, commit in missing.items():
        dest.repo.create_tag(name, commit)
    return tuple(missing)


def _sides(repo: "Repo", url: str | None, branch: str | None) -> tuple[Side, Side]:
    """Return the branch here and the branch there. The URL's ref is the one there; else both have the same name."""
    versioned = repo.versioned
    given = url or remote_of(repo)
    if given is None:
        raise ValidationError(
            f"{repo.name!r} has no remote yet", hint="say where once: repo.push(url), or repo.set_remote(url)"
        )
    place, other = _other(repo.namespace, given)
    if place.mount == repo.name:
        raise ValidationError(f"{place!r} is this very repo", hint="repo.merge is for branches of one repo")
    mine = branch or place.ref or versioned.default_branch
    here = Side(repo=versioned, branch=mine, title=_title(repo.name, mine))
    theirs = place.ref or mine
    there = Side(repo=other, branch=theirs, title=_title(place.mount, theirs))
    if place.ref is not None and not other.is_branch(place.ref):
        raise _no_branch(there)  # a branch that is asked for by name is never made by a typo
    return here, there


def _other(namespace: Namespace, url: str) -> tuple[DatasetURL, SupportsVersioning]:
    place = namespace.url(url)
    target = namespace.target(place)
    if target.versioned is None:
        raise UnsupportedOperation(f"{place!r} has no versions", hint="name a repo of the embedded store or lakeFS")
    if target.key:
        raise InvalidURL(f"{place!r} names an object or prefix, not a repo", hint=f"write {_repo_url(place)}")
    return place, target.versioned


def _repo_url(place: DatasetURL) -> str:
    return SCHEME + place.mount


def _title(name: str, branch: str) -> str:
    return SCHEME + format_location(name, branch, "")


def _remember(repo: "Repo", url: str | None) -> None:
    versioned = repo.versioned
    if url is not None and isinstance(versioned, SupportsRemote) and versioned.remote() is None:
        with contextlib.suppress(Forbidden):  # a store that is read-only can be pushed from all the same
            versioned.set_remote(_repo_url(repo.namespace.url(url)))


def _no_branch(side: Side) -> NotFound:
    names = [branch.name for branch in side.repo.branches()]
    return NotFound(f"no branch {side.branch!r} in {side.title}", hint=nearest(side.branch, names, what="branches"))
