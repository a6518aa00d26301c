"""The two ends of a transfer: what is there, and how its bytes are read."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

from msgspec import Struct

from datastore.bridging import SupportsPaths, serves_requests
from datastore.bulk.reading import head_objects
from datastore.errors import Conflict, NotFound
from datastore.moving import hold
from datastore.names import content_type_of, is_commit_id
from datastore.namespace import Namespace, Target
from datastore.provider import Bytes, Provider
from datastore.resolution import still
from datastore.streams import body_chunks
from datastore.transfer import read_chunks
from datastore.values import ObjectInfo

__all__ = ["Row", "Side", "file_row", "folder_of", "rows", "rows_of", "side_of"]

Row = tuple[str, ObjectInfo]
"""An object, after the name that it has in the dest's folder."""

_FEW: Final = 64
"""Objects up to which each is asked for; a listing of all that is around them may be long."""


class Side(Struct, frozen=True, kw_only=True):
    """One end.

    Attributes:
        provider: Has the objects.
        folder: What their keys begin with: empty, or with a slash at its end.
        title: Its URL, for people.
        target: Where the URL led.
        root: The folder of this machine whose files the objects are; None where they are no plain files.
        files: Some of these files, by key, where somebody has their paths already.
    """

    provider: Provider
    folder: str
    title: str
    target: Target
    root: str | None
    files: Mapping[str, Path] = {}

    def path_of(self, info: ObjectInfo) -> Path:
        """Return the file of an object."""
        return self.files.get(info.key) or Path(f"{self.root}/{info.key[len(self.folder) :]}")

    def chunks(self, info: ObjectInfo) -> Iterator[Bytes]:
        """Yield the bytes of an object."""
        if self.root is not None:
            yield from body_chunks(self.path_of(info))
            return
        with self.provider.read(info.key) as reader:
            yield from read_chunks(reader)


def folder_of(key: str) -> str:
    """Return what all keys in a folder begin with."""
    return f"{key.rstrip('/')}/" if key.rstrip("/") else ""


def side_of(namespace: Namespace, url: str | os.PathLike[str], *, pinned: bool = False, parent: bool = False) -> Side:
    """Return an end of a transfer.

    Args:
        namespace: Where names are looked up.
        url: A URL, or a local path.
        pinned: Whether it is read from: as the lock file has it, if the process is frozen; a branch without uncommitted
            changes as the commit that it is at now.
        parent: Whether the URL is that of an object, and its folder is meant.
    """
    name = namespace.url(url)
    target = namespace.target(hold(namespace, name).url if pinned else name)
    provider = _pinned(target) if pinned else target.provider
    folder = f"{key}/" if (key := target.key.rpartition("/")[0]) and parent else "" if parent else folder_of(target.key)
    root = str(provider.path_of(folder.rstrip("/"))) if isinstance(provider, SupportsPaths) else None
    return Side(provider=provider, folder=folder, title=str(target.location), target=target, root=root)


def _pinned(target: Target) -> Provider:
    repo, ref = target.versioned, target.ref
    if repo is None or ref is None or is_commit_id(ref):
        return target.provider
    provider, commit = still(repo, ref)
    return target.provider if commit is None else provider


def rows(side: Side, wants: Callable[[str], bool], *, under: str = "") -> Iterator[Row]:
    """Yield what is in the folder of an end, in key order.

    Args:
        side: The end.
        wants: Tells which names are meant.
        under: What the names begin with.
    """
    skip = len(side.folder)
    for page in side.provider.list(side.folder + under):
        for info in page.objects:
            name = info.key[skip:]
            marker = not info.size and (not name or name.endswith("/"))  # what consoles make for an empty folder
            if not marker and wants(name):
                yield name, info


def rows_of(side: Side, names: Sequence[str]) -> Iterator[Row]:
    """Yield those of these names, in key order, that are there.

    Raises:
        Conflict: A name is a folder, or a device, on the disk.
    """
    if side.root is not None:
        return _rows_on_disk(side, names)
    if len(names) <= _FEW:
        return _rows_asked(side.provider, [side.folder + name for name in names], names)
    wanted, last = set(names), names[-1]
    common = os.path.commonprefix([names[0], last])  # noqa: RUF071 - of characters, as prefixes are
    listed = rows(side, lambda name: name in wanted or name > last, under=common)
    return takewhile(lambda row: row[0] <= last, listed)


def _rows_on_disk(side: Side, names: Iterable[str]) -> Iterator[Row]:
    for name in names:
        try:
            yield name, file_row(f"{side.root}/{name}", side.folder + name)
        except (FileNotFoundError, NotADirectoryError):
            continue


def file_row(path: str | os.PathLike[str], key: str) -> ObjectInfo:
    """Return what is known of a file, under a key.

    Raises:
        FileNotFoundError: There is none, or a link that leads nowhere.
        Conflict: It is a folder, a device or a pipe.
    """
    found = os.stat(path)  # noqa: PTH116 - thousands in a row
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise Conflict(f"{os.fspath(path)!r} is {what}, and has the name of an object", hint="choose another folder")
    etag = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
    return ObjectInfo(
        key=key,
        size=found.st_size,
        modified_us=found.st_mtime_ns // 1000,
        etag=etag,
        identity=f"{os.fspath(path)}#{etag}",
        content_type=content_type_of(key),
    )


def _rows_asked(provider: Provider, keys: Sequence[str], names: Sequence[str]) -> Iterator[Row]:
    if serves_requests(provider):
        found = dict(head_objects(provider, keys))
        for number, name in enumerate(names):
            info = found[number]
            if isinstance(info, ObjectInfo):
                yield name, info
            elif not isinstance(info, NotFound):
                raise info
        return
    for key, name in zip(keys, names, strict=True):
        try:
            yield name, provider.head(key)
        except NotFound:
            continue
