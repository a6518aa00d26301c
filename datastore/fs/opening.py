"""Opens objects of providers behind a network, with as few requests as their names and sizes allow."""

from typing import Final, Protocol

from datastore.calls import Call, Sink
from datastore.errors import HeadMoved
from datastore.fs.files import read_exactly
from datastore.fs.footers import TAIL, Footer, is_parquet
from datastore.provider import Provider, Reader, SupportsRequests
from datastore.streams import BytesReader
from datastore.values import ByteRange, ObjectInfo

__all__ = ["Here", "Remote", "open_remote", "reader_over"]

SMALL: Final = 1 << 20
"""Bytes up to which an object comes whole, with the first request."""

Here = bytes | Footer
"""What of an object is here: all of it, or the end of a Parquet file."""


class Remote(Provider, SupportsRequests, Protocol):
    """A provider behind a network."""


def open_remote(
    provider: Remote,
    key: str,
    *,
    known: ObjectInfo | None = None,
    lasting: bool = False,
    if_match: str | None = None,
    end: bytes | None = None,
) -> tuple[Reader, Here | None]:
    """Open an object, and return what of it is here already, if it is worth being kept for the next time.

    Args:
        provider: Where it is.
        key: Its key.
        known: What is known of the object.
        lasting: Whether that cannot change.
        if_match: Etag that it must still have.
        end: The last bytes of what is known, if they are here: the end of a Parquet file, or all of a small one.
    """
    parquet = is_parquet(key)
    if known is not None and end:
        return _opened(provider, known, end)
    if known is None or (known.size > SMALL and not parquet and not lasting):
        return _open_unknown(provider, key, parquet=parquet, if_match=if_match)
    if known.size > SMALL and not parquet:
        from datastore.http.reading import open_reader  # only who reaches a network needs libcurl

        return open_reader(known, _Get(provider, known)), None
    try:
        data = _read(provider, known, ByteRange(max(known.size - TAIL, 0) if parquet else 0, known.size))
    except HeadMoved:
        if lasting:
            raise
        return _open_unknown(provider, key, parquet=parquet, if_match=None)
    return _opened(provider, known, data)


def reader_over(provider: Remote, info: ObjectInfo, here: Here) -> Reader:
    """Return a reader over an object that is here, or whose end is; no request."""
    if isinstance(here, bytes):
        return BytesReader(info, here)
    from datastore.fs.parquet import ParquetReader

    return ParquetReader(info, _Get(provider, info), footer=here)


class _Get:
    """Gives the calls that read ranges of one version of an object."""

    def __init__(self, provider: Remote, info: ObjectInfo) -> None:
        self._provider = provider
        self._info = info

    def __call__(self, wanted: ByteRange, sink: Sink) -> Call[bytes]:
        return self._provider.get_call(self._info, range=wanted, sink=sink)


def _open_unknown(provider: Remote, key: str, *, parquet: bool, if_match: str | None) -> tuple[Reader, Here | None]:
    reader = provider.read(key, range=ByteRange(-TAIL) if parquet else None, if_match=if_match)
    if reader.info.size > SMALL and not parquet:
        return reader, None
    with reader:
        return _opened(provider, reader.info, read_exactly(reader, min(reader.info.size, TAIL if parquet else SMALL)))


def _opened(provider: Remote, info: ObjectInfo, data: bytes) -> tuple[Reader, Here]:
    here = data if len(data) == info.size else Footer(data)
    return reader_over(provider, info, here), here


def _read(provider: Remote, info: ObjectInfo, wanted: ByteRange) -> bytes:
    if not info.size:
        return b""
    from datastore.http.engine import engine

    return engine().run(provider.get_call(info, range=wanted))
