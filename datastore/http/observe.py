"""Who wants to see the requests that are made: logs, counters, tests."""

import contextlib
import logging
from bisect import bisect_right
from collections.abc import Generator
from typing import Final

from msgspec import Struct, structs

from datastore.http.redaction import redacted

__all__ = ["Counters", "Exchange", "Exchanges", "Observatory", "observed"]

_LOG: Final = logging.getLogger("datastore.http")


class Exchange(Struct, frozen=True, kw_only=True):
    """One attempt of one request.

    Attributes:
        method: HTTP method.
        url: Without credentials.
        status: Of the answer; 0 if there was none.
        sent: Bytes of the body that were sent.
        received: Bytes of the body that came.
        begin: When, seconds on the monotonic clock.
        end: When it was over.
        attempt: From 1.
        problem: What went wrong, if no answer came.
    """

    method: str
    url: str
    status: int
    sent: int
    received: int
    begin: float
    end: float
    attempt: int
    problem: str = ""


class Counters(Struct, kw_only=True):
    """What an engine has done since it was made: attempts, those that were no first ones, bytes of bodies."""

    requests: int = 0
    retries: int = 0
    sent: int = 0
    received: int = 0


class Exchanges(list[Exchange]):
    """Exchanges in the order in which they ended."""

    def depth(self) -> int:
        """Return the round trips in sequence: the longest chain in which each began after the one before had ended."""
        ends: list[float] = []
        longest = [0]  # of the chains of the first so many of them
        for exchange in sorted(self, key=lambda one: one.end):
            chain = 1 + longest[bisect_right(ends, exchange.begin)]
            ends.append(exchange.end)
            longest.append(max(longest[-1], chain))
        return longest[-1]


class Observatory:
    """Where an engine reports each exchange. What is done to a dict in one operation is atomic, so it needs no lock."""

    def __init__(self) -> None:
        self.counters = Counters()
        self._watchers: dict[int, Exchanges] = {}

    def count(self, *, attempt: int, sent: int, received: int) -> None:
        """Count an exchange."""
        counters = self.counters
        counters.requests += 1
        counters.retries += attempt > 1
        counters.sent += sent
        counters.received += received

    @property
    def watched(self) -> bool:
        """Whether anybody wants to know more than the numbers."""
        return bool(self._watchers) or _LOG.isEnabledFor(logging.DEBUG)

    def report(self, exchange: Exchange) -> None:
        """Log an exchange, and tell those who watch; `exchange.url` is as it was asked for."""
        if self._watchers:
            shown = structs.replace(exchange, url=redacted(exchange.url))
            for watcher in [*self._watchers.values()]:
                watcher.append(shown)
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug(
                "%s %s -> %s, %d bytes sent, %d received, %.1f ms, attempt %d%s",
                exchange.method,
                redacted(exchange.url),
                exchange.status or "no answer",
                exchange.sent,
                exchange.received,
                (exchange.end - exchange.begin) * 1000,
                exchange.attempt,
                f": {exchange.problem}" if exchange.problem else "",
            )

    @contextlib.contextmanager
    def watch(self) -> Generator[Exchanges]:
        """Collect the exchanges that end while the block runs, of all threads."""
        seen = Exchanges()
        self._watchers[id(seen)] = seen
        try:
            yield seen
        finally:
            del self._watchers[id(seen)]


@contextlib.contextmanager
def observed() -> Generator[Exchanges]:
    """Collect the exchanges of this process's engine while the block runs.

    >>> with observed() as seen:
    ...     pass
    >>> len(seen), seen.depth()
    (0, 0)
    """
    from datastore.http.engine import engine  # the engine reports here

    with engine().observatory.watch() as seen:
        yield seen
