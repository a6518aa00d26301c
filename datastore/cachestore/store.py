"""The cache as a whole: gives out files and folders, and brings in what they lack."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from datastore.bulk.reading import download_objects
from datastore.cachestore.contents import Contents, Linking
from datastore.cachestore.fetching import checked_digest, fetch_object, fetch_small
from datastore.cachestore.flights import Flights
from datastore.cachestore.inventory import remove_all
from datastore.cachestore.layout import CacheFolder
from datastore.cachestore.leases import Leases
from datastore.cachestore.manifests import Manifest, pack
from datastore.cachestore.records import Record, Records, name_of
from datastore.cachestore.space import Space
from datastore.cachestore.views import Views
from datastore.errors import IntegrityError
from datastore.provider import Provider, SupportsRequests
from datastore.values import Digest, ObjectInfo, is_strong

__all__ = ["CacheStore", "Take", "Wanted", "identity_of"]

Take = Callable[[str], None]
"""Leases an entry for as long as the caller needs it."""
_BIG: Final = 64 << 20
_SMALL: Final = 1 << 20
_TRIES: Final = 5
_OFTEN: Final = 3600.0


class Wanted(Struct, frozen=True):
    """A file that is wanted: its name, within a folder or alone, and what is known of its object."""

    name: str
    info: ObjectInfo


class CacheStore:
    """A cache folder. Handles are free; nothing is made before something is cached.

    Args:
        root: The folder.
        limit: Most bytes; None for as many as the disk takes.
    """

    def __init__(self, root: Path, *, limit: int | None = None) -> None:
        self.folder = CacheFolder(root)
        self.contents = Contents(self.folder)
        self.records = Records(self.folder)
        self.views = Views(self.folder, self.contents)
        self.flights = Flights(self.folder)
        self.leases = Leases(self.folder)
        self.space = Space(self.folder, self.leases, limit=limit)
        self._touched: dict[str, float] = {}

    # what is here

    def find(self, record: Record, link: Linking, take: Take) -> str | None:
        """Return the path of what a URL led to before, if all of its bytes are here; asks nobody."""
        if record.is_tree:
            manifest = self.views.manifest(record.hash)
            return manifest and self._tree(manifest, record.name, link, take)
        return self._file(Digest("sha256:" + record.hash), record.size, record.name, link, take)

    def _file(self, digest: Digest, size: int, name: str, link: Linking, take: Take) -> str | None:
        path = self.views.file_path(digest, name, link)
        take(f"files-{digest[7:]}")  # first said, then looked at
        if self.views.has_file(digest, size, name, link):
            self._touch(f"files-{digest[7:]}")
            return path

        def make() -> str | None:
            if self.views.has_file(digest, size, name, link):
                return path
            if not self.contents.has(digest, size):
                return None
            try:
                self.views.make_file(digest, size, name, link)
            except (FileNotFoundError, IntegrityError):  # evicted, or written to, at this moment
                return None
            return path

        with self.flights.alone(f"view-{digest[7:]}"):
            return self.space.with_room(size, make)

    def _tree(self, manifest: Manifest, name: str, link: Linking, take: Take) -> str | None:
        root = self.views.tree_path(manifest.id, name, link)
        take(f"trees-{manifest.id}")
        if not self.views.damaged(manifest, root):
            self._touch(f"trees-{manifest.id}")
            return root

        def make() -> str | None:
            lacking = self.views.damaged(manifest, root)
            if not all(self.contents.has(member.digest, member.size) for member in lacking):
                return None
            try:
                self.views.save_manifest(manifest)
                self.views.make_tree(manifest, root, lacking, link=link)
            except (FileNotFoundError, IntegrityError):
                return None
            return root

        with self.flights.alone(f"view-{manifest.id}"):
            return self.space.with_room(manifest.size, make)

    def lacking(self, record: Record, link: Linking) -> list[str]:
        """Return the names of the files that are not here of what a URL led to before."""
        if not record.is_tree:
            return [record.name]
        manifest = self.views.manifest(record.hash)
        if manifest is None:
            return []
        members = self.views.damaged(manifest, self.views.tree_path(manifest.id, record.name, link))
        return [member.name for member in members if not self.contents.has(member.digest, member.size)]

    def _touch(self, entry: str) -> None:
        """Say that an entry was used, now and then."""
        now = time.monotonic()
        if now > self._touched.get(entry, -_OFTEN) + _OFTEN:
            self._touched[entry] = now
            kind, _, name = entry.partition("-")
            with suppress(OSError):  # it is about to be made, or somebody else's
                os.utime(self.folder.sharded(kind, name))

    # what has to come

    def get_file(self, provider: Provider, wanted: Wanted, *, link: Linking, take: Take) -> tuple[str, Record]:
        """Return the path of an object's bytes, which are brought in if they are not here.

        Raises:
            HeadMoved: It is another version by now.
        """
        info = wanted.info
        digest = self._digest(info)
        path = digest and self._file(digest, info.size, wanted.name, link, take)
        with ExitStack() as needs:
            for _ in range(_TRIES):
                if path is not None and digest is not None:
                    return path, Record("", f"files-{digest[7:]}", wanted.name, info.size)
                digest = self._bring(provider, info)
                needs.enter_context(self.leases.needing([digest]))
                path = self._file(digest, info.size, wanted.name, link, take)
        raise _unsteady(wanted.name)

    def get_tree(
        self, provider: Provider, files: Sequence[Wanted], *, name: str, link: Linking, take: Take
    ) -> tuple[str, Record]:
        """Return the path of a folder with these files; arguments and errors otherwise as in `get_file`."""
        state = name_of("tree", *(f"{file.name}\0{identity_of(file.info)}" for file in files))
        strong = all(is_strong(file.info) for file in files)
        manifest = self._known_tree(state) if strong else None
        path = manifest and self._tree(manifest, name, link, take)
        with ExitStack() as needs:
            for _ in range(_TRIES):
                if path is not None and manifest is not None:
                    return path, Record("", f"trees-{manifest.id}", name, manifest.size)
                with self.flights.alone(f"tree-{state}"):
                    digests = self._bring_all(provider, [file.info for file in files])
                needs.enter_context(self.leases.needing(digests))
                rows = ((file.name, file.info.size, digest) for file, digest in zip(files, digests, strict=True))
                manifest = pack(rows)
                path = self._tree(manifest, name, link, take)
                if strong:
                    self.records.save_digest(state, Digest(f"sha256:{manifest.id}"), 0)
        raise _unsteady(name)

    def _known_tree(self, state: str) -> Manifest | None:
        found = self.records.digest(state, 0)
        return None if found is None else self.views.manifest(found[7:])

    def _digest(self, info: ObjectInfo) -> Digest | None:
        """Return the digest of an object's bytes, as far as it is known."""
        return info.digest or (self.records.digest(identity_of(info), info.size) if is_strong(info) else None)

    def _known(self, info: ObjectInfo) -> Digest | None:
        """Return the digest of bytes that are here, whole."""
        digest = self._digest(info)
        return digest if digest is not None and self.contents.has(digest, info.size) else None

    def _bring(self, provider: Provider, info: ObjectInfo) -> Digest:
        known = self._known(info)
        if known is not None:
            return known
        name = name_of(identity_of(info))
        with self.flights.alone(f"get-{name}"):
            known = self._known(info)
            if known is not None:
                return known

            def fetch() -> Digest:
                return fetch_object(self.folder, self.contents, provider, info, name=name)

            self.space.reserve(info.size)
            return self._learned(info, self.space.with_room(info.size, fetch))

    def _learned(self, info: ObjectInfo, digest: Digest) -> Digest:
        if info.digest is None and is_strong(info):
            self.records.save_digest(identity_of(info), digest, info.size)
        self.space.added(info.size)
        return digest

    def _bring_all(self, provider: Provider, infos: Sequence[ObjectInfo]) -> list[Digest]:
        """Bring in many: large ones one by one, each in parallel parts, the others together."""
        found: dict[str, Digest] = {}
        missing: dict[str, ObjectInfo] = {}
        for info in infos:
            identity = identity_of(info)
            if identity not in found and identity not in missing:
                digest = self._known(info)
                if digest is None:
                    missing[identity] = info
                else:
                    found[identity] = digest
        self.space.reserve(sum(info.size for info in missing.values()))
        remote = isinstance(provider, SupportsRequests)
        together = {identity: info for identity, info in missing.items() if remote and info.size <= _BIG}
        if together:
            size = sum(info.size for info in together.values())
            self.space.with_room(size, lambda: self._download(provider, together, found))
        for identity, info in missing.items():
            if not remote and info.size <= _SMALL:
                digest = self.space.with_room(
                    info.size, partial(fetch_small, self.folder, self.contents, provider, info)
                )
                found[identity] = self._learned(info, digest)
        for identity in missing.keys() - found.keys():
            found[identity] = self._bring(provider, missing[identity])
        return [found[identity_of(info)] for info in infos]

    def _download(self, provider: Provider, infos: Mapping[str, ObjectInfo], found: dict[str, Digest]) -> None:
        folder = self.folder.scratch()
        self.folder.make(folder)
        left = [identity for identity in infos if identity not in found]  # fewer after the disk was full
        try:
            wanted = [(infos[identity], f"{folder}{os.sep}{place}") for place, identity in enumerate(left)]
            with closing(download_objects(provider, wanted)) as results:
                for place, error in results:
                    if error is not None:
                        raise error
                    info, path = wanted[place]
                    digest = checked_digest(path, info)
                    self.contents.publish(path, digest, info.size)
                    found[left[place]] = self._learned(info, digest)
        finally:
            remove_all(folder)


def identity_of(info: ObjectInfo) -> str:
    """Return what names the bytes of an object: their digest, or all that its service tells versions apart by."""
    return info.digest or f"{info.identity}\0{info.size}"


def _unsteady(name: str) -> IntegrityError:
    return IntegrityError(
        f"the cached bytes of {name!r} were changed or removed again and again while they were resolved",
        hint="see who writes into the cache folder, or whether its limit is too small",
    )
