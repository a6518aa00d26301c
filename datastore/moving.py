"""Refs that may name something else tomorrow: which they are, who may read them, and what they stand for.

The one place of the rule (docs/decisions/026-the-lock-file.md): a frozen process reads a moving ref as the lock file
has it, or not at all; one of several ranks does not read it, because the others might see another commit.
"""

from itertools import islice

from msgspec import Struct

from datastore.bridging import serves_requests
from datastore.errors import UncommittedChanges, ValidationError
from datastore.lockfile import lock_of
from datastore.lockformat import Pin, Pins
from datastore.names import is_commit_id, parse_ref
from datastore.namespace import Namespace, Target
from datastore.provider import SupportsVersioning
from datastore.urls import DatasetURL, Location

__all__ = ["Held", "Locked", "at_commit", "hold", "is_moving", "locked"]


class Locked(Struct, frozen=True):
    """A pin of the lock file that a URL is within.

    Attributes:
        name: Of the pin.
        pin: What it says.
        url: What it is about, as it was asked for.
    """

    name: str
    pin: Pin
    url: DatasetURL


class Held(Struct, frozen=True):
    """What a reader may use.

    Attributes:
        url: The URL.
        still: Whether it shows the same to every process that asks.
        by: The pin of data without versions, which says what they have to be.
    """

    url: DatasetURL
    still: bool
    by: Locked | None = None


def is_moving(target: Target) -> bool:
    """Tell whether a target may show something else tomorrow: a branch, what is counted from one, or no version."""
    if target.versioned is None or target.ref is None:
        return True
    return target.versioned.is_branch(parse_ref(target.ref).name)


def hold(namespace: Namespace, url: DatasetURL, *, ranks: int = 1, shared: bool = False, anew: bool = True) -> Held:
    """Return the URL with which a reader has to read what it was asked for.

    Args:
        namespace: Where the URL means something.
        url: What was asked for.
        ranks: How many processes train together.
        shared: Whether one of them tells the others which commit it is.
        anew: Whether data without versions is compared with its pin at each call, and not once in a process.

    Raises:
        ValidationError: The process is frozen, and the lock file does not name it; or one of several ranks asks for a
            ref that moves.
        HeadMoved: It has no versions, and is not any more what was pinned.
    """
    frozen, location = namespace.config.frozen, url.location
    fixed = location.ref is not None and is_commit_id(location.ref)
    if fixed or not location.mount or not (frozen or ranks > 1):
        return Held(url, still=fixed)
    found = locked(namespace, url)
    if found and found.pin.commit and frozen:
        return Held(url.at(found.pin.commit), still=True)
    target = namespace.target(url)
    if target.versioned is None:
        return _held_unversioned(namespace, target, found, url, anew=anew)
    if not _may_move(namespace, target):
        return Held(url, still=True)
    if frozen:
        raise _frozen(namespace, url)
    if not shared:
        raise _apart(url, found)
    return Held(url, still=False)


def _held_unversioned(
    namespace: Namespace, target: Target, found: Locked | None, url: DatasetURL, *, anew: bool
) -> Held:
    if found is None and namespace.config.frozen:
        raise _frozen(namespace, url)
    if found is not None and not _is_out_of_reach(namespace, target):  # offline, the cache knows what is there
        from datastore.pinning import verify  # only who has pins needs to list and to hash

        verify(namespace, found.name, found.pin, anew=anew)
    return Held(url, still=found is not None, by=found)


def _may_move(namespace: Namespace, target: Target) -> bool:
    # Whether a name is a tag or a branch is for the service to say, and offline nobody asks it.
    return _is_out_of_reach(namespace, target) or is_moving(target)


def _is_out_of_reach(namespace: Namespace, target: Target) -> bool:
    return namespace.config.offline and serves_requests(target.provider)


