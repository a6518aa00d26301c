"""The values: ranges, digests, times, comparing and pickling."""

import pickle
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.values import (
    Attributes,
    ByteRange,
    Change,
    CommitInfo,
    Match,
    ObjectInfo,
    Page,
    digest_of,
    from_micros,
    same_object,
)

bounds = st.integers(-30, 30)


def info(**fields) -> ObjectInfo:
    given_fields = {"key": "a", "size": 3, "modified_us": 1_500_000, "etag": "e", "identity": "i", **fields}
    return ObjectInfo(**given_fields)


@given(st.integers(0, 20), bounds, st.none() | bounds)
def test_a_range_means_what_a_slice_means(size: int, start: int, stop: int | None):
    data = bytes(range(size))
    first, last = ByteRange(start, stop).bounds(size)
    assert 0 <= first <= last <= size
    assert data[first:last] == data[start:stop]


def test_a_range_without_arguments_is_everything():
    assert ByteRange().bounds(7) == (0, 7)


def test_a_digest_names_its_algorithm():
    expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest_of(b"abc") == digest_of(bytearray(b"abc")) == digest_of(memoryview(b"abc")) == expected


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - the zone is put in below
def test_microseconds_lose_nothing(when: datetime):
    aware = when.replace(tzinfo=UTC)
    micros = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert from_micros(micros) == aware
    assert from_micros(micros).utcoffset() == timedelta(0)


def test_times_are_aware():
    assert info().modified == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    commit = CommitInfo(id="c", parents=(), author="me", time_us=0, message="m", metadata={}, tree="t")
    assert commit.time == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (info(), True),
        (info(modified_us=9, key="b", identity="other", commit="c"), True),
        (info(etag="f"), False),
        (info(size=4), False),
        (info(content_type="text/csv"), False),
        (info(metadata={"run": "1"}), False),
        (None, False),
    ],
)
def test_objects_are_the_same_by_what_a_commit_compares(other: ObjectInfo | None, same: bool):
    assert same_object(info(), other) is same
    assert same_object(other, info()) is same


def test_where_both_digests_are_known_the_etag_does_not_matter():
    one, other = digest_of(b"1"), digest_of(b"2")
    assert same_object(info(digest=one, etag="x"), info(digest=one, etag="y"))
    assert not same_object(info(digest=one), info(digest=other))
    assert not same_object(info(digest=one, etag="x"), info(digest=None, etag="y"))
    assert same_object(info(digest=one), info(digest=None))
    assert same_object(None, None)


def test_a_change_knows_its_kind():
    kinds = [
        Change(key="a", before=before, after=after).kind
        for before, after in ((None, info()), (info(), None), (info(), info()))
    ]
    assert kinds == ["added", "removed", "changed"]


@pytest.mark.parametrize(
    "value",
    [
        info(metadata={"run": "12"}, digest=digest_of(b"")),
        ByteRange(-4),
        Match("etag"),
        Attributes(content_type="text/csv", metadata={"a": "b"}),
        Page([info()], ["a/"]),
        Change(key="a", before=None, after=info()),
    ],
)
def test_values_are_frozen_and_pickle(value: msgspec.Struct):
    assert pickle.loads(pickle.dumps(value)) == value
    with pytest.raises(AttributeError):
        setattr(value, value.__struct_fields__[0], "changed")


def test_metadata_of_one_object_is_not_that_of_all():
    assert info().metadata is not info().metadata
    assert Attributes().metadata is not Attributes().metadata
