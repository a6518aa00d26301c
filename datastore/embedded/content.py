"""From an entry of a tree to what people see of it and to its bytes."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

import msgspec
from msgspec import Struct

from datastore.bridging import Opener
from datastore.embedded import links
from datastore.embedded.blobs import BlobFiles
from datastore.embedded.nodes import BLOB, CHUNKS, ERASED, EXTERNAL, Entry
from datastore.errors import Erased, IntegrityError
from datastore.names import content_type_of
from datastore.provider import Reader
from datastore.streams import PositionedReader
from datastore.values import Attributes, ByteRange, Digest, ObjectInfo

__all__ = ["blobs_of", "chunks_of", "entry_of", "info_of", "open_entry", "retyped"]


class _Chunks(Struct):
    """The `extra` of an entry whose content is a list of chunks: (sha256 in hex, size), in order."""

    chunks: list[tuple[str, int]]


def chunks_of(entry: Entry) -> list[tuple[bytes, int]]:
    """Return the blobs, with their sizes, that an entry's content is made of, in order."""
    if entry.kind == BLOB:
        return [(entry.digest, entry.size)]
    if entry.kind != CHUNKS:
        return []
    try:
        return [(bytes.fromhex(name), size) for name, size in msgspec.json.decode(entry.extra, type=_Chunks).chunks]
    except ValueError as error:
        message = f"the list of chunks of content {entry.digest.hex()[:16]} cannot be read: {error}"
        raise IntegrityError(message, hint="run `datastore check`") from None


def blobs_of(entries: Iterable[Entry | None]) -> set[bytes]:
    """Return the digests of all blobs that these entries need."""
    return {digest for entry in entries if entry is not None for digest, _ in chunks_of(entry)}


def entry_of(key: str, digest: bytes, size: int, *, modified_us: int, attributes: Attributes | None) -> Entry:
    """Return the entry of an object that is being put; the content type follows from the key unless one is given."""
    given = attributes or Attributes()
    metadata = msgspec.json.encode(dict(sorted(given.metadata.items()))).decode() if given.metadata else ""
    return Entry(digest, size, modified_us, given.content_type or content_type_of(key), metadata)


def retyped(entry: Entry, source: str, target: str, *, modified_us: int) -> Entry:
    """Return the entry under another key; a content type that followed from the old extension follows the new one."""
    followed = entry.content_type == content_type_of(source)
    content_type = content_type_of(target) if followed else entry.content_type
    return msgspec.structs.replace(entry, content_type=content_type, modified=modified_us)


def info_of(key: str, entry: Entry, *, commit: str | None) -> ObjectInfo:
    """Return what people see of an entry. The etag is the content's hash, so equal bytes have equal etags."""
    name = entry.digest.hex()
    digest = Digest(f"sha256:{name}")
    outside = links.shown_source(entry) if entry.kind == EXTERNAL else None
    return ObjectInfo(
        key=key,
        size=entry.size,
        modified_us=entry.modified,
        etag=name,
        identity=outside.identity if outside else digest,
        digest=outside.known_digest if outside else digest,
        content_type=entry.content_type,
        metadata=msgspec.json.decode(entry.metadata, type=dict[str, str]) if entry.metadata else {},
        commit=commit,
        link=outside.link if outside else None,
    )


def open_entry(
    blobs: BlobFiles, info: ObjectInfo, entry: Entry, *, opener: Opener | None, range: ByteRange | None
) -> Reader:
    """Open the bytes of an entry, or a range of them.

    Args:
        blobs: Where the store's own bytes are.
        info: What people see of the entry.
        entry: The entry.
        opener: Opens the sources of links.
        range: Which bytes; None means all.

    Raises:
        Erased: The content was erased on purpose.
        IntegrityError: A blob is missing or has the wrong size; the source of a link is not what was linked.
    """
    if entry.kind == BLOB:
        return blobs.reader(info, entry.digest, range=range)
    if entry.kind == CHUNKS:
        return ChunksReader(info, blobs, chunks_of(entry), range=range)
    if entry.kind == ERASED:
        raise Erased(f"the content of {info.key!r} was erased", hint="older tags or commits may have other versions")
    return links.open_source(opener, info, entry, range=range)


class ChunksReader(PositionedReader):
    """A reader over content that is a list of blobs.

    Args:
        info: The object whose bytes these are.
        blobs: Where the chunks are.
        chunks: (digest, size) in order.
        range: Part of the object that is wanted.
    """

    def __init__(
        self, info: ObjectInfo, blobs: BlobFiles, chunks: list[tuple[bytes, int]], *, range: ByteRange | None
    ) -> None:
        start, stop = (range or ByteRange()).bounds(info.size)
        super().__init__(info, stop - start)
        self._blobs = blobs
        self._chunks = chunks
        self._starts = [0, *accumulate(size for _, size in chunks)]
        self._offset = start
        if self._starts[-1] != info.size:
            raise IntegrityError(f"the chunks of {info.key!r} have {self._starts[-1]} bytes instead of {info.size}")

    def _fill(self, buffer: memoryview, position: int) -> int:
        """Read from the one chunk that the position is in."""
        at = bisect_right(self._starts, self._offset + position) - 1
        digest, size = self._chunks[at]
        inside = self._offset + position - self._starts[at]
        return self._blobs.read_at(digest, size, buffer, inside)
