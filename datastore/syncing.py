"""Making one folder as another one is, wherever the two are: what to do, decided from two listings, then done."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from datastore.bulk.copying import copy_objects
from datastore.errors import Forbidden, NotFound, ValidationError
from datastore.history import Diff
from datastore.moving import hold
from datastore.names import content_type_of
from datastore.namespace import Namespace, Target
from datastore.provider import Provider
from datastore.values import Change, ObjectInfo

__all__ = ["is_current", "plan", "sync"]

_HASHED: Final = re.compile(r"[0-9a-f]{32}(-[0-9]+)?", re.ASCII)
_DELETE_BATCH: Final = 1000

Row = tuple[str, ObjectInfo]


def sync(namespace: Namespace, source_url: str, dest_url: str, *, delete: bool, dry_run: bool) -> Diff:
    """Make a folder as another one is; see `ds.sync`."""
    source = namespace.target(hold(namespace, namespace.url(source_url)).url)
    dest = namespace.target(namespace.url(dest_url))
    _check_apart(source, dest)
    rows = list(_rows(source))
    if not rows and (source.key or delete):
        raise NotFound(
            f"there is no object under {str(source.location)!r}",
            hint="sync takes folders, and empties none because its source is empty; `datastore cp` copies an object",
        )
    attributes = source.provider.capabilities.attributes and dest.provider.capabilities.attributes
    changes = plan(rows, _rows(dest), attributes=attributes, delete=delete)
    if changes and not dry_run:
        _act(changes, source, dest)
    return Diff(
        changes,
        title=f"{dest.location}..{source.location}",
        sides=(dest.provider, source.provider),
        prefixes=(_folder(dest), _folder(source)),
    )


def plan(source: Iterable[Row], dest: Iterable[Row], *, attributes: bool, delete: bool) -> list[Change]:
    """Return what has to be done to the dest, in key order: before is what is there, after what the source has.

    Args:
        source: Objects by the rest of their keys, in key order.
        dest: The same of the dest.
        attributes: Whether both sides keep content types and metadata as given.
        delete: Whether what only the dest has goes.

    >>> from datastore.providers.memory import MemoryProvider
    >>> info = MemoryProvider().put("a", b"1")
    >>> [change.kind for change in plan([("a", info)], [("b", info)], attributes=True, delete=True)]
    ['added', 'removed']
    """
    changes: list[Change] = []
    others = iter(dest)
    other = next(others, None)
    for key, wanted in source:
        while other is not None and other[0] < key:
            changes += [Change(key=other[0], before=other[1], after=None)] * delete
            other = next(others, None)
        found = other[1] if other is not None and other[0] == key else None
        if found is None or not is_current(wanted, found, attributes=attributes):
            changes.append(Change(key=key, before=found, after=wanted))
        if found is not None:
            other = next(others, None)
    while other is not None:
        changes += [Change(key=other[0], before=other[1], after=None)] * delete
        other = next(others, None)
    return changes


def is_current(source: ObjectInfo, dest: ObjectInfo, *, attributes: bool) -> bool:
    """Tell whether the dest has the object of the source already.

    By digest where both sides know it. Else by size, then by etags where these are the hashes that S3 and lakeFS make,
    then by time: what was written after the source had been changed last is a copy of it, as `aws s3 sync` has it.
    """
    if source.size != dest.size:
        return False
    if attributes:
        followed = source.content_type == content_type_of(source.key)
        content_type = content_type_of(dest.key) if followed else source.content_type
        if (content_type, dict(source.metadata)) != (dest.content_type, dict(dest.metadata)):
            return False
    if source.digest is not None and dest.digest is not None:
        return source.digest == dest.digest
    here, there = _HASHED.fullmatch(source.etag), _HASHED.fullmatch(dest.etag)
    if here and there:
        if source.etag == dest.etag:
            return True
        if not (here.group(1) or there.group(1)):  # the etag of an upload in parts depends on their size
            return False
    return dest.modified_us >= source.modified_us


def _act(changes: Iterable[Change], source: Target, dest: Target) -> None:
    here, there = source.provider, dest.provider
    if not there.capabilities.writable:
        raise Forbidden(f"{str(dest.location)!r} cannot be written to", hint="sync to a branch")
    folder = _folder(dest)
    for _ in copy_objects(here, there, [(change.after, folder + change.key) for change in changes if change.after]):
        pass
    _delete(there, [change.before.key for change in changes if change.before and not change.after])


def _delete(provider: Provider, keys: list[str]) -> None:
    # After all copies: if one of them fails, nothing is lost yet.
    for at in range(0, len(keys), _DELETE_BATCH):
        for failure in provider.delete(keys[at : at + _DELETE_BATCH]):
            raise failure.error


def _rows(target: Target) -> Iterator[Row]:
    folder = _folder(target)
    for page in target.provider.list(folder):
        for info in page.objects:
            if info.key != folder:  # the marker that some tools put where they want an empty folder
                yield info.key[len(folder) :], info


def _folder(target: Target) -> str:
    return f"{target.key.rstrip('/')}/" if target.key.rstrip("/") else ""


def _check_apart(source: Target, dest: Target) -> None:
    if (source.name, source.ref) != (dest.name, dest.ref):
        return
    here, there = _folder(source), _folder(dest)
    if here.startswith(there) or there.startswith(here):
        raise ValidationError(
            f"{str(source.location)!r} and {str(dest.location)!r} lie in each other", hint="choose a folder outside"
        )
