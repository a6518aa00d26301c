"""Many objects from one provider to another at once."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Final

from datastore.bulk.gathering import Failure
from datastore.bulk.reading import read_objects
from datastore.calls import Call
from datastore.errors import DatastoreError, IntegrityError
from datastore.provider import Provider, SupportsCopy, SupportsLink, SupportsPutMany, SupportsRequests
from datastore.threads import fan_out
from datastore.transfer import carried_attributes, stream_object
from datastore.values import ObjectInfo, digest_of

__all__ = ["copy_objects"]

_SMALL: Final = 1 << 20
"""Bytes up to which an object goes in one request each way, held in memory between them."""
_IN_FLIGHT: Final = 32
_TINY: Final = 1 << 16
"""Bytes up to which objects are gathered for a target that takes many in one step."""
_BATCH: Final = 8192
_BATCH_BYTES: Final = 32 << 20
"""What is held in memory for one step."""

_Arrived = tuple[int, ObjectInfo, bytes]
_Copied = tuple[int, int]


def copy_objects(source: Provider, target: Provider, copies: Sequence[tuple[ObjectInfo, str]]) -> Generator[_Copied]:
    """Copy objects with their attributes by the cheapest way that both sides know, as `transfer.copy_object` does.

    The first error ends it; what was copied until then stays, and nothing is still on its way when the error is raised.

    Args:
        source: Where the objects are.
        target: Where they shall be.
        copies: What is known of each object, and its key at the target.

    Yields:
        The place of an object in `copies` when it is there, and how many bytes passed through here for it.
    """
    rest: list[int] = []
    for number, done in enumerate(_without_bytes(source, target, copies)):
        if done:
            yield number, 0
        else:
            rest.append(number)
    by_requests = isinstance(source, SupportsRequests) or isinstance(target, SupportsRequests)
    limit = _SMALL if by_requests else _TINY if isinstance(target, SupportsPutMany) else -1
    small = [number for number in rest if copies[number][0].size <= limit]
    if isinstance(target, SupportsPutMany):
        yield from _in_batches(source, target, copies, small)
    else:
        yield from _small(source, target, copies, small)

    def stream(number: int) -> _Copied:
        info, key = copies[number]
        return number, stream_object(source, info.key, target, key).size

    large = [number for number in rest if copies[number][0].size > limit]
    if large:
        yield from fan_out(stream, large, local=source.capabilities.local and target.capabilities.local)


def _without_bytes(source: Provider, target: Provider, copies: Sequence[tuple[ObjectInfo, str]]) -> Iterator[bool]:
    def copy(pair: tuple[ObjectInfo, str]) -> bool:
        info, key = pair
        if source == target and isinstance(target, SupportsCopy):
            target.copy(info.key, key)
            return True
        return isinstance(target, SupportsLink) and target.link(info, key) is not None

    if not isinstance(target, SupportsCopy | SupportsLink):
        return iter([False] * len(copies))
    return fan_out(copy, copies, local=target.capabilities.local)


def _small(
    source: Provider, target: Provider, copies: Sequence[tuple[ObjectInfo, str]], numbers: Sequence[int]
) -> Iterator[_Copied]:
    if not numbers:
        return
    arriving = _arriving(source, [copies[number][0] for number in numbers])
    with closing(arriving):
        found = ((numbers[place], info, data) for place, info, data in arriving)
        put = _by_requests(target, copies, found) if isinstance(target, SupportsRequests) else None
        for number, info in put or map(partial(_put, target, copies), found):
            size = copies[number][0].size
            if info.size != size:
                raise IntegrityError(f"the copy {info.key!r} is not what was written", hint="copy it again")
            yield number, size


def _in_batches(
    source: Provider, target: SupportsPutMany, copies: Sequence[tuple[ObjectInfo, str]], numbers: Sequence[int]
) -> Iterator[_Copied]:
    batch: list[_Arrived] = []
    held = 0
    with closing(_arriving(source, [copies[number][0] for number in numbers])) as arriving:
        try:
            for place, info, data in arriving:
                batch.append((numbers[place], info, data))
                held += len(data)
                if held >= _BATCH_BYTES or len(batch) >= _BATCH:
                    full, batch, held = batch, [], 0
                    yield from _put_many(target, copies, full)
        except (DatastoreError, OSError):
            if batch:  # what came before stays: whoever tries again goes on there
                _put_many(target, copies, batch)
            raise
    if batch:
        yield from _put_many(target, copies, batch)


def _put_many(
    target: SupportsPutMany, copies: Sequence[tuple[ObjectInfo, str]], batch: Sequence[_Arrived]
) -> Iterator[_Copied]:
    assert isinstance(target, Provider)  # noqa: S101 - it is one, besides
    target.put_many([(copies[number][1], data, carried_attributes(info, target)) for number, info, data in batch])
    return ((number, len(data)) for number, _, data in batch)


def _put(target: Provider, copies: Sequence[tuple[ObjectInfo, str]], arrived: _Arrived) -> tuple[int, ObjectInfo]:
    number, info, data = arrived
    return number, target.put(copies[number][1], data, attributes=carried_attributes(info, target))


def _by_requests(
    target: SupportsRequests, copies: Sequence[tuple[ObjectInfo, str]], arriving: Iterable[_Arrived]
) -> Generator[tuple[int, ObjectInfo]]:
    """Put what arrives while more is arriving."""
    from datastore.http.engine import engine  # only who reaches a network needs libcurl

    several: list[tuple[int, ObjectInfo]] = []

    def calls() -> Iterator[tuple[int, Call[ObjectInfo]]]:
        for number, info, data in arriving:
            assert isinstance(target, Provider)  # noqa: S101 - it is one, besides
            call = target.put_call(copies[number][1], data, attributes=carried_attributes(info, target))
            if call is not None:
                yield number, call
            else:
                several.append(_put(target, copies, (number, info, data)))

    with closing(engine().bulk(calls(), limit=_IN_FLIGHT)) as ended:
        for number, result in ended:
            if isinstance(result, Exception):
                raise result
            yield number, result
    yield from several


def _arriving(source: Provider, infos: Sequence[ObjectInfo]) -> Generator[_Arrived]:
    """Yield each object, by its place: the version that was read, and its bytes."""
    if isinstance(source, SupportsRequests):
        with closing(read_objects(source, [(info, None) for info in infos])) as found:
            for place, data in found:
                yield place, infos[place], _checked(infos[place], data)
        return
    for place, info in enumerate(infos):
        with source.read(info.key) as reader:
            yield place, reader.info, _checked(reader.info, reader.read())


def _checked(info: ObjectInfo, data: bytes | Failure) -> bytes:
    if isinstance(data, Exception):
        raise data
    if len(data) != info.size or (info.digest is not None and digest_of(data) != info.digest):
        raise IntegrityError(f"object {info.key!r} gave other bytes than it has", hint="try again; nothing was written")
    return data
