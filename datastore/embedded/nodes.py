"""The bytes of a tree node, format version 1.

A tree keeps the entries of a commit, sorted by key, in nodes of about 1,000 rows. A leaf (level 0) has one row for
each entry; a node of level n + 1 has one row for each node of level n: its greatest key, its id, its totals. Both are
the same msgpack array of columns, with integers as short as they go, little-endian arrays as `bin`:

    [v=1, level, n, keys, dig, size, num, cts, ct, meta, kind, extra]

    column         leaf                                             index (level >= 1)
    keys   bin     keys in UTF-8, sorted by bytes, joined with NUL  greatest key of each child
    dig    bin     32 bytes a row: sha256 of the content            id of each child
    size   bin     i64 a row: bytes                                 sum of the sizes below
    num    bin     i64 a row: microseconds since the epoch          number of entries below
    cts    [str]   the content types, sorted, each once             [""]
    ct     bin     u16 a row: index into cts; empty if len(cts) < 2 empty
    meta   bin     canonical JSON texts joined with NUL, '' = none  empty
    kind   bin     u8 a row (`BLOB`, `CHUNKS`, `EXTERNAL`, `ERASED`) empty
    extra  bin     canonical JSON texts joined with NUL, '' = none  empty

`meta`, `kind` and `extra` are empty when they say nothing in any row. The id of a node is the sha256 of these bytes.
It is stored as one zstd frame, with content size and checksum; the compressed bytes are not part of the format's
identity.

A node ends after the first row that is at least its `min_rows`-th and whose key, hashed with xxh3_64, has `bits` zero
bits from bit `bits * level` on; else at `max_rows`; or earlier, with its second row at the soonest, where the UTF-8 of
its keys, meta and extra reaches `max_bytes`. Only the last node of a level may end otherwise. So the same entries
always make the same nodes, whatever the order in which they came.
"""

import hashlib
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import lt
from typing import Final

import msgspec
import xxhash
import zstandard
from msgspec import Struct

from datastore.errors import IntegrityError, TooLarge, ValidationError
from datastore.names import MAX_KEY_BYTES

__all__ = [
    "BLOB",
    "CHUNKS",
    "ERASED",
    "EXTERNAL",
    "LIMITS",
    "DamagedNode",
    "Entry",
    "Limits",
    "Node",
    "Rows",
    "check_row",
    "compress",
    "decode",
    "decompress",
    "encode",
    "id_of",
    "node_end",
    "references",
    "same_content",
    "totals",
]

BLOB: Final = 0
"""The content is one blob; the digest is the sha256 of it."""
CHUNKS: Final = 1
"""The content is a list of chunks, named in `extra`; the digest is the sha256 of the whole."""
EXTERNAL: Final = 2
"""The content stays at another address, named in `extra`."""
ERASED: Final = 3
"""The content was erased on purpose; `extra` has the reason."""

MAX_TEXT_BYTES: Final = 64 * 1024
MAX_CONTENT_TYPE_BYTES: Final = 1024
# 1 MiB of texts, one row beyond it, 2,048 rows of the fixed columns, 2,048 content types: 3.4 MiB at the very most.
MAX_NODE_BYTES: Final = 4 * 1024 * 1024
_MAX_INT: Final = 2**63 - 1
_DIGEST: Final = 32
_HEAD: Final = b"\x9c\x01"  # msgpack: array of 12, version 1


class Limits(Struct, frozen=True):
    """Where nodes end. They are part of the format: other limits give other ids for the same entries.

    Attributes:
        min_rows: No hash ends a node before this many rows; at least 2, or a tree would never come to its root.
        max_rows: No node has more rows; at most 65,535 (the codes of content types are 16 bits).
        bits: Zero bits that end a node: one key in 2**bits has them.
        max_bytes: Bytes of keys, metadata and extra that end a node.
    """

    min_rows: int = 512
    max_rows: int = 2048
    bits: int = 9
    max_bytes: int = 1024 * 1024

    def __post_init__(self) -> None:
        if not 2 <= self.min_rows <= self.max_rows < 2**16:
            raise ValidationError(f"limits {self} must have 2 <= min_rows <= max_rows < 65536")


