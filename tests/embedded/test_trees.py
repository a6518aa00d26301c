"""Trees against a dict: the same entries have the same root whatever the history; every verb agrees with the dict."""

import hashlib
import random
import threading
from collections import Counter

import msgspec
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore.embedded.nodes import (
    CHUNKS,
    ERASED,
    EXTERNAL,
    LIMITS,
    DamagedNode,
    Entry,
    Limits,
    Rows,
    compress,
    decode,
    decompress,
    encode,
    id_of,
    totals,
)
from datastore.embedded.trees import EMPTY, Trees
from datastore.errors import IntegrityError, TooLarge, ValidationError
from datastore.listing import after_prefix


class MemoryStore:
    """A node store that counts, and sees to it that children are written first and nothing is read back too early."""

    def __init__(self, *, strict=True):
        self.data = {}
        self.gets = Counter()
        self.puts = []
        self.unpublished = set()
        self.strict = strict

    def get(self, node_id):
        assert node_id not in self.unpublished, "a node was read before it was published"
        self.gets[node_id] += 1
        return self.data[node_id]

    def put_new(self, node_id, data):
        if self.strict:
            node = decode(node_id, decompress(node_id, data))
            if node.level:
                assert all(node.rows.digest(at).hex() in self.data for at in range(len(node.rows)))
        self.puts.append(node_id)
        if self.data.setdefault(node_id, data) is data:
            self.unpublished.add(node_id)

    def publish(self):
        self.unpublished.clear()
        self.puts.clear()


def sample(at):
    """An entry of the data set that the golden roots are made of."""
    return Entry(
        digest=hashlib.sha256(b"content %d" % at).digest(),
        size=at * at % 1_000_003,
        modified=1_700_000_000_000_000 + at,
        content_type=("image/jpeg", "text/csv", "application/json")[at % 3],
        metadata=f'{{"n":"{at}"}}' if at % 20 == 0 else "",
        kind=at % 4 if at % 100 == 7 else 0,
        extra=f"[{at}]" if at % 100 == 7 else "",
    )


def dataset(count):
    return {f"images/class_{at % 7}/é{at:06d}.jpg": sample(at) for at in range(count)}


def reference_root(pairs, limits=LIMITS):
    """The root from the description of the format alone: no code is shared with the package."""

    def node(level, rows):
        types = sorted({entry.content_type for _, entry in rows})
        codes = [types.index(entry.content_type) for _, entry in rows] if len(types) > 1 else []
        columns = [[e.metadata for _, e in rows], [e.extra for _, e in rows]]
        meta, extra = ("\0".join(column).encode() if any(column) else b"" for column in columns)
        kinds = bytes(entry.kind for _, entry in rows)
        raw = msgspec.msgpack.encode(
            [
                1,
                level,
                len(rows),
                "\0".join(key for key, _ in rows).encode(),
                b"".join(entry.digest for _, entry in rows),
                b"".join(entry.size.to_bytes(8, "little", signed=True) for _, entry in rows),
                b"".join(entry.modified.to_bytes(8, "little", signed=True) for _, entry in rows),
                types,
                b"".join(code.to_bytes(2, "little") for code in codes),
                meta,
                kinds if any(kinds) else b"",
                extra,
            ]
        )
        count = sum(entry.modified for _, entry in rows) if level else len(rows)
        return rows[-1][0] if rows else "", Entry(
            hashlib.sha256(raw).digest(), sum(entry.size for _, entry in rows), count, ""
        )

    def ends(level, rows):
        last = rows[-1][0].encode()
        size = sum(len((key + entry.metadata + entry.extra).encode()) for key, entry in rows)
        zero = (xxhash.xxh3_64_intdigest(last) >> (limits.bits * level)) % 2**limits.bits == 0
        full = len(rows) == limits.max_rows or (size >= limits.max_bytes and len(rows) > 1)
        return full or (zero and len(rows) >= limits.min_rows)

    level, rows = 0, list(pairs)
    while True:
        nodes, part = [], []
        for row in rows:
            part.append(row)
            if ends(level, part):
                nodes.append(node(level, part))
                part = []
        if part or not nodes:
            nodes.append(node(level, part))
        if len(nodes) == 1:
            return nodes[0][1].digest.hex()
        level, rows = level + 1, nodes


