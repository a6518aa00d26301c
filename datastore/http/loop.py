"""The thread that drives libcurl: it alone touches handles, and it never runs a caller's code.

It waits in a selector for the sockets that libcurl names, and for a socket pair on which other threads wake it
(`select` would spin beyond 1,024 descriptors). Other threads only append to its inbox.
"""

import contextlib
import heapq
import itertools
import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import pycurl

from datastore.calls import HttpResponse
from datastore.errors import DatastoreError, HeadMoved, Unavailable, ValidationError
from datastore.http.curl import failure_of, host_of, moved, prepare, ready, rest, unavailable
from datastore.http.job import Job
from datastore.http.observe import Exchange, Observatory
from datastore.http.redirects import redirected
from datastore.http.retry import DEFAULT, Congestion, Failure, Policy, delay_before, judge, repeatable, retry_after

__all__ = ["HOST_LIMIT", "Loop"]

HOST_LIMIT: Final = 128
"""Most requests in flight to one host; servers and routers take more badly."""
_IDLE_CONNECTIONS: Final = 2 * HOST_LIMIT
_SPARE_HANDLES: Final = 2 * HOST_LIMIT
_HOPS: Final = 5
_GLANCE: Final = 0.5  # seconds from one look for stalls to the next


class _Host:
    """The requests to one host: how many are in flight, and who waits for a place."""

    __slots__ = ("active", "congestion", "waiting")

    def __init__(self) -> None:
        self.congestion = Congestion(HOST_LIMIT)
        self.active = 0
        self.waiting: deque[Job] = deque()


