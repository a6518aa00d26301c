"""What has become of the pins of a lock file: check, update, sync."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from datastore.bridging import serves_requests
from datastore.bulk.reading import read_objects
from datastore.errors import HeadMoved, IntegrityError, NotFound
from datastore.lockfile import lock_of
from datastore.lockformat import Pin
from datastore.moving import Held, Locked, at_commit
from datastore.namespace import Namespace
from datastore.pinning import commit_url, is_same, look, objects_of, verify
from datastore.provider import Provider, SupportsVersioning
from datastore.resolution import resolve
from datastore.urls import DatasetURL
from datastore.values import ByteRange, CommitInfo, ObjectInfo

__all__ = ["Checked", "Synced", "check", "sync", "update"]

State = Literal["same", "moved", "gone"]
_GONE: Final = (NotFound, HeadMoved, IntegrityError)
_FAR: Final = 1000
"""Commits that are looked back for the pinned one."""


class Checked(Struct, frozen=True, kw_only=True):
    """A pin, beside what its URL leads to now.

    Attributes:
        name: Of the pin.
        url: As it was asked for.
        state: `moved` if the URL leads to other data by now, `gone` if those that were pinned cannot be read any more.
        pin: What was written down.
        now: What there is now; None if that is nothing.
        commits: Those between the two that touched the data, newest first; only of a repo.
        problem: What is gone, or why there are no commits.
    """

    name: str
    url: str
    state: State
    pin: Pin
    now: Pin | None
    commits: Sequence[CommitInfo] = ()
    problem: str = ""


class Synced(Struct, frozen=True):
    """Where the data of a pin are on this machine."""

    name: str
    url: str
    path: Path


def check(namespace: Namespace, names: Sequence[str] = (), *, every_object: bool = False) -> list[Checked]:
    """Return what has become of pins; writes nothing, and may ask for moving refs also in a frozen process.

    Args:
        namespace: Where the URLs mean something.
        names: Which pins; all if none is named.
        every_object: Whether a byte of each pinned object is read, and not only of the first.
    """
    return [_checked(namespace, name, pin, every_object=every_object) for name, pin in _chosen(namespace, names)]


def _chosen(namespace: Namespace, names: Sequence[str]) -> list[tuple[str, Pin]]:
    lock = lock_of(namespace)
    return [(name, lock.pin(name)) for name in names or sorted(lock.read())]


def _checked(namespace: Namespace, name: str, pin: Pin, *, every_object: bool) -> Checked:
    url = lock_of(namespace).url(pin)
    problem = _lost(namespace, commit_url(url, pin), pin, every_object=every_object)
    try:
        now = look(namespace, _now(namespace, url), pin.url)
    except NotFound as error:
        now, problem = None, problem or (error.message if pin.commit is None else "")
        missing = f"nothing is there now: {error.message}"
    else:
        missing = ""
    if problem:
        state: State = "gone"
    else:
        state = "same" if now is not None and is_same(pin, now) else "moved"
    commits: Sequence[CommitInfo] = ()
    if state == "moved" and now is not None:
        commits, missing = _between(namespace, url, pin, now)
    return Checked(name=name, url=pin.url, state=state, pin=pin, now=now, commits=commits, problem=problem or missing)


def _now(namespace: Namespace, url: DatasetURL) -> DatasetURL:
    """Return the URL with the commit of now; uncommitted changes are not looked at."""
    target = namespace.target(url)
    if target.versioned is None or target.ref is None:
        return url
    return url.at(target.versioned.commit_of(target.ref).id)


def _lost(namespace: Namespace, url: DatasetURL, pin: Pin, *, every_object: bool) -> str:
    """Return what is wrong with the data that were pinned, as far as they can still be named; '' if nothing is."""
    if pin.commit is None:
        return ""
    try:
        target = namespace.target(url)
        if target.versioned is not None:
            target.versioned.commit_of(pin.commit)
        if not is_same(pin, look(namespace, url, pin.url)):
            return "the commit does not hold what the pin says"
        found = islice(objects_of(target), None if every_object else 1)
        return _unreadable(target.provider, [info for _, info in found])
    except _GONE as error:
        return str(error)


def _unreadable(provider: Provider, objects: Sequence[ObjectInfo]) -> str:
    """Return which object's first byte does not come, and why; over a network all are asked for at once."""
    first = ByteRange(0, 1)
    if serves_requests(provider):
        with closing(read_objects(provider, [(info, first) for info in objects])) as results:
            for number, result in results:
                if isinstance(result, _GONE):
                    return f"{objects[number].key!r} cannot be read: {result}"
                if isinstance(result, Exception):
                    raise result
        return ""
    for info in objects:
        try:
            with provider.read(info.key, range=first, if_match=info.etag) as reader:
                reader.read()
        except _GONE as error:
            return f"{info.key!r} cannot be read: {error}"
    return ""


def _between(namespace: Namespace, url: DatasetURL, pin: Pin, now: Pin) -> tuple[Sequence[CommitInfo], str]:
    """Return the commits that came after the pinned one and touched its data, or why there are none."""
    repo = namespace.target(url).versioned
    if repo is None or pin.commit is None or now.commit is None:
        return (), ""
    later, complete = _later(repo, pin.commit, now.commit)
    if not complete and len(later) < _FAR:
        return (), f"{url.ref or repo.default_branch} does not lead to the pinned commit any more"
    touching = [info for info in _touching(repo, now.commit, url.key.rstrip("/"), len(later)) if info.id in later]
    return touching, "" if complete else f"more than {_FAR:,} commits came since; these are among the newest"


def _later(repo: SupportsVersioning, old: str, new: str) -> tuple[set[str], bool]:
    """Return the ids that a log of `new` shows before it comes to `old`, and whether it does come there."""
    later: set[str] = set()
    for info in repo.log(new, limit=_FAR):
        if info.id == old:
            return later, True
        later.add(info.id)
    return later, False


def _touching(repo: SupportsVersioning, ref: str, key: str, most: int) -> Iterator[CommitInfo]:
    return repo.log(ref, key=key or None, limit=most)


def update(namespace: Namespace, names: Sequence[str] = ()) -> list[Checked]:
    """Pin anew what URLs lead to now, and return what has changed by that, as `check` would have.

    Raises:
        UncommittedChanges: A branch has some under a URL.
        NotFound: Nothing is there any more; no pin was changed.
        Forbidden: The process is frozen.
    """
    lock = lock_of(namespace)
    lock.refuse_frozen()
    done: list[Checked] = []
    for name, pin in _chosen(namespace, names):
        url = lock.url(pin)
        now = look(namespace, at_commit(namespace, url), pin.url)
        state: State = "same" if is_same(pin, now) else "moved"
        commits, problem = ((), "") if state == "same" else _between(namespace, url, pin, now)
        done.append(Checked(name=name, url=pin.url, state=state, pin=pin, now=now, commits=commits, problem=problem))
    made = {one.name: one.now for one in done if one.now is not None}
    lock.change(lambda pins: {**pins, **made})
    return done


def sync(namespace: Namespace, names: Sequence[str] = ()) -> list[Synced]:
    """Bring the data of pins into the cache, so that they are here without a network, and return the paths.

    Raises:
        NotFound, HeadMoved: As `pinned`.
    """
    lock = lock_of(namespace)
    done: list[Synced] = []
    for name, pin in _chosen(namespace, names):
        verify(namespace, name, pin)
        url = commit_url(lock.url(pin), pin)
        held = Held(url, still=True, by=Locked(name, pin, url) if pin.commit is None else None)
        done.append(Synced(name, str(url), resolve(namespace, url, held=held)))
    return done
