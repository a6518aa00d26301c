"""When a request is sent again, and when not: pure policy.

The classes of failures and the numbers are those of facts/reliability.md §4.1.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from msgspec import Struct, field

from datastore.calls import HttpRequest, HttpResponse, Verdict

__all__ = ["DEFAULT", "Congestion", "Failure", "Policy", "delay_before", "judge", "repeatable", "retry_after"]

Failure = Literal["connect", "transport", "integrity", "retry", "slow", "reauthorize"]
"""What went wrong with an attempt: nobody answered; the connection broke or stalled; the bytes contradict what was
expected; or what the judge said of the answer."""

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_AMBIGUOUS: Final = frozenset({500, 502, 504})
_THROTTLED: Final = frozenset({429, 503})
_TRANSIENT: Final = frozenset({408, 500, 502, 504, 509})
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)

_ATTEMPTS: Final[Mapping[Failure, int]] = {
    "connect": 5,
    "transport": 8,
    "integrity": 3,
    "retry": 8,
    "slow": 12,
    "reauthorize": 12,
}


class Policy(Struct, frozen=True, kw_only=True):
    """How long to go on trying.

    Attributes:
        base: Seconds; the bound of the first wait. It doubles with each attempt.
        cap: Seconds; no wait is longer, unless the server asked for it.
        patience: Seconds; the longest wait that a server may ask for.
        budget: Seconds from the first attempt after which nothing is tried again.
        attempts: How often a request is sent, by kind of failure. A server that is not there is given up soon: its
            address may be wrong.
    """

    base: float = 0.1
    cap: float = 20.0
    patience: float = 60.0
    budget: float = 300.0
    attempts: Mapping[Failure, int] = field(default_factory=lambda: dict(_ATTEMPTS))


DEFAULT: Final = Policy()


def repeatable(request: HttpRequest) -> bool:
    """Tell whether a request may be sent again when it is unknown if it was carried out."""
    return request.method in _IDEMPOTENT if request.repeatable is None else request.repeatable


def judge(request: HttpRequest, response: HttpResponse) -> Verdict:
    """Return what an answer means, going by its status alone: the usual judge.

    >>> get = HttpRequest(what="read", method="GET", url="http://x/")
    >>> [judge(get, HttpResponse(status=status, headers={})) for status in (200, 404, 500, 503, 429)]
    ['final', 'final', 'retry', 'slow', 'slow']
    """
    status = response.status
    if status in request.statuses:
        return "final"
    if status in _THROTTLED:
        return "slow"
    if status in _TRANSIENT and (repeatable(request) or status not in _AMBIGUOUS):
        return "retry"
    return "final"


def retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return the seconds that the server asks to wait, if it does: a number, or a date; AWS has milliseconds, too.

    >>> retry_after({"retry-after": "3"}, now=datetime(2026, 1, 1, tzinfo=UTC))
    3.0
    """
    text, milliseconds = headers.get("retry-after", ""), headers.get("x-amz-retry-after", "")
    if _NUMBER.fullmatch(text):
        return float(text)
    if not text:
        return int(milliseconds) / 1000 if _NUMBER.fullmatch(milliseconds) else None
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds(), 0.0)


def delay_before(
    attempt: int, failure: Failure, *, elapsed: float, asked: float | None, chance: float, policy: Policy = DEFAULT
) -> float | None:
    """Return the seconds to wait before the next attempt, or None to give up.

    Args:
        attempt: How many were made.
        failure: What went wrong with the last one.
        elapsed: Seconds since the first began.
        asked: What the server asked to wait.
        chance: Uniform between 0 and 1: full jitter, so that many clients do not come back at the same moment.
        policy: The numbers.
    """
    if attempt >= policy.attempts[failure] or elapsed > policy.budget:
        return None
    if failure == "reauthorize":
        return 0.0
    if failure == "connect":  # with few attempts, bad luck must not make the wait for a server that restarts too short
        chance = (1 + chance) / 2
    backoff = chance * min(policy.base * 2.0 ** min(attempt - 1, 60), policy.cap)
    if asked is None:
        return backoff
    return max(backoff, asked) if asked <= policy.patience else None


class Congestion:
    """How many requests a host is sent at the same time: halved when it says slow down, one more per round of answers.

    The additive increase and multiplicative decrease of TCP, which is known to share fairly between clients.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._window = float(most)
        self._halved = 0.0

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self._window)

    def answered(self) -> None:
        """Learn that a request was answered."""
        if self._window < self._most:
            self._window = min(self._window + 1 / self._window, self._most)

    def slow_down(self, *, began: float, now: float) -> None:
        """Learn that the host asked for fewer.

        Many answers of one round say so at the same time; those to requests that began before the window was halved
        are no reason to halve it again.

        Args:
            began: When the request was sent, seconds on the monotonic clock.
            now: The time.
        """
        if began >= self._halved:
            self._window = max(self._window / 2, 1.0)
            self._halved = now