LIMITS: Final = Limits()


class DamagedNode(IntegrityError):
    """A node is missing, or its bytes are not what they have to be.

    Attributes:
        node_id: The node.
        problem: What is wrong with it.
    """

    def __init__(self, node_id: str, problem: str) -> None:
        hint = "check the store to see what else is damaged; restore it from a backup or from where the repo was pushed"
        super().__init__(f"tree node {node_id}: {problem}", hint=hint)
        self.node_id = node_id
        self.problem = problem


class Entry(Struct, frozen=True, gc=False):
    """What a commit knows of one key.

    Attributes:
        digest: sha256 of the content, 32 bytes.
        size: Bytes of content.
        modified: Microseconds since the epoch.
        content_type: Media type.
        metadata: '' or the sorted, compact JSON of an object of strings; at most 64 KiB of UTF-8.
        kind: Where the content is: `BLOB`, `CHUNKS`, `EXTERNAL` or `ERASED`.
        extra: '' or the canonical JSON that this kind needs; at most 64 KiB of UTF-8.
    """

    digest: bytes
    size: int
    modified: int
    content_type: str
    metadata: str = ""
    kind: int = BLOB
    extra: str = ""

    def same_content(self, other: "Entry") -> bool:
        """Tell whether nothing but the time differs: what a diff shows to people, what a merge calls equal.

        >>> Entry(bytes(32), 1, 10, "text/csv").same_content(Entry(bytes(32), 1, 99, "text/csv"))
        True
        """
        return (
            self.digest == other.digest
            and self.size == other.size
            and self.content_type == other.content_type
            and self.metadata == other.metadata
            and self.kind == other.kind
            and self.extra == other.extra
        )


def same_content(a: Entry | None, b: Entry | None) -> bool:
    """Tell whether two sides, each an entry or nothing, are the same but for their times.

    >>> same_content(None, None), same_content(None, Entry(bytes(32), 1, 10, "text/csv"))
    (True, False)
    """
    if a is None or b is None:
        return a is b
    return a.same_content(b)


