"""The network misbehaves, the object changes: right bytes, or an error that says why; never a mixture."""

import os

import pytest

import datastore as ds
from datastore.errors import DatastoreError, HeadMoved, NotCached
from datastore.namespace import reset_current
from datastore.testing.scripted_s3 import Cut, NoRange, Reset, Swapped, WrongLength, WrongRange, refused
from tests.resolve.helpers import MIB, gets, leaks, tree

BIG = os.urandom(40 * MIB + 5)
OTHER = os.urandom(40 * MIB + 5)


def published(place):
    """All bytes that anybody could take for those of an object."""
    cache = place / "cache"
    return [path.read_bytes() for kind in ("objects", "files", "trees") for path in cache.glob(f"{kind}/**/*.bin")]


def test_s07_a_reset_in_the_middle_goes_on_with_one_range_of_the_same_version(cloud, place):
    cloud.objects.put("bucket", "a.bin", BIG[: 4 * MIB])
    cloud.on("GetObject", r"a\.bin", Reset(after=3 * MIB // 2))
    assert ds.resolve("ds://cloud/a.bin").read_bytes() == BIG[: 4 * MIB]
    again = [request for request in cloud.requests if request.operation == "GetObject"][1:]
    assert len(again) == 1
    assert again[0].headers["range"].startswith("bytes=")
    assert "if-match" in again[0].headers
    assert leaks(place / "cache") == []


def test_s07_an_object_replaced_after_a_reset_starts_anew_and_is_never_stitched(cloud, place):
    cloud.objects.put("bucket", "a.bin", BIG)
    cloud.on("GetObject", r"a\.bin", Reset(after=MIB))
    cloud.on("GetObject", r"a\.bin", Swapped(OTHER), nth=3)
    assert ds.resolve("ds://cloud/a.bin").read_bytes() == OTHER
    assert published(place) == [OTHER]


def test_s08_an_object_replaced_between_parallel_parts_is_never_stitched(cloud, place):
    cloud.objects.put("bucket", "a.bin", BIG)
    cloud.on("GetObject", r"a\.bin", Swapped(OTHER), nth=3)
    assert ds.resolve("ds://cloud/a.bin").read_bytes() == OTHER
    assert published(place) == [OTHER]


def test_s08_an_object_that_changes_all_the_time_is_an_error_and_nothing_is_published(cloud, quick, place):
    cloud.objects.put("bucket", "a.bin", BIG)
    for n in range(1, 40):
        cloud.on("GetObject", r"a\.bin", Swapped(bytes([n]) * (20 * MIB)), nth=n)
    with pytest.raises(HeadMoved):
        ds.resolve("ds://cloud/a.bin")
    assert published(place) == []


def test_s08_a_folder_in_which_an_object_changes_starts_anew(cloud):
    for n in range(5):
        cloud.objects.put("bucket", f"d/{n}", b"old %d" % n)
    cloud.on("GetObject", r"d/3", Swapped(b"new 3"))
    found = tree(ds.resolve("ds://cloud/d/"))
    assert found == {**{f"{n}": b"old %d" % n for n in range(5)}, "3": b"new 3"}


@pytest.mark.parametrize("fault", [NoRange(), WrongRange(shift=7), WrongLength(by=-5), Cut(after=MIB)])
def test_s09_a_server_that_breaks_the_rules_never_gives_wrong_bytes(cloud, quick, place, fault):
    cloud.objects.put("bucket", "a.bin", BIG)
    cloud.on("GetObject", r"a\.bin", fault, times=100)
    try:
        path = ds.resolve("ds://cloud/a.bin")
    except (DatastoreError, OSError):
        assert published(place) == []
    else:
        assert path.read_bytes() == BIG


def test_s11_what_came_before_a_failure_is_not_asked_for_again(cloud, place):
    cloud.objects.put("bucket", "a.bin", BIG)
    cloud.on("GetObject", r"a\.bin", refused(403, "AccessDenied"), nth=5, times=100)
    with pytest.raises(DatastoreError):
        ds.resolve("ds://cloud/a.bin")
    assert len(list((place / "cache" / "partial").iterdir())) == 1
    cloud.requests.clear()
    cloud._rules.clear()
    assert ds.resolve("ds://cloud/a.bin").read_bytes() == BIG
    assert 1 <= len(gets(cloud)) < 6
    assert all("if-match" in request.headers for request in cloud.requests if request.operation == "GetObject")
    assert leaks(place / "cache") == []


def test_s11_what_came_of_another_version_is_not_used(cloud, place):
    cloud.objects.put("bucket", "a.bin", BIG)
    cloud.on("GetObject", r"a\.bin", refused(403, "AccessDenied"), nth=5, times=100)
    with pytest.raises(DatastoreError):
        ds.resolve("ds://cloud/a.bin")
    cloud._rules.clear()
    cloud.objects.put("bucket", "a.bin", OTHER)
    assert ds.resolve("ds://cloud/a.bin").read_bytes() == OTHER


# offline


def test_offline_what_was_resolved_is_there_and_what_was_not_is_named(cloud, monkeypatch, place):
    cloud.objects.put("bucket", "a.bin", b"1")
    cloud.objects.put("bucket", "d/b.bin", b"2")
    cloud.objects.put("bucket", "d/e/c.bin", b"3")
    before = ds.resolve("ds://cloud/a.bin"), ds.resolve("ds://cloud/d/")
    cloud.close()
    monkeypatch.setenv("DATASTORE_OFFLINE", "1")
    again()
    cloud_again(cloud)
    assert (ds.resolve("ds://cloud/a.bin"), ds.resolve("ds://cloud/d/")) == before
    assert tree(before[1]) == {"b.bin": b"2", "e/c.bin": b"3"}
    with pytest.raises(NotCached, match=r"ds://cloud/x\.bin"):
        ds.resolve("ds://cloud/x.bin")
    lost = place / "cache" / before[1].relative_to(place / "cache") / "e" / "c.bin"
    for path in (place / "cache" / "objects").glob("*/*"):
        if path.samefile(lost):
            path.unlink()
    lost.unlink()
    with pytest.raises(NotCached, match=r"'e/c\.bin'"):
        ds.resolve("ds://cloud/d/")


def test_offline_is_what_the_argument_says_before_the_configuration(cloud, monkeypatch):
    cloud.objects.put("bucket", "a.bin", b"1")
    with pytest.raises(NotCached):
        ds.resolve("ds://cloud/a.bin", offline=True)
    monkeypatch.setenv("DATASTORE_OFFLINE", "yes")
    again()
    cloud_again(cloud)
    path = ds.resolve("ds://cloud/a.bin", offline=False)
    cloud.requests.clear()
    assert ds.resolve("ds://cloud/a.bin") == path
    assert cloud.requests == []


def test_offline_another_mount_of_the_same_name_is_another_place(cloud):
    from datastore.testing.scripted_s3 import ScriptedS3

    cloud.objects.put("bucket", "a.bin", b"1")
    ds.resolve("ds://cloud/a.bin")
    again()
    with ScriptedS3() as other:
        cloud_again(other)
        with pytest.raises(NotCached):
            ds.resolve("ds://cloud/a.bin", offline=True)


def test_offline_a_store_on_this_machine_is_read_as_ever(main):
    main.objects.put("a", b"1")
    assert ds.resolve(main / "a", offline=True).read_bytes() == b"1"
    main.objects.put("a", b"2")
    assert ds.resolve(main / "a", offline=True).read_bytes() == b"2"


def again():
    """Look at the environment anew, as a new process does."""
    reset_current()


def cloud_again(server):
    keys = {"access_key_id": "key", "secret_access_key": "secret"}
    ds.mount("cloud", "s3", bucket="bucket", endpoint=server.endpoint, region="us-east-1", **keys)
