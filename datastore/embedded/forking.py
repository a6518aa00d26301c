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

__all__ = ["before_fork", "enter", "leave"]

_LONGEST_WAIT = 10.0

_condition = threading.Condition()
_inside: Counter[int] = Counter()
_forks = 0  # under way; two threads may fork at once
_preparations: list[Callable[[], None]] = []


def before_fork(preparation: Callable[[], None]) -> None:
    """Have something called before every fork, when no other thread is inside SQLite."""
    _preparations.append(preparation)


def enter() -> None:
    """Say that this thread begins to use SQLite; waits while a fork is under way."""
    me = threading.get_ident()
    with _condition:
        while _forks and not _inside[me]:
            _condition.wait()
        _inside[me] += 1


def leave() -> None:
    """Say that this thread has ended what `enter` began."""
    me = threading.get_ident()
    with _condition:
        _inside[me] -= 1
        if _inside[me] <= 0:
            del _inside[me]
            if _forks:
                _condition.notify_all()


def _before_fork() -> None:
    global _forks  # noqa: PLW0603 - state of the process
    me = threading.get_ident()
    deadline = time.monotonic() + _LONGEST_WAIT
    with _condition:
        _forks += 1
        while any(thread != me for thread in _inside) and time.monotonic() < deadline:
            _condition.wait(0.1)
    for preparation in _preparations:
        preparation()


def _after_in_parent() -> None:
    global _forks  # noqa: PLW0603
    with _condition:
        _forks -= 1
        _condition.notify_all()


def _after_in_child() -> None:
    global _condition, _forks  # noqa: PLW0603
    _condition = threading.Condition()
    _forks = 0
    mine = _inside[threading.get_ident()]
    _inside.clear()
    if mine:
        _inside[threading.get_ident()] = mine


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
