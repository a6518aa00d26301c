"""Two threads on one store, each with a handle of its own; one stops at a step of its work while the other goes on."""

import os
import threading
from collections.abc import Callable
from contextlib import contextmanager

from datastore.embedded.database import Database
from datastore.embedded.gate import Gate

__all__ = ["Thread", "interleave", "watch_steps"]

CALLS = ("open", "write", "fsync", "replace", "rename", "mkdir", "chmod", "unlink", "stat", "scandir")
PATIENCE = 15

_local = threading.local()


def watch_steps(monkeypatch) -> None:
    """Make every system call and statement of SQL outside of the gate a step.

    Whoever is inside cannot be overtaken by anybody who would have to come in: nothing to try there.
    """

    def step(*_):
        thread = getattr(_local, "thread", None)
        if thread is not None and not _local.inside:
            thread.step()

    def stepping(original):
        def call(*args, **how):
            step()
            return original(*args, **how)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, stepping(getattr(os, name)))
    connect, held = Database._connect, Gate.held

    def connected(*args):
        connection = connect(*args)
        connection.set_trace_callback(step)
        return connection

    @contextmanager
    def gate(self):
        _local.inside = getattr(_local, "inside", 0) + 1
        try:
            with held(self):
                yield
        finally:
            _local.inside -= 1

    monkeypatch.setattr(Database, "_connect", connected)
    monkeypatch.setattr(Gate, "held", gate)


class Thread:
    """Work that stops before its n-th step until it is told to go on."""

    def __init__(self, work: Callable[[], object], *, stop_at: int) -> None:
        self.steps = 0
        self.result: object = None
        self.error: BaseException | None = None
        self._stop_at = stop_at
        self._stopped = threading.Event()
        self._goes_on = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], object]) -> None:
        _local.thread, _local.inside = self, 0
        try:
            self.result = work()
        except BaseException as error:  # noqa: BLE001 - judged by the test
            self.error = error
        self._stopped.set()

    def step(self) -> None:
        self.steps += 1
        if self.steps == self._stop_at:
            self._stopped.set()
            assert self._goes_on.wait(PATIENCE)

    def wait_for_stop(self) -> None:
        assert self._stopped.wait(PATIENCE)

    def finish(self) -> None:
        self._goes_on.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def interleave(
    first: Callable[[], object], second: Callable[[], object], *, first_stop: int, second_stop: int
) -> tuple[Thread, Thread]:
    """Run the first one up to a step, the second one up to a step, then the first to its end, then the second."""
    one = Thread(first, stop_at=first_stop)
    one.wait_for_stop()
    two = Thread(second, stop_at=second_stop)
    two.wait_for_stop()
    one.finish()
    two.finish()
    return one, two