class Rows:
    """Columns of equal length in key order. In an index node, `digests` are child ids, `sizes` and `numbers` totals.

    The rows of a decoded node are shared by all readers: only fresh ones may be changed.
    """

    __slots__ = ("content_types", "digests", "extras", "keys", "kinds", "metadata", "numbers", "sizes")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.digests = bytearray()
        self.sizes: array[int] = array("q")
        self.numbers: array[int] = array("q")
        self.content_types: list[str] = []
        self.metadata: list[str] = []
        self.kinds = bytearray()
        self.extras: list[str] = []

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def last_key(self) -> str:
        """The greatest key, '' if there are no rows."""
        return self.keys[-1] if self.keys else ""

    def find(self, key: str, *, start: int = 0) -> tuple[int, bool]:
        """Return where the key is or would be, and whether it is there; looks from row `start` on."""
        at = bisect_left(self.keys, key, start)
        return at, at < len(self.keys) and self.keys[at] == key

    def digest(self, at: int) -> bytes:
        """The digest (in an index node: the binary id of the child) of one row."""
        return bytes(self.digests[at * _DIGEST : (at + 1) * _DIGEST])

    def entry(self, at: int) -> Entry:
        """One row as an `Entry`."""
        return Entry(
            self.digest(at),
            self.sizes[at],
            self.numbers[at],
            self.content_types[at],
            self.metadata[at],
            self.kinds[at],
            self.extras[at],
        )

    def entries(self, start: int, stop: int) -> Iterator[tuple[str, Entry]]:
        """The rows from `start` to before `stop`, as (key, entry)."""
        digests = bytes(self.digests[start * _DIGEST : stop * _DIGEST])
        part = slice(start, stop)
        entries = map(
            Entry,
            [digests[at : at + _DIGEST] for at in range(0, len(digests), _DIGEST)],
            self.sizes[part],
            self.numbers[part],
            self.content_types[part],
            self.metadata[part],
            self.kinds[part],
            self.extras[part],
        )
        return zip(self.keys[part], entries, strict=True)

    def same(self, at: int, other: "Rows", there: int, count: int) -> bool:
        """Tell whether `count` whole rows from `at` on equal those of `other` from `there` on."""
        a, b = slice(at, at + count), slice(there, there + count)
        return (
            self.digests[at * _DIGEST : a.stop * _DIGEST] == other.digests[there * _DIGEST : b.stop * _DIGEST]
            and self.keys[a] == other.keys[b]
            and self.numbers[a] == other.numbers[b]
            and self.sizes[a] == other.sizes[b]
            and self.content_types[a] == other.content_types[b]
            and self.metadata[a] == other.metadata[b]
            and self.kinds[a] == other.kinds[b]
            and self.extras[a] == other.extras[b]
        )

    def append(self, key: str, entry: Entry) -> None:
        """Add a row at the end; the caller sees to the order and has called `check_row`."""
        self.keys.append(key)
        self.digests += entry.digest
        self.sizes.append(entry.size)
        self.numbers.append(entry.modified)
        self.content_types.append(entry.content_type)
        self.metadata.append(entry.metadata)
        self.kinds.append(entry.kind)
        self.extras.append(entry.extra)

    def append_all(self, rows: Sequence[tuple[str, Entry]]) -> None:
        """Add many rows at the end: `append`, but a column at a time."""
        self.keys += [key for key, _ in rows]
        self.digests += b"".join([entry.digest for _, entry in rows])
        self.sizes.extend([entry.size for _, entry in rows])
        self.numbers.extend([entry.modified for _, entry in rows])
        self.content_types += [entry.content_type for _, entry in rows]
        self.metadata += [entry.metadata for _, entry in rows]
        self.kinds += bytes([entry.kind for _, entry in rows])
        self.extras += [entry.extra for _, entry in rows]

    def splice(self, source: "Rows", start: int, stop: int) -> None:
        """Add the rows of `source` from `start` to before `stop` at the end."""
        part = slice(start, stop)
        self.keys += source.keys[part]
        self.digests += source.digests[start * _DIGEST : stop * _DIGEST]
        self.sizes += source.sizes[part]
        self.numbers += source.numbers[part]
        self.content_types += source.content_types[part]
        self.metadata += source.metadata[part]
        self.kinds += source.kinds[part]
        self.extras += source.extras[part]

    def drop(self, count: int) -> None:
        """Remove the first rows."""
        del self.keys[:count]
        del self.digests[: count * _DIGEST]
        del self.sizes[:count]
        del self.numbers[:count]
        del self.content_types[:count]
        del self.metadata[:count]
        del self.kinds[:count]
        del self.extras[:count]


class Node(Struct, frozen=True):
    """A decoded node. Immutable: its rows are shared by all readers.

    Attributes:
        level: 0 for a leaf.
        rows: Its columns.
        count: Entries in it or below it.
        size: Bytes of their contents.
    """

    level: int
    rows: Rows
    count: int
    size: int


def totals(level: int, rows: Rows) -> tuple[int, int]:
    """Return (entries, bytes) of a node with these rows."""
    return (sum(rows.numbers) if level else len(rows)), sum(rows.sizes)


def check_row(key: str, entry: Entry) -> None:
    """Raise `ValidationError` naming what of a row the format cannot hold.

    Narrower rules (path segments, reserved names) are the API's, see `datastore.names`.
    """
    _check_text("key", key, key, MAX_KEY_BYTES)
    if not key:
        raise ValidationError("an entry has an empty key")
    if len(entry.digest) != _DIGEST:
        raise ValidationError(f"entry {key!r}: the digest has {len(entry.digest)} bytes, not {_DIGEST}")
    if not 0 <= entry.size <= _MAX_INT:
        raise ValidationError(f"entry {key!r}: {entry.size} is not a size")
    if not -_MAX_INT <= entry.modified <= _MAX_INT:
        raise ValidationError(f"entry {key!r}: the time {entry.modified} does not fit 64 bits")
    if not BLOB <= entry.kind <= ERASED:
        raise ValidationError(f"entry {key!r}: {entry.kind} is not a kind of content")
    _check_text("content type", key, entry.content_type, MAX_CONTENT_TYPE_BYTES)
    if entry.metadata:
        _check_text("metadata", key, entry.metadata, MAX_TEXT_BYTES)
    if entry.extra:
        _check_text("extra", key, entry.extra, MAX_TEXT_BYTES)