class Loop:
    """One multi handle with its thread. Make a new one in a forked child; this one must not be touched there."""

    def __init__(self, observatory: Observatory, *, policy: Policy = DEFAULT) -> None:
        self._observatory = observatory
        self._policy = policy
        self._inbox: deque[Callable[[], object]] = deque()
        self._selector = selectors.DefaultSelector()
        self._ear, self._mouth = socket.socketpair()
        self._ear.settimeout(0)
        self._mouth.settimeout(0)
        self._awake = False
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, _IDLE_CONNECTIONS)
        self._sockets: set[int] = set()
        self._curl_due: float | None = None
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._spare: list[pycurl.Curl] = []
        self._running: dict[pycurl.Curl, Job] = {}
        self._hosts: dict[str, _Host] = {}
        self._jobs: set[Job] = set()
        self._ended: list[Job] = []
        self._closed = False
        self._watching = False
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._held = False
        self._parked = threading.Event()
        self._unparked = threading.Event()

    # ------------------------------------------------------------------------------------------- for other threads
    def submit(self, job: Job) -> None:
        """Carry out a job that is signed already."""
        self._jobs.add(job)
        if self._closed:
            self._jobs.discard(job)
            raise _closed(job)
        self._call(lambda: self._enter(job))

    def cancel(self, jobs: Iterable[Job]) -> None:
        """End jobs wherever they stand, and wait until nothing touches their sinks any more."""
        known = [job for job in jobs if job in self._jobs]
        if not known:
            return
        gone = threading.Event()
        self._call(lambda: self._cancel(known))
        self._call(gone.set)
        self._wake()  # Ctrl-C may have come between another call and its wake-up
        if threading.current_thread() is not self._thread:  # there the collector may have found a forgotten bulk
            gone.wait()

    def hold(self) -> None:
        """Keep the thread between two steps until `go_on`, or from starting: a fork must find nothing in the middle.

        It waits, and does not end: OpenSSL cleans up after a thread that Python takes for joined already, and a child
        that is forked meanwhile would wait for ever for the lock of that clean-up.
        """
        self._starting.acquire()
        self._parked.clear()
        self._unparked.clear()
        self._held = True
        if self._thread is not None and self._thread is not threading.current_thread():
            self._wake()
            self._parked.wait()

    def go_on(self) -> None:
        """Undo `hold`."""
        self._held = False
        self._unparked.set()
        self._starting.release()

    def close(self) -> None:
        """End the thread and everything that is in flight, close all connections. Nothing can be done afterwards."""
        with self._starting:
            self._closed = True
            self._halt()
        for job in [*self._jobs]:
            self._end(job, error=_closed(job))
        self._tell()
        for easy in [*self._running]:
            self._multi.remove_handle(easy)
        self._multi.close()
        self._selector.close()
        self._ear.close()
        self._mouth.close()

    def everything(self) -> tuple[object, ...]:
        """Return what a forked child must neither use nor free."""
        return (self._multi, self._selector, self._ear, self._mouth, *self._spare, *self._running)

    def _call(self, action: Callable[[], object]) -> None:
        self._inbox.append(action)
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self._closed:
                    self._launch()
        if not self._awake:  # else it looks into its inbox before it sleeps
            self._awake = True
            self._wake()

    def _launch(self) -> None:
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="datastore-http", daemon=True)
        self._thread.start()

    def _halt(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping = True
            self._wake()
            thread.join()

    def _wake(self) -> None:
        # A full socket pair means that so many wake-ups are on their way that one more changes nothing.
        with contextlib.suppress(BlockingIOError):
            self._mouth.send(b"\0")

    # -------------------------------------------------------------------------------------------------- the thread
    def _run(self) -> None:
        try:
            while not self._stopping:
                self._step()
                if self._held:
                    self._parked.set()
                    self._unparked.wait()
        except BaseException as error:
            self._broken(error)
            raise
        finally:
            self._parked.set()

    def _step(self) -> None:
        self._awake = False  # before the inbox is looked at: what is put there from now on is followed by a wake-up
        events = self._selector.select(self._timeout())
        self._awake = True
        for key, mask in events:
            if key.fileobj is self._ear:
                self._ear.recv(4096)
            else:
                bits = (pycurl.CSELECT_IN if mask & selectors.EVENT_READ else 0) | (
                    pycurl.CSELECT_OUT if mask & selectors.EVENT_WRITE else 0
                )
                self._multi.socket_action(key.fd, bits)
        while self._inbox:
            self._inbox.popleft()()
        now = time.monotonic()
        if self._curl_due is not None and self._curl_due <= now:
            self._curl_due = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        self._collect()
        self._tell()

    def _broken(self, error: BaseException) -> None:
        # A defect of ours; nobody must wait for ever because of it.
        self._thread = None
        for job in [*self._jobs]:
            text = f"{job.request.what}: the HTTP engine failed: {type(error).__name__}: {error}"
            self._end(job, error=Unavailable(text, hint="report this as a bug"))
        self._tell()

    def _timeout(self) -> float | None:
        if self._inbox:
            return 0
        due = [self._timers[0][0]] if self._timers else []
        if self._curl_due is not None:
            due.append(self._curl_due)
        return max(min(due) - time.monotonic(), 0) if due else None

    def _on_socket(self, what: int, fd: int, _multi: Any, _data: Any) -> None:
        known = fd in self._sockets
        if what == pycurl.POLL_REMOVE:
            if known:
                self._sockets.discard(fd)
                self._selector.unregister(fd)
            return
        mask = (selectors.EVENT_READ if what & pycurl.POLL_IN else 0) | (
            selectors.EVENT_WRITE if what & pycurl.POLL_OUT else 0
        )
        if known:
            self._selector.modify(fd, mask)
        else:
            self._sockets.add(fd)
            self._selector.register(fd, mask)

    def _on_timer(self, milliseconds: int) -> None:
        self._curl_due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), action))

    # ------------------------------------------------------------------------------------------------------ one job
    def _enter(self, job: Job) -> None:
        if job.over:
            return
        name = host_of(job.signed.url if job.signed else job.request.url)
        host = job.host = self._hosts.get(name) or self._hosts.setdefault(name, _Host())
        if host.active >= host.congestion.limit:
            host.waiting.append(job)
        else:
            self._start(job)

    def _start(self, job: Job) -> None:
        wanted = job.begin()
        easy = self._spare.pop() if self._spare else ready()
        try:
            prepare(easy, job, wanted)
        except Exception as error:  # noqa: BLE001 - whoever waits for the job is told
            odd = isinstance(error, pycurl.error | ValueError) and not isinstance(error, DatastoreError)
            self._end(job, error=ValidationError(f"{job.request.what}: cannot be sent: {error}") if odd else error)
            return
        job.host.active += 1
        job.easy = easy
        self._running[easy] = job
        self._multi.add_handle(easy)
        if not self._watching:
            self._watching = True
            self._later(_GLANCE, self._watch)

    def _watch(self) -> None:
        # libcurl's own low-speed limit goes by an average that takes half a minute to fall after a fast beginning.
        now = time.monotonic()
        for easy, job in [*self._running.items()]:
            amount = moved(easy)
            if amount != job.moved:
                job.moved, job.moved_at = amount, now
            elif now - job.moved_at >= job.request.patience and self._running.get(easy) is job:
                self._over(job, pycurl.E_OPERATION_TIMEDOUT, f"not a byte for {job.request.patience:g} seconds")
        self._watching = bool(self._running)
        if self._watching:
            self._later(_GLANCE, self._watch)

    def _leave(self, job: Job) -> None:
        easy, job.easy = job.easy, None
        self._multi.remove_handle(easy)
        del self._running[easy]
        rest(easy, job.request)
        if len(self._spare) < _SPARE_HANDLES:
            self._spare.append(easy)
        job.host.active -= 1

    def _collect(self) -> None:
        while True:
            queued, good, bad = self._multi.info_read(64)
            for easy in good:
                self._over(self._running[easy], 0, "")
            for easy, code, text in bad:
                self._over(self._running[easy], code, text)
            if not queued:
                return

    def _over(self, job: Job, code: int, text: str) -> None:
        host: _Host = job.host
        self._leave(job)
        try:
            self._weigh(job, code, text)
        except Exception as error:  # noqa: BLE001 - a judge that fails: whoever waits for the job is told
            self._end(job, error=error)
        self._fill(host)

    def _fill(self, host: _Host) -> None:
        while host.waiting and host.active < host.congestion.limit:
            job = host.waiting.popleft()
            if not job.over:
                self._start(job)

    def _weigh(self, job: Job, code: int, text: str) -> None:
        response = job.finished() if code == 0 or job.enough else None
        text = text or "the answer broke off in its headers"
        self._observatory.count(attempt=job.attempt, sent=job.sends, received=job.received)
        if self._observatory.watched:
            self._report(job, response, text)
        if job.fatal is not None:
            self._end(job, error=job.fatal)
        elif response is None:
            self._failed(job, code, text)
        else:
            self._answered(job, response)

    def _answered(self, job: Job, response: HttpResponse) -> None:
        follows = job.request.follow and job.hops < _HOPS
        onward = redirected(job.request, job.signed, response) if follows else None
        if onward is not None:
            job.hops += 1
            job.signed = onward
            self._enter(job)
            return
        verdict = (job.request.judge or judge)(job.request, response)
        if verdict == "slow":
            job.host.congestion.slow_down(began=job.began, now=time.monotonic())
        else:
            job.host.congestion.answered()
        if verdict == "final" or (verdict == "reauthorize" and (job.reauthorized or job.request.authorize is None)):
            self._end(job, response=response)
            return
        if verdict == "reauthorize":
            job.reauthorized = True
            job.previous = response
        asked = retry_after(response.headers, now=datetime.now(UTC))
        if not self._again(job, verdict, asked=asked):
            self._end(job, response=response)
        elif response.status in job.request.statuses:  # its body is not what was wanted after all
            job.start_again()

    def _failed(self, job: Job, code: int, text: str) -> None:
        unfit = job.unfit
        failure: Failure | None = "integrity" if unfit is not None else failure_of(job, code)
        if unfit is not None:
            job.start_again()
        else:
            job.keep_what_came()
        lost = failure != "connect" and not repeatable(job.request)
        other = isinstance(unfit, HeadMoved) and job.request.if_match is not None
        if failure is None or lost or other or not self._again(job, failure, asked=None):
            self._end(job, error=unfit or unavailable(job, code, text))

    def _again(self, job: Job, failure: Failure, *, asked: float | None) -> bool:
        elapsed = time.monotonic() - job.first_began
        delay = delay_before(job.attempt, failure, elapsed=elapsed, asked=asked, chance=_chance(), policy=self._policy)
        if delay is None:
            return False
        self._later(delay, lambda: self._renew(job))
        return True

    def _renew(self, job: Job) -> None:
        if job.request.authorize is None or job.over:
            self._enter(job)
            return
        # Signing may take a request of its own (a token, a presigned URL): never on this thread.
        thread = threading.Thread(target=self._authorize, args=(job,), name="datastore-authorize", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # there are too many
            self._end(job, error=error)

    def _authorize(self, job: Job) -> None:
        try:
            if job.request.authorize is not None:
                job.signed = job.request.authorize(job.request, job.previous)
            job.previous = None
        except BaseException as error:  # noqa: BLE001 - whoever waits for the job is told
            refused = error
            self._call(lambda: self._end(job, error=refused))
        else:
            self._call(lambda: self._enter(job))

    def _cancel(self, jobs: list[Job]) -> None:
        for job in jobs:  # those that wait for something are left alone when it comes
            self._end(job, error=Unavailable(f"{job.request.what}: cancelled", hint="start it again"))
        for job in jobs:
            if job.easy is not None:
                self._leave(job)
                self._fill(job.host)

    def _end(self, job: Job, *, response: HttpResponse | None = None, error: BaseException | None = None) -> None:
        if not job.over:
            job.over = True
            job.response, job.error = response, error
            self._jobs.discard(job)
            self._ended.append(job)

    def _tell(self) -> None:
        # At the end of a step: each who is told wants the interpreter for itself.
        ended, self._ended = self._ended, []
        for job in ended:
            job.let_go()
            job.done(job)

    def _report(self, job: Job, response: HttpResponse | None, text: str) -> None:
        self._observatory.report(
            Exchange(
                method=job.request.method,
                url=job.request.url,
                status=job.status,
                sent=job.sends,
                received=job.received,
                begin=job.began,
                end=time.monotonic(),
                attempt=job.attempt,
                problem=text if response is None else "",
            )
        )


_chance = random.Random().random  # noqa: S311 - jitter is no secret


def _closed(job: Job) -> DatastoreError:
    return Unavailable(f"{job.request.what}: the engine was closed", hint="start it again")
