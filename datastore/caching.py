"""The cache as people handle it: `ds.cache`."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct

from datastore.cachestore.inventory import Inventory, files_in, in_order
from datastore.cachestore.manifests import Manifest
from datastore.cachestore.stamps import digest_of_file
from datastore.cachestore.store import CacheStore
from datastore.namespace import current
from datastore.resolution import asked, found, store_of
from datastore.sizes import parse_size
from datastore.values import Digest

__all__ = ["Cache", "CacheInfo", "Cached", "Damaged", "cache"]


class Cached(Struct, frozen=True, kw_only=True):
    """One file or folder of the cache.

    Attributes:
        name: As the cache calls it.
        urls: What was resolved to it, as far as that was noted.
        size: Bytes; of those that several share, each is counted once.
        used: When it was resolved last, about.
        in_use: Whether a living process uses it.
        kept: Whether it is never evicted.
        path: Where it is.
    """

    name: str
    urls: tuple[str, ...]
    size: int
    used: datetime
    in_use: bool
    kept: bool
    path: Path


class CacheInfo(Struct, frozen=True, kw_only=True):
    """The cache as a whole.

    Attributes:
        path: The folder.
        size: Bytes in it.
        limit: Most bytes; None for as many as the disk takes.
        entries: Files and folders.
        in_use: How many bytes of these living processes use.
        kept: How many bytes are kept.
        pending: Bytes of downloads under way, and of what can be tidied away.
    """

    path: Path
    size: int
    limit: int | None
    entries: int
    in_use: int
    kept: int
    pending: int


class Damaged(Struct, frozen=True):
    """A file in the cache whose bytes are not what they have to be; it was put away."""

    path: Path
    entry: str


class Cache:
    """What `resolve` keeps on this machine, in the folder that the configuration names.

    >>> import datastore as ds
    >>> ds.cache.info().entries
    0
    """

    def __repr__(self) -> str:
        return f"<cache {self._store.folder.root}>"

    @property
    def _store(self) -> CacheStore:
        return store_of(current())

    @property
    def path(self) -> Path:
        """The folder."""
        return self._store.folder.root

    def ls(self) -> list[Cached]:
        """Return what is there, used last first."""
        store = self._store
        urls: dict[str, set[str]] = {}
        for _, record in store.records.urls():
            urls.setdefault(record.entry, set()).add(record.url)
        used = store.leases.used()
        return [
            Cached(
                name=entry.name,
                urls=tuple(sorted(urls.get(entry.name, ()))),
                size=entry.size,
                used=datetime.fromtimestamp(entry.used, UTC),
                in_use=entry.name in used,
                kept=store.leases.is_kept(entry.name),
                path=_shown(entry.path),
            )
            for entry in reversed(in_order(Inventory(store.folder).entries, but=set()))
        ]

    def info(self) -> CacheInfo:
        """Return how much is there."""
        store, there = self._store, Inventory(self._store.folder)
        used = store.leases.used()
        return CacheInfo(
            path=store.folder.root,
            size=there.size,
            limit=store.space.limit,
            entries=len(there.entries),
            in_use=sum(entry.size for entry in there.entries if entry.name in used),
            kept=sum(entry.size for entry in there.entries if store.leases.is_kept(entry.name)),
            pending=there.pending,
        )

    def verify(self) -> list[Damaged]:
        """Read and hash all bytes, put away what is damaged, and return that; the next `resolve` brings it anew."""
        store = self._store
        bad: list[Damaged] = []
        for path, digest, entry in _files(store):
            try:
                whole = digest_of_file(path) == digest
            except FileNotFoundError:
                continue
            if not whole:
                store.contents.put_away(path)
                bad.append(Damaged(Path(path), entry))
        return bad

    def trim(self, size: int | str | None = None) -> int:
        """Remove what was not used for longest until the cache holds no more than this, and return the bytes freed.

        What living processes use, and what is kept, stays.

        Args:
            size: Bytes, or a text such as `20GB`; None for the limit of the configuration.
        """
        store = self._store
        limit = store.space.limit if size is None else parse_size(size)
        held = Inventory(store.folder).size
        return store.space.tidy() if limit is None or held <= limit else store.space.evict(held - limit)

    def prune(self, unused: timedelta = timedelta(days=30)) -> int:
        """Remove leftovers, what was not used for some time, and notes that lead nowhere; return the bytes freed.

        Args:
            unused: For how long; `timedelta(0)` removes all that is not in use or kept.
        """
        store = self._store
        freed = store.space.tidy(age=min(unused.total_seconds(), 86400.0))
        store.flights.sweep()
        there = Inventory(store.folder)
        before = time.time() - unused.total_seconds()
        for entry in in_order(there.entries, but=store.leases.used()):
            if entry.used <= before:
                freed += store.space.remove(entry, there)
        left = {entry.name for entry in Inventory(store.folder).entries}
        for path, record in store.records.urls():
            if record.entry not in left:
                store.records.forget(path)
        store.space.recount()
        return freed

    def keep(self, url: "str | os.PathLike[str]", *, on: bool = True) -> Path:
        """Resolve a URL and never evict what it leads to now, or (`on=False`) evict it again like anything else."""
        namespace, store = current(), self._store
        here = found(namespace, store, asked(namespace, url), offline=None, take=store.leases.take)
        if on:
            store.leases.keep(here.record.entry, str(url).encode())
        else:
            store.leases.let_go(here.record.entry)
        return here.path


cache = Cache()
"""The cache of this process."""


def _shown(path: str) -> Path:
    """Return the one file or folder of an entry, if it is one."""
    place = Path(path)
    views = [view for link in ("auto", "hard") for view in sorted((place / link).glob("*"))] if place.is_dir() else []
    return views[0] if len(views) == 1 else place


def _files(store: CacheStore) -> Iterator[tuple[str, Digest, str]]:
    """Yield every file of the cache with the digest that it has to have, and its entry."""
    for path in files_in(store.folder.place("objects")):
        name = path.rpartition(os.sep)[2]
        yield path, Digest(f"sha256:{name}"), f"objects-{name}"
    for entry in Inventory(store.folder).entries:
        kind, _, name = entry.name.partition("-")
        for link in ("auto", "hard"):
            for view in sorted(Path(entry.path, link).glob("*")) if kind != "objects" else ():
                if kind == "files":
                    yield str(view), Digest(f"sha256:{name}"), entry.name
                elif (manifest := store.views.manifest(name)) is not None:
                    yield from _members(view, manifest, entry.name)


def _members(root: Path, manifest: Manifest, entry: str) -> Iterator[tuple[str, Digest, str]]:
    for member in manifest.members:
        yield f"{root}{os.sep}{member.name}", member.digest, entry
