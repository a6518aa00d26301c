"""Runs synchronous calls in threads of their own, for code that runs in an event loop.

The threads are none of those that calls fan out to, so a call never waits for a thread that it keeps busy itself.
"""

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, TypeVar

from datastore.stopping import Stop
from datastore.threads import Pool

__all__ = ["Entering", "call", "each", "enter", "leave"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
S = TypeVar("S")

_POOL: Final = Pool("datastore-aio")
_END: Final = object()


async def call(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function in a thread, in the context of the caller, and return its result.

    A task that is cancelled goes on at once. The call in the thread is not begun any more, or ends with its next
    request, or with the one that is on its way; work on this machine alone comes to its end.

    >>> import asyncio
    >>> from datastore import aio
    >>> asyncio.run(aio.call(sorted, "cab"))
    ['a', 'b', 'c']
    """
    return await _outcome(functools.partial(function, *args, **kwargs), Stop())


async def enter(manager: AbstractContextManager[T]) -> T:
    """Enter a context manager in a thread; if nobody waits for it any more when it is done, leave it there again."""

    def undo() -> None:
        given_up = asyncio.CancelledError()
        manager.__exit__(type(given_up), given_up, None)

    return await _outcome(manager.__enter__, Stop(), undo=undo)


async def leave(
    manager: AbstractContextManager[Any],
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: TracebackType | None,
) -> bool | None:
    """Leave a context manager in a thread. Once begun, that comes to its end, whatever becomes of the task."""
    return await _outcome(functools.partial(manager.__exit__, kind, error, trace), None)


async def each(make: Callable[[], Iterator[T]]) -> AsyncGenerator[T]:
    """Yield what an iterator gives; it is made, asked and closed in threads, one after the other."""
    steps = _Steps(make)
    try:
        while (item := await call(steps.next)) is not _END:
            yield item  # pyright: ignore[reportReturnType] - the end is told apart
    finally:
        _POOL.executor().submit(steps.close)


class Entering(AbstractAsyncContextManager[T], Generic[S, T]):
    """An asynchronous context manager around a synchronous one.

    Args:
        make: Makes that one, in the thread that enters it.
        shown: Makes what the block gets of what that one gives.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[S]], shown: Callable[[S], T]) -> None:
        self._manager = _Made(make)
        self._shown = shown

    async def __aenter__(self) -> T:
        return self._shown(await enter(self._manager))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await leave(self._manager, kind, error, trace)


class _Made(AbstractContextManager[T]):
    """A context manager that is made when it is entered."""

    def __init__(self, make: Callable[[], AbstractContextManager[T]]) -> None:
        self._make = make
        self._manager: AbstractContextManager[T] | None = None

    def __enter__(self) -> T:
        self._manager = self._make()
        return self._manager.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._manager.__exit__(kind, error, trace) if self._manager else None


class _Steps(Generic[T]):
    """The steps of an iterator, each in whatever thread is free; closing waits for the one that is under way."""

    def __init__(self, make: Callable[[], Iterator[T]]) -> None:
        self._make = make
        self._iterator: Iterator[T] | None = None
        self._over = False
        self._lock = threading.Lock()

    def next(self) -> T | object:
        with self._lock:
            if self._over:
                return _END
            if self._iterator is None:
                self._iterator = self._make()
            return next(self._iterator, _END)

    def close(self) -> None:
        with self._lock:
            self._over = True
            close = getattr(self._iterator, "close", None)
            if close is not None:
                close()


async def _outcome(work: Callable[[], R], stop: Stop | None, *, undo: Callable[[], object] | None = None) -> R:
    """Return what comes of some work in a thread.

    Args:
        work: To be done.
        stop: Told when nobody waits any more; None lets the work come to its end.
        undo: Done in a thread if the work came to its end and nobody waits any more.
    """
    if _POOL.inside:  # a loop within a call: its threads must not wait for others of their kind
        return work()

    def done() -> R:
        try:
            result = work() if stop is None else stop.run(work)
        except StopIteration as error:  # no future takes it; coroutines turn it into this, too
            raise RuntimeError("the call raised StopIteration") from error
        if stop is not None and not stop.end() and undo is not None:
            undo()
        return result

    executor = _POOL.executor()
    running = executor.submit(contextvars.copy_context().run, done)
    try:
        return await asyncio.wrap_future(running)
    except asyncio.CancelledError:
        if stop is not None and not stop.ask() and undo is not None:  # done, but the loop has not come to it yet
            executor.submit(undo)
        raise