def fresh(limits=LIMITS, **options):
    store = MemoryStore(**options)
    return store, Trees(store, limits=limits)


def tree_of(entries, limits=LIMITS):
    store, trees = fresh(limits)
    root = trees.build(sorted(entries.items()))
    store.publish()
    return store, trees, root


# --------------------------------------------------------------------------------------------------- the frozen format

GOLDEN = {
    0: "e62f15fc512426446d07ff8d98b88452da8de0f7b05f9fbc9c6b9cb909367505",
    3: "9ec5053a18bda9fe8269c5dda8bc9a95fd112fd1a605249095a903c283f52462",
    5000: "f128d1757702b8b72b8a5aa05a579ba247d0b2f81f269fb22b9377c057394d0e",
}


@pytest.mark.parametrize("count", GOLDEN)
def test_golden_roots(count):
    """If this fails, every tree that was ever written has become another one. Change the code, never these ids."""
    entries = dataset(count)
    _, trees = fresh()
    assert trees.build(sorted(entries.items())) == GOLDEN[count]
    assert trees.apply(EMPTY, entries) == GOLDEN[count]
    assert reference_root(sorted(entries.items())) == GOLDEN[count]


def test_the_empty_tree_needs_no_store():
    store, trees = fresh()
    assert trees.empty == EMPTY == trees.build([]) == trees.apply(EMPTY, {})
    assert trees.count(EMPTY) == (0, 0)
    assert trees.get(EMPTY, "a") is None
    assert list(trees.scan(EMPTY)) == list(trees.diff(EMPTY, EMPTY)) == list(trees.node_ids(EMPTY)) == []
    assert list(trees.verify(EMPTY, seen=set())) == []
    assert not store.puts
    assert not store.gets


# ----------------------------------------------------------------------------------------------------------- histories

TINY = [
    Limits(min_rows=2, max_rows=4, bits=1),
    Limits(min_rows=2, max_rows=2, bits=9),  # binary: deep, and levels that have no bits of the hash left
    Limits(min_rows=2, max_rows=5, bits=30),  # only forced ends
    Limits(min_rows=3, max_rows=9, bits=2),
    Limits(min_rows=2, max_rows=50, bits=2, max_bytes=25),  # ends by bytes
    Limits(min_rows=2, max_rows=8, bits=2, max_bytes=1),
]
ODD_KEYS = [
    "a",
    "a/",
    "a/b",
    "a/b/c",
    "a0",
    "é",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "\U00010000",
    "\U0010ffff",
    "a\U0010ffff",
]
ODD_KEYS += ["\U0010ffff\U0010ffff", "a\U0010ffffz", "b", " ", "\x01", "\x7f", "~"]
keys = st.one_of(st.sampled_from(ODD_KEYS), st.integers(0, 149).map("n/{:03d}".format))
small_entries = st.builds(
    Entry,
    digest=st.sampled_from([bytes([value]) * 32 for value in range(3)]),
    size=st.integers(0, 2),
    modified=st.integers(0, 2),
    content_type=st.sampled_from(["text/csv", "image/png"]),
    metadata=st.sampled_from(["", "", '{"k":"v"}']),
    kind=st.sampled_from([0, 0, CHUNKS, EXTERNAL, ERASED]),
    extra=st.sampled_from(["", "", "[1]"]),
)
single_edits = st.dictionaries(keys, st.one_of(st.none(), small_entries), max_size=12)
stretches = st.builds(
    lambda first, count, step, entry: {f"n/{at:03d}": entry for at in range(first, first + count * step, step)},
    st.integers(0, 149),
    st.integers(0, 120),
    st.integers(1, 3),
    st.one_of(st.none(), small_entries),
)
everything_goes = st.just("everything goes")
all_but_one_go = st.just("all but one go")
histories = st.lists(st.one_of(single_edits, stretches, everything_goes, all_but_one_go), min_size=1, max_size=6)


def resolved(batch, model):
    """The edits of a step of a history."""
    if batch == "everything goes":
        return dict.fromkeys(model)
    if batch == "all but one go":
        return dict.fromkeys(sorted(model)[1:])
    return batch


