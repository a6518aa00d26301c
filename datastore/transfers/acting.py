"""Carrying out what was decided: files up, files down, objects across; then what has to be deleted."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, Final

import msgspec

from datastore.bridging import serves_requests
from datastore.bulk.copying import copy_objects
from datastore.bulk.reading import download_objects, head_objects
from datastore.bulk.telling import Branches
from datastore.bulk.writing import upload_objects
from datastore.errors import Forbidden, HeadMoved
from datastore.provider import Provider, SupportsImport
from datastore.transfers.sides import Side
from datastore.values import Change, ObjectInfo

__all__ = ["carry", "check_writable", "delete", "import_files", "imports", "with_attributes"]

_DELETE_BATCH: Final = 1000
_TRIES: Final = 3


def check_writable(dest: Side) -> None:
    """Raise `Forbidden` for a dest that is read-only."""
    if not dest.provider.capabilities.writable:
        raise Forbidden(f"{dest.title!r} cannot be written to", hint="write to a branch")


def imports(source: Side, dest: Side) -> bool:
    """Tell whether the dest takes files in one step, and hashes each once by itself."""
    return source.root is not None and dest.provider.capabilities.local and isinstance(dest.provider, SupportsImport)


def import_files(source: Side, dest: Side, wanted: Sequence[Change], callback: Any) -> list[ObjectInfo]:
    """Put the files of all changes onto the dest, all or none, and return what is there then."""
    provider = dest.provider
    assert isinstance(provider, SupportsImport)  # noqa: S101 - `imports` has seen to it
    files = [(source.path_of(change.after), dest.folder + change.key) for change in wanted if change.after]
    branches = _branches(dest, wanted, callback)
    infos = provider.import_files(files, told=branches.told)
    for number in range(len(files)):
        branches.over(number)
    return list(infos)


def carry(source: Side, dest: Side, wanted: Sequence[Change], callback: Any) -> None:
    """Bring the objects of all changes to the dest, many at a time.

    The first error ends it; what has arrived by then stays.
    """
    branches = _branches(dest, wanted, callback)
    infos = [change.after for change in wanted if change.after]
    if dest.root is not None:
        _fetch(
            source, [(info, f"{dest.root}/{change.key}") for info, change in zip(infos, wanted, strict=True)], branches
        )
    elif source.root is not None:
        files = [(source.path_of(info), dest.folder + change.key) for info, change in zip(infos, wanted, strict=True)]
        with closing(upload_objects(dest.provider, files, resume=True, told=branches.told)) as results:
            for number, result in results:
                if isinstance(result, Exception):
                    raise result
                branches.over(number)
    else:
        _copy(source, dest, infos, wanted, branches)


def _fetch(source: Side, wanted: Sequence[tuple[ObjectInfo, str]], branches: Branches) -> None:
    """Write objects into files. What was written anew since it was listed comes as it is now."""
    numbers = list(range(len(wanted)))
    for left in reversed(range(_TRIES)):
        moved: list[int] = []
        with closing(
            download_objects(
                source.provider,
                [wanted[number] for number in numbers],
                follow=False,
                resume=True,
                told=lambda place, size, numbers=numbers: branches.told(numbers[place], size),
            )
        ) as results:
            for place, error in results:
                if isinstance(error, HeadMoved) and left:
                    moved.append(numbers[place])
                elif error is not None:
                    raise error
                else:
                    branches.over(numbers[place])
        if not moved:
            return
        wanted = list(wanted)
        for number in moved:
            wanted[number] = (source.provider.head(wanted[number][0].key), wanted[number][1])
        numbers = moved


def _copy(source: Side, dest: Side, infos: Sequence[ObjectInfo], wanted: Sequence[Change], branches: Branches) -> None:
    dressed = with_attributes(source.provider, infos) if dest.provider.capabilities.attributes else infos
    copies = [(info, dest.folder + change.key) for info, change in zip(dressed, wanted, strict=True)]
    with closing(copy_objects(source.provider, dest.provider, copies)) as results:
        for number, size in results:
            branches.told(number, size)
            branches.over(number)


def with_attributes(provider: Provider, infos: Sequence[ObjectInfo]) -> Sequence[ObjectInfo]:
    """Return infos with content types and metadata, also where a listing does not tell them."""
    if provider.capabilities.lists_attributes or not serves_requests(provider):
        return infos
    found = list(infos)
    for number, head in head_objects(provider, [info.key for info in infos]):
        if isinstance(head, Exception):
            raise head
        given = {"content_type": head.content_type, "metadata": head.metadata}
        found[number] = msgspec.structs.replace(infos[number], **given) if head.etag == infos[number].etag else head
    return found


def _branches(dest: Side, wanted: Iterable[Change], callback: Any) -> Branches:
    found = [(change.after.key, dest.folder + change.key, change.after.size) for change in wanted if change.after]
    if callback is not None:
        callback.set_size(len(found))
    return Branches(callback, [names[:2] for names in found], [size for _, _, size in found])


def delete(provider: Provider, keys: Sequence[str]) -> None:
    """Delete objects, a thousand at a time."""
    for at in range(0, len(keys), _DELETE_BATCH):
        for failure in provider.delete(keys[at : at + _DELETE_BATCH]):
            raise failure.error
