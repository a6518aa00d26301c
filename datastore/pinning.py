"""Pins: what a URL leads to now, written down, found again as it was, or dropped."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from datastore.bridging import serves_requests
from datastore.cachestore.fetching import is_strong
from datastore.cachestore.store import identity_of
from datastore.errors import AlreadyExists, DatastoreError, HeadMoved, NotCached, NotFound
from datastore.lockfile import lock_of
from datastore.lockformat import Pin, Pins, check_pin_name
from datastore.moving import Locked, at_commit
from datastore.namespace import Namespace, Target
from datastore.provider import Provider
from datastore.resolution import asked, is_here, store_of
from datastore.urls import DatasetURL
from datastore.values import Digest, ObjectInfo

__all__ = ["commit_url", "is_same", "look", "objects_of", "pin", "pinned", "unpin", "verify", "with_pin"]

_SEEN: Final[set[tuple[str, str, Pin]]] = set()
"""Pins whose commit, or whose data without versions, this process has met."""


def pin(namespace: Namespace, url: DatasetURL, *, name: str, update: bool = False) -> DatasetURL:
    """Write down what a URL leads to now, unless that was done before; see `ds.pin`."""
    check_pin_name(name)
    lock = lock_of(namespace)
    written = lock.written(url)
    known = lock.read().get(name)
    if known is not None and not update:
        _check_same_url(known, name, written)
        return pinned(namespace, name)
    lock.refuse_frozen(hint=f"run it once without DATASTORE_FROZEN, or `datastore lock add {url} --name {name}`")
    made = look(namespace, at_commit(namespace, url), written)
    after = lock.change(lambda pins: with_pin(pins, name, made, update=update))[name]
    if after == made:
        _SEEN.add(_seen(namespace, url, name, made))
    return commit_url(lock.url(after), after)


def with_pin(pins: Pins, name: str, made: Pin, *, update: bool) -> Pins:
    """Return the pins with one more; one of the same name and URL stays as it is, unless it is to be replaced.

    Raises:
        AlreadyExists: The name stands for another URL.
    """
    known = pins.get(name)
    if known is None or update:
        return {**pins, name: made}
    _check_same_url(known, name, made.url)
    return pins


def _check_same_url(known: Pin, name: str, url: str) -> None:
    if known.url != url:
        raise AlreadyExists(
            f"{name!r} pins {known.url} already, not {url}",
            hint=f"choose another name, or replace it: ds.pin(url, name={name!r}, update=True)",
        )


def pinned(namespace: Namespace, name: str) -> DatasetURL:
    """Return what a pin names, with its commit; see `ds.pinned`."""
    lock = lock_of(namespace)
    found = lock.pin(name)
    verify(namespace, name, found)
    return commit_url(lock.url(found), found)


def unpin(namespace: Namespace, names: Sequence[str]) -> dict[str, Pin]:
    """Take pins out of the lock file, all of these or none, and return them; see `ds.unpin`."""
    lock, gone = lock_of(namespace), dict[str, Pin]()
    lock.refuse_frozen()

    def rest(pins: Pins) -> Pins:
        gone.update((name, lock.one_of(pins, name)) for name in names)
        return {name: pin for name, pin in pins.items() if name not in gone}

    lock.change(rest)
    return gone


def commit_url(url: DatasetURL, pin: Pin) -> DatasetURL:
    """Return the URL of a pin with its commit, if it has one."""
    return url if pin.commit is None else url.at(pin.commit)


def verify(namespace: Namespace, name: str, pin: Pin, *, anew: bool = True) -> None:
    """Check that what was pinned is there, as far as that costs little.

    A commit is looked for once in a process, and not at all if it was resolved on this machine before: what it holds
    cannot change. Without versions, the object's metadata or the listing is compared. Offline nobody is asked: without
    versions, `lock sync` has to have brought just what was pinned.

    Raises:
        NotFound: The commit, or what was pinned, is gone.
        HeadMoved: There are other data.
        NotCached: This is offline, and it is not known what was pinned.
    """
    url = commit_url(lock_of(namespace).url(pin), pin)
    seen = _seen(namespace, url, name, pin)
    if seen in _SEEN and (pin.commit is not None or not anew):
        return
    target = namespace.target(url)
    if namespace.config.offline and serves_requests(target.provider):
        if pin.commit is None and not is_here(namespace, Locked(name, pin, url)):
            raise NotCached(
                f"what {name!r} pins is not in the cache, and this is offline: {url}",
                hint=f"`datastore lock sync {name}` while the service can be reached",
                url=str(url),
            )
        return
    if pin.commit is None:
        now = look(namespace, url, pin.url)
        if not is_same(pin, now):
            raise HeadMoved(f"{url} is not any more what {name!r} pins", hint=_way_out(name), url=str(url))
    elif target.versioned is not None and not _was_resolved(namespace, url):
        try:
            target.versioned.commit_of(pin.commit)
        except NotFound as error:
            raise NotFound(f"the commit that {name!r} pins is gone: {url}", hint=_way_out(name)) from error
    _SEEN.add(seen)


def _seen(namespace: Namespace, url: DatasetURL, name: str, pin: Pin) -> tuple[str, str, Pin]:
    return namespace.place(url.mount.partition("/")[0]), name, pin


def _way_out(name: str) -> str:
    return f"`datastore lock check {name}` tells more; `datastore lock update {name}` takes what is there now"


def _was_resolved(namespace: Namespace, url: DatasetURL) -> bool:
    request = asked(namespace, url)
    return store_of(namespace).records.url(request.name(request.location.ref)) is not None


def is_same(pin: Pin, now: Pin) -> bool:
    """Tell whether two looks saw the same bytes under the same names.

    >>> a = Pin(url="ds://raw/a.csv", etag="1", size=5)
    >>> is_same(a, a), is_same(a, Pin(url="ds://raw/a.csv", etag="2", size=5))
    (True, False)
    """
    return (pin.is_folder, pin.state) == (now.is_folder, now.state)


def look(namespace: Namespace, url: DatasetURL, written: str) -> Pin:
    """Return the pin of what is at a URL: an object, or else all that is under it, as `ds.resolve` has it.

    Args:
        namespace: Where the URL means something.
        url: With a commit, if there are versions.
        written: The URL as the pin shall have it.

    Raises:
        NotFound: There is nothing.
    """
    target = namespace.target(url)
    commit = url.ref if target.versioned is not None else None
    digest, total, count = hashlib.sha256(), 0, 0
    for name, info in objects_of(target):
        content = _digest_of(namespace, target, info)
        if not name:
            etag = None if content else info.etag
            return Pin(url=written, commit=commit, digest=content, etag=etag, size=info.size)
        digest.update(json.dumps([name, content or info.etag, info.size]).encode() + b"\n")
        total, count = total + info.size, count + 1
    listing = f"sha256:{digest.hexdigest()}"
    return Pin(url=written, commit=commit, listing=listing, objects=count, size=total)


def objects_of(target: Target) -> Iterator[tuple[str, ObjectInfo]]:
    """Yield the object at a target, with an empty name; or else all under it, by the rest of their keys.

    Raises:
        NotFound: There is neither.
    """
    provider, key = target.provider, target.key
    missing = None
    if key and not key.endswith("/"):
        try:
            info = provider.head(key)
        except NotFound as error:
            missing, key = error, f"{key}/"
        else:
            yield "", info
            return
    some = False
    for name, info in _under(provider, key):
        some = True
        yield name, info
    if not some:
        raise missing or NotFound(f"there is no object under {str(target.location)!r}", hint="list the folder above it")


def _under(provider: Provider, prefix: str) -> Iterator[tuple[str, ObjectInfo]]:
    for page in provider.list(prefix):
        for info in page.objects:
            name = info.key[len(prefix) :]
            if info.size or (name and not name.endswith("/")):  # not what consoles make for an empty folder
                yield name, info


def _digest_of(namespace: Namespace, target: Target, info: ObjectInfo) -> Digest | None:
    """Return the digest of an object; of a file that no store knows it is worked out, once on this machine.

    What else a disk knows of a file (its number, its times) means nothing on another machine.
    """
    provider = target.provider
    if info.digest is not None or target.versioned is not None or not provider.capabilities.local:
        return info.digest
    records, identity = store_of(namespace).records, identity_of(info)
    known = records.digest(identity, info.size) if is_strong(info) else None
    if known is None:
        with provider.read(info.key, if_match=info.etag) as reader:
            known = Digest(f"sha256:{hashlib.file_digest(reader, 'sha256').hexdigest()}")
        with suppress(OSError, DatastoreError):  # a cache that cannot be written to only costs the work again
            records.save_digest(identity, known, info.size)
    return known