def locked(namespace: Namespace, url: DatasetURL) -> Locked | None:
    """Return the pin that says most about a URL: of it, or of a folder that it is in.

    Raises:
        ValidationError: Two pins of it name different commits.
    """
    lock, asked = lock_of(namespace), url.location
    around = [
        (len(place.key.rstrip("/")), name, pin)
        for name, pin in lock.read().items()
        if (place := lock.location(pin, nested=url.nested)) is not None
        and place.mount == asked.mount
        and covers(place.key, asked.key, folder=pin.is_folder)
        and _same_ref(namespace, place, asked)
    ]
    longest = max((length for length, _, _ in around), default=0)
    found = [Locked(name, pin, lock.url(pin)) for length, name, pin in around if length == longest]
    if len({(one.pin.commit, one.pin.state) for one in found}) > 1:
        names = ", ".join(repr(one.name) for one in found)
        raise ValidationError(
            f"{url}: the pins {names} of {lock.path} name different states of it",
            hint=f"say which: ds.pinned({found[0].name!r})",
        )
    return found[0] if found else None


def covers(pinned: str, key: str, *, folder: bool) -> bool:
    """Tell whether a key is what was pinned, or, of a folder, in it.

    >>> covers("train/", "train", folder=True), covers("train", "train/0.csv", folder=True)
    (True, True)
    >>> covers("train", "train2", folder=True), covers("a.csv", "a.csv/b", folder=False)
    (False, False)
    """
    stem = pinned.rstrip("/")
    return key.rstrip("/") == stem or (folder and (not stem or key.startswith(f"{stem}/")))


def _same_ref(namespace: Namespace, a: Location, b: Location) -> bool:
    if a.ref == b.ref or (a.ref is not None and b.ref is not None):
        return a.ref == b.ref
    return namespace.target(a).ref == namespace.target(b).ref  # which one is meant where none is written


def _frozen(namespace: Namespace, url: DatasetURL) -> ValidationError:
    # Not `Forbidden`, which is an OSError: `fs.walk` leaves out what meets one, and would find nothing without a word.
    lock = lock_of(namespace)
    named = _named(lock.read())
    return ValidationError(
        f"{url} may show something else tomorrow, and {lock.path} does not name it: this process is frozen",
        hint=f"pin it: `datastore lock add {url} --name …`, without DATASTORE_FROZEN{named}",
        url=str(url),
    )


def _named(pins: Pins) -> str:
    some = ", ".join(f"{name} ({pin.url})" for name, pin in list(pins.items())[:5])
    return f"; pinned are {some}{', …' if len(pins) > 5 else ''}" if pins else ""


def _apart(url: DatasetURL, found: Locked | None) -> ValidationError:
    way = "name a commit or tag" if found is None else f"take ds.pinned({found.name!r})"
    return ValidationError(
        f"{url} may name another commit for each rank", hint=f"{way}, or initialise torch.distributed first"
    )


def at_commit(namespace: Namespace, url: DatasetURL) -> DatasetURL:
    """Return the URL with the commit that its ref names now; unversioned ones as they are.

    Raises:
        UncommittedChanges: What the URL names differs from the branch's head.
    """
    target = namespace.target(url)
    repo, ref = target.versioned, target.ref
    if repo is None or ref is None:
        return url
    if repo.is_branch(ref):
        _refuse_uncommitted(repo, ref, url, target.key)
    return url.at(repo.commit_of(ref).id)


def _refuse_uncommitted(repo: SupportsVersioning, branch: str, url: DatasetURL, key: str) -> None:
    if not repo.has_uncommitted(branch):
        return
    folder = key if not key or key.endswith("/") else f"{key}/"
    # Of the keys that begin like the object, it is the first; what is under it may come long after them.
    itself = [change.key for change in islice(repo.uncommitted(branch, prefix=key), 1) if change.key == key]
    keys = itself + [change.key for change in islice(repo.uncommitted(branch, prefix=folder), 100)]
    if keys:
        raise UncommittedChanges(
            f"{url} has uncommitted changes: {', '.join(map(repr, keys[:5]))}",
            keys=keys,
            hint=f"commit them first, or take what is committed: {url.at(f'{branch}@')}",
        )
