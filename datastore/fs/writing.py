"""The verbs of the file system that change something: uploads, copies, moves, deletions."""

# ruff: noqa: ARG002, FBT001, FBT002, PLR0917 - the signatures are fsspec's

import errno
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.implementations.local import LocalFileSystem

from datastore import transfer
from datastore.errors import AlreadyExists, NotFound, UnsupportedOperation, ValidationError
from datastore.fs.bulk import Paths, as_paths, deletion_error, local_paths, pair
from datastore.fs.copying import copy_many
from datastore.fs.paths import IsPrefix, strip
from datastore.fs.reading import Reading
from datastore.fs.sending import attributes_of, put_mode, send
from datastore.fs.view import Place, View
from datastore.provider import SupportsImport, SupportsPutMany
from datastore.threads import fan_out
from datastore.values import OVERWRITE, PutMode

__all__ = ["Writing"]


class Writing(Reading):
    """Everything that changes something. Objects are written whole or not at all; only what is named is deleted."""

    # uploads

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        """Write an object.

        Args:
            path: Its path.
            value: Its bytes.
            mode: `overwrite`, or `create` to fail with `AlreadyExists` if it is there.
            kwargs: `content_type` and `metadata`.
        """
        place = self._view.object(strip(path), live=True)
        body = value if isinstance(value, bytes) else memoryview(value)
        place.provider.put(place.key, body, mode=put_mode(mode), attributes=attributes_of(kwargs))
        self._view.wrote(place)

    def pipe(self, path: str | Mapping[str, Any], value: Any = None, **kwargs: Any) -> None:
        """Write one object, or several given as a mapping of path to bytes."""
        items = path if isinstance(path, Mapping) else {path: value}
        if len(items) > 1:
            wanted = [(data if isinstance(data, bytes) else bytes(data), name) for name, data in items.items()]
            if send(self._view, wanted, callback=DEFAULT_CALLBACK, options=kwargs) or self._put_many(wanted, kwargs):
                return
        for _ in fan_out(lambda one: self.pipe_file(*one, **kwargs), items.items(), local=self._local(items)):
            pass

    def _put_many(self, wanted: Sequence[tuple[bytes, str]], options: Mapping[str, Any]) -> bool:
        places = [self._view.object(strip(path), live=True) for _, path in wanted]
        provider = places[0].provider
        if not isinstance(provider, SupportsPutMany) or len({place.same[:2] for place in places}) > 1:
            return False
        attributes = attributes_of(options)
        objects = [(place.key, data, attributes) for (data, _), place in zip(wanted, places, strict=True)]
        provider.put_many(objects, mode=put_mode(options.get("mode", OVERWRITE)))
        self._view.wrote(places[0])
        return True

    def put_file(
        self, lpath: Any, rpath: str, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite", **kwargs: Any
    ) -> None:
        """Upload one local file; of a folder, nothing: it exists once something is in it. Options as in `pipe_file`."""
        if Path(lpath).is_dir():
            self.makedirs(rpath, exist_ok=True)
            return
        place = self._view.object(strip(rpath), live=True)
        size = Path(lpath).stat().st_size
        callback.set_size(size)
        place.provider.put(place.key, Path(lpath), mode=put_mode(mode), attributes=attributes_of(kwargs))
        self._view.wrote(place)
        callback.relative_update(size)

    def put(
        self,
        lpath: Paths,
        rpath: Paths,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Upload files, in one step where the store can; the rules for names are those of fsspec.

        Args:
            lpath: A local path, a pattern, or several.
            rpath: A path; with a slash at the end, or if it is a folder, things go into it. Or one for each source.
            recursive: Whether folders stand for all that is under them.
            callback: Is told the number of files; its branches are told the bytes, unless it is one step.
            maxdepth: How deep.
            kwargs: As `put_file` takes them.
        """
        target = as_paths(rpath)
        pairs = pair(LocalFileSystem(), local_paths(lpath), self, target, recursive=recursive, maxdepth=maxdepth)
        callback.set_size(len(pairs))
        if (self.remote(target) and self._send(pairs, callback, kwargs)) or (
            not kwargs and self._import(pairs, callback)
        ):
            return
        self._each(self.put_file, pairs, callback, local=self._local(target for _, target in pairs), **kwargs)

    def _send(self, pairs: Sequence[tuple[str, str]], callback: Any, options: Mapping[str, Any]) -> bool:
        files = [(Path(source), target) for source, target in pairs if not Path(source).is_dir()]
        sent = send(self._view, files, callback=callback, options=options)
        if sent:  # folders exist by what is in them
            callback.relative_update(len(pairs) - len(files))
        return sent

    def _import(self, pairs: Sequence[tuple[str, str]], callback: Any) -> bool:
        files = [(Path(source), target) for source, target in pairs if not Path(source).is_dir()]
        if len(files) < 2:
            return False
        places = [self._view.object(strip(target), live=True) for _, target in files]
        provider = places[0].provider
        if not isinstance(provider, SupportsImport) or len({place.same[:2] for place in places}) > 1:
            return False
        callback.set_size(len(files))
        provider.import_files([(source, place.key) for (source, _), place in zip(files, places, strict=True)])
        self._view.wrote(places[0])
        callback.relative_update(len(files))
        return True

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Make an empty object; without `truncate` only if nothing is there, as times cannot be set."""
        if truncate:
            self.pipe_file(path, b"", **kwargs)
            return
        try:
            self.pipe_file(path, b"", mode="create", **kwargs)
        except AlreadyExists:
            message = f"{strip(path)!r} exists, and its time cannot be set without writing it"
            raise UnsupportedOperation(message, hint="truncate=True makes it empty") from None

    # copies

    def cp_file(
        self, path1: str, path2: str, callback: Any = DEFAULT_CALLBACK, mode: str = "overwrite", **kwargs: Any
    ) -> None:
        """Copy one object with its attributes, within or between mounts, by the cheapest way; of a prefix, nothing."""
        source = self._view.place(strip(path1))
        self._copy_one(source, self._view.place(strip(path2), live=True), callback, mode=put_mode(mode))

    def copy(
        self,
        path1: Paths,
        path2: Paths,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
        callback: Any = DEFAULT_CALLBACK,
        **kwargs: Any,
    ) -> None:
        """Copy objects, within or between mounts; the rules for names are those of fsspec.

        Args:
            path1: A path, a pattern, or several.
            path2: A path; with a slash at the end, or if it is a folder, things go into it. Or one for each source.
            recursive: Whether folders stand for all that is under them.
            maxdepth: How deep.
            on_error: `raise`, or `ignore` what is missing, the default for `recursive`.
            callback: Is told the number of objects; its branches are told the bytes.
            kwargs: As `cp_file` takes them.
        """
        plain = as_paths(path1)
        tree, still = self.stilled()
        pairs = pair(tree, plain, self, as_paths(path2), recursive=recursive, maxdepth=maxdepth)
        strict = on_error == "raise" if on_error else not recursive

        def copy(source: str, target: str, **options: Any) -> None:
            try:
                self.cp_file(source, target, **options)
            except NotFound:
                if strict:
                    raise

        callback.set_size(len(pairs))
        # Prefixes need no copy, and these are known to be some.
        objects = [names for names in pairs if still.seen(still.place(strip(names[0]))) != (None,)]
        callback.relative_update(len(pairs) - len(objects))
        pairs = objects if kwargs else copy_many(still, objects, callback, wrote=self._view.wrote)
        local = self._local(source for source, _ in pairs) and self._local(target for _, target in pairs)
        self._each(copy, pairs, callback, local=local, **kwargs)

    def mv(
        self,
        path1: Paths,
        path2: Paths,
        recursive: bool = False,
        maxdepth: int | None = None,
        callback: Any = DEFAULT_CALLBACK,
        **kwargs: Any,
    ) -> None:
        """Move objects: all are copied first, then exactly those that were are deleted. Arguments as in `copy`."""
        source, target = as_paths(path1), as_paths(path2)
        self._unpin(source)
        pairs = pair(self, source, self, target, recursive=recursive, maxdepth=maxdepth)
        if not pairs and isinstance(source, str):
            raise IsPrefix(
                f"{source!r} is a prefix or a pattern for prefixes", hint="recursive=True moves all under it"
            )
        moves = self._moves(pairs)
        callback.set_size(len(moves))

        def copy(move: tuple[Place, Place]) -> Place | None:
            place, to = move
            with callback.branched(place.path, to.path) as child:
                return place if self._copy_one(place, to, child) else None

        local = all(place.provider.capabilities.local for place in moves[0]) if moves else True
        copied = list(callback.wrap(fan_out(copy, moves, local=local)))
        self._delete([(place, [place.key]) for place in copied if place is not None])

    def _moves(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[Place, Place]]:
        found = [(self._view.place(strip(a), live=True), self._view.place(strip(b), live=True)) for a, b in pairs]
        moves = [(source, target) for source, target in found if source.same != target.same]
        sources = {source.same for source, _ in moves}
        for source, target in moves:
            if target.key and target.same in sources and self.isfile(target.path):
                message = f"{source.path!r} cannot move to {target.path!r}, which is to be moved itself"
                raise ValidationError(message, hint="move to a place outside, then from there")
            if source.target.name != target.target.name and _one_object(source, target):
                message = f"{target.path!r} is the same object as {source.path!r}, by another name"
                raise ValidationError(message, hint="there is nothing to move")
        return moves

    def _copy_one(self, source: Place, target: Place, callback: Any, *, mode: PutMode = OVERWRITE) -> bool:
        """Copy an object and return True; return False for a prefix, which needs no copy."""
        if not source.key or (not target.key and self._view.entry(source) is None):
            return False
        if not target.key:
            raise IsPrefix(f"{target.path!r} is a mount or repo, not an object", hint=f"name a key: {target.path}/name")
        try:
            transfer.copy_object(source.provider, source.key, target.provider, target.key, mode=mode, callback=callback)
        except NotFound:
            if self._view.is_prefix(source):
                return False
            raise
        self._view.wrote(target)
        return True

    # deletions

    def rm(self, path: Paths, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects, in one step; mounts, repos and branches stay.

        Args:
            path: A path, a pattern, or several. If one of them is missing, or a prefix, nothing is deleted.
            recursive: Whether prefixes and mounts stand for all that is under them.
            maxdepth: How deep.
        """
        plain = as_paths(path)
        self._unpin(plain)
        tree, still = self.still(plain)
        names = tree.expand_path(plain)
        view = still or self._view
        places = [view.place(name, live=True) for name in names]
        local = self._local(names)
        if still is not None:
            still.look(places)
        keys = fan_out(lambda place: _doomed(view, place, recursive=recursive, maxdepth=maxdepth), places, local=local)
        self._delete(list(zip(places, keys, strict=True)))

    def rm_file(self, path: str) -> None:
        """Delete one object."""
        self.rm([path])

    def rmdir(self, path: str) -> None:
        """Do nothing for a prefix under which nothing is: it does not exist. Fail for everything else."""
        path = strip(path)
        if self.isdir(path):
            if not path or not self._view.place(path).key:
                message = f"{path or 'the root'!r} is not removed by a file system"
                raise UnsupportedOperation(message, hint="ds.delete_repo or repo.delete_branch")
            raise OSError(errno.ENOTEMPTY, "objects are under this prefix", path)

    def _delete(self, doomed: Iterable[tuple[Place, Sequence[str]]]) -> None:
        batches: dict[tuple[str, str | None], tuple[Place, list[str]]] = {}
        for place, keys in doomed:
            batches.setdefault(place.same[:2], (place, []))[1].extend(keys)
        for place, keys in batches.values():
            if keys:
                failures = place.provider.delete(list(dict.fromkeys(keys)))
                self._view.wrote(place)
                if failures:
                    raise deletion_error(place.base, failures)

    def _unpin(self, paths: str | list[str]) -> None:
        # What is deleted or moved is what is there now.
        for path in [paths] if isinstance(paths, str) else paths:
            if plain := strip(path):
                self._view.wrote(self._view.place(plain, live=True))

    # directories

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Do nothing below a mount, where prefixes exist by what is under them; mounts and repos are made elsewhere."""
        path = strip(path)
        try:
            self.makedirs(path)
        except NotFound as error:
            if "/" in path:
                raise
            verbs = "ds.create_repo, repo.create_branch and ds.mount make them"
            hint = f"{error.hint}; {verbs}" if error.hint else verbs
            raise UnsupportedOperation(
                f"a file system makes no mounts, repos or branches: {error}", hint=hint
            ) from None

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing below a mount, as `mkdir`; raise `NotFound` if mount or ref do not exist."""
        path = strip(path)
        if not path:
            if exist_ok:
                return
            raise UnsupportedOperation("the root cannot be made", hint="ds.create_repo makes a repo, ds.mount a mount")
        place = self._view.place(path, live=True)
        if place.target.versioned is not None:  # the others would be listed, and the write will tell
            self._view.require(place)
        if not place.key and not exist_ok:
            raise AlreadyExists(f"{path!r} exists")
        self._view.make(path)


def _doomed(view: View, place: Place, *, recursive: bool, maxdepth: int | None) -> list[str]:
    keys: list[str] = []
    if recursive:
        keys = [info.key for info in view.listing(place).objects]
        if maxdepth is not None:
            keys = [key for key in keys if key[len(place.prefix) :].count("/") < maxdepth]
    try:
        if place.key:
            view.head(place)
            keys.append(place.key)
    except NotFound:
        if recursive and keys:
            return keys
        if not view.is_prefix(place):
            raise
    if not keys and not recursive:
        raise IsPrefix(f"{place.path!r} is a prefix or mount", hint="recursive=True deletes all that is under it")
    return keys


def _one_object(a: Place, b: Place) -> bool:
    """Tell whether two mounts show one object: moving it onto itself would delete it."""
    if not a.key or not b.key:
        return False
    try:
        here, there = a.provider.head(a.key), b.provider.head(b.key)
    except NotFound:
        return False
    return (here.etag, here.modified_us, here.size) == (there.etag, there.modified_us, there.size)
