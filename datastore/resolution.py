"""From a URL to a verified local path: what `ds.resolve` does."""

import fnmatch
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from datastore.cachestore.contents import LINKS, Linking
from datastore.cachestore.layout import disk_trouble
from datastore.cachestore.portable import portable_name, portable_names
from datastore.cachestore.records import Record, name_of
from datastore.cachestore.store import CacheStore, Take, Wanted
from datastore.errors import DatastoreError, HeadMoved, InvalidURL, NotCached, NotFound, ValidationError
from datastore.moving import Held, Locked, hold
from datastore.names import is_commit_id
from datastore.namespace import Namespace, Target
from datastore.provider import Provider, SupportsRequests, SupportsVersioning
from datastore.ranks import distributed, rank_of
from datastore.urls import Location, parse_location

if TYPE_CHECKING:
    from datastore.values import ObjectInfo

__all__ = ["Found", "Patterns", "Request", "asked", "found", "resolve", "resolving", "store_of"]

Patterns = str | Iterable[str] | None
"""Globs over the names in a folder, as huggingface_hub has them: `*` also matches `/`, `img/` means all under it."""

_TRIES: Final = 3
_LITTLE: Final = 1 << 20  # for what the cache notes down; what is to come has asked for its own room before
_stores: dict[tuple[Path, int | None], CacheStore] = {}


def store_of(namespace: Namespace) -> CacheStore:
    """Return the cache that the configuration means."""
    config = namespace.config
    key = config.cache_path, config.cache_size
    return _stores.get(key) or _stores.setdefault(key, CacheStore(key[0], limit=key[1]))


class Found(Struct, frozen=True):
    """Where a URL led: the path, and the entry of the cache behind it."""

    path: Path
    record: Record


