"""Lets a call in another thread be told to stop: it ends with its next request, or with the one that it waits for.

What a caller gives up is over at once for the caller; this is for the thread that does the work. It learns of it as it
would of Ctrl-C: by an exception that nobody catches, once, so that what tidies up after it can ask for things again.
"""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from queue import SimpleQueue

__all__ = ["Stop", "Stopped", "check", "take"]

T = TypeVar("T")
R = TypeVar("R")


class Stopped(BaseException):
    """Raised in a call that nobody waits for any more, once in each of its threads."""


class Stop:
    """What one call and the threads that work for it listen to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = False
        self._over = False
        self._told: set[int] = set()
        self._waiting: set[SimpleQueue[Any]] = set()

    def ask(self) -> bool:
        """Tell the call to stop; False if it has come to its end before."""
        with self._lock:
            self._asked = not self._over
            waiting = list(self._waiting) if self._asked else []
        for queue in waiting:
            queue.put(None)
        return self._asked

    def end(self) -> bool:
        """Say that the call has come to its end; False if it was told to stop before."""
        with self._lock:
            self._over = not self._asked
            return self._over

    def run(self, call: Callable[[], R]) -> R:
        """Run a call that listens to this."""
        before = _stop.set(self)
        try:
            return call()
        finally:
            _stop.reset(before)

    def check(self) -> None:
        """Raise `Stopped` if this thread is to stop, and was not told yet."""
        if self._asked:
            with self._lock:
                self._tell()

    def take(self, queue: "SimpleQueue[T | None]") -> T | None:
        """Return the next thing of a queue, or None, which comes when the call is told to stop."""
        with self._lock:
            if self._asked:
                self._tell()
            self._waiting.add(queue)
        try:
            return queue.get()
        finally:
            with self._lock:
                self._waiting.discard(queue)

    def _tell(self) -> None:
        thread = threading.get_ident()
        if thread not in self._told:
            self._told.add(thread)
            raise Stopped


_stop: Final[ContextVar[Stop | None]] = ContextVar("datastore.stop", default=None)


def check() -> None:
    """Raise `Stopped` if whoever wants this call has given it up."""
    stop = _stop.get()
    if stop is not None:
        stop.check()


def take(queue: "SimpleQueue[T | None]") -> T:
    """Return the next thing of a queue; raise `Stopped` if it is given up meanwhile.

    Args:
        queue: Whoever fills it puts no None.
    """
    stop = _stop.get()
    while True:
        found = queue.get() if stop is None else stop.take(queue)
        if found is not None:
            return found
        check()
