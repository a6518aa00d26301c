"""A provider in this process' memory: the executable specification of `Provider`, and a store for tests and drafts.

Read it after `datastore/provider.py`. All that there is sits in a dictionary; every verb takes a look at it, or makes
a change to it, under a lock. What other providers do with servers and disks has to look the same from outside.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from time import time_ns

from msgspec import Struct

from datastore.errors import AlreadyExists, HeadMoved, NotFound, ValidationError
from datastore.listing import grouped, pages
from datastore.names import check_key, check_metadata, content_type_of
from datastore.provider import Body, Bytes, Capabilities, Provider, Reader
from datastore.streams import BytesReader, as_bytes, body_chunks
from datastore.values import (
    CREATE,
    OVERWRITE,
    Attributes,
    ByteRange,
    DeleteFailure,
    Match,
    ObjectInfo,
    Page,
    PutMode,
    digest_of,
)

__all__ = ["MemoryProvider", "Options", "open_mount"]


class _Object(Struct, frozen=True):
    info: ObjectInfo
    data: bytes


class MemoryProvider:
    """Objects in a dictionary; safe to share between threads, gone with the process.

    >>> provider = MemoryProvider()
    >>> provider.put("a/b.txt", b"hello").content_type
    'text/plain'
    >>> with provider.read("a/b.txt", range=ByteRange(1, 3)) as reader:
    ...     reader.read()
    b'el'
    >>> [page.prefixes for page in provider.list(delimiter="/")]
    [['a/']]
    """

    def __init__(self) -> None:
        self._objects: dict[str, _Object] = {}
        self._lock = threading.Lock()
        self._etags = map(str, count(1))

    @property
    def capabilities(self) -> Capabilities:
        """Everything, and nothing stays as it is."""
        return Capabilities(
            writable=True, immutable=False, create=True, match=True, attributes=True, digests=True, local=True
        )

    def head(self, key: str) -> ObjectInfo:
        """Return what is known of an object, or raise `NotFound`."""
        return self._get(key).info

    def read(self, key: str, *, range: ByteRange | None = None, if_match: str | None = None) -> Reader:
        """Open an object. Later writes do not touch the bytes that the reader holds."""
        found = self._get(key)
        if if_match is not None and found.info.etag != if_match:
            raise HeadMoved(f"object {key!r} has etag {found.info.etag!r} by now, not {if_match!r}")
        return BytesReader(found.info, found.data, range=range)

    def put(
        self, key: str, body: Body, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None
    ) -> ObjectInfo:
        """Write a whole object. The body is taken in whole before anything changes."""
        checked = _checked(key, attributes)
        return self._store(key, b"".join(body_chunks(body)), mode=mode, attributes=checked)

    def writer(self, key: str, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None) -> "_Writer":
        """Start an object; the mode is looked at when it is committed."""
        return _Writer(key, partial(self._store, key, mode=mode, attributes=_checked(key, attributes)))

    def copy(self, source: str, target: str, *, mode: PutMode = OVERWRITE) -> ObjectInfo:
        """Give the bytes and attributes of one key to another."""
        check_key(target)
        found = self._get(source)
        return self._store(target, found.data, mode=mode, attributes=_carried(found.info))

    def link(self, source: ObjectInfo, key: str, *, mode: PutMode = OVERWRITE) -> ObjectInfo | None:
        """Give bytes that are here already to another key; None if no object has them."""
        attributes = _checked(key, _carried(source))
        with self._lock:
            held = next((o.data for o in self._objects.values() if o.info.identity == source.identity), None)
        return None if held is None else self._store(key, held, mode=mode, attributes=attributes)

    def delete(self, keys: Sequence[str]) -> Sequence[DeleteFailure]:
        """Delete exactly these keys."""
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)
        return []

    def list(self, prefix: str = "", *, delimiter: str | None = None, start_after: str | None = None) -> Iterator[Page]:
        """List the objects that exist now, in the order of their keys.

        Python compares text by code points, which for everything that can be encoded is the order of the UTF-8 bytes.
        """
        with self._lock:
            infos = {key: self._objects[key].info for key in sorted(self._objects)}
        keys = [*infos]

        def scan(start: str) -> Iterator[tuple[str, ObjectInfo]]:
            return ((key, infos[key]) for key in keys[bisect_left(keys, start) :])

        return pages(grouped(scan, prefix=prefix, delimiter=delimiter, start_after=start_after))

    def close(self) -> None:
        """Nothing to let go of: other handles of the same name go on."""

    def _get(self, key: str) -> _Object:
        with self._lock:
            found = self._objects.get(key)
        if found is None:
            raise NotFound(f"no object has the key {key!r}")
        return found

    def _store(self, key: str, data: bytes, *, mode: PutMode, attributes: Attributes) -> ObjectInfo:
        digest = digest_of(data)  # hashing is the slow part, and needs no lock
        with self._lock:
            _check_mode(self._objects.get(key), key, mode)
            info = ObjectInfo(
                key=key,
                size=len(data),
                modified_us=time_ns() // 1000,
                etag=next(self._etags),
                identity=digest,
                digest=digest,
                content_type=attributes.content_type or content_type_of(key),
                metadata=attributes.metadata,
            )
            self._objects[key] = _Object(info, data)
        return info


class _Writer:
    """An object in the making: bytes that no dictionary holds yet."""

    def __init__(self, key: str, publish: Callable[[bytes], ObjectInfo]) -> None:
        self._key = key
        self._publish = publish
        self._taken: bytearray | None = bytearray()

    def write(self, data: Bytes, /) -> int:
        taken = self._open()
        before = len(taken)
        taken += as_bytes(data)
        return len(taken) - before

    def commit(self) -> ObjectInfo:
        data = bytes(self._open())
        self.abort()
        return self._publish(data)

    def abort(self) -> None:
        self._taken = None

    def _open(self) -> bytearray:
        if self._taken is None:
            raise ValidationError(f"the writer of {self._key!r} was committed or aborted", hint="open another one")
        return self._taken


def _checked(key: str, attributes: Attributes | None) -> Attributes:
    check_key(key)
    given = attributes or Attributes()
    return Attributes(content_type=given.content_type, metadata=check_metadata(given.metadata))


def _carried(source: ObjectInfo) -> Attributes:
    """Return the attributes of a copy: a content type that followed from the old extension follows the new one."""
    followed = source.content_type == content_type_of(source.key)
    return Attributes(content_type=None if followed else source.content_type, metadata=source.metadata)


def _check_mode(found: _Object | None, key: str, mode: PutMode) -> None:
    if mode == CREATE and found is not None:
        raise AlreadyExists(f"the key {key!r} is taken", hint="choose another key, or overwrite it on purpose")
    if isinstance(mode, Match) and (found is None or found.info.etag != mode.etag):
        now = f"has etag {found.info.etag!r} by now" if found else "is gone"
        raise HeadMoved(f"object {key!r} {now}", hint="read it again, then decide")


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a mount may say: handles of one name share one store within the process."""

    name: str = "default"


_shared: dict[str, MemoryProvider] = {}
_sharing = threading.Lock()


def open_mount(options: Options) -> Provider:
    """Return the store of this name, the same one each time."""
    with _sharing:
        return _shared.setdefault(options.name, MemoryProvider())
