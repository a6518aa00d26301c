"""Threads for calls that wait for a network: bounded pools, one of each kind for a process.

asyncio's own pool has 6 threads on two cores; such calls want more.
"""

import asyncio
import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import ParamSpec, TypeVar

__all__ = ["Pool", "fan_out", "in_thread"]

_LIMIT = 64

_P = ParamSpec("_P")
_T = TypeVar("_T")
_R = TypeVar("_R")


class Pool:
    """Threads that are started when they are needed; a forked child starts its own.

    Args:
        name: What the names of its threads begin with.
        limit: Most threads.
    """

    def __init__(self, name: str, *, limit: int = _LIMIT) -> None:
        self._name = name
        self._limit = limit
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._here = threading.local()

    def executor(self) -> ThreadPoolExecutor:
        """Return what runs calls in the pool."""
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._limit, thread_name_prefix=self._name, initializer=self._enter)
            return self._executor

    def _enter(self) -> None:
        self._here.inside = True

    @property
    def inside(self) -> bool:
        """Whether this is one of the pool's own threads."""
        return getattr(self._here, "inside", False)


_pool = Pool("datastore")


async def in_thread(call: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Run a call in the pool, in the context of the caller, without blocking the event loop."""
    context = contextvars.copy_context()
    work = partial(context.run, call, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_pool.executor(), work)


def fan_out(call: Callable[[_T], _R], items: Iterable[_T], *, local: bool) -> Iterator[_R]:
    """Yield the results of a call for each item, in order; in parallel where the calls wait for a network.

    Only the outermost call fans out: inside the pool it goes one by one, otherwise threads would wait for threads that
    never come. Items are drawn as threads get free. If a call fails, no other begins, and those that have begun end
    before the error is raised.

    Args:
        call: What to do; must not mind which thread it runs in.
        items: What for.
        local: Whether the calls are answered from this machine, so that a hop to a thread costs more than it brings.
    """
    if local or _pool.inside:
        return map(call, items)
    return _in_parallel(call, items)


def _in_parallel(call: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    context = contextvars.copy_context()

    def here(item: _T) -> _R:
        return context.copy().run(call, item)

    executor = _pool.executor()
    pending: deque[Future[_R]] = deque()
    try:
        for item in items:
            pending.append(executor.submit(here, item))
            if len(pending) >= 2 * _LIMIT:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        wait([future for future in pending if not future.cancel()])
