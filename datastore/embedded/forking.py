"""Keeps forks away from moments in which another thread is inside SQLite.

SQLite has locks of its own that a child would inherit held and never see released, so `os.fork` waits until the calls
of other threads have ended; each takes milliseconds. A thread that forks in the middle of its own call does not wait
for itself.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

__all__ = ["before_fork", "kept_away"]

_LONGEST_WAIT = 10.0

_condition = threading.Condition()
_inside: Counter[int] = Counter()
_forking = False
_turn = threading.Lock()  # to fork: another fork must not come into the middle of our preparations
_preparations: list[Callable[[], None]] = []


def before_fork(preparation: Callable[[], None]) -> None:
    """Have something called before every fork, when no other thread is inside SQLite."""
    _preparations.append(preparation)


class _KeptAway:
    """A block that forks stay away from. It has no state of its own, so that one serves all; a generator costs more."""

    __slots__ = ()

    def __enter__(self) -> None:
        me = threading.get_ident()
        with _condition:
            while _forking and not _inside[me]:
                _condition.wait()
            _inside[me] += 1

    def __exit__(self, *error: object) -> None:
        me = threading.get_ident()
        with _condition:
            _inside[me] -= 1
            if _inside[me] <= 0:
                del _inside[me]
                if _forking:
                    _condition.notify_all()


_kept_away = _KeptAway()


def kept_away() -> AbstractContextManager[None]:
    """Use SQLite in this block: it waits for a fork that is under way, and other threads' forks wait for its end."""
    return _kept_away


def _before_fork() -> None:
    global _forking  # noqa: PLW0603 - state of the process
    me = threading.get_ident()
    _turn.acquire()
    deadline = time.monotonic() + _LONGEST_WAIT
    with _condition:
        _forking = True
        while any(thread != me for thread in _inside) and time.monotonic() < deadline:
            _condition.wait(0.1)
    for preparation in _preparations:
        preparation()


def _after_in_parent() -> None:
    global _forking  # noqa: PLW0603
    with _condition:
        _forking = False
        _condition.notify_all()
    _turn.release()


def _after_in_child() -> None:
    global _condition, _forking, _turn  # noqa: PLW0603
    _condition = threading.Condition()
    _turn = threading.Lock()
    _forking = False
    mine = _inside[threading.get_ident()]
    _inside.clear()
    if mine:
        _inside[threading.get_ident()] = mine


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
