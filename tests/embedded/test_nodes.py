"""The bytes of a tree node: what is written stays readable, what is damaged is never handed out."""

import hashlib
import random
import struct
import sys

import msgspec
import pytest
import xxhash
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from datastore.embedded.nodes import (
    BLOB,
    CHUNKS,
    ERASED,
    EXTERNAL,
    MAX_NODE_BYTES,
    Entry,
    Limits,
    Node,
    Rows,
    check_row,
    compress,
    decode,
    decompress,
    encode,
    id_of,
    node_end,
    totals,
)
from datastore.errors import IntegrityError, TooLarge, ValidationError

LEAF = [
    ("a", Entry(b"\x01" * 32, 10, -5, "text/csv")),
    ("b/é", Entry(b"\x02" * 32, 2**40, 1_700_000_000_000_000, "image/png", '{"k":"v"}')),
    ("c", Entry(b"\x03" * 32, 0, 0, "text/csv", "", ERASED, '{"reason":"asked"}')),
]


def rows_of(pairs):
    rows = Rows()
    rows.append_all(pairs)
    return rows


def pairs_of(rows):
    return list(rows.entries(0, len(rows)))


def reread(level, rows):
    raw = encode(level, rows)
    return decode(id_of(raw), decompress(id_of(raw), compress(raw)))


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
entries = st.builds(
    Entry,
    digest=st.binary(min_size=32, max_size=32),
    size=st.integers(0, 2**63 - 1),
    modified=st.integers(-(2**63) + 1, 2**63 - 1),
    content_type=texts,
    metadata=texts,
    kind=st.sampled_from([BLOB, CHUNKS, EXTERNAL, ERASED]),
    extra=texts,
)


# ---------------------------------------------------------------------------------------------------------- the format


def test_columns_of_a_leaf():
    assert msgspec.msgpack.decode(encode(0, rows_of(LEAF))) == [
        1,
        0,
        3,
        "a\0b/é\0c".encode(),
        b"\x01" * 32 + b"\x02" * 32 + b"\x03" * 32,
        struct.pack("<3q", 10, 2**40, 0),
        struct.pack("<3q", -5, 1_700_000_000_000_000, 0),
        ["image/png", "text/csv"],
        struct.pack("<3H", 1, 0, 1),
        b'\0{"k":"v"}\0',
        b"\x00\x00\x03",
        b'\0\0{"reason":"asked"}',
    ]


def test_columns_that_say_nothing_are_empty():
    plain = [(key, Entry(bytes(32), 1, 2, "text/csv")) for key in "xyz"]
    assert msgspec.msgpack.decode(encode(0, rows_of(plain)))[7:] == [["text/csv"], b"", b"", b"", b""]
    assert msgspec.msgpack.decode(encode(0, Rows())) == [1, 0, 0, b"", b"", b"", b"", [], b"", b"", b"", b""]


def test_columns_of_an_index_node():
    children = [("m", Entry(b"\x0a" * 32, 70, 3, "")), ("z", Entry(b"\x0b" * 32, 80, 4, ""))]
    raw = encode(2, rows_of(children))
    assert msgspec.msgpack.decode(raw) == [
        1,
        2,
        2,
        b"m\0z",
        b"\x0a" * 32 + b"\x0b" * 32,
        struct.pack("<2q", 70, 80),
        struct.pack("<2q", 3, 4),
        [""],
        b"",
        b"",
        b"",
        b"",
    ]
    node = decode(id_of(raw), raw)
    assert (node.level, node.count, node.size) == (2, 7, 150)


def test_the_id_is_the_hash_of_the_uncompressed_bytes():
    raw = encode(0, rows_of(LEAF))
    assert id_of(raw) == hashlib.sha256(raw).hexdigest()
    assert zstandard.ZstdDecompressor().decompress(compress(raw)) == raw