def _check_text(what: str, key: str, text: str, limit: int) -> None:
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise ValidationError(f"entry {key[:80]!r}: the {what} has a lone surrogate at {error.start}") from None
    if size > limit:
        hint = "put it into an object of its own, name its key here" if limit == MAX_TEXT_BYTES else None
        raise TooLarge(f"entry {key[:80]!r}: the {what} has {size} bytes, the limit is {limit}", hint=hint)
    if "\0" in text:
        raise ValidationError(f"entry {key[:80]!r}: the {what} contains NUL")


def node_end(rows: Rows, start: int, *, level: int, limits: Limits, scanned: int = 0) -> int | None:
    """Return where the node that starts at row `start` ends (exclusive), None while more rows could still join it.

    Args:
        rows: Rows of one level; those after the end are ignored.
        start: First row of the node.
        level: The level, which chooses the bits of the hash. A hash has 64; the bits beyond count as zero.
        limits: The format's limits.
        scanned: Rows before this one are known to end no node by their hash.
    """
    stop = min(len(rows), start + limits.max_rows)
    full = _filled(rows, start, stop, limits.max_bytes)
    if full is not None:
        stop = full
    shift, mask = level * limits.bits, (1 << limits.bits) - 1
    hash_of = xxhash.xxh3_64_intdigest
    first = max(start + limits.min_rows - 1, scanned)
    for at, key in enumerate(rows.keys[first:stop], first):
        if not (hash_of(key.encode()) >> shift) & mask:
            return at + 1
    return stop if full is not None or stop - start == limits.max_rows else None


def _filled(rows: Rows, start: int, stop: int, max_bytes: int) -> int | None:
    """Return the end of the row, the second or later, with which the texts from `start` on reach `max_bytes`."""
    columns = (rows.keys, rows.metadata, rows.extras)
    if 4 * sum(sum(map(len, column[start:stop])) for column in columns) < max_bytes:
        return None  # the usual case, told without encoding: no character takes more than 4 bytes
    size = 0
    for at in range(start, stop):
        size += sum(len(column[at].encode()) for column in columns)
        if size >= max_bytes and at > start:
            return at + 1
    return None


def encode(level: int, rows: Rows) -> bytes:
    """Return the canonical bytes of a node, not compressed."""
    types = sorted(set(rows.content_types))
    codes: array[int] = array("H")
    if len(types) > 1:
        code_of = {content_type: code for code, content_type in enumerate(types)}
        codes.extend([code_of[content_type] for content_type in rows.content_types])
    columns = (
        1,
        level,
        len(rows),
        "\0".join(rows.keys).encode(),
        rows.digests,
        _little_endian(rows.sizes).tobytes(),
        _little_endian(rows.numbers).tobytes(),
        types,
        _little_endian(codes).tobytes(),
        _joined(rows.metadata),
        rows.kinds if any(rows.kinds) else b"",
        _joined(rows.extras),
    )
    return msgspec.msgpack.encode(columns)


def id_of(raw: bytes) -> str:
    """Return the id of a node from its canonical bytes: the hex sha256."""
    return hashlib.sha256(raw).hexdigest()


def compress(raw: bytes) -> bytes:
    """Return what is stored: one zstd frame with a checksum, without which bit rot would go unseen."""
    return zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True).compress(raw)


def decompress(node_id: str, data: bytes) -> bytes:
    """Return the canonical bytes from what is stored, or raise `IntegrityError` if the frame is not whole."""
    try:
        frame = zstandard.get_frame_parameters(data)
        # The library allocates what the header says, so look before it leaps.
        if not (frame.has_checksum and 0 < frame.content_size <= MAX_NODE_BYTES):
            raise DamagedNode(node_id, "its zstd frame has no checksum, no size, or is over 4 MiB")
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise DamagedNode(node_id, str(error)) from None


