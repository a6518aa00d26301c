"""The tools of the exams: payloads, listings, a model to compare with, threads that start together, skips."""

import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Literal, TypeVar

import pytest
from msgspec import structs

from datastore.provider import Provider, SupportsCopy, SupportsLink, SupportsWriter
from datastore.values import ByteRange, ObjectInfo, Page

__all__ = [
    "BAD_KEYS",
    "MIB",
    "content",
    "copier",
    "fill",
    "linker",
    "listed",
    "model",
    "needs",
    "payload",
    "timeless",
    "together",
    "writers",
]

MIB = 1 << 20
THREADS = 8
BAD_KEYS = {
    "empty": "",
    "leading slash": "/a",
    "trailing slash": "a/",
    "double slash": "a//b",
    "dot": ".",
    "dot first": "./a",
    "dot inside": "a/./b",
    "dot dot": "..",
    "dot dot first": "../a",
    "dot dot inside": "a/../b",
    "chained": "a::b",
    "NUL": "a\0b",
    "lone surrogate": "a\ud800b",
    "surrogate escape": "a\udcff",
    "too long": "/".join(["name"] * 206),
}
"""Keys that may not be written, each by what is wrong with it."""

T = TypeVar("T")


def payload(size: int, *, seed: int = 0) -> bytes:
    """Return bytes that look random, the same in each run."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - reproducible on purpose


def content(provider: Provider, key: str, *, range: ByteRange | None = None) -> bytes:
    """Return the bytes of an object."""
    with provider.read(key, range=range) as reader:
        return reader.read()


def timeless(info: ObjectInfo) -> ObjectInfo:
    """Return an info without its time, which not every service tells after a write."""
    return structs.replace(info, modified_us=0)


def listed(
    provider: Provider, prefix: str = "", *, delimiter: str | None = None, start_after: str | None = None
) -> list[str]:
    """Return the keys and common prefixes of a listing in order, after looking at its pages."""
    names: list[str] = []
    for page in provider.list(prefix, delimiter=delimiter, start_after=start_after):
        found = _page_names(page)
        assert 1 <= len(found) <= 1000, f"a page holds {len(found)} names"
        names += sorted(found, key=str.encode)
    assert names == sorted(set(names), key=str.encode), "names come in the order of their UTF-8 bytes, each once"
    return names


def _page_names(page: Page) -> list[str]:
    keys = [info.key for info in page.objects]
    prefixes = list(page.prefixes)
    assert keys == sorted(keys, key=str.encode)
    assert prefixes == sorted(prefixes, key=str.encode)
    return keys + prefixes


def model(
    keys: Iterable[str], prefix: str = "", *, delimiter: str | None = None, start_after: str | None = None
) -> list[str]:
    """Return what a listing of these keys has to show, said as plainly as possible."""
    names: set[str] = set()
    for key in keys:
        if key.startswith(prefix):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            names.add(key if end < 0 or not delimiter else key[: end + len(delimiter)])
    shown = (name for name in names if start_after is None or name.encode() > start_after.encode())
    return sorted(shown, key=str.encode)


def fill(provider: Provider, keys: Sequence[str]) -> None:
    """Put an object under each key: the key itself as bytes."""

    def put(key: str) -> ObjectInfo:
        return provider.put(key, key.encode())

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, keys))


def together(work: Callable[[int], T]) -> list[T]:
    """Run `work(0)` to `work(7)` in threads that start at once, and return what they return."""
    barrier = Barrier(THREADS)

    def started(number: int) -> T:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(started, range(THREADS)))


def needs(provider: Provider, capability: Literal["create", "match", "attributes"]) -> None:
    """Skip the test if the provider says that it cannot do this."""
    if not getattr(provider.capabilities, capability):
        pytest.skip(f"{type(provider).__name__}: capabilities.{capability} is False")


def writers(provider: Provider) -> SupportsWriter:
    """Return the provider as one that has writers, or skip the test."""
    if not isinstance(provider, SupportsWriter):
        pytest.skip(f"{type(provider).__name__} is no SupportsWriter")
    return provider


def copier(provider: Provider) -> SupportsCopy:
    """Return the provider as one that copies, or skip the test."""
    if not isinstance(provider, SupportsCopy):
        pytest.skip(f"{type(provider).__name__} is no SupportsCopy")
    return provider


def linker(provider: Provider) -> SupportsLink:
    """Return the provider as one that links, or skip the test."""
    if not isinstance(provider, SupportsLink):
        pytest.skip(f"{type(provider).__name__} is no SupportsLink")
    return provider