@given(st.dictionaries(texts.filter(bool), entries, max_size=8))
def test_rows_come_back_as_they_were(pairs):
    pairs = sorted(pairs.items())
    for key, entry in pairs:
        check_row(key, entry)
    node = reread(0, rows_of(pairs))
    assert pairs_of(node.rows) == pairs
    assert [node.rows.entry(at) for at in range(len(pairs))] == [entry for _, entry in pairs]
    assert (node.count, node.size) == (len(pairs), sum(entry.size for _, entry in pairs))
    assert encode(0, node.rows) == encode(0, rows_of(pairs))


def test_a_big_endian_host_swaps_the_arrays_both_ways(monkeypatch):
    swapped = struct.pack(">3q" if sys.byteorder == "little" else "<3q", 10, 2**40, 0)
    monkeypatch.setattr(sys, "byteorder", "big")
    raw = encode(0, rows_of(LEAF))
    assert msgspec.msgpack.decode(raw)[5] == swapped
    assert pairs_of(decode(id_of(raw), raw).rows) == LEAF


def test_rows_are_spliced_and_dropped_by_whole_rows():
    rows = Rows()
    rows.splice(rows_of(LEAF), 1, 3)
    assert pairs_of(rows) == LEAF[1:]
    rows.append("d", LEAF[0][1])
    rows.drop(1)
    assert pairs_of(rows) == [LEAF[2], ("d", LEAF[0][1])]


@given(entries, entries)
def test_rows_are_the_same_only_if_every_column_is(one, other):
    assert rows_of([("k", one)]).same(0, rows_of([("k", other)]), 0, 1) == (one == other)


FIELDS = {
    "digest": b"\x09" * 32,
    "size": 9,
    "modified": 9,
    "content_type": "x/y",
    "metadata": "{}",
    "kind": CHUNKS,
    "extra": "[]",
}


@pytest.mark.parametrize("field", FIELDS)
def test_any_field_makes_rows_differ_but_the_time_no_content(field):
    entry = Entry(bytes(32), 1, 2, "text/csv")
    other = msgspec.structs.replace(entry, **{field: FIELDS[field]})
    assert not rows_of([("k", entry)]).same(0, rows_of([("k", other)]), 0, 1)
    assert entry.same_content(other) == (field == "modified")


# ------------------------------------------------------------------------------------------------------- damaged bytes


def test_bit_flips_are_detected():
    pairs = [
        (f"images/{at:05d}.jpg", Entry(hashlib.sha256(b"%d" % at).digest(), at, at, "image/jpeg")) for at in range(300)
    ]
    raw = encode(0, rows_of(pairs))
    data = compress(raw)
    rng = random.Random(7)
    refused = 0
    for _ in range(2000):
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            # A few bits of a zstd frame mean nothing. Whatever still opens has to be the very same bytes.
            assert decompress("n", bytes(flipped)) == raw
        except IntegrityError:
            refused += 1
    assert refused > 1900


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: data + data,
        lambda data: b"not zstd at all",
    ],
)
def test_a_frame_that_is_cut_or_goes_on_is_refused(spoil):
    with pytest.raises(IntegrityError, match="cafe"):
        decompress("cafe", spoil(compress(encode(0, rows_of(LEAF)))))


def test_a_frame_without_checksum_or_size_is_refused():
    raw = encode(0, rows_of(LEAF))
    for options in ({"write_checksum": False}, {"write_checksum": True, "write_content_size": False}):
        with pytest.raises(IntegrityError):
            decompress("n", zstandard.ZstdCompressor(**options).compress(raw))


def test_a_frame_that_would_fill_the_memory_is_refused():
    bomb = compress(bytes(MAX_NODE_BYTES + 1))
    assert len(bomb) < 10_000
    with pytest.raises(IntegrityError, match="4 MiB"):
        decompress("n", bomb)