class Request(Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        location: The URL, as it was written.
        place: What its mount stands for in this process.
        allow: Patterns, one of which a name has to match; None lets all pass.
        ignore: Patterns, none of which it may match.
        link: As in `resolve`.
        by: The pin of data without versions that says what they have to be.
    """

    location: Location
    place: str
    allow: tuple[str, ...] | None
    ignore: tuple[str, ...]
    link: Linking
    by: Locked | None = None

    @property
    def ref(self) -> str | None:
        """What tells what this leads to from what it led to at other times, as far as that is known."""
        return self.location.ref if self.by is None else f"pin {self.by.pin.state}"  # no ref has a space

    @property
    def fixed(self) -> bool:
        """Whether the URL names a commit, so that it means the same for ever."""
        return self.location.ref is not None and is_commit_id(self.location.ref)

    def name(self, ref: str | None) -> str:
        """Return the name under which it is noted what this led to at a ref."""
        location = self.location
        patterns = msgspec.json.encode((self.allow, self.ignore)).decode()
        return name_of(self.place, location.mount, ref or "", location.key, patterns)

    def wants(self, name: str) -> bool:
        """Tell whether a name in a folder passes the patterns."""
        if self.allow is not None and not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.allow):
            return False
        return not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.ignore)


def resolve(
    namespace: Namespace,
    url: str | os.PathLike[str],
    *,
    allow_patterns: Patterns = None,
    ignore_patterns: Patterns = None,
    offline: bool | None = None,
    link: Linking = "auto",
    held: Held | None = None,
) -> Path:
    """Return a local path with the bytes of a URL; see `datastore.api.resolve`. It may be held already."""
    request = _request(namespace, url, allow_patterns, ignore_patterns, link, held=held)
    store = store_of(namespace)
    return found(namespace, store, request, offline=offline, take=store.leases.take).path


@contextmanager
def resolving(
    namespace: Namespace,
    url: str | os.PathLike[str],
    *,
    allow_patterns: Patterns = None,
    ignore_patterns: Patterns = None,
    offline: bool | None = None,
    link: Linking = "auto",
) -> Generator[Path]:
    """Give such a path for the length of a block; see `datastore.api.resolving`."""
    request = _request(namespace, url, allow_patterns, ignore_patterns, link)
    store = store_of(namespace)
    with ExitStack() as leases:

        def take(entry: str) -> None:
            leases.enter_context(store.leases.taken(entry))

        yield found(namespace, store, request, offline=offline, take=take).path


def asked(namespace: Namespace, url: str | os.PathLike[str]) -> Request:
    """Return the request for all that a URL means."""
    return _request(namespace, url, None, None, "auto")


def found(namespace: Namespace, store: CacheStore, request: Request, *, offline: bool | None, take: Take) -> Found:
    """Return where a request leads.

    Raises:
        NotFound: There is nothing.
        NotCached: It is not here, and nobody is to be asked.
        HeadMoved: It was changed again and again while it was brought.
    """
    with disk_trouble(store.folder.root):
        return store.space.with_room(_LITTLE, lambda: _found(namespace, store, request, offline=offline, take=take))


def _found(namespace: Namespace, store: CacheStore, request: Request, *, offline: bool | None, take: Take) -> Found:
    name = request.name(request.ref)
    if request.fixed and (here := _here(store, name, request, take)):
        return here
    if (namespace.config.offline if offline is None else offline) and not _is_local(namespace, request.location):
        here = _here(store, name, request, take)
        if here is None:
            raise _not_cached(store, name, request)
        return here
    here = _brought(namespace, store, request, take)
    _note_pinned(namespace, store, request, here.record)
    return here


def _brought(namespace: Namespace, store: CacheStore, request: Request, take: Take) -> Found:
    for left in reversed(range(_TRIES)):
        try:
            return _looked_for(namespace, store, request, take)
        except HeadMoved:  # changed while it came: what came of it is dropped, never put together with the new one
            if not left or request.fixed:
                raise
    raise AssertionError


def _request(
    namespace: Namespace,
    url: str | os.PathLike[str],
    allow: Patterns,
    ignore: Patterns,
    link: Linking,
    *,
    held: Held | None = None,
) -> Request:
    if link not in LINKS:
        raise ValidationError(f"link is {link!r}", hint=f"it is {' or '.join(map(repr, LINKS))}")
    target = namespace.url(url)
    location = parse_location(target, nested=target.nested)
    if not location.mount:
        raise InvalidURL(f"{str(target)!r} names no mount or repo", hint="write ds://<mount>[@<ref>]/<key>")
    if held is None and (location.ref is None or not is_commit_id(location.ref)):
        held = hold(namespace, target, ranks=rank_of(os.environ, torch=distributed()).of)
        location = location if held.url is target else held.url.location
    return Request(
        location=location,
        place=namespace.place(location.mount.partition("/")[0]),
        allow=None if allow is None else _globs(allow),
        ignore=() if ignore is None else _globs(ignore),
        link=link,
        by=held and held.by,
    )


def _globs(patterns: str | Iterable[str]) -> tuple[str, ...]:
    texts = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    return tuple(f"{text}*" if text.endswith("/") else text for text in texts)


def _here(store: CacheStore, name: str, request: Request, take: Take) -> Found | None:
    """Return what the same request led to before, if that is all here."""
    record = store.records.url(name)
    path = record and store.find(record, request.link, take)
    return Found(Path(path), record) if record and path else None


def _not_cached(store: CacheStore, name: str, request: Request) -> NotCached:
    record = store.records.url(name)
    lacking = store.lacking(record, request.link) if record else []
    some = f": {', '.join(map(repr, lacking[:5]))}{', …' if len(lacking) > 5 else ''}" if lacking else ""
    return NotCached(
        f"{str(request.location)!r} is not in the cache{some}, and this is offline",
        hint="resolve it once while the service can be reached (unset DATASTORE_OFFLINE, or offline=False)",
        url=str(request.location),
    )


def _is_local(namespace: Namespace, location: Location) -> bool:
    """Tell whether a URL is answered from this machine, without asking anybody."""
    try:
        try:
            target = namespace.target(Location(location.mount, location.ref or "main", location.key))
        except InvalidURL:  # it has no refs
            target = namespace.target(location)
        provider = target.provider
        return not isinstance(provider, SupportsRequests) and provider.capabilities.local
    except NotFound:
        raise
    except DatastoreError:  # such as credentials that are asked for at a service
        return False


def _looked_for(namespace: Namespace, store: CacheStore, request: Request, take: Take) -> Found:
    """Ask the provider what is there now, and bring in what is not here."""
    target = namespace.target(str(request.location))
    provider, key = target.provider, target.key
    if key and not key.endswith("/"):
        try:
            info = provider.head(key)
        except NotFound as error:
            return _folder(store, request, target, f"{key}/", take, missing=error)
        name = portable_name(key.rpartition("/")[2])
        path, record = store.get_file(provider, Wanted(name, info), link=request.link, take=take)
        _note(store, request, record)
        return Found(Path(path), record)
    return _folder(store, request, target, key, take)


def _folder(
    store: CacheStore, request: Request, target: Target, prefix: str, take: Take, *, missing: NotFound | None = None
) -> Found:
    provider, commit = target.provider, None
    if target.versioned is not None and target.ref is not None and not request.fixed:
        provider, commit = _still(target.versioned, target.ref)
        if commit is not None and (here := _here(store, request.name(commit), request, take)):
            _note(store, request, here.record)
            return here
    files = _files(provider, prefix, request.wants, missing=missing)
    last = prefix.rstrip("/").rpartition("/")[2] or request.location.mount.rpartition("/")[2]
    path, record = store.get_tree(provider, files, name=portable_name(last), link=request.link, take=take)
    _note(store, request, record, commit=commit)
    return Found(Path(path), record)


def _still(repo: SupportsVersioning, ref: str) -> tuple[Provider, str | None]:
    """Return a provider that shows one state of a ref, and the commit if that is the state."""
    try:
        uncommitted = repo.has_uncommitted(ref)  # first this: what is committed in between must be seen by one of them
    except (NotFound, ValidationError):  # no branch
        uncommitted = False
    commit = repo.commit_of(ref).id
    return (repo.at(ref, head=commit), None) if uncommitted else (repo.at(commit), commit)


def _files(
    provider: Provider, prefix: str, wants: Callable[[str], bool], *, missing: NotFound | None
) -> Sequence[Wanted]:
    infos: dict[str, ObjectInfo] = {}
    some = False
    for page in provider.list(prefix):
        for info in page.objects:
            some, name = True, info.key[len(prefix) :]
            marker = not info.size and (not name or name.endswith("/"))  # what consoles make for an empty folder
            if not marker and wants(name):
                infos[name] = info
    if not some:
        raise missing or NotFound(f"there is no object under {prefix!r}", hint="list the folder above it")
    if not infos:
        raise NotFound(f"no object under {prefix!r} passes the patterns", hint="see allow_patterns, ignore_patterns")
    names = portable_names(infos)
    return [Wanted(names[name], info) for name, info in infos.items()]


def is_here(namespace: Namespace, pinned: Locked) -> bool:
    """Tell whether what was pinned, of data without versions, is what its URL leads to offline."""
    records, url = store_of(namespace).records, pinned.url
    requests = [
        _request(namespace, url, None, None, "auto", held=Held(url, still=False, by=by)) for by in (pinned, None)
    ]
    wanted, last = (records.url(request.name(request.ref)) for request in requests)
    return wanted is not None and (namespace.config.frozen or wanted == last)


def _note_pinned(namespace: Namespace, store: CacheStore, request: Request, record: Record) -> None:
    """Note that this is what was pinned, which it was before it came, if it still is: nothing came in between."""
    if request.by is None:
        return
    name, record = request.name(request.ref), msgspec.structs.replace(record, url=str(request.location))
    if store.records.url(name) != record:
        from datastore.pinning import verify

        verify(namespace, request.by.name, request.by.pin)
        store.records.save_url(name, record)


def _note(store: CacheStore, request: Request, record: Record, *, commit: str | None = None) -> None:
    """Note what the URL led to: for good if it names a commit, else for the time without a service, and for people."""
    record = msgspec.structs.replace(record, url=str(request.location))
    store.records.save_url(request.name(request.location.ref), record)
    if commit is not None:
        store.records.save_url(request.name(commit), record)
