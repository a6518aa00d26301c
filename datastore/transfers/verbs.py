"""`upload`, `download` and `sync`: what is on both sides, a decision, then the work."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from datastore.errors import InvalidURL, NotFound, ValidationError
from datastore.importing import files_of
from datastore.names import check_key
from datastore.namespace import Namespace
from datastore.resolution import Patterns, globs, passes
from datastore.transfers.deciding import Compare, check_compare
from datastore.transfers.landing import check_names
from datastore.transfers.plans import Plan
from datastore.transfers.running import Job, run
from datastore.transfers.sides import Row, Side, file_row, rows, rows_of, side_of

__all__ = ["Options", "download", "sync", "upload"]

_Path = str | os.PathLike[str]


class Options(Struct, frozen=True, kw_only=True):
    """What all transfers can be told.

    Attributes:
        allow_patterns: Globs over the names in the folder, one of which a name has to match; None lets all pass.
        ignore_patterns: Globs, none of which it may match.
        dry_run: Whether nothing is done.
        compare: What tells that an object need not be sent again.
        callback: Is told of objects, its branches of bytes, as fsspec's verbs tell theirs.
    """

    allow_patterns: Patterns = None
    ignore_patterns: Patterns = None
    dry_run: bool = False
    compare: Compare = "content"
    callback: Any = None

    def wants(self) -> Callable[[str], bool]:
        """Return what tells which names are meant."""
        check_compare(self.compare)
        allow = None if self.allow_patterns is None else globs(self.allow_patterns)
        ignore = () if self.ignore_patterns is None else globs(self.ignore_patterns)
        return lambda name: passes(name, allow, ignore)

    def job(self, source: Side, dest: Side, **more: Any) -> Job:
        """Return the work between two sides."""
        return Job(source=source, dest=dest, dry_run=self.dry_run, compare=self.compare, callback=self.callback, **more)


def upload(
    namespace: Namespace,
    source: _Path,
    url: _Path,
    options: Options,
    *,
    ignore: str | Sequence[str],
    message: str | None,
) -> Plan:
    """Put a local file or folder under a URL; see `datastore.api.upload`."""
    path, wants = _local(source, verb="upload"), options.wants()
    if path.is_dir():
        here, there = side_of(namespace, path), side_of(namespace, url)
        _check_apart(here, there)
        named = {key[len(there.folder) :]: file for file, key in files_of(path, there.folder, ignore=ignore)}
        found = [(name, file_row(file, here.folder + name)) for name, file in named.items() if wants(name)]
        here = structs.replace(here, files={here.folder + name: file for name, file in named.items()})
    else:
        if not path.exists():
            raise NotFound(f"no local file or folder {str(path)!r}", hint="give the path of one")
        into = os.fspath(url).endswith("/") or not namespace.target(namespace.url(url)).key
        here, there = side_of(namespace, path, parent=True), side_of(namespace, url, parent=not into)
        name = path.name if into else there.target.key.rpartition("/")[2]
        check_key(there.folder + name)
        found = [(name, file_row(path, here.folder + path.name))]
    job = options.job(here, there, namespace=namespace, message=message)
    return run(job, found, rows_of(there, [name for name, _ in found]))


def download(namespace: Namespace, url: _Path, dest: _Path, options: Options, *, overwrite: bool) -> Plan:
    """Write an object or all under a prefix into local files; see `datastore.api.download`."""
    path, wants = _local(dest, verb="download"), options.wants()
    here = side_of(namespace, url, pinned=True)
    key, missing = here.target.key, None
    if key and not key.endswith("/"):
        try:
            info = here.provider.head(key)
        except NotFound as error:
            missing = error
        else:
            into = os.fspath(dest).endswith(("/", os.sep)) or path.is_dir()
            name = key.rpartition("/")[2] if into else path.name
            there = side_of(namespace, path, parent=not into)
            return _landed(namespace, here, there, [(name, info)], options, overwrite=overwrite)
    found = list(rows(here, wants))
    if not found:
        raise missing or _nothing(here, options)
    there = side_of(namespace, path)
    _check_apart(here, there)
    return _landed(namespace, here, there, found, options, overwrite=overwrite)


def _landed(
    namespace: Namespace, here: Side, there: Side, found: Sequence[Row], options: Options, *, overwrite: bool
) -> Plan:
    names = [name for name, _ in found]
    check_names(names)
    job = options.job(here, there, namespace=namespace, overwrite=overwrite)
    return run(job, found, rows_of(there, names))


def sync(
    namespace: Namespace, source: _Path, dest: _Path, options: Options, *, delete: bool, message: str | None
) -> Plan:
    """Make a folder as another one is; see `datastore.api.sync`."""
    wants = options.wants()
    here, there = side_of(namespace, source, pinned=True), side_of(namespace, dest)
    _check_apart(here, there)
    found = list(rows(here, wants))
    if not found and (here.folder or delete):
        raise _nothing(here, options)
    names = [name for name, _ in found]
    if there.root is not None:
        check_names(names)
    theirs: Iterable[Row] = rows(there, wants) if delete else rows_of(there, names)
    return run(options.job(here, there, namespace=namespace, message=message, delete=delete), found, theirs)


def _nothing(side: Side, options: Options) -> NotFound:
    chosen = options.allow_patterns is not None or options.ignore_patterns is not None
    return NotFound(
        f"there is no object under {side.title!r}{' that passes the patterns' if chosen else ''}",
        hint="name a folder with something in it; none is emptied because its source is empty",
    )


def _local(path: _Path, *, verb: str) -> Path:
    text = os.fspath(path)
    if "://" in text:
        raise InvalidURL(
            f"{text[:200]!r} is no local path", hint=f"ds.{verb} has one local side; ds.sync goes between any two"
        )
    return Path(text).expanduser()


def _check_apart(source: Side, dest: Side) -> None:
    if (source.target.name, source.target.ref) != (dest.target.name, dest.target.ref):
        return
    if source.folder.startswith(dest.folder) or dest.folder.startswith(source.folder):
        raise ValidationError(f"{source.title!r} and {dest.title!r} lie in each other", hint="choose a folder outside")