INDEX = [("m", Entry(b"\x0a" * 32, 70, 3, "")), ("z", Entry(b"\x0b" * 32, 80, 4, ""))]
# Column of a three-row leaf (`LEAF`) -> what a foreign writer might have put there.
FORGED = [
    (0, 2),
    (0, "1"),
    (1, -1),
    (1, None),
    (2, 2),
    (2, 4),
    (2, -3),
    (2, 2**62),
    (3, b"a\0c\0b"),
    (3, b"a\0a\0b"),
    (3, b"\0a\0b"),
    (3, b"a\0b"),
    (3, b"a\0b\0c\0d"),
    (3, b""),
    (3, b"a\0b\0\xff"),
    (3, b"a\0b\0\xed\xa0\x80"),
    (3, "a\0b\0c"),
    (4, bytes(95)),
    (4, bytes(64)),
    (5, bytes(16)),
    (5, bytes(23)),
    (5, struct.pack("<3q", 1, -1, 1)),
    (6, bytes(32)),
    (6, b""),
    (7, ["text/csv"]),
    (7, []),
    (7, [1, 2]),
    (8, b""),
    (8, struct.pack("<3H", 0, 1, 2)),
    (8, struct.pack("<2H", 0, 1)),
    (8, bytes(5)),
    (9, b"\0"),
    (9, b"\0\0\0"),
    (9, b"\xff\0\0"),
    (10, b"\x00\x00"),
    (10, b"\x00\x00\x04"),
    (11, b"x"),
]


@pytest.mark.parametrize(("column", "value"), FORGED)
def test_a_leaf_that_breaks_the_format_is_refused(column, value):
    columns = msgspec.msgpack.decode(encode(0, rows_of(LEAF)))
    columns[column] = value
    with pytest.raises(IntegrityError, match="cafe"):
        decode("cafe", msgspec.msgpack.encode(columns))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (6, struct.pack("<2q", 3, 0)),
        (7, ["text/csv"]),
        (9, b"{}\0"),
        (10, b"\x00\x01"),
        (11, b"\0[]"),
    ],
)
def test_an_index_node_that_breaks_the_format_is_refused(column, value):
    columns = msgspec.msgpack.decode(encode(1, rows_of(INDEX)))
    columns[column] = value
    with pytest.raises(IntegrityError, match="cafe"):
        decode("cafe", msgspec.msgpack.encode(columns))


def test_an_index_node_without_children_is_refused():
    with pytest.raises(IntegrityError, match="empty"):
        decode("cafe", encode(1, Rows()))


def test_missing_columns_and_trailing_bytes_are_refused():
    raw = encode(0, rows_of(LEAF))
    columns = msgspec.msgpack.decode(raw)
    for forged in (raw + b"\0", raw[:-1], msgspec.msgpack.encode(columns[:-1]), msgspec.msgpack.encode(3), b""):
        with pytest.raises(IntegrityError):
            decode("cafe", forged)


def test_a_later_format_is_told_apart_from_damage():
    columns = msgspec.msgpack.decode(encode(0, rows_of(LEAF)))
    with pytest.raises(IntegrityError, match="newer"):
        decode("cafe", msgspec.msgpack.encode([2, *columns[1:]]))


# ----------------------------------------------------------------------------------------------------------- bad input

GOOD = Entry(bytes(32), 1, 2, "text/csv")


@pytest.mark.parametrize(
    ("key", "changes", "message"),
    [
        ("", {}, "empty key"),
        ("a\0b", {}, "NUL"),
        ("a\ud800", {}, "surrogate"),
        ("a", {"digest": bytes(31)}, "31 bytes"),
        ("a", {"size": -1}, "not a size"),
        ("a", {"size": 2**63}, "not a size"),
        ("a", {"modified": 2**63}, "64 bits"),
        ("a", {"kind": 4}, "kind"),
        ("a", {"kind": -1}, "kind"),
        ("a", {"content_type": "a\ud800"}, "surrogate"),
        ("a", {"metadata": '{"\0":""}'}, "NUL"),
        ("a", {"extra": "\udfff"}, "surrogate"),
    ],
)
def test_a_row_that_the_format_cannot_hold_is_refused(key, changes, message):
    with pytest.raises(ValidationError, match=message):
        check_row(key, msgspec.structs.replace(GOOD, **changes))


