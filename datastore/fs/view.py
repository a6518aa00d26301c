"""What the file system sees at a path: the provider behind it, the object or prefix there, and what is under it.

Infos, listings and small objects of a commit are remembered for good, within bounds; of what may change, a view that
serves one call remembers for some seconds what it has seen, and every other view nothing.
"""

import json
import threading
import time
import weakref
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from io import IOBase
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from datastore import namespace
from datastore.bridging import serves_requests
from datastore.errors import NotFound
from datastore.fs.files import read_exactly
from datastore.fs.opening import Here, Remote, open_remote, reader_over
from datastore.fs.paths import IsPrefix, join
from datastore.fs.pins import Pins, locked_target, parse_pins, pin_name, pinned_provider
from datastore.fs.siblings import Siblings
from datastore.names import is_commit_id
from datastore.namespace import Namespace, Target
from datastore.provider import Provider, Reader
from datastore.streams import BytesReader
from datastore.values import ObjectInfo

__all__ = ["Listing", "Place", "View"]

_COMMITS = 64
_INFOS = 20_000
_LISTINGS = 16
_LISTING_NAMES = 5_000
_OBJECTS = 32
_OBJECT_SIZE = 1 << 20
_BELIEVED = 5.0
"""Seconds; pandas asks for a Parquet file's info, twice if it is a file, and opens it twice, all for one call."""

_JUST_NOW = 0.1
"""Seconds; DuckDB asks for the size and the time of each file right after it has opened it."""

_V = TypeVar("_V")
_Opened = tuple[ObjectInfo, "weakref.ref[IOBase]", float]


class Place(Struct, frozen=True):
    """Where a path leads.

    Attributes:
        base: What stands before keys in paths: `garments@main`.
        key: The key; empty for the mount itself.
        target: As the namespace has it, for this or another key.
        provider: Has the objects, pinned where the ref is.
        snapshot: Names the immutable state that the provider shows; None if it may change.
    """

    base: str
    key: str
    target: Target
    provider: Provider
    snapshot: str | None

    @property
    def path(self) -> str:
        """The path that led here."""
        return join(self.base, self.key)

    @property
    def prefix(self) -> str:
        """What the keys under this place start with."""
        return f"{self.key}/" if self.key else ""

    @property
    def same(self) -> tuple[str, str | None, str]:
        """Equal for two spellings of one place."""
        return self.target.name, self.target.ref, self.key


class Listing(Struct, frozen=True):
    """Everything that a listing gave, in key order."""

    objects: Sequence[ObjectInfo]
    prefixes: Sequence[str]

    def at(self, place: Place) -> ObjectInfo | None:
        """Return the object at a place under a prefix that was listed flat, or None for a prefix; else `NotFound`."""
        key = place.key
        for name in (key, f"{key}/"):
            start = bisect_left(self.objects, name, key=lambda info: info.key)
            found = self.objects[start] if start < len(self.objects) else None
            if found is not None and (found.key == key or found.key.startswith(f"{key}/")):
                return found if found.key == key else None
        raise NotFound(f"no object {key!r} in {place.base}", hint="list the folder above it")


