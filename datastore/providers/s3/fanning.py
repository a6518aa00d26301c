"""Long listings in parallel: the range of names that is left is cut where its pages are likely to begin.

S3 gives a page only after the one before it, but it starts anywhere. So a few runs of pages are asked for at the same
time, each from a guessed name on, up to where the next one began. A bad guess costs a request, never a name: a run goes
on until it has met the beginning of the next one, and names come out in order.
"""

import string
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Final, Generic, TypeVar

from msgspec import structs

from datastore.providers.s3.documents import Listing

__all__ = ["ahead", "fan_out"]

T = TypeVar("T")

_RUNS: Final = 8
_HELD: Final = 64  # pages, of all runs together
_AIM: Final = 8.0  # pages of a run, where guesses are right
_PLACES: Final = 32


class _Run(Generic[T]):
    """Pages from one name on, in order."""

    def __init__(self, start: str, sample: Sequence[str] = ()) -> None:
        self.start = start
        self.last = start
        self.pages: deque[Listing] = deque()
        self.sample = sample  # its last page of several names
        self.asked = 0
        self.future: Future[T] | None = None
        self.over = False

    def take(self, page: Listing, *, end: str | None) -> None:
        """Take a page that has arrived."""
        self.future = None
        if page.names:
            self.last = page.names[-1]
            self.sample = page.names if len(page.names) > 1 else self.sample
            self.pages.append(page)
        self.over = page.token is None or (end is not None and self.last >= end)


class _Fan(Generic[T]):
    """The runs that are under way, in the order of their names."""

    def __init__(
        self, ask: "Callable[[str], Future[T]]", read: Callable[[T], Listing], page: Listing, floor: int
    ) -> None:
        self._ask = ask
        self._read = read
        self._floor = floor
        self._aim = _AIM
        self._runs: list[_Run[T]] = [_Run(page.names[-1], page.names)]

    def pages(self) -> Iterator[Listing]:
        """Yield all pages that follow."""
        while self._runs:
            self._widen()
            self._pump()
            head = self._runs[0]
            if head.pages:
                page = _up_to(head.pages.popleft(), self._end(0))
                if page.names:
                    yield page
            elif head.over:
                self._learn(head.asked)
                self._runs.pop(0)
            else:
                self._receive()

    def _end(self, index: int) -> str | None:
        return self._runs[index + 1].start if index + 1 < len(self._runs) else None

    def _widen(self) -> None:
        """Begin one more run where pages are left for it: behind the last one, else in the middle of a long one."""
        if len(self._runs) >= _RUNS:
            return
        for index, run in reversed([*enumerate(self._runs)]):
            if run.over or not run.sample:  # a guess from a guess would be a poor one
                continue
            start, end = ahead(run.sample, run.last, pages=self._aim, floor=self._floor), self._end(index)
            if start is not None and (end is None or start < end):
                self._runs.insert(index + 1, _Run(start))
                return

    def _pump(self) -> None:
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
            run.take(page, end=self._end(index))
            if page.token is None:  # nothing is left for those behind it
                del self._runs[index + 1 :]
                return


def fan_out(
    ask: "Callable[[str], Future[T]]", read: Callable[[T], Listing], page: Listing, *, floor: int = 0
) -> Iterator[Listing]:
    """Yield the pages after a given one, in order, no name twice.

    Args:
        ask: Asks for the page after a name; the answers may come in any order.
        read: Makes a page of an answer, in the thread of the caller.
        page: The last page so far; it has names, and there are more.
        floor: Characters that all names have in common: the prefix that is listed.
    """
    return _Fan(ask, read, page, floor).pages()


def ahead(sample: Sequence[str], anchor: str, *, pages: float, floor: int = 0) -> str | None:
    """Return a name that is likely to be so many pages after another one; None if nothing can be said.

    Names are taken for numbers, whose digits are the characters that occur in them.

    Args:
        sample: The names of some page.
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


def _up_to(page: Listing, end: str | None) -> Listing:
    """Return a page without the names after `end`."""
    if end is None or page.names[-1] <= end:
        return page
    count = bisect_left(page.names, end)
    count += count < len(page.names) and page.names[count] == end
    return structs.replace(
        page,
        names=page.names[:count],
        sizes=page.sizes[:count],
        modified_us=page.modified_us[:count],
        etags=page.etags[:count],
    )
