"""The exam of a provider: subclass it, give it a fresh provider, and pytest tells what is missing."""

import copy
import pickle
import threading
from typing import TypeVar

import pytest

from datastore.errors import Forbidden, NotFound
from datastore.provider import Provider, SupportsCopy, SupportsWriter
from datastore.testing.exam import content, listed, together
from datastore.testing.provider_listing import ListingExam
from datastore.testing.provider_reading import ReadingExam
from datastore.testing.provider_writers import WritersExam
from datastore.testing.provider_writing import WritingExam
from datastore.values import CREATE, OVERWRITE

__all__ = ["ProviderSuite", "ReadOnlySuite"]

T = TypeVar("T")


class ProviderSuite(ReadingExam, WritingExam, WritersExam, ListingExam):
    """The contract of `datastore.provider.Provider` as tests.

    A subclass has one fixture, `provider`: fresh, empty and writable for each test. What a provider says that it cannot
    do (`capabilities`, the `Supports…` protocols) is skipped or has to be refused; everything else has to pass.

        class TestMyProvider(ProviderSuite):
            @pytest.fixture
            def provider(self):
                provider = MyProvider(...)
                yield provider
                provider.close()
    """

    def test_it_is_a_provider_that_can_be_written(self, provider: Provider) -> None:
        assert isinstance(provider, Provider)
        assert provider.capabilities.writable
        assert not provider.capabilities.immutable

    def test_it_is_safe_to_share_between_threads(self, provider: Provider) -> None:
        keys = [f"shared/{n}" for n in range(4)]

        def work(number: int) -> int:
            seen = 0
            for turn in range(20):
                key = keys[(number + turn) % 4]
                provider.put(key, bytes([number]) * 20_000)
                data = content(provider, key)
                assert (len(data), len(set(data))) == (20_000, 1)
                provider.put(f"own/{number}/{turn}", b"1")
                seen += len(listed(provider, f"own/{number}/"))
                if turn % 5 == 4:
                    provider.delete([f"own/{number}/{n}" for n in range(turn - 4, turn + 1)])
            return seen

        assert together(work) == [4 * (1 + 2 + 3 + 4 + 5)] * 8
        assert listed(provider) == keys

    def test_readers_see_the_old_object_or_the_new_one(self, provider: Provider) -> None:
        size = 200_000
        provider.put("a", bytes(size))
        written = threading.Event()

        def work(number: int) -> set[tuple[int, int]]:
            seen: set[tuple[int, int]] = set()
            if number == 0:
                try:
                    for turn in range(60):
                        provider.put("a", bytes([turn]) * size)
                finally:
                    written.set()
            while not written.is_set():
                data = content(provider, "a")
                seen |= {(len(data), len(set(data))), (provider.head("a").size, 1)}
            return seen

        assert set().union(*together(work)) == {(size, 1)}

    def test_an_info_pickles_and_copies(self, provider: Provider) -> None:
        info = provider.put("a.txt", b"hello")
        assert _pickled(info) == copy.deepcopy(info) == info

    def test_an_error_says_what_it_is_and_pickles(self, provider: Provider) -> None:
        with pytest.raises(NotFound) as caught:
            provider.head("missing.txt")
        again = _pickled(caught.value)
        assert type(again) is type(caught.value)
        assert (again.kind, str(again), again.hint) == ("not-found", str(caught.value), caught.value.hint)
        assert "missing.txt" in str(again)

    def test_closing_twice_does_no_harm(self, provider: Provider) -> None:
        provider.put("a", b"1")
        provider.close()
        provider.close()


class ReadOnlySuite:
    """What a handle that cannot be written to has to refuse.

    A subclass has one fixture, `read_only`: a provider that holds nothing but `a.txt` with the bytes `hello`.
    """

    def test_it_says_that_it_cannot_be_written(self, read_only: Provider) -> None:
        assert isinstance(read_only, Provider)
        assert not read_only.capabilities.writable

    def test_it_can_be_read(self, read_only: Provider) -> None:
        _unchanged(read_only)
        assert read_only.head("a.txt").size == 5
        assert listed(read_only, delimiter="/") == ["a.txt"]

    @pytest.mark.parametrize("key", ["a.txt", "b.txt", "folder/c.txt"])
    def test_nothing_can_be_put(self, read_only: Provider, key: str) -> None:
        for mode in (OVERWRITE, CREATE):
            with pytest.raises(Forbidden):
                read_only.put(key, b"changed", mode=mode)
        _unchanged(read_only)

    @pytest.mark.parametrize("key", ["a.txt", "missing.txt"])
    def test_nothing_can_be_deleted(self, read_only: Provider, key: str) -> None:
        with pytest.raises(Forbidden) as caught:
            read_only.delete([key])
        assert isinstance(caught.value, PermissionError)
        _unchanged(read_only)

    def test_no_writer_comes_to_its_commit(self, read_only: Provider) -> None:
        if isinstance(read_only, SupportsWriter):
            with pytest.raises(Forbidden):
                read_only.writer("b.txt")
        _unchanged(read_only)

    def test_nothing_can_be_copied(self, read_only: Provider) -> None:
        if isinstance(read_only, SupportsCopy):
            with pytest.raises(Forbidden):
                read_only.copy("a.txt", "b.txt")
        _unchanged(read_only)


def _pickled(value: T) -> T:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - bytes of our own


def _unchanged(provider: Provider) -> None:
    assert listed(provider) == ["a.txt"]
    assert content(provider, "a.txt") == b"hello"