class View:
    """A namespace seen through pins. Safe to share between threads, and to use after a fork: it holds no lock.

    Args:
        handle: Where the namespace of another process is, as JSON; None takes the current one at each call.
        pins: As text or mapping.
        once: Whether it serves one call, and takes what it has seen for true for so long.
    """

    def __init__(
        self, handle: str | None = None, pins: str | Mapping[str, str] | None = None, *, once: bool = False
    ) -> None:
        self._handle = handle
        self._other: Namespace | None = None
        self.pins: Pins = parse_pins(pins)
        self._commits: _Kept[tuple[Namespace, Place]] = _Kept(_COMMITS)
        self._infos: _Kept[ObjectInfo | None] = _Kept(_INFOS)
        self._listings: _Kept[Listing] = _Kept(_LISTINGS)
        self._objects: _Kept[tuple[ObjectInfo, Here]] = _Kept(_OBJECTS)
        self._just_listed: _Kept[tuple[float, Listing]] = _Kept(_LISTINGS)
        self._prefixes: _Kept[float] = _Kept(_OBJECTS)
        self._siblings = Siblings()
        self._made: _Kept[str] = _Kept(_OBJECTS)
        self.once = once
        self._seen: _Kept[tuple[float, ObjectInfo]] = _Kept(_LISTING_NAMES)
        self._opened: _Kept[_Opened] = _Kept(_OBJECTS)

    @property
    def namespace(self) -> Namespace:
        """The namespace in use."""
        if self._handle is None:
            return namespace.current()
        if self._other is None:
            self._other = Namespace.from_handle(json.loads(self._handle))
        return self._other

    @property
    def frozen(self) -> bool:
        """Whether each path has to be looked up in the lock file: then two keys of one ref may lead to two commits."""
        return self.namespace.config.frozen

    @property
    def handle(self) -> str:
        """What another process needs to see the same names; no secrets."""
        return self._handle or json.dumps(self.namespace.handle(), sort_keys=True)

    def place(self, path: str, *, live: bool = False) -> Place:
        """Return where a stripped path leads; asks no provider. A `live` place is seen as it is, without pins.

        What leads to a commit is remembered: looking a repo up costs more than a small read.
        """
        if self._made and not self.is_made(path):
            self._made.drop(threading.get_ident())
        head, _, key = path.partition("/")
        frozen = not live and self.frozen
        if not live and not frozen and "::" not in key:
            repo, _, rest = key.partition("/")
            for base, below in ((head, key), (f"{head}/{repo}", rest)):  # a mount's name, or that of a repo in it
                for seen, known in self._commits.get(base):
                    if seen is self.namespace:
                        return msgspec.structs.replace(known, key=below)
        target = self.namespace.target(path)
        if frozen:
            target = locked_target(self.namespace, path, target, self.pins)
        pin = None if live or not self.pins or target.versioned is None else self.pins.get(pin_name(target))
        if pin is None:
            place = _place(path, target, target.provider, target.ref)
        else:
            place = _place(path, target, pinned_provider(target, pin), None if pin.uncommitted else pin.commit)
        if place.snapshot is not None and not place.base.endswith("/") and not live and not frozen:
            self._commits.put(place.base, (self.namespace, place))
        return place

    def object(self, path: str, *, live: bool = False) -> Place:
        """Return where a path leads that has to name an object."""
        place = self.place(path, live=live)
        if not place.key:
            raise IsPrefix(f"{path!r} is a mount or repo, not an object", hint=f"name a key in it: {path}/data.parquet")
        return place

    def wrote(self, place: Place) -> None:
        """Drop the pin of a ref that was written to, so that the writer sees what it wrote."""
        self._seen.clear()
        self._just_listed.clear()
        self._prefixes.clear()
        self._opened.clear()
        if self.pins and self.pins.pop(pin_name(place.target), None):
            self._commits.clear()

    def entry(self, place: Place) -> ObjectInfo | None:
        """Return the object at a place, or None for a prefix or mount that exists; else raise `NotFound`."""
        if place.snapshot is None:
            return self._entry(place)
        key = (place.snapshot, place.key)
        for known in self._infos.get(key):
            return known
        found = self._entry(place)
        self._infos.put(key, found)
        return found

    def head(self, place: Place) -> ObjectInfo:
        """Return the object at a place; a prefix is `NotFound`, too."""
        known = self.known(place)
        if known is not None:
            return known
        found = place.provider.head(place.key)
        self._saw(place, found)
        return found

    def known(self, place: Place) -> ObjectInfo | None:
        """Return the object at a place if it cannot have changed since it was seen; asks nobody."""
        known = () if place.snapshot is None else self._infos.get((place.snapshot, place.key))
        return known[0] if known else None

    def believed(self, place: Place) -> ObjectInfo | None:
        """Return the object at a place if it was seen during this call; asks nobody."""
        for when, info in self._seen.get((place.base, place.key)):
            if time.monotonic() - when < _BELIEVED:
                return info
        return self.known(place)

    def opened(self, path: str, info: ObjectInfo, file: IOBase) -> None:
        """Remember what this thread has opened. By number: of threads that are not Python's, nothing else lasts."""
        self._opened.put((threading.get_ident(), path), (info, weakref.ref(file), time.monotonic()))

    def open_here(self, path: str) -> ObjectInfo | None:
        """Return the version of an object that this thread has opened just now, and not closed; asks nobody."""
        for info, held, when in self._opened.get((threading.get_ident(), path)):
            file = held()
            if file is not None and not file.closed and time.monotonic() - when < _JUST_NOW:
                return info
        return None

    def read(self, place: Place, *, if_match: str | None = None) -> Reader:
        """Open an object; small ones of a commit stay in memory.

        pyarrow opens each file twice: for its schema, then for its data.
        """
        if serves_requests(place.provider):
            return self._read_remote(place, place.provider, if_match)
        if place.snapshot is None or if_match is not None:
            return place.provider.read(place.key, if_match=if_match)
        key = (place.snapshot, place.key)
        for info, here in self._objects.get(key):
            if isinstance(here, bytes):
                return BytesReader(info, here)
        reader = place.provider.read(place.key)
        if reader.info.size > _OBJECT_SIZE:
            return reader
        with reader:
            found = reader.info, read_exactly(reader, reader.info.size)
        self._objects.put(key, found)
        return BytesReader(*found)

    def _read_remote(self, place: Place, provider: Remote, if_match: str | None) -> Reader:
        key = (place.snapshot or place.base, place.key)
        known = self.believed(place) if if_match is None else None
        etag = known.etag if known else if_match
        if etag is not None:
            for info, here in self._objects.get(key):
                if info.etag == etag:
                    return reader_over(provider, info, here)
        lasting = place.snapshot is not None
        end = self._siblings.opened(provider, key[0], known) if known is not None else None
        reader, here = open_remote(provider, place.key, known=known, lasting=lasting, if_match=if_match, end=end)
        if here is not None and (self.once or lasting):
            self._objects.put(key, (reader.info, here))
        self._saw(place, reader.info)
        return reader

    def _saw(self, place: Place, found: ObjectInfo) -> None:
        if place.snapshot is not None:
            self._infos.put((place.snapshot, found.key), found)
        elif self.once and serves_requests(place.provider):
            self._seen.put((place.base, found.key), (time.monotonic(), found))

    def is_prefix(self, place: Place) -> bool:
        """Tell whether something is under a place with a key."""
        # Looks where its name would stand among its neighbours: what is under it would come by the page.
        before = f"{place.key}.{chr(0x10FFFF)}"
        page = next(iter(place.provider.list(place.key, delimiter="/", start_after=before)), None)
        return page is not None and place.prefix in page.prefixes

    def require(self, place: Place) -> None:
        """Raise `NotFound` if the ref does not resolve, and whatever is wrong with an unversioned mount."""
        if place.target.versioned is not None and place.target.ref is not None:
            if pin_name(place.target) not in self.pins:  # a pin was resolved when it was made
                place.target.versioned.commit_of(place.target.ref)
        else:
            next(iter(place.provider.list()), None)

    def make(self, path: str) -> None:
        """Remember the prefix that this thread believes to have made, until it asks for anything else.

        DuckDB looks what is in a folder that it has made before it writes there.
        """
        self._made.put(threading.get_ident(), path)

    def is_made(self, path: str) -> bool:
        """Tell whether the last thing that this thread did was to make this prefix."""
        return self._made.get(threading.get_ident()) == (path,)

    def listing(self, place: Place, *, delimiter: str | None = None, stem: str = "") -> Listing:
        """Return what is under a place.

        Args:
            place: A prefix or mount.
            delimiter: `/` takes only what is directly under it.
            stem: What names under it have to start with.
        """
        key = (place.snapshot, place.prefix + stem, delimiter)
        if place.snapshot is not None:
            for known in self._listings.get(key):
                self._siblings.listed(place.snapshot, known.objects)
                return known
        objects: list[ObjectInfo] = []
        prefixes: list[str] = []
        for page in place.provider.list(place.prefix + stem, delimiter=delimiter):
            objects += page.objects
            prefixes += page.prefixes
        found = Listing(objects, prefixes)
        if place.snapshot is not None:
            self._remember(key, place.snapshot, found)
        elif self.once:
            if delimiter is None:
                self._just_listed.put((place.base, place.prefix + stem), (time.monotonic(), found))
            for info in objects[:_LISTING_NAMES]:
                self._saw(place, info)
        if serves_requests(place.provider) and (self.once or place.snapshot is not None):
            self._siblings.listed(place.snapshot or place.base, objects)
        return found

    def forget(self) -> None:
        """Drop what is remembered."""
        self._commits.clear()
        self._infos.clear()
        self._listings.clear()
        self._objects.clear()
        self._opened.clear()
        self._seen.clear()
        self._just_listed.clear()
        self._prefixes.clear()

    def _entry(self, place: Place) -> ObjectInfo | None:
        if not place.key:
            self.require(place)
            return None
        listed = self._listing_over(place)
        if listed is not None:
            return listed.at(place)
        spot = place.base, place.key
        for when in self._prefixes.get(spot):
            if time.monotonic() - when < _BELIEVED:
                return None
        try:
            return self.head(place)
        except NotFound:
            if not self.is_prefix(place):
                raise
        if self.once:
            self._prefixes.put(spot, time.monotonic())
        return None

    def _listing_over(self, place: Place) -> Listing | None:
        """Return a listing of all that is under some folder above a place, if there is one that is still true.

        pyarrow looks for two files of metadata beside each dataset that it has just listed.
        """
        folder = place.key
        while folder:
            folder = folder.rpartition("/")[0]
            prefix = f"{folder}/" if folder else ""
            if place.snapshot is not None:
                for found in self._listings.get((place.snapshot, prefix, None)):
                    return found
            for when, found in self._just_listed.get((place.base, prefix)):
                if time.monotonic() - when < _BELIEVED:
                    return found
        return None

    def _remember(self, key: Hashable, snapshot: str, found: Listing) -> None:
        if len(found.objects) + len(found.prefixes) <= _LISTING_NAMES:
            self._listings.put(key, found)
            for info in found.objects:
                self._infos.put((snapshot, info.key), info)


class _Kept(Generic[_V]):
    """Remembers the values that were used last. Each step is one operation of a dictionary, hence no lock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Hashable, _V] = OrderedDict()

    def get(self, key: Hashable) -> tuple[_V] | tuple[()]:
        """Return the value in a tuple, as it may be None, or an empty one."""
        try:
            value = self._values[key]
            self._values.move_to_end(key)
        except KeyError:
            return ()
        return (value,)

    def put(self, key: Hashable, value: _V) -> None:
        self._values[key] = value
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def clear(self) -> None:
        self._values.clear()

    def drop(self, key: Hashable) -> None:
        self._values.pop(key, None)

    def __bool__(self) -> bool:
        return bool(self._values)


def _place(path: str, target: Target, provider: Provider, state: str | None) -> Place:
    base = path[: len(path) - len(target.key) - 1] if target.key else path
    if target.versioned is None:
        # Asking a branch for its capabilities costs a look at the store.
        snapshot = target.name if provider.capabilities.immutable else None
    else:
        snapshot = f"{target.name}@{state}" if state is not None and is_commit_id(state) else None
    return Place(base, target.key, target, provider, snapshot)