def expected_diff(old, new, prefix=""):
    return [
        (key, old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if key.startswith(prefix) and old.get(key) != new.get(key)
    ]


@given(st.sampled_from(TINY), histories, st.sampled_from(["n/", "n/01", "a", "\U0010ffff", "", "zz"]))
@settings(max_examples=150, deadline=None)
def test_histories_agree_with_a_dict(limits, history, prefix):
    store, trees = fresh(limits)
    root, model = EMPTY, {}
    for batch in history:
        edits = resolved(batch, model)
        before, old_root = dict(model), root
        for key, entry in edits.items():
            if entry is None:
                model.pop(key, None)
            else:
                model[key] = entry
        root = trees.apply(root, edits)
        written = set(store.puts)
        assert len(written) == len(store.puts)
        store.publish()

        pairs = sorted(model.items())
        assert (root == old_root) == (model == before)
        assert root == reference_root(pairs, limits)
        assert root == Trees(MemoryStore(), limits=limits).build(iter(pairs))
        assert root == Trees(MemoryStore(), limits=limits).apply(EMPTY, model)

        assert list(trees.scan(root)) == pairs
        assert list(trees.scan(root, prefix=prefix)) == [row for row in pairs if row[0].startswith(prefix)]
        assert trees.count(root) == (len(model), sum(entry.size for entry in model.values()))
        assert all(trees.get(root, key) == model.get(key) for key in [*ODD_KEYS, *before, *model, "", "nope"])
        assert list(trees.diff(old_root, root)) == expected_diff(before, model)
        assert list(trees.diff(root, old_root, prefix=prefix)) == expected_diff(model, before, prefix)
        assert list(trees.diff(EMPTY, root, prefix=prefix)) == expected_diff({}, model, prefix)

        ids = list(trees.node_ids(root))
        assert len(set(ids)) == len(ids)
        assert written <= set(ids), "a node was written that the tree does not have"
        alone = MemoryStore()
        alone.data = {node_id: store.data[node_id] for node_id in ids}
        assert list(Trees(alone, limits=limits).verify(root, seen=set())) == []
        assert list(Trees(alone, limits=limits).scan(root)) == pairs


@given(
    st.sampled_from(TINY),
    st.dictionaries(keys, small_entries, max_size=60),
    st.one_of(keys, st.just(""), st.sampled_from(["n/", "n/07", "a\U0010ffff"])),
    st.one_of(keys, st.just("")),
    st.one_of(keys, st.just("")),
)
@settings(deadline=None)
def test_scans_start_where_they_are_told(limits, entries, prefix, start, start_after):
    _, trees, root = tree_of(entries, limits)
    wanted = [
        row for row in sorted(entries.items()) if row[0].startswith(prefix) and row[0] >= start and row[0] > start_after
    ]
    assert list(trees.scan(root, prefix=prefix, start=start, start_after=start_after)) == wanted


@given(
    st.sampled_from(TINY),
    st.dictionaries(keys, small_entries, max_size=60),
    st.dictionaries(keys, small_entries, max_size=60),
)
@settings(deadline=None)
def test_unrelated_trees_are_compared_too(limits, one, other):
    store, trees, a = tree_of(one, limits)
    b = trees.build(sorted(other.items()))
    store.publish()
    assert list(trees.diff(a, b)) == expected_diff(one, other)


def depth_of(store, root):
    return decode(root, decompress(root, store.data[root])).level


@pytest.mark.parametrize("limits", TINY, ids=str)
def test_deep_trees(limits):
    entries = {f"{at:04d}": sample(at) for at in range(1500)}
    store, trees, root = tree_of(entries, limits)
    assert depth_of(store, root) >= 4
    assert root == reference_root(sorted(entries.items()), limits)
    rng = random.Random(3)
    for _ in range(10):
        edits = {f"{rng.randrange(1600):04d}": rng.choice([None, sample(rng.randrange(9))]) for _ in range(30)}
        entries = {key: entry for key, entry in {**entries, **edits}.items() if entry is not None}
        root = trees.apply(root, edits)
        store.publish()
        assert root == reference_root(sorted(entries.items()), limits)
    assert list(trees.verify(root, seen=set())) == []
    assert trees.apply(root, dict.fromkeys(entries)) == EMPTY


def test_a_binary_tree_is_deeper_than_a_hash_has_bits():
    limits = Limits(min_rows=2, max_rows=2, bits=9)
    store, _, root = tree_of({f"{at:04d}": sample(at) for at in range(600)}, limits)
    assert depth_of(store, root) * limits.bits > 64


def test_trees_of_one_node_and_of_two_levels_turn_into_each_other():
    entries = dataset(5000)
    _, trees, root = tree_of(entries)
    few = dict(sorted(entries.items())[:3])
    small = trees.apply(root, {key: None for key in entries if key not in few})
    assert small == trees.build(sorted(few.items()))
    trees = Trees(trees._store)
    trees._store.publish()
    assert trees.apply(small, entries) == root


def test_metadata_ends_nodes_before_they_grow_large():
    big = {f"k{at:03d}": Entry(bytes(32), 1, 1, "x/y", "x" * 60_000) for at in range(100)}
    store, trees, root = tree_of(big)
    sizes = [len(decompress(node_id, data)) for node_id, data in store.data.items()]
    assert len(sizes) >= 6
    assert max(sizes) < 1_200_000
    assert trees.apply(EMPTY, big) == root == reference_root(sorted(big.items()))


def test_keys_without_a_natural_end_are_cut_at_the_maximum():
    limits = Limits(min_rows=4, max_rows=8, bits=60)
    entries = {f"{at:04d}": sample(at) for at in range(1000)}
    store, trees, root = tree_of(entries, limits)
    shifted = trees.apply(root, {"!": sample(1)})
    assert shifted == reference_root(sorted({"!": sample(1), **entries}.items()), limits)
    assert len(store.puts) > 1000 / 8


# ------------------------------------------------------------------------------------------------------- what it costs


@pytest.fixture(scope="module")
def large():
    store = MemoryStore(strict=False)
    trees = Trees(store)
    root = trees.build((f"images/{at:08d}.jpg", sample(at % 1000)) for at in range(200_000))
    store.publish()
    return store, root


def scattered():
    edits = {f"images/{at:08d}.jpg": sample(5000 + at) for at in (11, 60_000, 120_000, 199_999)}
    edits |= {f"images/{at:08d}b.jpg": sample(at) for at in (20_000, 80_000, 140_000, 170_000)}
    return edits | dict.fromkeys(f"images/{at:08d}.jpg" for at in (40_000, 100_000))


def test_a_small_commit_writes_and_reads_a_few_nodes(large):
    store, root = large
    store.gets.clear()
    changed = Trees(store).apply(root, scattered())
    # 10 leaves, now and then a neighbour, the root; 200 leaves in all.
    assert 10 < len(store.puts) <= 20
    assert store.gets.total() <= 20
    store.publish()
    store.gets.clear()
    assert [key for key, _, _ in Trees(store).diff(root, changed)] == sorted(scattered())
    assert store.gets.total() <= 40


def test_reading_one_key_loads_one_node_a_level(large):
    store, root = large
    store.gets.clear()
    trees = Trees(store)
    assert trees.get(root, "images/00123456.jpg") == sample(456)
    assert trees.count(root)[0] == 200_000
    assert store.gets.total() == 2
    assert trees.get(root, "images/00123456.jpg") == sample(456)
    assert store.gets.total() == 2


def test_a_page_of_a_listing_loads_the_leaves_that_it_shows(large):
    store, root = large
    store.gets.clear()
    page = Trees(store).scan(root, start_after="images/00100000.jpg")
    assert [next(page)[0] for _ in range(3)] == [f"images/{at:08d}.jpg" for at in (100_001, 100_002, 100_003)]
    assert store.gets.total() == 2


def test_the_ids_of_all_nodes_are_found_without_loading_leaves(large):
    store, root = large
    store.gets.clear()
    ids = list(Trees(store).node_ids(root))
    assert ids[0] == root
    assert len(ids) > 150
    assert store.gets.total() == 1


def test_edits_that_change_nothing_write_nothing(large):
    store, root = large
    same = {f"images/{at:08d}.jpg": sample(at % 1000) for at in (5, 70_000)}
    assert Trees(store).apply(root, same | {"absent": None, "images/": None, "zzz": None, "": None}) == root
    assert Trees(store).apply(root, {}) == root
    assert not store.puts


def test_a_diff_streams(large):
    store, root = large
    store.gets.clear()
    changes = Trees(store).diff(EMPTY, root)
    assert next(changes) == ("images/00000000.jpg", None, sample(0))
    assert store.gets.total() == 2


def test_building_takes_rows_as_they_come():
    store, trees = fresh()
    taken = []

    def rows():
        for at in range(20_000):
            taken.append(len(store.puts))
            yield f"{at:06d}", sample(at)

    trees.build(rows())
    assert taken[-1] >= 7, "no node was written before the rows ended"


def test_applying_writes_before_it_has_seen_all_edits():
    store, trees = fresh()
    taken = []

    class Watched(dict):
        def __getitem__(self, key):
            taken.append(len(store.puts))
            return super().__getitem__(key)

    trees.apply(EMPTY, Watched(dataset(20_000)))
    assert taken[-1] >= 7, "no node was written before the edits ended"


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "bad",
    [
        {"": sample(1)},
        {"a\0": sample(1)},
        {"\udc00": sample(1)},
        {"x" * 1025: sample(1)},
        {"k": Entry(b"short", 1, 1, "x/y")},
        {"k": Entry(bytes(32), 1, 1, "x/y", "x" * 65_537)},
        {"k": Entry(bytes(32), 1, 1, "x/y", "", CHUNKS, "x" * 65_537)},
    ],
)
def test_bad_edits_write_nothing(bad):
    store, trees = fresh()
    with pytest.raises(ValidationError):
        trees.apply(EMPTY, {f"a{at}": sample(at) for at in range(5000)} | bad)
    assert not store.puts
    with pytest.raises(ValidationError):
        trees.build(bad.items())


