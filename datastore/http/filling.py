"""One object, or a range of it, into a file or a buffer: in parallel ranges, all of one version."""

from collections.abc import Callable
from typing import Final

from datastore.calls import Call, FileSlice, Sink
from datastore.errors import DatastoreError
from datastore.http.engine import Engine, engine
from datastore.parts import parts
from datastore.values import ByteRange

__all__ = ["GetCall", "fill"]

PARALLEL: Final = 8

GetCall = Callable[[ByteRange, Sink], Call[bytes]]
"""Gives the call that reads a range, in absolute positions, of one version of one object into a sink."""


def slice_of(sink: FileSlice | memoryview, start: int, stop: int) -> FileSlice | memoryview:
    """Return part of a sink, in positions from its beginning."""
    if isinstance(sink, FileSlice):
        return FileSlice(sink.fd, sink.offset + start, stop - start)
    return sink[start:stop]


def fill(
    get: GetCall,
    sink: FileSlice | memoryview,
    *,
    start: int,
    stop: int,
    using: Engine | None = None,
    told: Callable[[int], object] | None = None,
) -> None:
    """Read the bytes from `start` to `stop` into a sink of that size.

    Args:
        get: The object.
        sink: Where they go.
        start: First byte.
        stop: End, exclusive.
        using: Another engine than the process's own.
        told: Learns how many bytes more are there, in the caller's thread.

    Raises:
        HeadMoved: It is another version by now; what is in the sink is worthless.
        DatastoreError: Whatever else the call raises.
    """
    runner = using or engine()
    calls = (
        ((first, last), get(ByteRange(first, last), slice_of(sink, first - start, last - start)))
        for first, last in parts(start, stop)
    )
    ended = runner.bulk(calls, limit=PARALLEL)
    try:
        for (first, last), result in ended:
            if isinstance(result, DatastoreError):
                raise result
            if told is not None:
                told(last - first)
    finally:
        ended.close()
