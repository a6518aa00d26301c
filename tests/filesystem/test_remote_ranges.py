"""Bytes of many objects, and many ranges of few, over a network."""

import asyncio
import os

import pytest

from datastore.errors import Forbidden, HeadMoved, NotFound
from datastore.fs.system import DatastoreFileSystem
from datastore.testing.scripted_s3 import Late, Swapped, refused
from tests.filesystem.helpers import requests_to

DATA = os.urandom(3 << 20)


@pytest.fixture
def numbers(cloud):
    objects = {f"d/{n}": b"%d" % n * 30 for n in range(40)}
    for key, body in objects.items():
        cloud.objects.put("bucket", key, body)
    return {f"cloud/{key}": body for key, body in objects.items()}


def test_a_folder_is_read_with_one_listing_and_one_request_for_each(cloud, fs, numbers):
    assert fs.cat("cloud/d", recursive=True) == numbers
    assert len(cloud.requests) == 1 + len(numbers)
    assert fs.cat("cloud/d/1*") == {path: body for path, body in numbers.items() if path[8:].startswith("1")}


def test_paths_that_are_named_are_read_with_one_request_each(cloud, fs, numbers):
    assert fs.cat(list(numbers)) == numbers
    assert len(cloud.requests) == len(numbers)
    assert fs.cat("cloud/d/7") == numbers["cloud/d/7"]
    assert fs.cat(list(numbers), start=1, end=-1) == {path: body[1:-1] for path, body in numbers.items()}
    assert fs.cat("cloud/d/*", start=2) == {path: body[2:] for path, body in numbers.items()}


def test_errors_are_treated_as_asked(cloud, fs, numbers):
    cloud.on("GetObject", "d/3", refused(403, "AccessDenied"), times=9)
    with pytest.raises(Forbidden):
        fs.cat("cloud/d", recursive=True)
    found = fs.cat("cloud/d", recursive=True, on_error="return")
    assert isinstance(found.pop("cloud/d/3"), Forbidden)
    assert found == fs.cat("cloud/d", recursive=True, on_error="omit")
    assert fs.cat(["cloud/d/1", "cloud/no"], on_error="omit") == {"cloud/d/1": numbers["cloud/d/1"]}
    with pytest.raises(NotFound):
        fs.cat(["cloud/d/1", "cloud/no"])


def test_what_changes_after_the_listing_is_read_as_it_is_now(cloud, fs, numbers):
    cloud.on("GetObject", "d/3", Swapped(b"other"))
    assert fs.cat("cloud/d", recursive=True) == {**numbers, "cloud/d/3": b"other"}


def test_ranges_of_one_object_are_one_wave_of_one_version(cloud, fs):
    cloud.objects.put("bucket", "a", DATA)
    cloud.on("GetObject", "a", Late(0.15), times=12)
    starts = [n * 200_000 for n in range(12)]
    with requests_to(cloud.endpoint) as seen:
        found = fs.cat_ranges(["cloud/a"] * 12, starts, [start + 10 for start in starts])
    assert found == [DATA[start : start + 10] for start in starts]
    assert len(seen) == 1 + 12
    assert seen.depth() == 2
    assert sum(exchange.received for exchange in seen) == 120
    cloud.on("GetObject", "a", Swapped(bytes(len(DATA))), nth=3)
    moved = fs.cat_ranges(["cloud/a"] * 12, starts, [start + 10 for start in starts])
    for start, result in zip(starts, moved, strict=True):
        assert isinstance(result, HeadMoved) or result == DATA[start : start + 10]
    assert any(isinstance(result, HeadMoved) for result in moved)


def test_near_ranges_are_one_request_and_single_ones_need_no_other(cloud, fs):
    for key in "ab":
        cloud.objects.put("bucket", key, DATA)
    found = fs.cat_ranges(["cloud/a", "cloud/a", "cloud/b"], [0, 100, -5], [10, 110, None])
    assert found == [DATA[:10], DATA[100:110], DATA[-5:]]
    assert len(cloud.requests) == 2
    paths = ["cloud/a", "cloud/no", "cloud/no", "cloud/b"]
    found = fs.cat_ranges(paths, [0, 0, 1_000_000, 5], [1, 1, 1_000_001, 6])
    assert (found[0], found[3]) == (DATA[:1], DATA[5:6])
    assert [type(error) for error in found[1:3]] == [NotFound] * 2
    with pytest.raises(NotFound):
        fs.cat_ranges(paths, [0, 0, 1_000_000, 5], [1, 1, 1_000_001, 6], on_error="raise")


def test_coroutines_read_the_same_ranges(cloud):
    cloud.objects.put("bucket", "a", DATA)
    cloud.objects.put("bucket", "b", DATA)
    fs = DatastoreFileSystem(asynchronous=True)

    async def work():
        starts = [0, 1_000_000, 2_000_000, 7, -4]
        paths = ["cloud/a", "cloud/a", "cloud/a", "cloud/b", "cloud/b"]
        found = await fs._cat_ranges(paths, starts, [5, 1_000_005, 2_000_005, 9, None])
        assert found == [DATA[:5], DATA[1_000_000:1_000_005], DATA[2_000_000:2_000_005], DATA[7:9], DATA[-4:]]

    asyncio.run(work())
    assert len(cloud.requests) == 2 + 3 + 2
