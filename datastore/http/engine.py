"""Carries out requests: one at a time, as futures, or thousands in bulk.

One engine serves the process. It may be used from any thread and after `fork`: the child makes its own connections and
leaves the parent's alone.
"""

import atexit
import os
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final, TypeVar

from datastore import stopping
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

    def run(self, call: Call[T]) -> T:
        """Carry out one call and return its result.

        Raises:
            Unavailable: There was no answer, however often it was tried.
            IntegrityError: What came is not what was asked for.
            HeadMoved: The object became another version while it was read.
            OSError: The file of a body or of a sink failed.
            DatastoreError: Whatever the call makes of its answer.
        """
        return call.finish(self.send(call.request))

    def send(self, request: HttpRequest) -> HttpResponse:
        """Carry out one request and return its last answer, whatever its status; errors as in `run`."""
        ended: SimpleQueue[Job | None] = SimpleQueue()
        with traced(request) as span:
            job = Job(request, ended.put)
            try:
                self._start(job)
                stopping.take(ended)
            except BaseException:  # Ctrl-C: the sink is the caller's again only when the job has let go of it
                self._let_go([job])
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

        self._start(Job(request, done))
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
        ended: SimpleQueue[Job | None] = SimpleQueue()
        running: dict[Job, tuple[Tag, Call[T]]] = {}
        source, process, more = iter(calls), os.getpid(), True
        try:
            while more or running:
                if os.getpid() != process:
                    raise Unavailable("a bulk of requests cannot go on in a forked process", hint="start it there")
                if more and len(running) < max(limit, 1):
                    following = next(source, None)
                    if following is None:
                        more = False
                        continue
                    job = Job(following[1].request, ended.put)
                    running[job] = following
                    try:
                        self._start(job)
                    except DatastoreError as error:
                        yield running.pop(job)[0], error
                    continue
                job = stopping.take(ended)
                tag, call = running.pop(job)
                yield tag, _outcome(job, call)
        finally:
            if running and os.getpid() == process:
                self._let_go(list(running))

    def close(self) -> None:
        """End what is in flight and let go of all connections; the next request opens new ones."""
        with _LOCK:
            loop, self._loop = self._loop, None
            _OPEN.discard(self)
        if loop is not None:
            loop.close()

    def _start(self, job: Job) -> None:
        stopping.check()
        if job.request.authorize is not None:
            job.signed = job.request.authorize(job.request, None)
        (self._loop or self._open()).submit(job)

    def _open(self) -> Loop:
        with _LOCK:
            if self._loop is None:
                self._loop = Loop(self.observatory, policy=self._policy)
                _OPEN.add(self)
            return self._loop

    def _let_go(self, jobs: list[Job]) -> None:
        if self._loop is not None:
            self._loop.cancel(jobs)

    # ------------------------------------------------------------------------------------------- fork, and the very end
    def before_fork(self) -> None:
        """Stop between two steps."""
        if self._loop is not None:
            self._loop.hold()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._loop is not None:
            self._loop.go_on()

    def abandon(self) -> None:
        """Begin anew, and leave everything as it is until this process ends.

        In a forked child, freeing a handle would send TLS close_notify on the parent's connection, and unregistering a
        socket would change the parent's selector. At the end of a process the kernel closes everything anyway.
        """
        loop, self._loop = self._loop, None
        if loop is not None:
            leak(loop, *loop.everything())


_OPEN: Final[set[Engine]] = set()  # engines that have a thread and connections
_LOCK: Final = threading.Lock()
_PROCESS: Final = [Engine()]


def engine() -> Engine:
    """Return the engine of this process; its thread begins with the first request."""
    return _PROCESS[0]


def _response(job: Job) -> HttpResponse:
    error, job.error = job.error, None
    try:
        if job.response is None:
            raise error or Unavailable(f"{job.request.what}: ended without an answer")
        return job.response
    finally:
        del error, job  # else the error, by its traceback, would keep itself alive, and the buffer of a sink


def _outcome(job: Job, call: Call[T]) -> T | DatastoreError:
    try:
        return call.finish(_response(job))
    except DatastoreError as error:
        return error


def _before_fork() -> None:
    _LOCK.acquire()
    for each in _OPEN:
        each.before_fork()


def _after_fork_in_parent() -> None:
    for each in _OPEN:
        each.after_fork_in_parent()
    _LOCK.release()


def _abandon_all() -> None:
    for each in _OPEN:
        each.abandon()
    _OPEN.clear()
    _LOCK.release()


def _at_exit() -> None:
    _before_fork()  # in the middle of a step, the interpreter would be gone from under the thread
    _abandon_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_abandon_all)
atexit.register(_at_exit)
