"""Downloads and reads of many paths, whose objects are known from a listing, in one bulk."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct

from datastore import transfer
from datastore.bridging import serves_requests
from datastore.bulk.gathering import Failure
from datastore.bulk.reading import download_objects, open_many, read_objects
from datastore.bulk.telling import Branches
from datastore.errors import DatastoreError, HeadMoved
from datastore.fs.paths import strip
from datastore.fs.ranges import read_whole
from datastore.fs.still import StillView
from datastore.fs.view import Place
from datastore.threads import fan_out
from datastore.values import ByteRange, ObjectInfo

__all__ = ["fetch_bytes", "fetch_files"]


class _File(Struct, frozen=True):
    """One download: where its object is and what is known of it, and its paths there and here."""

    place: Place
    info: ObjectInfo
    names: tuple[str, str]


def fetch_files(view: StillView, pairs: Iterable[tuple[str, str]], callback: Any) -> list[tuple[str, str]]:
    """Download the objects of which enough is known, and make folders for prefixes.

    Args:
        view: Has seen the objects.
        pairs: Path and local path of each.
        callback: Is told of each that is over; its branches of bytes.

    Returns:
        The pairs of which nothing is known, or which are better read by several threads.

    Raises:
        DatastoreError, OSError: The first that a download met. What is complete by then stays; nothing else does.
    """
    groups: dict[tuple[str, str | None], list[_File]] = {}
    folders: list[str] = []
    unknown: list[tuple[str, str]] = []
    for names in pairs:
        place = view.place(strip(names[0]))
        seen = view.seen(place)
        if not seen:
            unknown.append(names)
        elif seen[0] is None:
            folders.append(names[1])
        else:
            groups.setdefault(place.same[:2], []).append(_File(place, seen[0], names))
    for files in groups.values():
        provider = files[0].place.provider
        if serves_requests(provider) or provider.capabilities.local:
            _download(files, callback)
        else:
            unknown += (file.names for file in files)
    for folder in folders:  # most were made on the way
        Path(folder).mkdir(parents=True, exist_ok=True)
        callback.relative_update(1)
    return unknown


def _download(files: Sequence[_File], callback: Any) -> None:
    branches = Branches(callback, [file.names for file in files], [file.info.size for file in files])
    wanted = [(file.info, file.names[1]) for file in files]
    with closing(download_objects(files[0].place.provider, wanted, told=branches.told)) as results:
        for number, error in results:
            file = files[number]
            if isinstance(error, HeadMoved):  # written since it was listed: as it is now
                transfer.download_object(file.place.provider, file.place.key, Path(file.names[1]))
            elif error is not None:
                raise error
            branches.over(number)


def fetch_bytes(
    view: StillView, paths: Sequence[str], span: ByteRange | None, alone: Callable[[str], bytes | Failure | None]
) -> dict[str, bytes | Failure]:
    """Return the bytes of each path, or the error that came instead; prefixes are left out.

    Args:
        view: Has seen some of the objects.
        paths: The objects.
        span: Which bytes.
        alone: Reads one of which nothing is known, or that was written since it was seen; None for a prefix.
    """
    found: dict[str, bytes | Failure | None] = dict.fromkeys(paths)
    groups: dict[tuple[str, str | None], list[tuple[str, Place, ObjectInfo]]] = {}
    rest: list[str] = []
    here: dict[tuple[str, str | None], list[tuple[str, Place]]] = {}
    for path in paths:
        try:
            place = view.place(path)
        except DatastoreError:  # said again, for this path alone
            rest.append(path)
            continue
        seen = view.seen(place)
        if view.remote(place) is None:
            here.setdefault(place.same[:2], []).append((path, place))
        elif not seen:
            rest.append(path)
        elif seen[0] is not None:
            groups.setdefault(place.same[:2], []).append((path, place, seen[0]))
    for group in groups.values():
        provider = view.remote(group[0][1])
        assert provider is not None  # noqa: S101 - nothing else was let in
        with closing(read_objects(provider, [(info, span) for _, _, info in group])) as results:
            for number, result in results:
                path = group[number][0]
                if isinstance(result, HeadMoved):
                    rest.append(path)
                else:
                    found[path] = result
    for group in here.values():
        if group[0][1].provider.capabilities.local:
            found.update(_read_here(group, span, alone))
        else:
            rest += (path for path, _ in group)
    found.update(zip(rest, fan_out(alone, rest, local=False), strict=True))
    return {path: result for path, result in found.items() if result is not None}


def _read_here(
    group: Sequence[tuple[str, Place]], span: ByteRange | None, alone: Callable[[str], bytes | Failure | None]
) -> Iterator[tuple[str, bytes | Failure | None]]:
    """Yield the bytes of each path of one mount and ref that is on this machine."""
    opened = open_many(group[0][1].provider, [place.key for _, place in group], range=span)
    for (path, _), reader in zip(group, opened, strict=False):
        try:
            yield path, alone(path) if reader is None else read_whole(reader, span)
        except (DatastoreError, OSError) as error:
            yield path, error
