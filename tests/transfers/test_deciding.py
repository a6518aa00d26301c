"""What is decided about two objects, and about two listings, from what is known alone."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore.transfers.deciding import Check, is_dressed, paired, same_attributes, verdict
from datastore.transfers.hashing import _etag_of_parts
from datastore.values import ObjectInfo, digest_of

MD5 = ["a" * 32, "b" * 32]
MIB = 1 << 20
ONE, TWO = digest_of(b"1"), digest_of(b"2")
SECOND = 1_000_000


def info(key="a.csv", **fields):
    given = {"size": 3, "modified_us": 10 * SECOND, "etag": "1", "identity": "x", "content_type": "text/csv", **fields}
    return ObjectInfo(key=key, **given)


def judged(source, dest, *, readable=(False, False), near=True, compare="content"):
    return verdict(info(**source), info(**dest), readable=readable, near=near, compare=compare)


@pytest.mark.parametrize("compare", ["content", "time"])
@pytest.mark.parametrize("readable", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(
    ("source", "dest", "same"),
    [
        ({"size": 4}, {"modified_us": 99 * SECOND}, False),
        ({"digest": ONE, "modified_us": 99 * SECOND}, {"digest": ONE}, True),
        ({"digest": ONE}, {"digest": TWO, "modified_us": 99 * SECOND}, False),
        ({"etag": MD5[0], "modified_us": 99 * SECOND}, {"etag": MD5[0]}, True),
        ({"etag": MD5[0] + "-2", "modified_us": 99 * SECOND}, {"etag": MD5[0] + "-2"}, True),
    ],
)
def test_hashes_of_one_kind_settle_it(source, dest, same, readable, compare):
    assert judged(source, dest, readable=readable, compare=compare) is same


@pytest.mark.parametrize(
    ("source", "dest", "readable", "expected"),
    [
        ({}, {"digest": ONE}, (True, False), Check("source", ONE)),
        ({"digest": ONE}, {}, (True, True), Check("dest", ONE)),
        ({"digest": ONE}, {"etag": MD5[0]}, (True, False), Check("source", MD5[0])),
        ({"etag": MD5[0]}, {}, (False, True), Check("dest", MD5[0])),
        ({"etag": MD5[0]}, {"etag": MD5[1]}, (True, True), Check("source", MD5[1])),
        ({}, {}, (True, True), Check("both")),
        ({}, {}, (True, False), False),
        ({"etag": MD5[0]}, {"etag": MD5[1]}, (False, False), False),
        ({"etag": MD5[0]}, {"etag": MD5[1] + "-2"}, (False, False), False),
        ({"etag": "7"}, {"etag": "7"}, (False, False), False),  # a counter says nothing about another store's
        ({"digest": ONE}, {"etag": "7"}, (True, False), False),
    ],
)
def test_else_what_is_on_this_machine_is_hashed_and_what_cannot_be_known_is_copied(source, dest, readable, expected):
    assert judged(source, dest, readable=readable) == expected
    source, dest = {"modified_us": 0, **source}, {"modified_us": 99 * SECOND, **dest}
    assert judged(source, dest, readable=readable) == expected, "no time is believed that was not asked for"


@pytest.mark.parametrize(
    ("later", "same"), [(-SECOND, False), (0, False), (2 * SECOND, False), (2 * SECOND + 1, True), (60 * SECOND, True)]
)
def test_a_time_that_is_asked_for_has_to_be_later_beyond_doubt(later, same):
    found = judged({}, {"modified_us": 10 * SECOND + later}, readable=(True, True), compare="time")
    assert found == (same or Check("both"))


@pytest.mark.parametrize(
    ("size", "later", "same"), [(3, 603, True), (3, 600, False), (1 << 30, 3600, False), (1 << 30, 34_000, True)]
)
def test_over_a_network_it_has_to_be_later_than_a_copy_can_take(size, later, same):
    source, dest = {"size": size}, {"size": size, "modified_us": (10 + later) * SECOND}
    found = judged(source, dest, readable=(True, True), near=False, compare="time")
    assert found == (same or Check("both"))


@pytest.mark.parametrize(
    ("size", "etag", "lengths"),
    [(40 * MIB, "-5", [8]), (100 * MIB, "-7", [16, 15]), (3, "-1", [8, 16, 5]), (100_000 * MIB, "-10000", [10])],
)
def test_the_parts_of_an_upload_are_guessed_from_their_number(size, etag, lengths):
    found = judged({"size": size}, {"size": size, "etag": MD5[0] + etag}, readable=(True, False))
    assert found == Check("source", MD5[0] + etag, tuple(length * MIB for length in lengths))


def test_attributes():
    assert same_attributes(info("b.json", content_type="application/json"), info("a.csv")), "it follows the extension"
    assert not same_attributes(info(content_type="x/y"), info())
    assert not same_attributes(info(metadata={"a": "1"}), info())
    assert not same_attributes(info(), info(metadata={"a": "1"}))
    assert [is_dressed(info(**fields)) for fields in ({}, {"content_type": "x/y"}, {"metadata": {"a": "1"}})] == [
        False,
        True,
        True,
    ]


listings = st.dictionaries(st.text("ab/é\U0001f600", min_size=1, max_size=3), st.integers(1, 2), max_size=8)


def rows(sizes):
    return [(key, info(key, size=size)) for key, size in sorted(sizes.items(), key=lambda pair: pair[0].encode())]


@settings(deadline=None)
@given(listings, listings)
def test_two_listings_are_brought_together_by_name(source, dest):
    pairs = list(paired(rows(source), rows(dest)))
    assert [name for name, _, _ in pairs] == sorted({*source, *dest}, key=str.encode)
    for name, here, there in pairs:
        assert (here and here.size) == source.get(name)
        assert (there and there.size) == dest.get(name)


@settings(deadline=None)
@given(st.binary(max_size=50), st.integers(1, 9), st.lists(st.integers(1, 20)))
def test_etags_of_parts_are_those_that_s3_makes(data, length, cuts):
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(data[at : at + cut])
        at += cut
    chunks = [chunk for chunk in [*chunks, data[at:]] if chunk]
    parts = [data[start : start + length] for start in range(0, len(data), length)] or [b""]
    joined = b"".join(hashlib.md5(part).digest() for part in parts)
    assert _etag_of_parts(chunks, length) == f"{hashlib.md5(joined).hexdigest()}-{len(parts)}"
