"""Listings: seeking beyond a prefix, grouping, cutting into pages."""

from bisect import bisect_left
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datastore.listing import after_prefix, grouped, pages
from datastore.testing.exam import model
from datastore.values import ObjectInfo

texts = st.text(st.sampled_from(["a", "b", "/", "-", "0", "é", "\ud7ff", "\ue000", "\uffff", "\U0010ffff"]), max_size=6)
paths = st.text(st.sampled_from(["a", "b", "/", "\uffff"]), min_size=1, max_size=5)  # few letters: many of them meet
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def info(key: str) -> ObjectInfo:
    return ObjectInfo(key=key, size=len(key), modified_us=0, etag="e", identity=key)


class Source:
    """A sorted, seekable source that counts what it is asked for."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(set(keys))
        self.seeks = 0
        self.rows = 0

    def scan(self, start: str) -> Iterator[tuple[str, ObjectInfo]]:
        self.seeks += 1
        for key in self.keys[bisect_left(self.keys, start) :]:
            self.rows += 1
            yield key, info(key)


def names(source: Source, prefix: str = "", **options: str | None) -> list[str]:
    return [name if isinstance(name, str) else name.key for name in grouped(source.scan, prefix=prefix, **options)]


@given(texts | any_text, texts | any_text)
@example("a\U0010ffff", "a\U0010ffff\U0010ffff")
@example("\ud7ff", "\ue000")
def test_after_prefix_parts_what_begins_so_from_all_that_follows(prefix: str, other: str):
    bound = after_prefix(prefix)
    if bound is None:
        assert other.startswith(prefix) or other < prefix
        return
    bound.encode()  # never a lone surrogate
    assert prefix + other < bound
    assert (other >= bound) == (other > prefix and not other.startswith(prefix))


@given(
    st.lists(paths, max_size=40), paths | st.just(""), st.sampled_from([None, "", "/", "a", "a/"]), st.none() | paths
)
@example(["a/a", "a/b", "b"], "", "/", "a/a")
@example([f"a/{number}" for number in range(100)] + ["b"], "", "/", "a")
def test_grouped_agrees_with_the_plain_model(
    keys: list[str], prefix: str, delimiter: str | None, start_after: str | None
):
    found = names(Source(keys), prefix, delimiter=delimiter, start_after=start_after)
    assert found == model(set(keys), prefix, delimiter=delimiter, start_after=start_after)


@given(st.lists(paths, max_size=40), paths | st.just(""), st.sampled_from([None, "/", "a"]), st.integers(1, 5))
def test_going_on_after_each_page_gives_the_whole(keys: list[str], prefix: str, delimiter: str | None, size: int):
    whole = names(Source(keys), prefix, delimiter=delimiter)
    gone_on: list[str] = []
    while batch := names(Source(keys), prefix, delimiter=delimiter, start_after=gone_on[-1] if gone_on else None)[
        :size
    ]:
        gone_on += batch
    assert gone_on == whole


def test_a_big_prefix_is_jumped_over_and_not_read():
    source = Source([f"big/{number:05}" for number in range(10_000)] + ["c", "d/1", "d/2"])
    assert names(source, delimiter="/") == ["big/", "c", "d/"]
    assert source.rows < 100


def test_small_prefixes_are_read_past_and_not_sought():
    source = Source([f"{number:03}/{part}" for number in range(100) for part in range(5)])
    assert len(names(source, delimiter="/")) == 100
    assert source.seeks == 1


def test_a_listing_does_not_read_beyond_its_prefix():
    source = Source(["a/1", "a/2", *[f"b/{number}" for number in range(1000)]])
    assert names(source, "a/") == ["a/1", "a/2"]
    assert source.rows <= 3


def test_nothing_is_read_before_it_is_asked_for():
    source = Source(["a", "b"])
    listing = grouped(source.scan)
    assert source.seeks == 0
    next(listing)
    assert source.rows == 1


def test_a_common_prefix_at_the_very_end_of_text_ends_the_listing():
    source = Source([f"\U0010ffff/{number}" for number in range(50)])
    assert names(source, delimiter="/") == ["\U0010ffff/"]
    many = Source([f"\U0010ffff{number}" for number in range(50)])
    assert names(many, delimiter="\U0010ffff") == ["\U0010ffff"]


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 10))
def test_pages_hold_every_name_once_and_in_order(kinds: list[bool], size: int):
    listing = [f"{number}/" if prefix else info(str(number)) for number, prefix in enumerate(kinds)]
    cut = list(pages(listing, size=size))
    assert [len(page.objects) + len(page.prefixes) for page in cut[:-1]] == [size] * (len(cut) - 1)
    assert all(page.objects or page.prefixes for page in cut)
    assert [each for page in cut for each in page.objects] == [each for each in listing if not isinstance(each, str)]
    assert [each for page in cut for each in page.prefixes] == [each for each in listing if isinstance(each, str)]


def test_pages_hold_at_most_a_thousand():
    assert [len(page.objects) for page in pages(info(f"{n:04}") for n in range(2000))] == [1000, 1000]


def test_a_page_comes_as_soon_as_it_is_full():
    def endless() -> Iterator[str]:
        while True:
            yield "a/"

    assert len(next(pages(endless())).prefixes) == 1000


@pytest.mark.parametrize("prefix", ["", "a", "a/"])
def test_an_empty_source_gives_nothing(prefix: str):
    assert list(pages(grouped(Source([]).scan, prefix=prefix, delimiter="/"))) == []