@pytest.mark.parametrize("wrong", [["b", "a"], ["a", "a"]])
def test_building_from_rows_that_are_not_sorted_is_refused(wrong):
    _, trees = fresh()
    with pytest.raises(ValidationError, match="out of order"):
        trees.build((key, sample(1)) for key in wrong)


def test_a_tree_of_more_bytes_than_the_format_counts_is_refused():
    _, trees = fresh()
    with pytest.raises(TooLarge):
        trees.apply(EMPTY, {key: Entry(bytes(32), 2**62, 1, "x/y") for key in "ab"})


def test_other_kinds_of_content_are_carried_through():
    kinds = {
        "chunks": Entry(b"\x01" * 32, 9, 1, "x/y", "", CHUNKS, '["aa","bb"]'),
        "external": Entry(b"\x02" * 32, 9, 1, "x/y", '{"a":"b"}', EXTERNAL, '{"url":"s3://b/k"}'),
        "erased": Entry(b"\x03" * 32, 9, 1, "x/y", "", ERASED, '{"reason":"asked"}'),
    }
    entries = dataset(3000) | kinds
    _, trees, root = tree_of(entries)
    changed = trees.apply(root, {"other": sample(1)})
    trees._store.publish()
    for tree in (root, changed):
        assert {key: trees.get(tree, key) for key in kinds} == kinds
        assert {key: entry for key, entry in trees.scan(tree) if key in kinds} == kinds
    without = trees.apply(EMPTY, {**dataset(3000), "other": sample(1)})
    trees._store.publish()
    assert {key: new for key, old, new in trees.diff(without, changed) if old is None} == kinds