_decoder = msgspec.msgpack.Decoder(
    tuple[int, int, int, bytes, bytes, bytes, bytes, list[str], bytes, bytes, bytes, bytes]
)


def decode(node_id: str, raw: bytes) -> Node:
    """Return the node from its canonical bytes, or raise `IntegrityError` if they break the format.

    Does not hash: whoever takes nodes from elsewhere compares `id_of(raw)`, as `Trees.verify` does.
    """
    if not raw.startswith(_HEAD):
        raise DamagedNode(node_id, "it is not in tree format 1; a newer datastore-sdk may be able to read it")
    try:
        _, level, count, keys, digests, sizes, numbers, types, codes, metadata, kinds, extras = _decoder.decode(raw)
        if not (level >= 0 and len(digests) == _DIGEST * count):
            raise DamagedNode(node_id, "wrong level or number of digests")
        rows = Rows()
        rows.keys = _texts(keys, count)
        rows.digests += digests
        rows.sizes = _integers("q", sizes)
        rows.numbers = _integers("q", numbers)
        rows.content_types = _content_types(types, codes, count)
        rows.metadata = _texts(metadata, count)
        rows.kinds += kinds or bytes(count)
        rows.extras = _texts(extras, count)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise DamagedNode(node_id, str(error)) from None
    if problem := _row_problem(rows) or (level and _index_problem(rows)):
        raise DamagedNode(node_id, problem)
    return Node(level, rows, *totals(level, rows))


def references(node_id: str, data: bytes) -> tuple[int, bytes, Rows | None]:
    """Return (level, digest column, rows) of a stored node; the rows only if not every entry is one blob.

    For walks over everything: a tenth of the work of `decode`, and safer, because the bytes are compared with the id.
    """
    raw = decompress(node_id, data)
    if id_of(raw) != node_id:
        raise DamagedNode(node_id, "its bytes do not match its id")
    _, level, _, _, digests, _, _, _, _, _, kinds, _ = _decoder.decode(raw)
    return level, digests, decode(node_id, raw).rows if any(kinds) else None


def _row_problem(rows: Rows) -> str | None:
    columns: Iterable[Sequence[object]] = (
        rows.sizes,
        rows.numbers,
        rows.content_types,
        rows.metadata,
        rows.kinds,
        rows.extras,
    )
    if any(len(column) != len(rows) for column in columns):
        return "its columns differ in length"
    if rows.keys and not (rows.keys[0] and all(map(lt, rows.keys, islice(rows.keys, 1, None)))):
        return "its keys are not in order"
    if rows.keys and (min(rows.sizes) < 0 or max(rows.kinds) > ERASED):
        return "it has an impossible size or kind of content"
    return None


def _index_problem(rows: Rows) -> str | None:
    if not rows.keys or min(rows.numbers) < 1:
        return "an index node, or a child of it, is empty"
    if any(rows.content_types) or any(rows.metadata) or any(rows.kinds) or any(rows.extras):
        return "an index node has leaf columns"
    return None


def _joined(texts: list[str]) -> bytes:
    return "\0".join(texts).encode() if any(texts) else b""


def _texts(column: bytes, count: int) -> list[str]:
    texts = column.decode().split("\0") if column else [""] * count
    if len(texts) != count:
        raise ValueError(f"{len(texts)} texts for {count} rows")
    return texts


def _integers(code: str, column: bytes) -> "array[int]":
    numbers: array[int] = array(code)
    numbers.frombytes(column)
    return _little_endian(numbers)


def _content_types(types: list[str], codes: bytes, count: int) -> list[str]:
    types = [sys.intern(content_type) for content_type in types]  # rows of two nodes are compared by identity first
    if len(types) < 2 and not codes:
        return types * count
    return [types[code] for code in _integers("H", codes)]


def _little_endian(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "little":
        return numbers
    swapped = numbers[:]
    swapped.byteswap()
    return swapped
