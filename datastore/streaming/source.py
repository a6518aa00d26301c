"""The objects that a stream reads, of one commit or one listing."""

import io
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, Final

from datastore.bulk.reading import read_objects
from datastore.errors import IntegrityError
from datastore.fs.files import read_exactly
from datastore.history import objects_at
from datastore.namespace import Namespace
from datastore.provider import Provider, SupportsRequests
from datastore.streams import PositionedReader
from datastore.urls import DatasetURL
from datastore.values import ByteRange, ObjectInfo

__all__ = ["Source"]

_BUFFER: Final = 256 << 10
_RUN: Final = 8 << 20
Wanted = tuple[ObjectInfo, ByteRange]


class Source:
    """Objects under one pinned URL, as they were listed. Pickles as names, without credentials.

    Args:
        namespace: Where the names mean something.
        url: With a commit, if it has versions.
        objects: What there is; listed if not given.
    """

    def __init__(self, namespace: Namespace, url: DatasetURL, objects: Sequence[ObjectInfo] | None = None) -> None:
        self.url = url
        self._namespace = namespace
        self._provider: Provider | None = None
        if objects is None:
            objects = [info for _, info in objects_at(self.provider, namespace.target(url).key)]
        self.objects = objects

    @property
    def provider(self) -> Provider:
        """Has the objects."""
        if self._provider is None:
            self._provider = self._namespace.target(self.url).provider
        return self._provider

    def having(self, objects: Sequence[ObjectInfo]) -> "Source":
        """Return the source with some of its objects only."""
        return Source(self._namespace, self.url, objects)

    def read(self, wanted: Sequence[Wanted]) -> list[bytes]:
        """Return ranges of objects, each of the version that was listed; over a network all at once.

        Raises:
            HeadMoved: An object is another one by now.
        """
        provider = self.provider
        if not isinstance(provider, SupportsRequests):
            return [self._read(provider, info, span) for info, span in wanted]
        found: dict[int, bytes] = {}
        with closing(read_objects(provider, wanted)) as results:
            for number, result in results:
                if isinstance(result, Exception):
                    raise result
                found[number] = result
        return [found[number] for number in range(len(wanted))]

    def open_seekable(self, info: ObjectInfo) -> io.BufferedReader:
        """Return a file over an object in the version that was listed; passing over much of it costs little."""
        provider = self.provider
        if isinstance(provider, SupportsRequests):
            return io.BufferedReader(_Skipping(self, info), _BUFFER)
        return io.BufferedReader(provider.read(info.key, if_match=info.etag), _BUFFER // 4)

    def _read(self, provider: Provider, info: ObjectInfo, span: ByteRange) -> bytes:
        with provider.read(info.key, range=span, if_match=info.etag) as reader:
            start, stop = span.bounds(info.size)
            data = read_exactly(reader, stop - start)
        if len(data) != stop - start:
            raise IntegrityError(f"{info.key!r}: a range came short", hint="run `datastore check`")
        return data

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._namespace.handle(), self.url, list(self.objects))


def _rebuild(handle: Mapping[str, str], url: DatasetURL, objects: Sequence[ObjectInfo]) -> Source:
    return Source(Namespace.from_handle(handle), url, objects)


class _Skipping(PositionedReader):
    """Reads an object over a network in ranges that grow while it is read on, and begin small after a jump."""

    def __init__(self, source: Source, info: ObjectInfo) -> None:
        super().__init__(info, info.size)
        self._source = source
        self._start = 0
        self._data = b""
        self._next = _BUFFER

    def _fill(self, buffer: memoryview, position: int) -> int:
        end = self._start + len(self._data)
        if not self._start <= position < end:
            self._next = min(self._next * 2, _RUN) if position == end else _BUFFER
            stop = min(position + max(self._next, len(buffer)), self.info.size)
            self._start = position
            (self._data,) = self._source.read([(self.info, ByteRange(position, stop))])
        piece = memoryview(self._data)[position - self._start :][: len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)