# -------------------------------------------------------------------------------------------------------------- damage


def leaf_ids(store):
    return [node_id for node_id, data in store.data.items() if not decode(node_id, decompress(node_id, data)).level]


def test_a_missing_leaf_is_named_and_the_rest_can_be_read():
    entries = dataset(5000)
    store, trees, root = tree_of(entries)
    lost = leaf_ids(store)[1]
    gone = {key for key, _ in decode(lost, decompress(lost, store.data.pop(lost))).rows.entries(0, 5)}
    with pytest.raises(IntegrityError, match=lost):
        trees.get(root, min(gone))
    with pytest.raises(IntegrityError, match=lost):
        list(trees.scan(root))
    with pytest.raises(IntegrityError, match=lost):
        trees.apply(root, dict.fromkeys(gone))
    assert trees.get(root, max(entries)) == entries[max(entries)]
    assert not store.puts


def test_an_unknown_root_is_named():
    _, trees = fresh()
    for read in (
        lambda: trees.get("ab" * 32, "k"),
        lambda: trees.count("ab" * 32),
        lambda: list(trees.diff(EMPTY, "ab" * 32)),
    ):
        with pytest.raises(DamagedNode, match="abab") as caught:
            read()
        assert caught.value.node_id == "ab" * 32


def test_verify_names_every_bad_node_and_goes_on():
    store, trees, root = tree_of(dataset(20_000))
    missing, cut, flipped, swapped, *fine = leaf_ids(store)
    del store.data[missing]
    store.data[cut] = store.data[cut][:-10]
    store.data[flipped] = bytes([*store.data[flipped][:-1], store.data[flipped][-1] ^ 1])
    store.data[swapped] = store.data[fine[0]]
    seen = set()
    problems = dict(trees.verify(root, seen=seen))
    assert problems.keys() == {missing, cut, flipped, swapped}
    assert "missing" in problems[missing]
    assert "id" in problems[swapped]
    assert seen == set(trees.node_ids(root))


