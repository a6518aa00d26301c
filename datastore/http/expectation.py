"""Whether the answer to a read is the bytes that were asked for: pure checks, made before the first byte is kept.

A server or proxy that ignores `Range`, serves another version, or cuts the body must lead to a clean retry or error,
never to wrong bytes (facts/reliability.md §0.1-0.4, §4.2).
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from datastore.calls import HttpRequest

__all__ = ["Expected", "Wanted", "expectation", "parse_content_range", "wanted_of"]

_NUMBER: Final = re.compile(r"\d{1,19}", re.ASCII)  # int() of thousands of digits fails
# 0--1: MinIO, of nothing
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d{1,19})-(\d{1,19})|\*|0--1)/(\d{1,19}|\*)", re.ASCII)


class Wanted(Struct, frozen=True):
    """What one attempt asks for.

    Attributes:
        start: First byte; negative counts from the end; None asks for the whole object without a range.
        stop: End, exclusive; None for the end of the object.
        etag: Version that it has to be, as the header has it.
        resumed: Whether the server has named that version before, with bytes that are kept.
    """

    start: int | None
    stop: int | None
    etag: str | None
    resumed: bool = False

    @property
    def header(self) -> str | None:
        """The value of the `Range` header."""
        if self.start is None:
            return None
        if self.start < 0:
            return f"bytes={self.start}"
        return f"bytes={self.start}-{'' if self.stop is None else self.stop - 1}"


class Expected(Struct, frozen=True):
    """What the body of an answer will be.

    Attributes:
        length: Bytes; None if the server does not say.
        start: Where in the object they begin.
        problem: Why this is not what was asked for; the body must not be kept.
        moved: Whether the problem is that the object is another version by now.
    """

    length: int | None
    start: int = 0
    problem: str | None = None
    moved: bool = False


def wanted_of(request: HttpRequest, *, first: int | None, received: int, pin: str | None) -> Wanted:
    """Return what the next attempt asks for.

    Args:
        request: The whole wish.
        first: Where in the object the received bytes began, as far as an answer has told.
        received: Bytes that earlier attempts brought, to be kept.
        pin: The version that they are of.
    """
    etag = request.if_match or (pin if received else None)
    start, stop = (None, None) if request.range is None else request.range
    if received:
        start = (first if first is not None else start or 0) + received
    return Wanted(start, stop, etag, bool(received and pin))


def expectation(status: int, headers: Mapping[str, str], wanted: Wanted) -> Expected:
    """Return what an answer of status 200 or 206 promises, or why it is refused."""
    etag = headers.get("etag")
    if wanted.etag not in {None, "*", etag} and (etag is not None or wanted.resumed):
        return Expected(
            None, problem=f"the object is another version by now ({etag} instead of {wanted.etag})", moved=True
        )
    if status == 206:
        return _partial(headers, wanted)
    text = headers.get("content-length", "")
    length = int(text) if _NUMBER.fullmatch(text) else None
    if wanted.start is None or (wanted.start == 0 and wanted.stop is None):
        return Expected(length)
    if wanted.start == 0 and length is not None and wanted.stop is not None and length <= wanted.stop:
        return Expected(length)  # the whole object, which is what the range amounts to
    if wanted.start < 0 and length is not None and length <= -wanted.start:
        return Expected(length)
    return Expected(None, problem=f"the server ignores the range {wanted.header}")


def _partial(headers: Mapping[str, str], wanted: Wanted) -> Expected:
    text = headers.get("content-range", "")
    got = parse_content_range(text)
    if wanted.start is None or got is None:
        return Expected(None, problem=f"the server answers with part {text!r}, which nobody asked for")
    start, stop, total = got
    if wanted.start < 0:
        fits = total is not None and start == max(total + wanted.start, 0) and stop == total
    else:
        end = min(total if total is not None else stop, stop if wanted.stop is None else wanted.stop)
        fits = start == wanted.start and stop == end and (wanted.stop is not None or total in {None, stop})
    if not fits:
        return Expected(None, problem=f"the server answers {wanted.header} with {text!r}")
    return Expected(stop - start, start)


def parse_content_range(text: str) -> tuple[int, int, int | None] | None:
    """Return (start, stop, total) of a `Content-Range`; start = stop = 0 where it has no bytes; None if it is no such.

    >>> parse_content_range("bytes 0-9/100"), parse_content_range("bytes */7")
    ((0, 10, 100), (0, 0, 7))
    """
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None:
        return None
    first, last, total = match.groups()
    whole = None if total == "*" else int(total)
    return (0, 0, whole) if first is None else (int(first), int(last) + 1, whole)
