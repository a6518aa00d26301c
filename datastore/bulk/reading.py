"""Many objects from a provider at once: what is known of them, their bytes, or files of them."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import repeat
from pathlib import Path

from datastore import transfer
from datastore.bridging import SupportsReadMany, serves_requests
from datastore.bulk.arriving import BytesArrival, FileArrival
from datastore.bulk.gathering import MANY, Failure, Told, gathered, width
from datastore.errors import DatastoreError
from datastore.partfile import landing_of
from datastore.provider import Provider, Reader, SupportsRequests
from datastore.values import ByteRange, ObjectInfo

__all__ = ["Wanted", "download_objects", "head_objects", "open_many", "read_objects"]

Wanted = tuple[ObjectInfo, str | os.PathLike[str]]
"""What `head` or `list` said of an object, and the file that it shall be in."""


def head_objects(provider: SupportsRequests, keys: Sequence[str]) -> Generator[tuple[int, ObjectInfo | Failure]]:
    """Yield what is known of each object, by its place in `keys`; `NotFound` for what is none."""
    from datastore.http.engine import engine  # only who reaches a network needs libcurl

    yield from engine().bulk(((number, provider.head_call(key)) for number, key in enumerate(keys)), limit=MANY)


def read_objects(
    provider: SupportsRequests, wanted: Sequence[tuple[ObjectInfo, ByteRange | None]]
) -> Generator[tuple[int, bytes | Failure]]:
    """Yield the bytes of each object, or of a range of it; every byte is of the version that the info names.

    Args:
        provider: Where the objects are.
        wanted: What `head` or `list` said of each, and which bytes.
    """
    bounds = [(span or ByteRange()).bounds(info.size) for info, span in wanted]

    def arrival_of(number: int) -> BytesArrival:
        start, stop = bounds[number]
        return BytesArrival(wanted[number][0], start=start, stop=stop)

    yield from gathered(provider, len(wanted), arrival_of, limit=width([stop - start for start, stop in bounds]))


def download_objects(
    provider: Provider, wanted: Sequence[Wanted], *, follow: bool = True, resume: bool = False, told: Told = None
) -> Generator[tuple[int, Failure | None]]:
    """Write each object into a local file, which appears whole or not at all; missing folders are made.

    Close the generator, or let it come to its end: closing it cancels what is on its way and leaves no part of it.

    Args:
        provider: Where the objects are.
        wanted: Each object and its file, as in `transfer.download_object`; the version must still be there.
        follow: Whether a link, or a device, in the place of a file is written through; else it is replaced.
        resume: Whether what came of a large object stays, hidden beside its file, and is gone on with the next time.
        told: Progress.

    Yields:
        The place of an object in `wanted` when it is over, and what went wrong.
    """
    special = list(range(len(wanted)))
    folders = _Folders(follow=follow)
    if serves_requests(provider):
        special.clear()

        def arrival_of(number: int) -> FileArrival | None:
            info, path = wanted[number]
            target = folders.landing_of(os.fspath(path))
            if target is None:
                special.append(number)
                return None
            return FileArrival(info, target, resume=resume)

        limit = width([info.size for info, _ in wanted])
        yield from gathered(provider, len(wanted), arrival_of, limit=limit, told=told)
    readers = open_many(provider, [wanted[number][0].key for number in special])
    for number, reader in zip(special, readers, strict=False):
        done = told and partial(told, number)
        yield number, _downloaded(provider, *wanted[number], reader=reader, folders=folders, told=done)


def open_many(provider: Provider, keys: Sequence[str], *, range: ByteRange | None = None) -> Iterator[Reader | None]:
    """Yield a reader of each object, then for ever None, which stands for what has to be opened alone."""
    if isinstance(provider, SupportsReadMany):
        with suppress(DatastoreError):
            yield from provider.read_many(keys, range=range)
    yield from repeat(None)


class _Folders:
    """The folders that downloads go to; they are made when they are needed."""

    def __init__(self, *, follow: bool) -> None:
        self._follow = follow
        self._new: dict[str, bool] = {}

    def landing_of(self, path: str) -> str | None:
        """Return the file that a download to `path` replaces, in a folder that exists; see `partfile.landing_of`."""
        folder = os.path.dirname(path)  # noqa: PTH120 - thousands of these in a row
        if folder not in self._new:
            self._new[folder] = self._make(folder)
        if self._new[folder] or not self._follow:  # nothing can be there, or nothing matters
            return path
        target = landing_of(path)
        if target is not None and target != path:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
        return target

    def _make(self, folder: str) -> bool:
        """Make a folder, unless it is there, and tell whether it is empty."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        with os.scandir(folder) as there:
            return next(there, None) is None


def _downloaded(
    provider: Provider,
    info: ObjectInfo,
    path: str | os.PathLike[str],
    *,
    reader: Reader | None,
    folders: _Folders,
    told: Callable[[int], object] | None,
) -> Failure | None:
    try:
        with reader or provider.read(info.key) as opened:
            target = folders.landing_of(os.fspath(path))
            if target is not None:
                transfer.save(provider, opened, target)
        if target is None:  # a device or a pipe
            transfer.download_object(provider, info.key, Path(path))
    except (DatastoreError, OSError) as error:
        return error
    if told is not None:
        told(info.size)
    return None