def test_verify_skips_what_was_seen():
    store, trees, root = tree_of(dataset(5000))
    seen = set()
    assert list(trees.verify(root, seen=seen)) == []
    changed = trees.apply(root, {"new": sample(1)})
    fresh_nodes = len(store.puts)
    store.publish()
    store.gets.clear()
    assert list(trees.verify(changed, seen=seen)) == []
    assert store.gets.total() == fresh_nodes
    assert list(trees.verify(changed, seen=seen)) == []
    assert store.gets.total() == fresh_nodes


def forge(store, level, pairs):
    """Store a node with a valid id, whatever its rows say; return the row that its parent should have."""
    rows = Rows()
    rows.append_all(pairs)
    raw = encode(level, rows)
    store.data[id_of(raw)] = compress(raw)
    count, size = totals(level, rows)
    return rows.last_key, Entry(bytes.fromhex(id_of(raw)), size, count, "")


FORGERIES = {
    "level": lambda a, b, c, inner: [a, inner],
    "greatest key": lambda a, b, c, inner: [a, ("zz", b[1])],
    "not above": lambda a, b, c, inner: [a, c],
    "totals": lambda a, b, c, inner: [a, (b[0], msgspec.structs.replace(b[1], size=7))],
    "totals are not": lambda a, b, c, inner: [a, (b[0], msgspec.structs.replace(b[1], modified=7))],
    "twice": lambda a, b, c, inner: [a, ("z", a[1])],
    "single child": lambda a, b, c, inner: [a],
}


@pytest.mark.parametrize("problem", FORGERIES)
def test_forged_parents_are_found(problem):
    store, trees = fresh(Limits(min_rows=2, max_rows=2, bits=1))
    a = forge(store, 0, [("k1", sample(1)), ("k2", sample(2))])
    b = forge(store, 0, [("m1", sample(3)), ("m2", sample(4))])
    c = forge(store, 0, [("k2", sample(3)), ("z", sample(4))])
    inner = forge(store, 1, [("m1", b[1]), ("m2", b[1])])
    root = forge(store, 1, FORGERIES[problem](a, b, c, inner))[1].digest.hex()
    assert any(problem in text for _, text in trees.verify(root, seen=set()))
    if problem != "single child":
        with pytest.raises(IntegrityError):
            list(trees.scan(root))


def test_keys_that_overlap_across_parents_are_found():
    store, trees = fresh(Limits(min_rows=2, max_rows=2, bits=1))
    spans = [("10", "11"), ("30", "31"), ("25", "40"), ("50", "51")]
    leaves = [forge(store, 0, [(low, sample(1)), (high, sample(2))]) for low, high in spans]
    parents = [forge(store, 1, leaves[:2]), forge(store, 1, leaves[2:])]
    root = forge(store, 2, parents)[1].digest.hex()
    assert any("not above" in text for _, text in trees.verify(root, seen=set()))


