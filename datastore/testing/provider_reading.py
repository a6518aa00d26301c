"""The part of the provider exam that reads: heads, ranges, readers, preconditions."""

import io
from itertools import pairwise
from operator import methodcaller

import pytest

from datastore.errors import DatastoreError, HeadMoved, IntegrityError, NotFound
from datastore.provider import Provider, Reader
from datastore.testing.exam import BAD_KEYS, MIB, content, payload, timeless
from datastore.values import ByteRange

__all__ = ["ReadingExam"]

TEXT = b"first line\nsecond line\n\nlast line without end"
MANY = payload(1000)


class ReadingExam:
    """What `head`, `read` and readers have to do."""

    @pytest.mark.parametrize("verb", [methodcaller("head", "a/b"), methodcaller("read", "a/b")], ids=["head", "read"])
    def test_what_is_not_there_is_not_found(self, provider: Provider, verb: methodcaller) -> None:
        provider.put("a/bc", b"1")
        with pytest.raises(NotFound) as caught:
            verb(provider)
        assert isinstance(caught.value, FileNotFoundError)
        assert "a/b" in str(caught.value)

    @pytest.mark.parametrize("key", ["a", "a/", "a/b/", "a//b/c.txt", "a/./b/c.txt", " a/b/c.txt"])
    def test_a_prefix_or_a_similar_name_is_no_object(self, provider: Provider, key: str) -> None:
        provider.put("a/b/c.txt", b"1")
        with pytest.raises(NotFound):
            provider.head(key)
        with pytest.raises(NotFound):
            provider.read(key)

    @pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
    def test_a_key_that_cannot_be_is_refused_in_our_words(self, provider: Provider, key: str) -> None:
        for similar in ("a", "b", "name"):
            provider.put(similar, b"1")
        with pytest.raises(DatastoreError):
            provider.head(key)
        with pytest.raises(DatastoreError):
            provider.read(key)

    @pytest.mark.parametrize(
        ("start", "stop"),
        [
            (0, None),
            (0, 10),
            (990, None),
            (990, 5000),
            (10, 20),
            (-4, None),
            (-5000, None),
            (-8, -2),
            (0, -1),
            (3, 3),
            (7, 3),
            (1000, None),
            (5000, 6000),
            (999, 1000),
        ],
    )
    def test_a_range_gives_what_a_slice_gives(self, provider: Provider, start: int, stop: int | None) -> None:
        provider.put("numbers.bin", MANY)
        provider.put("empty.bin", b"")
        assert content(provider, "numbers.bin", range=ByteRange(start, stop)) == MANY[start:stop]
        assert content(provider, "empty.bin", range=ByteRange(start, stop)) == b""

    def test_ranges_of_a_large_object_fit_together(self, provider: Provider) -> None:
        data = payload(3 * MIB + 17)
        provider.put("large.bin", data)
        cuts = [0, 1, MIB - 1, MIB + 1, 2 * MIB, len(data)]
        pieces = [content(provider, "large.bin", range=ByteRange(*pair)) for pair in pairwise(cuts)]
        assert b"".join(pieces) == data

    def test_a_range_of_nothing_is_not_found(self, provider: Provider) -> None:
        with pytest.raises(NotFound):
            provider.read("a", range=ByteRange(5, 5))

    def test_a_reader_knows_its_object(self, provider: Provider) -> None:
        provider.put("a.txt", TEXT)
        with provider.read("a.txt", range=ByteRange(3, 5)) as reader:
            assert timeless(reader.info) == timeless(provider.head("a.txt"))
            assert reader.info.size == len(TEXT)
            assert reader.readable()
            assert not reader.writable()

    def test_a_reader_gives_pieces_then_nothing(self, provider: Provider) -> None:
        provider.put("a.bin", MANY)
        with provider.read("a.bin") as reader:
            assert reader.read(0) == b""
            pieces = [piece for piece in iter(lambda: reader.read(300), b"") if piece]
            assert b"".join(pieces) == MANY
            assert reader.read(300) == b""
            assert reader.read() == b""

    def test_readinto_fills_what_it_can(self, provider: Provider) -> None:
        provider.put("a.bin", MANY)
        buffer = bytearray(b"-" * 600)
        taken = b""
        with provider.read("a.bin", range=ByteRange(100, 950)) as reader:
            while count := reader.readinto(buffer):
                taken += buffer[:count]
        assert taken == MANY[100:950]

    def test_lines_can_be_iterated(self, provider: Provider) -> None:
        provider.put("a.txt", TEXT)
        with provider.read("a.txt") as reader:
            assert list(reader) == TEXT.splitlines(keepends=True)

    def test_a_reader_works_under_the_standard_wrappers(self, provider: Provider) -> None:
        provider.put("a.txt", TEXT)
        with io.TextIOWrapper(io.BufferedReader(provider.read("a.txt")), encoding="utf-8") as text:
            assert text.read().encode() == TEXT

    def test_a_reader_moves_within_its_range_or_says_that_it_cannot(self, provider: Provider) -> None:
        provider.put("a.bin", MANY)
        with provider.read("a.bin", range=ByteRange(100, 200)) as reader:
            if provider.capabilities.local:
                assert reader.seekable()
            if not reader.seekable():
                with pytest.raises(io.UnsupportedOperation):
                    reader.seek(0)
                return
            _check_moves(reader)

    def test_two_readers_do_not_move_each_other(self, provider: Provider) -> None:
        provider.put("a.bin", MANY)
        with provider.read("a.bin") as one, provider.read("a.bin") as other:
            assert (one.read(10), other.read(20), one.read(10)) == (MANY[:10], MANY[:20], MANY[10:20])

    def test_a_closed_reader_gives_nothing(self, provider: Provider) -> None:
        provider.put("a.bin", MANY)
        reader = provider.read("a.bin")
        with reader:
            assert reader.read(1) == MANY[:1]
        reader.close()
        assert reader.closed
        for use in (methodcaller("read", 1), methodcaller("read"), methodcaller("readinto", bytearray(1))):
            with pytest.raises(ValueError, match="closed"):
                use(reader)

    def test_a_precondition_that_holds_does_not_show(self, provider: Provider) -> None:
        etag = provider.put("a.bin", MANY).etag
        with provider.read("a.bin", range=ByteRange(0, 5), if_match=etag) as reader:
            assert reader.read() == MANY[:5]

    def test_a_precondition_that_does_not_hold_says_head_moved(self, provider: Provider) -> None:
        old = provider.put("a.bin", b"old").etag
        new = provider.put("a.bin", b"new").etag
        assert old != new
        for etag in (old, "never an etag"):
            with pytest.raises(HeadMoved):
                provider.read("a.bin", if_match=etag)
        with pytest.raises(NotFound):
            provider.read("b.bin", if_match=new)

    def test_an_open_reader_never_mixes_two_versions(self, provider: Provider) -> None:
        old, new = payload(5 * MIB, seed=1), payload(5 * MIB, seed=2)
        provider.put("a.bin", old)
        with provider.read("a.bin") as reader:
            beginning = reader.read(1000)
            provider.put("a.bin", new)
            assert _rest(reader, beginning) in {old, None}
        assert content(provider, "a.bin") == new

    def test_an_open_reader_outlives_its_object_or_says_so(self, provider: Provider) -> None:
        old = payload(5 * MIB)
        provider.put("a.bin", old)
        with provider.read("a.bin") as reader:
            beginning = reader.read(1000)
            provider.delete(["a.bin"])
            assert _rest(reader, beginning) in {old, None}


def _rest(reader: Reader, beginning: bytes) -> bytes | None:
    """Return all bytes, or None if the reader noticed that the object is another one."""
    try:
        return beginning + reader.read()
    except IntegrityError:
        return None


def _check_moves(reader: Reader) -> None:
    part = MANY[100:200]
    assert reader.tell() == 0
    assert reader.read(10) == part[:10]
    assert reader.tell() == 10
    assert reader.seek(50) == 50
    assert reader.read() == part[50:]
    assert reader.seek(-3, io.SEEK_END) == 97
    assert reader.read(2) == part[97:99]
    assert reader.seek(-9, io.SEEK_CUR) == 90
    assert reader.read() == part[90:]
    reader.seek(5000)
    assert reader.read() == b""
    with pytest.raises((ValueError, OSError)):
        reader.seek(-1)