def test_sizes_of_texts_are_counted_in_bytes():
    check_row("é" * 512, GOOD)
    check_row("k", Entry(bytes(32), 1, 2, "x" * 1024, "é" * 32_768, EXTERNAL, "x" * 65_536))
    for key, entry in (
        ("é" * 512 + "x", GOOD),
        ("k", msgspec.structs.replace(GOOD, metadata="é" * 32_768 + "x")),
        ("k", msgspec.structs.replace(GOOD, extra="x" * 65_537)),
        ("k", msgspec.structs.replace(GOOD, content_type="x" * 1025)),
    ):
        with pytest.raises(TooLarge, match="limit"):
            check_row(key, entry)


def test_the_largest_node_is_under_the_cap():
    text = "x" * 65_536
    pairs = [(f"{at:01024d}", Entry(bytes(32), 1, 2, f"{at:01024d}")) for at in range(1023)]
    pairs.append((f"{1023:01024d}", Entry(bytes(32), 1, 2, f"{1023:01024d}", text, CHUNKS, text)))
    rows = rows_of(pairs)
    assert node_end(rows, 0, level=0, limits=Limits(bits=60)) == len(rows)
    assert reread(0, rows).count == len(rows)


@pytest.mark.parametrize(
    "wrong", [{"min_rows": 1}, {"min_rows": 9, "max_rows": 8}, {"max_rows": 65_536}, {"min_rows": 0}]
)
def test_limits_under_which_a_tree_would_not_end_are_refused(wrong):
    with pytest.raises(ValidationError):
        Limits(**wrong)


# ------------------------------------------------------------------------------------------------------- where it ends


def naive_end(pairs, level, limits):
    """The rule as it is written, a row at a time."""
    size = 0
    for at, (key, entry) in enumerate(pairs):
        size += len(key.encode()) + len(entry.metadata.encode()) + len(entry.extra.encode())
        bits = xxhash.xxh3_64_intdigest(key.encode()) // 2 ** (limits.bits * level) % 2**limits.bits
        if (at + 1 >= limits.min_rows and bits == 0) or at + 1 == limits.max_rows or (at and size >= limits.max_bytes):
            return at + 1
    return None


@given(
    st.dictionaries(texts.filter(bool), entries, max_size=20),
    st.builds(
        Limits,
        min_rows=st.integers(2, 4),
        max_rows=st.integers(4, 12),
        bits=st.integers(1, 9),
        max_bytes=st.integers(1, 300),
    ),
    st.integers(0, 9),
    st.integers(0, 3),
)
def test_nodes_end_where_the_rule_says(pairs, limits, level, start):
    pairs = sorted(pairs.items())
    start = min(start, len(pairs))
    end = naive_end(pairs[start:], level, limits)
    found = node_end(rows_of(pairs), start, level=level, limits=limits)
    assert found == (None if end is None else start + end)


def test_rows_known_to_end_nothing_need_no_second_look():
    limits = Limits(min_rows=2, max_rows=50, bits=2)
    rows = rows_of([(f"{at:03d}", GOOD) for at in range(40)])
    end = node_end(rows, 0, level=0, limits=limits)
    assert end is not None
    assert node_end(rows, 0, level=0, limits=limits, scanned=end - 1) == end


def test_totals_of_an_index_node_are_those_below():
    assert totals(1, rows_of(INDEX)) == (7, 150)
    assert totals(0, rows_of(LEAF)) == (3, 10 + 2**40)
    assert isinstance(reread(1, rows_of(INDEX)), Node)
