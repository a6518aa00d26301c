"""Carries out requests: one at a time, as futures, or thousands in bulk.

One engine serves the process. It may be used from any thread and after `fork`: the child makes its own connections and
leaves the parent's alone.
"""

import atexit
import os
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from datastore.calls import Call, HttpRequest, HttpResponse
from datastore.errors import DatastoreError, Unavailable
from datastore.http.forking import leak
from datastore.http.job import Job
from datastore.http.loop import Loop
from datastore.http.observe import Observatory
from datastore.http.retry import DEFAULT, Policy
from datastore.http.tracing import traced

__all__ = ["BULK", "Engine", "engine"]

T = TypeVar("T")
Tag = TypeVar("Tag")

BULK: Final = 64
"""Requests in flight of one bulk, where the caller does not say otherwise."""


class Engine:
    """Runs requests in the background; see `engine` for the one that everybody uses.

    Args:
        policy: When to try again.
    """

    def __init__(self, *, policy: Policy = DEFAULT) -> None:
        self.observatory = Observatory()
        self._policy = policy
        self._loop: Loop | None = None
        _ENGINES.append(self)

    def run(self, call: Call[T]) -> T:
        """Carry out one call and return its result.

        Raises:
            Unavailable: There was no answer, however often it was tried.
            IntegrityError: What came is not what was asked for.
            HeadMoved: The object became another version while it was read.
            DatastoreError: Whatever the call makes of its answer.
        """
        return call.finish(self.send(call.request))

    def send(self, request: HttpRequest) -> HttpResponse:
        """Carry out one request and return its last answer, whatever its status; errors as in `run`."""
        ended: SimpleQueue[Job] = SimpleQueue()
        with traced(request) as span:
            job = self._start(request, ended.put)
            try:
                ended.get()
            except BaseException:  # Ctrl-C: the sink is the caller's again only when the job has let go of it
                self._let_go([job], ended)
                raise
            return span.ended(_response(job))

    def submit(self, request: HttpRequest) -> "Future[HttpResponse]":
        """Carry out one request in the background; cancelling the future does not stop what is in flight."""
        future: Future[HttpResponse] = Future()

        def done(job: Job) -> None:
            if not future.set_running_or_notify_cancel():
                return
            if job.response is not None:
                future.set_result(job.response)
            else:
                future.set_exception(job.error)

        self._start(request, done)
        return future

    def bulk(
        self, calls: Iterable[tuple[Tag, Call[T]]], *, limit: int = BULK
    ) -> Generator[tuple[Tag, T | DatastoreError]]:
        """Carry out many calls and yield (tag, result or error) in the order in which they end.

        The calls are drawn one by one as places get free, so there may be any number of them, and their sinks and
        bodies can be opened late. Closing the iterator, also by an exception in the loop around it, cancels what is in
        flight.

        Args:
            calls: Each with whatever tells it from the others.
            limit: Most requests in flight.
        """
        ended: SimpleQueue[Job] = SimpleQueue()
        running: dict[Job, tuple[Tag, Call[T]]] = {}
        source, process = iter(calls), os.getpid()
        try:
            more = True
            while True:
                while more and len(running) < limit:
                    following = next(source, None)
                    if following is None:
                        more = False
                        break
                    tag, call = following
                    try:
                        running[self._start(call.request, ended.put)] = following
                    except DatastoreError as error:
                        yield tag, error
                if not running:
                    return
                if os.getpid() != process:
                    raise Unavailable("a bulk of requests cannot go on in a forked process", hint="start it there")
                job = ended.get()
                tag, call = running.pop(job)
                yield tag, _outcome(job, call)
        finally:
            if running and os.getpid() == process:
                self._let_go(list(running), ended)

    def close(self) -> None:
        """Let go of all connections; the next request opens new ones. Only between requests."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.stop()

    def _start(self, request: HttpRequest, done: Any) -> Job:
        job = Job(request, done)
        if request.authorize is not None:
            job.signed = request.authorize(request, None)
        loop = self._loop
        if loop is None:
            loop = self._loop = Loop(self.observatory, policy=self._policy)
        loop.submit(job)
        return job

    def _let_go(self, jobs: list[Job], ended: "SimpleQueue[Job]") -> None:
        loop = self._loop
        if loop is None:
            return
        for job in jobs:
            loop.cancel(job)
        left = set(jobs)
        while left:
            left.discard(ended.get())

    # -------------------------------------------------------------------------------------------------------- fork
    def before_fork(self) -> None:
        """Stop between two steps."""
        if self._loop is not None:
            self._loop.hold()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._loop is not None:
            self._loop.go_on()

    def after_fork_in_child(self) -> None:
        """Begin anew, and leave what the parent has as it is."""
        loop, self._loop = self._loop, None
        if loop is not None:
            # Freeing a handle would send TLS close_notify on the parent's connection, and unregistering a socket would
            # change the parent's selector: they stay as they are until this process ends.
            leak(loop, *loop.everything())


_ENGINES: Final[list[Engine]] = []


def engine() -> Engine:
    """Return the engine of this process; it is made at first use, its thread with the first request."""
    if not _PROCESS:
        _PROCESS.append(Engine())
    return _PROCESS[0]


_PROCESS: Final[list[Engine]] = []


def _response(job: Job) -> HttpResponse:
    if job.response is None:
        raise job.error or Unavailable(f"{job.request.what}: ended without an answer")
    return job.response


def _outcome(job: Job, call: Call[T]) -> T | DatastoreError:
    try:
        return call.finish(_response(job))
    except DatastoreError as error:
        return error


def _all_before() -> None:
    for each in _ENGINES:
        each.before_fork()


def _all_in_parent() -> None:
    for each in _ENGINES:
        each.after_fork_in_parent()


def _all_in_child() -> None:
    for each in _ENGINES:
        each.after_fork_in_child()


def _all_closed() -> None:
    for each in _ENGINES:
        each.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_all_before, after_in_parent=_all_in_parent, after_in_child=_all_in_child)
atexit.register(_all_closed)
