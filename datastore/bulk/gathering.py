"""The requests behind a bulk of reads: which parts of which objects, and what has come of each."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final, Generic, TypeVar

from datastore.bulk.arriving import Arrival
from datastore.calls import Call
from datastore.errors import DatastoreError, HeadMoved, IntegrityError
from datastore.parts import parts
from datastore.provider import SupportsRequests
from datastore.values import ByteRange

__all__ = ["MANY", "Failure", "Told", "gathered", "width"]

T = TypeVar("T")

Failure = DatastoreError | OSError
"""What came of an object that failed."""
Told = Callable[[int, int], object] | None
"""Learns, in the caller's thread, of which object how many bytes more are there."""
_Part = tuple[int, int, int]
MANY: Final = 64
_FEW: Final = 16
_SMALL: Final = 1 << 20


def width(sizes: Sequence[int]) -> int:
    """Return how many requests to have in flight: many that mostly wait, or few that fill the line.

    >>> width([10_000] * 2000), width([10_000, 1 << 30])
    (64, 16)
    """
    return MANY if sum(sizes) <= len(sizes) * _SMALL else _FEW


class _State(Generic[T]):
    """An object on its way: its parts in flight, whether there are more to ask for, what went wrong."""

    __slots__ = ("arrival", "error", "left", "more")

    def __init__(self, arrival: Arrival[T]) -> None:
        self.arrival = arrival
        self.left = 0
        self.more = True
        self.error: Failure | None = None


class _Gathering(Generic[T]):
    """Which parts of which objects are asked for, and what came."""

    def __init__(
        self, provider: SupportsRequests, count: int, arrival_of: Callable[[int], Arrival[T] | None], told: Told
    ) -> None:
        self._provider = provider
        self._told = told
        self._count = count
        self._arrival_of = arrival_of
        self._states: dict[int, _State[T]] = {}
        self._over: deque[tuple[int, T | Failure]] = deque()

    def calls(self) -> Iterator[tuple[_Part, Call[bytes]]]:
        """Yield the calls for all parts of all objects, each with the number of its object, its begin and its end."""
        for number in range(self._count):
            try:
                arrival = self._arrival_of(number)
                if arrival is not None:
                    self._states[number] = _State(arrival)
                    yield from self._calls_of(number, self._states[number])
            except (DatastoreError, OSError) as error:
                self._failed(number, error)

    def _calls_of(self, number: int, state: _State[T]) -> Iterator[tuple[_Part, Call[bytes]]]:
        arrival = state.arrival
        info, start, stop = arrival.info, arrival.start, arrival.stop
        size = stop - start
        if not size:  # no request asks for nothing
            state.more = False
            self._whole(number, state, b"")
        elif size <= arrival.whole:
            state.left, state.more = 1, False
            whole = size == info.size
            yield (number, start, stop), self._provider.get_call(info, range=None if whole else ByteRange(start, stop))
        else:
            for begin, end in parts(start, stop):
                if state.error is not None:
                    break
                if not arrival.lacks(begin):
                    self._tell(number, end - begin)
                    continue
                sink = arrival.sink(begin, end)
                call = self._provider.get_call(info, range=ByteRange(begin, end), sink=sink)
                state.left, state.more = state.left + 1, end < stop
                yield (number, begin, end), call
            state.more = False
            self._settle(number, state)

    def _tell(self, number: int, size: int) -> None:
        if self._told is not None:
            self._told(number, size)

    def came(self, part: _Part, result: bytes | Failure) -> None:
        """Take what came of one call."""
        number, begin, end = part
        state = self._states[number]
        state.left -= 1
        if isinstance(result, Exception):
            state.error = state.error or result
            self._settle(number, state)
            return
        self._tell(number, end - begin)
        try:
            state.arrival.came(begin)
        except OSError as error:
            state.error = error
        if state.arrival.stop - state.arrival.start <= state.arrival.whole:
            self._whole(number, state, result)
            return
        self._settle(number, state)

    def over(self) -> Iterator[tuple[int, T | Failure]]:
        """Yield what has come to its end since."""
        while self._over:
            yield self._over.popleft()

    def drop(self) -> None:
        """Leave nothing of what is not complete."""
        for state in self._states.values():
            state.arrival.drop()
        self._states.clear()

    def _failed(self, number: int, error: Failure) -> None:
        state = self._states.get(number)
        if state is None:
            self._over.append((number, error))
            return
        state.error, state.more = state.error or error, False
        self._settle(number, state)

    def _whole(self, number: int, state: _State[T], data: bytes) -> None:
        try:
            self._end(number, state.arrival.taken(data))
        except (DatastoreError, OSError) as error:
            self._end(number, error)

    def _settle(self, number: int, state: _State[T]) -> None:
        if state.left or state.more or number not in self._states:
            return
        if state.error is not None:
            self._end(number, state.error)
            return
        try:
            self._end(number, state.arrival.filled())
        except (DatastoreError, OSError) as error:
            self._end(number, error)

    def _end(self, number: int, result: T | Failure) -> None:
        self._states.pop(number).arrival.drop(spoiled=isinstance(result, HeadMoved | IntegrityError))
        self._over.append((number, result))


def gathered(
    provider: SupportsRequests,
    count: int,
    arrival_of: Callable[[int], Arrival[T] | None],
    *,
    limit: int,
    told: Told = None,
) -> Generator[tuple[int, T | Failure]]:
    """Yield what came of each object, by number, in the order in which they end.

    Args:
        provider: Where they are.
        count: How many.
        arrival_of: Tells what is wanted of an object and where it goes, when it is its turn; None leaves it out.
        limit: Most requests in flight.
        told: Progress.
    """
    from datastore.http.engine import engine  # only who reaches a network needs libcurl

    gathering = _Gathering(provider, count, arrival_of, told)
    ended = engine().bulk(gathering.calls(), limit=limit)
    try:
        for part, result in ended:
            gathering.came(part, result)
            yield from gathering.over()
        yield from gathering.over()
    finally:
        ended.close()  # from here on nothing is written into sinks
        gathering.drop()
