"""What a URL leads to for an engine: objects of one commit, or of one listing."""

import os
import posixpath
import re
from collections.abc import Sequence
from glob import has_magic
from typing import Any, Final

from msgspec import Struct

from datastore.bridging import SupportsLocalFiles, SupportsPaths
from datastore.errors import NotFound, ValidationError
from datastore.fs.pins import Pin, Pins, format_pins, pin_name, pin_of, pinned_provider
from datastore.handoff.formats import FORMATS, FormatName, format_of, named
from datastore.history import objects_at
from datastore.listing import is_shown
from datastore.moving import hold
from datastore.names import is_commit_id
from datastore.namespace import Namespace, Target
from datastore.provider import Provider, SupportsRequests
from datastore.ranks import distributed, rank_of
from datastore.streaming.packed import is_packed
from datastore.urls import DatasetURL, format_location
from datastore.values import ObjectInfo

__all__ = ["Found", "find", "held"]

_WILD: Final = re.compile(r"[*?\[]")


class Found(Struct, frozen=True, kw_only=True):
    """The objects behind a URL, as they were at one moment.

    Attributes:
        url: As it was given.
        provider: Has them, bound to the commit.
        base: The mount, or repo and commit, as the file system writes them: `garments@4f2a…`.
        pins: For the file system, where the objects are not all of a commit.
        fixed: Whether they are of a commit, and stay as they are for ever.
        folder: The part of their keys that is the same by the URL: names, and columns in them, begin after it.
        objects: In the order of keys.
        format: Of all of them.
    """

    url: DatasetURL
    provider: Provider
    base: str
    pins: str
    fixed: bool
    folder: str
    objects: Sequence[ObjectInfo]
    format: FormatName

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(info.size for info in self.objects)

    @property
    def hive(self) -> bool:
        """Whether folders below the URL are columns: `year=2026/`."""
        return any("=" in posixpath.dirname(name) for name in self.names)

    @property
    def named(self) -> bool:
        """Whether engines have to see the names: for columns in them, or how the bytes are compressed."""
        return self.hive or any(is_packed(info.key) for info in self.objects)

    @property
    def names(self) -> list[str]:
        """The names of the objects in the folder."""
        return [info.key[len(self.folder) :] for info in self.objects]

    @property
    def paths(self) -> list[str]:
        """The objects as the file system writes them."""
        return [f"{self.base}/{info.key}" for info in self.objects]

    @property
    def remote(self) -> bool:
        """Whether there is a network between them and this machine, or between some of them."""
        here = self.provider.capabilities.local and not isinstance(self.provider, SupportsRequests)
        return not here or any(info.link for info in self.objects)

    @property
    def storage_options(self) -> dict[str, Any]:
        """What the file system has to be told for the paths to mean these objects."""
        return {"pins": self.pins} if self.pins else {}

    @property
    def copied(self) -> int:
        """Bytes that would have to be copied for each object to be a file of this machine under a fitting name."""
        provider = self.provider
        if isinstance(provider, SupportsPaths):
            return 0
        if isinstance(provider, SupportsLocalFiles) and not self.named:
            return sum(info.size for info in self.objects if provider.local_file(info) is None)
        return self.size


def find(namespace: Namespace, url: DatasetURL, pins: Pins, *, wanted: FormatName | None = None) -> Found:
    """Return what is behind a URL now: an object, all under a folder, or what a pattern matches.

    Names that begin with `_` or `.` are left out, as engines do: `_SUCCESS`, `.part.crc`.

    Args:
        namespace: Where names mean something.
        url: May have `*`, `?`, `[…]` and `**` in its key.
        pins: The refs that were resolved before, for the same query; this one is added.
        wanted: Format; objects whose names say another one are left out.

    Raises:
        NotFound: There is nothing.
        ValidationError: Objects of several formats, or no such format; or the ref may move, and this process must not
            read such ones.
    """
    if wanted is not None and wanted not in FORMATS:
        raise ValidationError(f"format={wanted!r} is not known", hint=f"one of {', '.join(FORMATS)}")
    target = namespace.target(held(namespace, url))
    pin = _pin(target, pins)
    provider = target.provider if pin is None else pinned_provider(target, pin)
    folder, objects = _objects(provider, target.key)
    if len(objects) > 1 or objects[0].key != target.key:
        objects = [info for info in objects if wanted in {None, named(info.key)}]
    if not objects:
        raise NotFound(f"there is no {wanted} under {url}", hint="list it with ds.filesystem().find(url)")
    moves = pin is not None and pin.uncommitted
    ref = target.ref if pin is None or moves else pin.commit
    return Found(
        url=url,
        provider=provider,
        base=format_location(target.name, ref, ""),
        pins=format_pins({pin_name(target): pin}) if pin is not None and moves else "",
        fixed=ref is not None and is_commit_id(ref),
        folder=folder,
        objects=objects,
        format=wanted or format_of([info.key for info in objects]),
    )


def held(namespace: Namespace, url: DatasetURL) -> DatasetURL:
    """Return the URL with which this process may read what it was asked for; see `moving.hold`.

    Raises:
        ValidationError: The process is frozen and the lock file does not name it, or it is one of several ranks.
    """
    return hold(namespace, url, ranks=rank_of(os.environ, torch=distributed()).of).url


def _pin(target: Target, pins: Pins) -> Pin | None:
    """Return the commit for a target's ref: the same one for all URLs of a query."""
    if target.versioned is None:
        return None
    name = pin_name(target)
    if name not in pins and (pin := pin_of(target)):
        pins[name] = pin
    return pins.get(name)


def _objects(provider: Provider, key: str) -> tuple[str, list[ObjectInfo]]:
    """Return the folder of a key, and the objects that the key means."""
    if has_magic(key) and (matched := _matching(provider, key)):
        return _folder_before(key), matched
    folder = key if not key or key.endswith("/") else f"{key}/"
    found: list[ObjectInfo] = []
    for name, info in objects_at(provider, key):
        if not name and info.key == key:
            return posixpath.join(posixpath.dirname(key), ""), [info]
        if is_shown(name):
            found.append(info)
    if not found:
        raise NotFound(f"there is no object under {key!r}", hint="list it with ds.filesystem().find(url)")
    return folder, found


def _matching(provider: Provider, pattern: str) -> list[ObjectInfo]:
    from fsspec.utils import glob_translate  # pyright: ignore[reportUnknownVariableType]

    try:
        matches = re.compile(glob_translate(pattern)).match
    except ValueError as error:
        raise ValidationError(f"pattern {pattern!r}: {error}", hint="write **/ for any folders") from error
    start, folder = _WILD.split(pattern, maxsplit=1)[0], _folder_before(pattern)
    infos = (info for page in provider.list(start) for info in page.objects)
    return [info for info in infos if is_shown(info.key[len(folder) :]) and matches(info.key)]


def _folder_before(pattern: str) -> str:
    """Return what stands before the first part with a wildcard.

    >>> _folder_before("sales/year=*/x.parquet"), _folder_before("*.csv")
    ('sales/', '')
    """
    start = _WILD.split(pattern, maxsplit=1)[0]
    return start[: start.rfind("/") + 1]
