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
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pycurl

from datastore.calls import FileSlice, HttpResponse
from datastore.errors import DatastoreError, Unavailable, ValidationError
from datastore.http.curl import FATAL, failure_of, host_of, prepare, unavailable
from datastore.http.job import Job
from datastore.http.observe import Exchange, Observatory
from datastore.http.redirects import redirected
from datastore.http.retry import DEFAULT, Congestion, Failure, Policy, delay_before, judge, repeatable, retry_after
from datastore.http.tls import ca_file

__all__ = ["HOST_LIMIT", "Loop"]

HOST_LIMIT: Final = 128
"""Most requests in flight to one host; servers and routers take more badly."""
_IDLE_CONNECTIONS: Final = 2 * HOST_LIMIT
_SPARE_HANDLES: Final = 2 * HOST_LIMIT
_HOPS: Final = 5


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
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, _IDLE_CONNECTIONS)
        self._curl_due: float | None = None
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._spare: list[pycurl.Curl] = []
        self._running: dict[pycurl.Curl, Job] = {}
        self._hosts: dict[str, _Host] = {}
        self._jobs: set[Job] = set()
        self._ca = ca_file()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._held = False

    # ------------------------------------------------------------------------------------------- for other threads
    def call(self, action: Callable[[], object]) -> None:
        """Have the loop's thread do something soon."""
        self._inbox.append(action)
        if self._thread is None:
            self.resume()
        self._wake()

    def submit(self, job: Job) -> None:
        """Carry out a job that is signed already."""
        self._jobs.add(job)
        self.call(lambda: self._enter(job))

    def cancel(self, job: Job) -> None:
        """End a job wherever it stands; it is told as any other that ends."""
        self.call(lambda: self._cancel(job))

    def resume(self) -> None:
        """Start the thread, if it does not run."""
        with self._starting:
            if self._thread is None:
                self._stopping = False
                thread = threading.Thread(target=self._run, name="datastore-http", daemon=True)
                self._thread = thread
                thread.start()

    def stop(self) -> None:
        """End the thread between two steps; the next action starts it again."""
        with self._starting:
            self._halt()

    def hold(self) -> None:
        """End the thread and keep it from starting again until `go_on`: a fork must find nothing in the middle."""
        self._starting.acquire()
        self._held = self._thread is not None
        self._halt()

    def go_on(self) -> None:
        """Undo `hold`."""
        self._starting.release()
        if self._held:
            self.resume()

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

    def everything(self) -> tuple[object, ...]:
        """Return what a forked child must neither use nor free."""
        return (self._multi, self._selector, self._ear, self._mouth, *self._spare, *self._running)

    # -------------------------------------------------------------------------------------------------- the thread
    def _run(self) -> None:
        try:
            while not self._stopping:
                self._step()
        except BaseException as error:
            self._broken(error)
            raise

    def _step(self) -> None:
        for key, mask in self._selector.select(self._timeout()):
            if key.fileobj is self._ear:
                self._drain()
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

    def _broken(self, error: BaseException) -> None:
        # A defect of ours; nobody must wait for ever because of it.
        told = Unavailable(f"the HTTP engine failed: {type(error).__name__}: {error}", hint="report this as a bug")
        for job in {*self._jobs}:
            self._end(job, error=told)
        self._thread = None

    def _timeout(self) -> float | None:
        if self._inbox:
            return 0
        due = [self._timers[0][0]] if self._timers else []
        if self._curl_due is not None:
            due.append(self._curl_due)
        return max(min(due) - time.monotonic(), 0) if due else None

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass

    def _on_socket(self, what: int, fd: int, _multi: Any, _data: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
            return
        mask = (selectors.EVENT_READ if what & pycurl.POLL_IN else 0) | (
            selectors.EVENT_WRITE if what & pycurl.POLL_OUT else 0
        )
        if fd in self._selector.get_map():
            self._selector.modify(fd, mask)
        else:
            self._selector.register(fd, mask)

    def _on_timer(self, milliseconds: int) -> None:
        self._curl_due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), action))

    # ------------------------------------------------------------------------------------------------------ one job
    def _host(self, job: Job) -> _Host:
        url = job.signed.url if job.signed else job.request.url
        name = host_of(url)
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host()
        return host

    def _enter(self, job: Job) -> None:
        if job.cancelled:
            self._end(job, error=_cancelled(job))
            return
        host = self._host(job)
        if host.active >= host.congestion.limit:
            host.waiting.append(job)
        else:
            self._start(job, host)

    def _start(self, job: Job, host: _Host) -> None:
        wanted = job.begin()
        easy = self._spare.pop() if self._spare else pycurl.Curl()
        try:
            prepare(easy, job, wanted, ca=self._ca)
        except (pycurl.error, UnicodeError, ValueError) as error:  # such as a header with a line break in it
            self._end(job, error=ValidationError(f"{job.request.what}: cannot be sent: {error}"))
            return
        host.active += 1
        job.host = host
        self._running[easy] = job
        self._multi.add_handle(easy)

    def _leave(self, easy: pycurl.Curl, job: Job) -> None:
        self._multi.remove_handle(easy)
        del self._running[easy]
        easy.reset()
        if len(self._spare) < _SPARE_HANDLES:
            self._spare.append(easy)
        host: _Host = job.host
        host.active -= 1
        while host.waiting and host.active < host.congestion.limit:
            self._start(host.waiting.popleft(), host)

    def _collect(self) -> None:
        while True:
            queued, good, bad = self._multi.info_read(64)
            for easy in good:
                self._over(easy, 0, "")
            for easy, code, text in bad:
                self._over(easy, code, text)
            if not queued:
                return

    def _over(self, easy: pycurl.Curl, code: int, text: str) -> None:
        job = self._running[easy]
        self._leave(easy, job)
        response = job.finished() if code == 0 else None
        self._report(job, response, text)
        if job.cancelled or job.fatal is not None:
            self._end(job, error=job.fatal or _cancelled(job))
        elif response is None:
            self._failed(job, code, text)
        else:
            self._answered(job, response)

    def _answered(self, job: Job, response: HttpResponse) -> None:
        onward = redirected(job.request, job.signed, response) if job.hops < _HOPS else None
        if onward is not None:
            job.hops += 1
            job.signed = onward
            self._enter(job)
            return
        verdict = (job.request.judge or judge)(job.request, response)
        congestion = job.host.congestion
        if verdict == "slow":
            congestion.slow_down()
        else:
            congestion.answered()
        if verdict == "final" or (verdict == "reauthorize" and (job.reauthorized or job.request.authorize is None)):
            self._end(job, response=response)
            return
        if verdict == "reauthorize":
            job.reauthorized = True
            job.previous = response
        asked = retry_after(response.headers, now=datetime.now(UTC))
        if not self._again(job, verdict, asked=asked):
            self._end(job, response=response)

    def _failed(self, job: Job, code: int, text: str) -> None:
        failure: Failure = "integrity" if job.unfit is not None else failure_of(code)
        if job.unfit is not None:
            job.start_again()
        else:
            job.keep_what_came()
        error = job.unfit or unavailable(job, code, text)
        lost = failure == "transport" and not repeatable(job.request)
        if code in FATAL or lost or not self._again(job, failure, asked=None):
            self._end(job, error=error)

    def _again(self, job: Job, failure: Failure, *, asked: float | None) -> bool:
        elapsed = time.monotonic() - job.first_began
        delay = delay_before(job.attempt, failure, elapsed=elapsed, asked=asked, chance=_chance(), policy=self._policy)
        if delay is None:
            return False
        self._later(delay, lambda: self._renew(job))
        return True

    def _renew(self, job: Job) -> None:
        if job.request.authorize is None or job.cancelled:
            self._enter(job)
            return
        # Signing may take a request of its own (a token, a presigned URL): never on this thread.
        threading.Thread(target=self._authorize, args=(job,), name="datastore-authorize", daemon=True).start()

    def _authorize(self, job: Job) -> None:
        try:
            if job.request.authorize is not None:
                job.signed = job.request.authorize(job.request, job.previous)
            job.previous = None
        except Exception as error:  # noqa: BLE001 - whoever waits for the job is told
            refused = error
            self.call(lambda: self._end(job, error=refused))
        else:
            self.submit(job)

    def _cancel(self, job: Job) -> None:
        job.cancelled = True
        for easy, running in self._running.items():
            if running is job:
                self._leave(easy, job)
                self._end(job, error=_cancelled(job))
                return
        for host in self._hosts.values():
            if job in host.waiting:
                host.waiting.remove(job)
                self._end(job, error=_cancelled(job))
                return
        # Else it has ended, or waits for its next attempt, where it will be seen.

    def _end(self, job: Job, *, response: HttpResponse | None = None, error: Exception | None = None) -> None:
        if job.response is None and job.error is None:
            job.response, job.error = response, error
            self._jobs.discard(job)
            job.done(job)

    def _report(self, job: Job, response: HttpResponse | None, text: str) -> None:
        body = job.request.body
        self._observatory.report(
            Exchange(
                method=job.request.method,
                url=job.request.url,
                status=response.status if response else job.status,
                sent=body.size if isinstance(body, FileSlice) else len(body),
                received=job.received,
                begin=job.began,
                end=time.monotonic(),
                attempt=job.attempt,
                problem=text if response is None else "",
            )
        )


_chance = random.Random().random  # noqa: S311 - jitter is no secret


def _cancelled(job: Job) -> DatastoreError:
    return Unavailable(f"{job.request.what}: cancelled", hint="start it again")
