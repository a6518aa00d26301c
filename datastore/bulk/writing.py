"""Many objects to a provider at once."""

import os
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from datastore.bridging import SupportsResume
from datastore.bulk.gathering import Failure, Told, width
from datastore.calls import Call, FileSlice
from datastore.errors import DatastoreError, IntegrityError
from datastore.provider import Provider, SupportsRequests
from datastore.threads import fan_out
from datastore.values import OVERWRITE, Attributes, ObjectInfo, PutMode

__all__ = ["upload_objects"]

_Source = bytes | Path
_HELD: Final = 1 << 20
"""Bytes up to which a file is held in memory on its way."""
_LARGE: Final = 16 << 20
"""Bytes up to which a file goes up in one request among others, if the provider takes it so."""


def upload_objects(
    provider: Provider,
    wanted: Sequence[tuple[_Source, str]],
    *,
    mode: PutMode = OVERWRITE,
    attributes: Attributes | None = None,
    resume: bool = False,
    told: Told = None,
) -> Generator[tuple[int, ObjectInfo | Failure]]:
    """Put each file, or each piece of bytes, under its key; what was put before an error stays.

    A file that is changed while it is read is an `IntegrityError`, and is not put.

    Args:
        provider: Where they go.
        wanted: Bytes or file, and key. A file is read when it is its turn.
        mode: As in `Provider.put`.
        attributes: Of each of them.
        resume: Whether large files go on where an earlier attempt broke off, and leave their parts for a later one.
        told: Progress.

    Yields:
        The place of an object in `wanted` when it is over, and what came of it.
    """
    sizes = [_size_of(source) for source, _ in wanted]
    rest = list(range(len(wanted)))
    if isinstance(provider, SupportsRequests):
        sending = _Sending(partial(provider.put_call, mode=mode, attributes=attributes), wanted, sizes)
        yield from _telling(sending.results(), told)
        rest = sending.rest

    def put(number: int) -> tuple[int, ObjectInfo | Failure]:
        source, key = wanted[number]
        try:
            return number, provider.put(key, source, mode=mode, attributes=attributes)
        except (DatastoreError, OSError) as error:
            return number, error

    # What is large sends its parts in parallel by itself.
    small = [number for number in rest if sizes[number] <= _LARGE]
    yield from _telling(fan_out(put, small, local=provider.capabilities.local), told)
    large = [number for number in rest if sizes[number] > _LARGE]
    if resume and isinstance(provider, SupportsResume):
        yield from _resumed(provider, [(number, *wanted[number]) for number in large], mode, attributes, told)
    else:
        yield from _telling(map(put, large), told)


def _resumed(
    provider: SupportsResume,
    wanted: Sequence[tuple[int, _Source, str]],
    mode: PutMode,
    attributes: Attributes | None,
    told: Told,
) -> Iterator[tuple[int, ObjectInfo | Failure]]:
    for number, source, key in wanted:
        assert isinstance(source, Path)  # noqa: S101 - bytes of this size are in nobody's memory
        done = told and partial(told, number)
        try:
            yield number, provider.put_resumed(key, source, mode=mode, attributes=attributes, told=done)
        except (DatastoreError, OSError) as error:
            yield number, error


class _Sending:
    """The requests behind a bulk of writes.

    Attributes:
        rest: What cannot go as one request; complete after the last result.
    """

    def __init__(
        self,
        put_call: Callable[[str, bytes | FileSlice], Call[ObjectInfo] | None],
        wanted: Sequence[tuple[_Source, str]],
        sizes: Sequence[int],
    ) -> None:
        self.rest: list[int] = []
        self._put_call = put_call
        self._wanted = wanted
        self._sizes = sizes
        self._open: dict[int, FileSlice] = {}
        self._failed: deque[tuple[int, Failure]] = deque()

    def results(self) -> Generator[tuple[int, ObjectInfo | Failure]]:
        """Yield what came of each object that went as one request."""
        from datastore.http.engine import engine  # only who reaches a network needs libcurl

        ended = engine().bulk(self._calls(), limit=width(self._sizes))
        try:
            for number, result in ended:
                yield number, self._ended(number, result)
                yield from self._failures()
            yield from self._failures()
        finally:
            ended.close()  # from here on no body is read
            for number in [*self._open]:
                self._close(number)

    def _calls(self) -> Iterator[tuple[int, Call[ObjectInfo]]]:
        for number, (source, key) in enumerate(self._wanted):
            try:
                body = self._body(number, source) if 0 <= self._sizes[number] <= _LARGE else None
                call = None if body is None else self._put_call(key, body)
            except (DatastoreError, OSError) as error:
                self._close(number)
                self._failed.append((number, error))
                continue
            if call is not None:
                yield number, call
            else:
                self._close(number)
                self.rest.append(number)

    def _body(self, number: int, source: _Source) -> bytes | FileSlice:
        if isinstance(source, bytes):
            return source
        fd = os.open(source, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        whole = self._open[number] = FileSlice.whole(fd, str(source))
        if whole.size > _HELD:
            return whole
        data = os.read(fd, whole.size)
        whole.check()
        self._close(number)
        return data

    def _ended(self, number: int, result: ObjectInfo | Failure) -> ObjectInfo | Failure:
        """Return what came of an object; if the service refused bytes that are not those it was told of, say why."""
        try:
            if isinstance(result, Exception) and number in self._open:
                self._open[number].check()
        except IntegrityError as changed:
            return changed
        finally:
            self._close(number)
        return result

    def _close(self, number: int) -> None:
        whole = self._open.pop(number, None)
        if whole is not None:
            os.close(whole.fd)

    def _failures(self) -> Iterator[tuple[int, Failure]]:
        while self._failed:
            yield self._failed.popleft()


def _telling(
    results: Iterator[tuple[int, ObjectInfo | Failure]], told: Told
) -> Iterator[tuple[int, ObjectInfo | Failure]]:
    for number, result in results:
        if told is not None and isinstance(result, ObjectInfo):
            told(number, result.size)
        yield number, result


def _size_of(source: _Source) -> int:
    """Return the bytes of a source, or -1 for what has no size, such as a pipe: it can be opened only once."""
    if isinstance(source, bytes):
        return len(source)
    try:
        found = source.stat()
    except OSError:  # `put` will tell
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1
