"""The part of the provider exam that lists."""

import random

import pytest

from datastore.provider import Provider
from datastore.testing.exam import content, fill, listed, model

__all__ = ["ListingExam"]

IN_ORDER = ["a", "a b", "a-b", "a.b", "a0", "aa/b", "a~", "é", "\ud7ff", "\ue000", "\uffff", "\U0001f600"]
TREE = ["a-b", "a/b/c", "a/b/d", "a/b-", "a/b0", "a0", "b/c", "b/c.txt", "z"]
SEGMENTS = ["a", "b", "ab", "a-", "a b", "a.b", "a0", "é", "\uffff", "😀", "#1", "100%20", "[1]", "x=1", "~"]


class ListingExam:
    """What `list` has to do."""

    def test_an_empty_store_gives_no_page(self, provider: Provider) -> None:
        assert list(provider.list()) == list(provider.list("a/", delimiter="/")) == []

    def test_keys_come_in_the_order_of_their_bytes(self, provider: Provider) -> None:
        fill(provider, IN_ORDER[::-1])
        assert listed(provider) == sorted(IN_ORDER, key=str.encode)

    def test_a_folder_sorts_with_its_slash(self, provider: Provider) -> None:
        fill(provider, TREE[::-1])
        assert listed(provider) == ["a-b", "a/b-", "a/b/c", "a/b/d", "a/b0", "a0", "b/c", "b/c.txt", "z"]
        assert listed(provider, delimiter="/") == ["a-b", "a/", "a0", "b/", "z"]
        assert listed(provider, "a/", delimiter="/") == ["a/b-", "a/b/", "a/b0"]

    def test_a_listing_knows_its_objects(self, provider: Provider) -> None:
        fill(provider, TREE)
        for page in provider.list():
            for info in page.objects:
                head = provider.head(info.key)
                assert (info.key, info.size, info.etag) == (head.key, head.size, head.etag)
                assert info.digest == head.digest or not provider.capabilities.digests
                assert content(provider, info.key) == info.key.encode()

    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [
            ("a", ["a-b", "a/b-", "a/b/c", "a/b/d", "a/b0", "a0"]),
            ("a/b", ["a/b-", "a/b/c", "a/b/d", "a/b0"]),
            ("a/b/", ["a/b/c", "a/b/d"]),
            ("a/b/c", ["a/b/c"]),
            ("b/c.", ["b/c.txt"]),
            ("z/", []),
            ("A", []),
            ("a//", []),
            ("/", []),
            ("missing/folder/", []),
            ("a/b/c/d/", []),
        ],
    )
    def test_a_prefix_is_a_beginning_of_text(self, provider: Provider, prefix: str, expected: list[str]) -> None:
        fill(provider, TREE)
        assert listed(provider, prefix) == expected

    @pytest.mark.parametrize(
        ("prefix", "delimiter", "expected"),
        [
            ("a", "/", ["a-b", "a/", "a0"]),
            ("b", "/", ["b/"]),
            ("b/", "/", ["b/c", "b/c.txt"]),
            ("", "b", ["a-b", "a/b", "a0", "b", "z"]),
            ("a/", "b", ["a/b"]),
            ("a/b", "b", ["a/b-", "a/b/c", "a/b/d", "a/b0"]),
            ("", "/b", ["a-b", "a/b", "a0", "b/c", "b/c.txt", "z"]),
            ("x", "/", []),
        ],
    )
    def test_a_delimiter_folds_what_follows(
        self, provider: Provider, prefix: str, delimiter: str, expected: list[str]
    ) -> None:
        fill(provider, TREE)
        assert listed(provider, prefix, delimiter=delimiter) == expected

    @pytest.mark.parametrize(
        ("prefix", "start_after", "expected"),
        [
            ("", "", ["a-b", "a/", "a0", "b/", "z"]),
            ("", "a-b", ["a/", "a0", "b/", "z"]),
            ("", "a", ["a-b", "a/", "a0", "b/", "z"]),
            ("", "a/", ["a0", "b/", "z"]),
            ("", "a/b/c", ["a0", "b/", "z"]),
            ("", "a/zzz", ["a0", "b/", "z"]),
            ("", "zz", []),
            ("a/", "a/b", ["a/b-", "a/b/", "a/b0"]),
            ("a/", "a/b-", ["a/b/", "a/b0"]),
            ("a/", "a/b/", ["a/b0"]),
            ("a/", "a/b/c", ["a/b0"]),
            ("a/", "a", ["a/b-", "a/b/", "a/b0"]),
            ("a/", "a/", ["a/b-", "a/b/", "a/b0"]),
            ("a/", "b", []),
        ],
    )
    def test_start_after_leaves_out_what_was_given(
        self, provider: Provider, prefix: str, start_after: str, expected: list[str]
    ) -> None:
        fill(provider, TREE)
        assert listed(provider, prefix, delimiter="/", start_after=start_after) == expected

    def test_start_after_without_a_delimiter_is_a_plain_bound(self, provider: Provider) -> None:
        fill(provider, TREE)
        assert listed(provider, start_after="a/b/c") == ["a/b/d", "a/b0", "a0", "b/c", "b/c.txt", "z"]
        assert listed(provider, "a/", start_after="a/b/") == ["a/b/c", "a/b/d", "a/b0"]

    def test_many_keys_come_in_pages_and_go_page_by_page(self, provider: Provider) -> None:
        keys = [f"f{n % 50:02}/{n:04}" for n in range(2500)]
        fill(provider, keys)
        assert listed(provider) == sorted(keys)
        assert listed(provider, delimiter="/") == [f"f{n:02}/" for n in range(50)]
        assert listed(provider, "f1", start_after="f19/2469") == []
        assert listed(provider, "f1", start_after="f19/2419") == ["f19/2469"]
        assert not provider.delete(keys[:1200])
        for page in provider.list("f"):
            assert not provider.delete([info.key for info in page.objects])
        assert listed(provider) == []

    def test_a_folder_of_many_is_one_name(self, provider: Provider) -> None:
        keys = [f"a/{n:04}" for n in range(1100)] + ["a0", "b"]
        fill(provider, keys)
        assert listed(provider, delimiter="/") == ["a/", "a0", "b"]
        assert listed(provider, "a/", delimiter="/") == keys[:1100]

    def test_a_folder_that_lost_its_objects_is_gone(self, provider: Provider) -> None:
        fill(provider, TREE)
        provider.delete(["a/b/c", "a/b/d"])
        assert listed(provider, "a/", delimiter="/") == ["a/b-", "a/b0"]

    def test_a_listing_that_is_left_early_does_no_harm(self, provider: Provider) -> None:
        fill(provider, TREE)
        page = next(iter(provider.list()))
        assert page.objects[0].key == "a-b"
        provider.put("a/new", b"1")
        assert "a/new" in listed(provider)

    def test_listings_agree_with_a_dictionary(self, provider: Provider) -> None:
        keys = _random_keys(120)
        fill(provider, keys)
        chance = random.Random(2)  # noqa: S311 - reproducible on purpose
        for _ in range(300):
            prefix = _part_of(chance, keys)
            delimiter = chance.choice([None, "/", "/", "-", "a"])
            start_after = chance.choice([None, _part_of(chance, keys), chance.choice(keys)])
            expected = model(keys, prefix, delimiter=delimiter, start_after=start_after)
            found = listed(provider, prefix, delimiter=delimiter, start_after=start_after)
            assert found == expected, f"list({prefix!r}, delimiter={delimiter!r}, start_after={start_after!r})"


def _random_keys(count: int) -> list[str]:
    """Return keys of which none is another one's folder: not every store can hold both."""
    chance = random.Random(1)  # noqa: S311 - reproducible on purpose
    keys: list[str] = []
    while len(keys) < count:
        key = "/".join(chance.choices(SEGMENTS, k=chance.randint(1, 4)))
        if not any(key == other or key.startswith(f"{other}/") or other.startswith(f"{key}/") for other in keys):
            keys.append(key)
    return keys


def _part_of(chance: random.Random, keys: list[str]) -> str:
    key = chance.choice(keys)
    cut = chance.choice([0, chance.randrange(len(key) + 1), key.rfind("/") + 1, len(key)])
    return key[:cut] + chance.choice(["", "", "", "/", "x"])
