"""Long listings in parallel: the range of names that is left is cut where its pages are likely to begin.

A service gives a page only after the one before it, but it starts anywhere. So a few runs of pages are asked for at the
same time, each from a guessed name on, up to where the next one began. A bad guess costs a request, never a name: a run
goes on until it has met the beginning of the next one, and names come out in order.
"""

import os
import string
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["NamePage", "ahead", "fan_out"]


class NamePage(Protocol):
    """A page of a listing, as far as fanning out looks at it."""

    @property
    def names(self) -> Sequence[str]:
        """Its names, in order."""
        ...

    @property
    def more(self) -> bool:
        """Whether there are names after it."""
        ...


T = TypeVar("T")
P = TypeVar("P", bound=NamePage)

_RUNS: Final = 8  # at most, and one for every few pages that have come: the end may be near
_HELD: Final = 64  # pages, of all runs together
_AIM: Final = 8.0  # pages of a run, where guesses are right
_PLACES: Final = 32
_PAGES_PER_RUN: Final = 2


class _Run(Generic[T, P]):
    """Pages from one name on, in order."""

    def __init__(self, start: str, sample: Sequence[str] = ()) -> None:
        self.start = start
        self.last = start
        self.pages: deque[P] = deque()
        self.sample = sample  # the names of its last page, and the one before them
        self.asked = 0
        self.future: Future[T] | None = None
        self.over = False

    def take(self, page: P, *, end: str | None) -> None:
        """Take a page that has arrived."""
        self.future = None
        if page.names:
            if self.pages or self.sample or self.last != self.start:  # the name before them is one, and no guess
                self.sample = [self.last, *page.names]
            self.last = page.names[-1]
            self.pages.append(page)
        self.over = not page.more or (end is not None and self.last >= end)


