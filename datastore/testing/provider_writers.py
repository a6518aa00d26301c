"""The part of the provider exam about writers: nothing shows before the commit, and nothing without it."""

import array
import gc

import pytest

from datastore.errors import AlreadyExists, HeadMoved, NotFound, ValidationError
from datastore.provider import Provider
from datastore.testing.exam import MIB, content, listed, needs, payload, timeless, together, writers
from datastore.values import CREATE, Attributes, Match, PutMode

__all__ = ["WritersExam"]


class WritersExam:
    """What `writer` has to do, where there is one."""

    @pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB + 1, 5 * MIB + 3])
    def test_a_committed_writer_publishes_all_it_took(self, provider: Provider, size: int) -> None:
        data = payload(size)
        writer = writers(provider).writer("folder/a.csv")
        steps = range(0, size, 100_003)
        assert [writer.write(data[at : at + 100_003]) for at in steps] == [min(100_003, size - at) for at in steps]
        info = writer.commit()
        assert (info.key, info.size, info.content_type) == ("folder/a.csv", size, "text/csv")
        assert content(provider, "folder/a.csv") == data
        assert timeless(provider.head("folder/a.csv")) == timeless(info)

    def test_a_writer_counts_bytes(self, provider: Provider) -> None:
        writer = writers(provider).writer("a")
        numbers = array.array("i", range(10))
        taken = [writer.write(piece) for piece in (b"", bytearray(b"123"), memoryview(b"45"), memoryview(numbers))]
        assert taken == [0, 3, 2, 40]
        writer.commit()
        assert content(provider, "a") == b"12345" + numbers.tobytes()

    def test_what_a_writer_took_is_its_own(self, provider: Provider) -> None:
        writer = writers(provider).writer("a")
        buffer = bytearray(b"first")
        writer.write(buffer)
        buffer[:] = b"other"
        writer.write(buffer)
        writer.commit()
        assert content(provider, "a") == b"firstother"

    def test_nothing_shows_before_the_commit(self, provider: Provider) -> None:
        provider.put("a", b"old")
        one, other = writers(provider).writer("a"), writers(provider).writer("folder/b")
        one.write(payload(2 * MIB))
        other.write(payload(2 * MIB))
        assert (listed(provider), content(provider, "a")) == (["a"], b"old")
        assert listed(provider, delimiter="/") == ["a"]
        with pytest.raises(NotFound):
            provider.head("folder/b")
        one.abort()
        other.commit()
        assert (listed(provider), content(provider, "a")) == (["a", "folder/b"], b"old")

    def test_an_aborted_writer_publishes_nothing(self, provider: Provider) -> None:
        writer = writers(provider).writer("folder/a")
        writer.write(b"1")
        writer.abort()
        writer.abort()
        with pytest.raises(ValidationError):
            writer.write(b"2")
        with pytest.raises(ValidationError):
            writer.commit()
        assert listed(provider) == []

    def test_a_committed_writer_is_finished(self, provider: Provider) -> None:
        writer = writers(provider).writer("a")
        writer.write(b"1")
        writer.commit()
        writer.abort()
        with pytest.raises(ValidationError):
            writer.write(b"2")
        with pytest.raises(ValidationError):
            writer.commit()
        assert content(provider, "a") == b"1"

    def test_a_dropped_writer_publishes_nothing(self, provider: Provider) -> None:
        provider.put("old", b"old")
        for key in ("old", "folder/new"):
            writer = writers(provider).writer(key)
            writer.write(payload(2 * MIB))
            del writer
            gc.collect()
        assert (listed(provider), content(provider, "old")) == (["old"], b"old")

    def test_a_writer_obeys_create(self, provider: Provider) -> None:
        provider.put("taken", b"old")
        with pytest.raises(AlreadyExists):
            _write(provider, "taken", b"new", mode=CREATE)
        late = writers(provider).writer("late", mode=CREATE)
        late.write(b"new")
        provider.put("late", b"old")
        with pytest.raises(AlreadyExists):
            late.commit()
        with pytest.raises(ValidationError):
            late.commit()
        late.abort()
        assert (content(provider, "taken"), content(provider, "late")) == (b"old", b"old")

    def test_a_writer_obeys_match(self, provider: Provider) -> None:
        supports = writers(provider)
        needs(provider, "match")
        etag = provider.put("a", b"first").etag
        one, other = supports.writer("a", mode=Match(etag)), supports.writer("a", mode=Match(etag))
        one.write(b"second")
        other.write(b"third")
        one.commit()
        with pytest.raises(HeadMoved):
            other.commit()
        assert content(provider, "a") == b"second"

    def test_a_writer_keeps_attributes(self, provider: Provider) -> None:
        supports = writers(provider)
        needs(provider, "attributes")
        writer = supports.writer("a.csv", attributes=Attributes(content_type="text/x-own", metadata={"run": "12"}))
        writer.commit()
        info = provider.head("a.csv")
        assert (info.content_type, dict(info.metadata)) == ("text/x-own", {"run": "12"})

    def test_the_last_of_eight_writers_wins_whole(self, provider: Provider) -> None:
        supports = writers(provider)

        def write(number: int) -> None:
            writer = supports.writer("a/b")
            for _ in range(10):
                writer.write(bytes([number]) * 10_000)
            writer.commit()

        together(write)
        found = content(provider, "a/b")
        assert (len(found), len(set(found))) == (100_000, 1)


def _write(provider: Provider, key: str, data: bytes, *, mode: PutMode) -> None:
    writer = writers(provider).writer(key, mode=mode)
    writer.write(data)
    writer.commit()