def test_an_empty_node_below_an_index_is_found():
    store, trees = fresh()
    a = forge(store, 0, [("k1", sample(1))])
    empty = ("zz", Entry(bytes.fromhex(EMPTY), 0, 1, ""))
    forge(store, 0, [])
    root = forge(store, 1, [a, empty])[1].digest.hex()
    with pytest.raises(IntegrityError, match=EMPTY):
        trees.get(root, "z")
    assert EMPTY in dict(trees.verify(root, seen=set()))


@pytest.mark.parametrize("sizes", [[3, 1], [1, 1, 2], [2, 5]])
def test_nodes_that_end_elsewhere_are_found(sizes):
    store, trees = fresh(Limits(min_rows=2, max_rows=4, bits=60))
    pairs = [(f"{at}", sample(at)) for at in range(sum(sizes))]
    nodes = []
    for size in sizes:
        nodes.append(forge(store, 0, pairs[:size]))
        pairs = pairs[size:]
    root = forge(store, 1, nodes)[1].digest.hex()
    assert any("end" in text for _, text in trees.verify(root, seen=set()))


def test_a_node_that_ends_early_where_its_parent_ends_is_found():
    store, trees = fresh(Limits(min_rows=2, max_rows=3, bits=60))
    leaves = [
        forge(store, 0, [(f"{at}{row}", sample(row)) for row in range(size)]) for at, size in enumerate([3, 3, 2, 3])
    ]
    root = forge(store, 2, [forge(store, 1, leaves[:3]), forge(store, 1, leaves[3:])])[1].digest.hex()
    assert dict(trees.verify(root, seen=set())).keys() == {leaves[2][1].digest.hex()}


def test_another_spelling_of_the_same_rows_is_found():
    store, trees = fresh()
    columns = msgspec.msgpack.decode(encode(0, Rows()))
    columns[2:7] = [1, b"k", bytes(32), bytes(8), bytes(8)]
    columns[7], columns[10] = ["x/y"], b"\x00"  # kinds that say nothing have to be left out
    raw = msgspec.msgpack.encode(columns)
    store.data[id_of(raw)] = compress(raw)
    assert trees.get(id_of(raw), "k") == Entry(bytes(32), 0, 0, "x/y")
    assert any("canonical" in text for _, text in trees.verify(id_of(raw), seen=set()))


# ------------------------------------------------------------------------------------------------------------ the rest

code_points = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
# Not `text`: it would take these as five of a million letters.
edge_letters = st.one_of(st.sampled_from("a\ud7ff\ue000\uffff\U0010ffff"), code_points)
edge_texts = st.lists(edge_letters, max_size=4).map("".join)


@given(edge_texts, edge_texts, edge_texts)
def test_the_end_of_a_prefix_is_tight(prefix, rest, other):
    end = after_prefix(prefix)
    assert end is None or prefix + rest < end
    inside = other.startswith(prefix)
    assert (prefix <= other and (end is None or other < end)) == inside
    if end is None:
        assert not prefix.strip("\U0010ffff")
    else:
        end.encode()


def test_threads_share_a_small_cache():
    entries = dataset(8000)
    store = MemoryStore(strict=False)
    trees = Trees(store, cache_nodes=3)
    root = trees.build(sorted(entries.items()))
    store.publish()
    edits = {f"new/{at}": sample(at) for at in range(50)}
    expected = Trees(MemoryStore()).build(sorted((entries | edits).items()))
    failures = []

    def work(seed):
        rng = random.Random(seed)
        try:
            for key in rng.sample(sorted(entries), 150):
                assert trees.get(root, key) == entries[key]
            assert dict(trees.scan(root)) == entries
            # A store of its own for what it writes: the shared one forbids early reading.
            own = MemoryStore(strict=False)
            own.data = dict(store.data)
            assert Trees(own).apply(root, edits) == expected
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert list(trees.scan(root)) == sorted(entries.items())