class _Fan(Generic[T, P]):
    """The runs that are under way, in the order of their names."""

    def __init__(
        self,
        ask: "Callable[[str], Future[T]]",
        read: Callable[[T], P],
        first: Callable[[P, int], P],
        names: Sequence[str],
    ) -> None:
        self._ask = ask
        self._read = read
        self._first = first
        self._aim = _AIM
        self._runs: list[_Run[T, P]] = [_Run(names[-1], names)]
        self._received = 0
        self._end_of_all: str | None = None  # nothing is after it
        self._process = os.getpid()

    def pages(self, floor: int) -> Iterator[P]:
        """Yield all pages that follow."""
        while self._runs:
            self._widen(floor)
            self._pump()
            head = self._runs[0]
            if head.pages:
                page = self._up_to(head.pages.popleft(), self._end(0))
                if page.names:
                    yield page
            elif head.over:
                self._learn(head.asked)
                self._runs.pop(0)
            else:
                self._receive()

    def _up_to(self, page: P, end: str | None) -> P:
        """Return a page without the names after `end`."""
        if end is None or page.names[-1] <= end:
            return page
        return self._first(page, bisect_right(page.names, end))

    def _end(self, index: int) -> str | None:
        return self._runs[index + 1].start if index + 1 < len(self._runs) else None

    def _widen(self, floor: int) -> None:
        """Begin one more run where pages are left for it: behind the last one, else in the middle of a long one.

        Only names that are known to be neighbours tell how far apart pages are, not those after a guess: hence all that
        lie behind a run which has seen two pages are guessed from there.
        """
        if len(self._runs) >= min(_RUNS, 2 + self._received // _PAGES_PER_RUN):
            return
        guessed = 0  # runs that lie behind a run and begin with a guess from it
        for index, run in reversed([*enumerate(self._runs)]):
            if run.over or not run.sample:
                guessed += 1
                continue
            for place in range(index + guessed, index - 1, -1):
                count, end = place - index + 1, self._end(place)
                start = ahead(run.sample, run.last, pages=self._aim * count, floor=floor)
                # Between two runs there has to be work for another one.
                least = (
                    start if end is None else ahead(run.sample, run.last, pages=self._aim * (count + 1), floor=floor)
                )
                end = end or self._end_of_all
                if start and least and start > self._runs[place].last and (end is None or least < end):
                    self._runs.insert(place + 1, _Run(start))
                    return
            guessed = 0

    def _pump(self) -> None:
        if os.getpid() != self._process:  # what the parent asked for is not answered here
            self._process = os.getpid()
            for run in self._runs:
                run.future = None
        room = _HELD - sum(len(run.pages) for run in self._runs)
        for run in self._runs:
            if run.future is None and not run.over and (room > 0 or run is self._runs[0]):
                run.future = self._ask(run.last)
                run.asked += 1
                room -= 1

    def _learn(self, asked: int) -> None:
        """Aim farther if a run was hardly worth a request, and nearer if it was a long one."""
        if asked == 1:
            self._aim = min(self._aim * 1.5, 8 * _AIM)
        elif asked > 2 * _AIM:
            self._aim = max(self._aim / 1.5, _AIM / 4)

    def _receive(self) -> None:
        arrived, _ = wait([run.future for run in self._runs if run.future], return_when=FIRST_COMPLETED)
        for index, run in enumerate(self._runs):
            if run.future is None or run.future not in arrived:
                continue
            page = self._read(run.future.result())
            self._received += 1
            run.take(page, end=self._end(index))
            if not page.more:  # nothing is left for those behind it
                self._end_of_all = run.last
                del self._runs[index + 1 :]
                return


def fan_out(
    ask: "Callable[[str], Future[T]]",
    read: Callable[[T], P],
    names: Sequence[str],
    *,
    first: Callable[[P, int], P],
    floor: int = 0,
) -> Iterator[P]:
    """Yield the pages after some names, in order, no name twice.

    Args:
        ask: Asks for the page after a name; the answers may come in any order.
        read: Makes a page of an answer, in the thread of the caller.
        names: Of the last page so far, and the one before them if there is one; there are more.
        first: Makes a page of so many names of one, the first ones.
        floor: Characters that all names have in common: the prefix that is listed.
    """
    return _Fan(ask, read, first, names).pages(floor)


def ahead(sample: Sequence[str], anchor: str, *, pages: float, floor: int = 0) -> str | None:
    """Return a name that is likely to be so many pages after another one; None if nothing can be said.

    Names are taken for numbers, whose digits are the characters that occur in them.

    Args:
        sample: The names of some page, and the last one of the page before it if it is known: a page may span more than
            its own names.
        anchor: From where on.
        pages: How far, in pages like the sample.
        floor: Characters that the answer has in common with all names.

    >>> ahead([f"img_{n:06}" for n in range(1000)], "img_000999", pages=4)
    'img_0045'
    """
    first, last = sample[0], sample[-1]
    for lead in range(min(_common(first, last), _common(last, anchor)), floor - 1, -1):
        found = set[str]().union(
            *(name[lead:] for name in (first, last, anchor, *sample[:: max(len(sample) // 100, 1)]))
        )
        digits = sorted(found | set(string.digits) if found & set(string.digits) else found)
        step = _value(last, lead, digits) - _value(first, lead, digits)
        target = _value(anchor, lead, digits) + int(step * pages)
        if target < (len(digits) + 1) ** _PLACES:
            name = anchor[:lead] + _shortest(_text(target, digits), anchor[lead:])
            return name if name > anchor else None
    return None


def _value(name: str, lead: int, digits: Sequence[str]) -> int:
    value, base = 0, len(digits) + 1
    for char in name[lead : lead + _PLACES].ljust(_PLACES, "\0"):
        value = value * base + (0 if char == "\0" else min(bisect_left(digits, char) + 1, base - 1))
    return value


def _text(value: int, digits: Sequence[str]) -> str:
    places: list[str] = []
    for _ in range(_PLACES):
        value, digit = divmod(value, len(digits) + 1)
        places.append(digits[digit - 1] if digit else "\0")
    return "".join(reversed(places)).partition("\0")[0]


def _shortest(text: str, after: str) -> str:
    """Return a beginning of a text that still sorts after another one."""
    return text[: _common(text, after) + 2]


def _common(one: str, other: str) -> int:
    """Return how many characters two names begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
