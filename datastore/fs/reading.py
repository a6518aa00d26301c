"""The verbs of the file system that look: infos, listings, bytes, downloads."""

# ruff: noqa: ARG002, FBT001, FBT002 - the signatures are fsspec's

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from glob import has_magic
from pathlib import Path
from typing import Any, Self, cast

from fsspec.asyn import AsyncFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.implementations.local import LocalFileSystem

from datastore import transfer
from datastore.bridging import serves_requests
from datastore.errors import DatastoreError, HeadMoved, NotFound, ValidationError
from datastore.fs.bulk import Paths, as_paths, local_paths, pair, settle
from datastore.fs.fetching import fetch_bytes, fetch_files
from datastore.fs.files import BUFFER, RangedReader, ReadFile
from datastore.fs.footers import is_parquet
from datastore.fs.paths import Info, IsPrefix, children, directory_info, file_info, strip, under
from datastore.fs.ranges import Ranges, plan, read_range
from datastore.fs.still import StillView
from datastore.fs.view import Place, View
from datastore.threads import fan_out
from datastore.values import ByteRange, ObjectInfo

__all__ = ["Reading"]

_Details = Callable[[str, ObjectInfo], Info]
_NOTHING: Info = {}
"""The details where only paths are wanted: one for all."""


class Reading(AsyncFileSystem):
    """Everything that changes nothing. Errors other than "there is no such thing" always surface."""

    # fsspec would replace each synchronous verb by a wrapper that sends the coroutine to its one event loop thread: ten
    # times the cost of a small read, and all threads would queue there.
    mirror_sync_methods = False
    _view: View

    # infos

    def info(self, path: str, **kwargs: Any) -> Info:
        """Return the details of a path; `NotFound` if nothing is there."""
        path = strip(path)
        if not path or self._repos(path) is not None:
            return directory_info(path)
        place = self._view.place(path)
        found = self._view.entry(place)
        return directory_info(path) if found is None else file_info(place.base, found)

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Tell whether there is an object, a prefix or a mount."""
        return self._type(path) is not None

    def isfile(self, path: str) -> bool:
        """Tell whether there is an object."""
        path = strip(path)
        try:
            place = self._view.place(path) if path else None
            return place is not None and bool(place.key and (self._view.believed(place) or self._view.head(place)))
        except NotFound:
            return False

    def isdir(self, path: str) -> bool:
        """Tell whether there is a prefix or a mount."""
        return self._type(path) == "directory"

    def size(self, path: str) -> int:
        """Return the bytes of an object: of the version that this thread has just opened, if it has."""
        found = self._view.open_here(strip(path))
        return self.info(path)["size"] if found is None else found.size

    def created(self, path: str) -> datetime:
        """Return when this version was written: objects are never changed in place."""
        return self.modified(path)

    def modified(self, path: str) -> datetime:
        """Return when this version was written, as an aware time; which one, as `size`."""
        return (self._view.open_here(strip(path)) or self._object(path)).modified

    def ukey(self, path: str) -> str:
        """Return a text that changes when the bytes at a path do, and only then; of a prefix, when any under it do."""
        path = strip(path)
        place = self._view.place(path)
        found = self._view.entry(place)
        if found is not None:
            return found.identity
        total = hashlib.sha256()
        for info in self._view.listing(place).objects:
            total.update(f"{info.key}\0{info.identity}\0".encode())
        return total.hexdigest()

    def checksum(self, path: str) -> int:
        """Return `ukey` as a number."""
        return int(hashlib.sha256(self.ukey(path).encode()).hexdigest(), 16)

    def _type(self, path: str) -> str | None:
        path = strip(path)
        try:
            if not path or self._repos(path) is not None:
                return "directory"
            place = self._view.place(path)
            found = self._view.believed(place) or self._view.entry(place)
        except NotFound:
            return None
        return "directory" if found is None else "file"

    def _object(self, path: str) -> ObjectInfo:
        place = self._view.object(strip(path))
        found = self._view.entry(place)
        if found is None:
            raise _is_prefix(place)
        return found

    # listings

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Return what is directly under a path: details, or paths. One listing, no request for single objects."""
        path = strip(path)
        found = self._children(path)
        return list(found.values()) if detail else list(found)

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        **kwargs: Any,
    ) -> list[str] | dict[str, Info]:
        """Return all objects under a path, by one flat listing.

        Args:
            path: Where; an object finds itself.
            maxdepth: 1 takes what is directly there.
            withdirs: Whether prefixes are named, too, the path itself among them.
            detail: Whether to return details by path instead of paths.
            prefix: What the names under the path have to start with.
            kwargs: Ignored.
        """
        details = file_info if detail else _no_details
        found = self._found(strip(path), maxdepth=maxdepth, withdirs=withdirs, stem=prefix, details=details)
        return found if detail else list(found)

    def du(
        self, path: str, total: bool = True, maxdepth: int | None = None, withdirs: bool = False, **kwargs: Any
    ) -> int | dict[str, int]:
        """Return the bytes under a path, or by path; from the listing alone."""
        found = self._found(strip(path), maxdepth=maxdepth, withdirs=withdirs, details=_size_alone)
        sizes: dict[str, int] = {name: info["size"] for name, info in found.items()}
        return sum(sizes.values()) if total else sizes

    def expand_path(
        self,
        path: Paths,
        recursive: bool = False,
        maxdepth: int | None = None,
        assume_literal: bool = False,
        **kwargs: Any,
    ) -> list[str]:
        """Return the paths that paths, patterns and folders stand for; an object named like one is meant itself."""
        plain = as_paths(path)
        paths = [strip(one) for one in ([plain] if isinstance(plain, str) else plain)]
        literal = {one for one in paths if has_magic(one) and not assume_literal and self.isfile(one)}
        rest = [one for one in paths if one not in literal]
        try:
            base = cast("Any", super())
            found: list[str] = base.expand_path(rest, recursive, maxdepth, assume_literal, **kwargs) if rest else []
        except FileNotFoundError as error:
            if isinstance(error, DatastoreError):
                raise
            raise NotFound(f"nothing is at {', '.join(map(repr, rest[:3]))}", hint="list the folder above") from None
        return sorted({*found, *literal})

    def _children(self, path: str) -> dict[str, Info]:
        if not path:
            return {name: directory_info(name) for name in self._view.namespace.names()}
        if (repos := self._repos(path)) is not None:
            return {name: directory_info(name) for name in repos}
        place = self._view.place(path)
        listing = self._view.listing(place, delimiter="/")
        found = children(place.base, place.prefix, listing.objects, listing.prefixes)
        if found or (place.key and self._view.is_made(path)):
            return found
        info = self._view.entry(place)
        return found if info is None else {path: file_info(place.base, info)}

    def _found(
        self, path: str, *, maxdepth: int | None, withdirs: bool, stem: str = "", details: _Details = file_info
    ) -> dict[str, Info]:
        if maxdepth is not None and maxdepth < 1:
            raise ValidationError(f"maxdepth is {maxdepth}", hint="it must be at least 1")
        if not path:
            names = self._view.namespace.names()
            return self._found_in(names, maxdepth=maxdepth, withdirs=withdirs, stem=stem)
        if (repos := self._repos(path)) is not None:
            found = self._found_in(repos, maxdepth=maxdepth, withdirs=withdirs, stem=f"{path}/{stem}")
            return {path: directory_info(path), **found} if withdirs else found
        place = self._view.place(path)
        return self._found_below(place, maxdepth=maxdepth, withdirs=withdirs, stem=stem, details=details)

    def _found_below(
        self, place: Place, *, maxdepth: int | None, withdirs: bool, stem: str, details: _Details
    ) -> dict[str, Info]:
        path, base, prefix = place.path, place.base, place.prefix
        if maxdepth == 1:
            listing = self._view.listing(place, delimiter="/", stem=stem)
            found = children(base, prefix, listing.objects, listing.prefixes if withdirs else ())
        else:
            listing = self._view.listing(place, stem=stem)
            found = under(base, prefix, listing.objects, maxdepth=maxdepth, withdirs=withdirs, details=details)
        if found or not place.key:
            return {path: directory_info(path), **found} if withdirs else found
        try:
            info = self._view.entry(place)
        except NotFound:
            return {}
        if info is not None:
            return {path: file_info(base, info)}
        return {path: directory_info(path)} if withdirs else {}

    def _repos(self, path: str) -> list[str] | None:
        """Return the paths of the repos in a mount that holds several; None if the path is anything else."""
        if "/" in path or "@" in path or (store := self._view.namespace.repos_of(path)) is None:
            return None
        return [f"{path}/{name}" for name in store.repos()]

    def _found_in(self, names: Iterable[str], *, maxdepth: int | None, withdirs: bool, stem: str) -> dict[str, Info]:
        found: dict[str, Info] = {}
        for name in names:
            if not name.startswith(stem):
                continue
            if withdirs:
                found[name] = directory_info(name)
            if maxdepth is None or maxdepth > 1:
                below = maxdepth and maxdepth - 1
                found.update(self._found(name, maxdepth=below, withdirs=withdirs))
        return dict(sorted(found.items()))

    # bytes

    def open_object(self, path: str, *, if_match: str | None = None) -> ReadFile:
        """Open an object for reading, or the version of it that has this etag."""
        path = strip(path)
        place = self._view.object(path)
        try:
            reader = self._view.read(place, if_match=if_match)
        except NotFound:
            if if_match is None and self._view.is_prefix(place):
                raise _is_prefix(place) from None
            raise
        info = reader.info
        details = partial(file_info, place.base, info)
        if serves_requests(place.provider):
            file = ReadFile(self, path, reader, details, direct=1 if is_parquet(place.key) else BUFFER)
        else:
            seekable = reader if reader.seekable() else RangedReader(place.provider, reader, place.key)
            file = ReadFile(self, path, seekable, details)
        self._view.opened(path, info, file)
        return file

    def open_version(self, path: str, etag: str) -> ReadFile:
        """Open the version of an object that another process has open; `HeadMoved` if it is gone."""
        try:
            return self.open_object(path, if_match=etag)
        except NotFound as error:
            raise HeadMoved(f"{path!r} was open in another process and is gone", hint="open it again") from error

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        """Return the bytes of an object, or a slice of them; negative bounds count from the end."""
        return read_range(self._view.object(strip(path)), _span(start, end))

    def cat(self, path: Paths, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """Return the bytes of one object, or of several by path; folders among them are skipped.

        Args:
            path: A path, a pattern, or several.
            recursive: Whether folders stand for all that is under them.
            on_error: `raise`, `omit` what failed, or `return` the errors among the results.
            kwargs: As `cat_file` takes them.
        """
        plain = as_paths(path)
        tree, still = self.stilled()
        paths = tree.expand_path(plain, recursive=recursive)
        if isinstance(plain, str) and paths == [strip(plain)]:
            return self.cat_file(paths[0], **kwargs)

        def read(one: str) -> bytes | DatastoreError | OSError | None:
            try:
                return self.cat_file(one, **kwargs)
            except (NotFound, IsPrefix) as error:
                return None if self.isdir(one) else error
            except (DatastoreError, OSError) as error:
                return error

        return settle(fetch_bytes(still, paths, _span(**kwargs), read), on_error)

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Iterable[int | None] | int | None,
        ends: Iterable[int | None] | int | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[bytes | Exception]:
        """Return ranges of objects, in the order that was asked for; those of one object are of one version.

        Args:
            paths: One for each range.
            starts: First bytes, or one for all.
            ends: Ends, exclusive, or one for all.
            max_gap: Bytes that may be read in vain to join two ranges; None leaves it to us.
            on_error: `return` errors among the results, or `raise` the first.
            kwargs: Ignored.
        """
        ranges = self.ranges(paths, starts, ends, max_gap=max_gap)
        return ranges.cut(ranges.read_all(local=self._local(paths)), on_error=on_error)

    def ranges(
        self,
        paths: Sequence[str],
        starts: Iterable[int | None] | int | None,
        ends: Iterable[int | None] | int | None,
        *,
        max_gap: int | None = None,
    ) -> Ranges:
        """Plan the reads of `cat_ranges`."""
        plain = [strip(path) for path in paths]
        first = [*starts] if isinstance(starts, Iterable) else [starts] * len(plain)
        last = [*ends] if isinstance(ends, Iterable) else [ends] * len(plain)
        if not len(plain) == len(first) == len(last):
            raise ValidationError(f"{len(plain)} paths, {len(first)} starts and {len(last)} ends", hint="one of each")
        return plan(self._view, plain, first, last, max_gap=max_gap)

    # downloads

    def get_file(
        self, rpath: str, lpath: Any = None, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **kwargs: Any
    ) -> None:
        """Download one object into a file that appears whole or not at all; of a prefix, make the folder.

        Args:
            rpath: The object.
            lpath: The local path, or an open file.
            callback: Is told the bytes.
            outfile: An open file to write to instead.
            kwargs: Ignored.
        """
        path = strip(rpath)
        sink: Any = lpath if outfile is None and hasattr(lpath, "write") else outfile
        place = self._view.place(path) if path else None
        if place is None or not place.key:
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        try:
            if sink is None:
                transfer.download_object(place.provider, place.key, Path(lpath), callback=callback)
                return
            with place.provider.read(place.key) as reader:
                for chunk in transfer.read_chunks(reader, callback=callback):
                    sink.write(chunk)
        except NotFound:
            if sink is not None or not self.isdir(path):
                raise
            Path(lpath).mkdir(parents=True, exist_ok=True)

    def get(
        self,
        rpath: Paths,
        lpath: Paths,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Download objects; the rules for names are those of fsspec.

        Args:
            rpath: A path, a pattern, or several.
            lpath: A local path; with a slash at the end, or if it is a folder, files go into it. Or one for each.
            recursive: Whether folders stand for all that is under them.
            callback: Is told the number of files; its branches are told the bytes.
            maxdepth: How deep.
            kwargs: As `get_file` takes them.
        """
        plain, local = as_paths(rpath), LocalFileSystem()
        tree, still = self.stilled()
        pairs = pair(tree, plain, local, local_paths(lpath), recursive=recursive, maxdepth=maxdepth, contained=True)
        callback.set_size(len(pairs))
        pairs = fetch_files(still, pairs, callback)
        self._each(self.get_file, pairs, callback, local=self._local([source for source, _ in pairs]), **kwargs)

    def still(self, paths: str | list[str]) -> tuple[Self, StillView | None]:
        """Return what a bulk verb sees the tree through: objects behind a network are asked for once in its course.

        Args:
            paths: What the verb was given; the first answers for all.
        """
        return self.stilled() if self.remote(paths) else (self, None)

    def stilled(self) -> tuple[Self, StillView]:
        """Return what a bulk verb sees the tree through: everything is asked for once in its course."""
        other, view = object.__new__(type(self)), StillView(self._view)
        vars(other).update(vars(self), _view=view)
        return other, view

    def remote(self, paths: str | list[str]) -> bool:
        """Tell whether objects are behind a network, and served in bulk; the first answers for all."""
        first = next((path for path in map(strip, [paths] if isinstance(paths, str) else paths) if path), None)
        try:
            return first is not None and serves_requests(self._view.place(first).provider)
        except DatastoreError:  # whoever uses the path will see it
            return False

    def _each(
        self,
        verb: Callable[..., object],
        pairs: Sequence[tuple[str, str]],
        callback: Any,
        *,
        local: bool,
        **kwargs: Any,
    ) -> None:
        """Do something for each pair, with the progress that fsspec wants: pairs here, bytes in the branches."""

        def one(names: tuple[str, str]) -> None:
            with callback.branched(*names) as child:
                verb(*names, callback=child, **kwargs)

        for _ in callback.wrap(fan_out(one, pairs, local=local)):
            pass

    def _local(self, paths: Iterable[str]) -> bool:
        """Tell whether paths are served from this machine; the first one answers for all."""
        first = next((path for path in map(strip, paths) if path), None)
        try:
            return first is None or self._view.place(first).provider.capabilities.local
        except DatastoreError:  # whoever uses the path will see it
            return True


def _span(start: int | None = None, end: int | None = None, **_: object) -> ByteRange | None:
    return None if start is None and end is None else ByteRange(start or 0, end)


def _no_details(_base: str, _info: ObjectInfo) -> Info:
    return _NOTHING


def _size_alone(_base: str, info: ObjectInfo) -> Info:
    return {"size": info.size}


def _is_prefix(place: Place) -> IsPrefix:
    return IsPrefix(
        f"{place.path!r} is a prefix, not an object", hint="name an object under it, or use a verb for folders"
    )
