"""Large files that a download which broke off left: gone on with, by one, and never a wrong byte."""

import os

import pytest

import datastore as ds
from datastore import keptfile
from datastore.keptfile import KeptFile
from datastore.parts import PART
from datastore.testing.scripted_s3 import Swapped, refused
from tests.transfers.helpers import MIB, tree

DATA = os.urandom(3 * PART + 100)


def write(file, start):
    os.lseek(file.fd, start, os.SEEK_SET)
    os.write(file.fd, DATA[start : start + PART])
    file.came(start)


def opened(place, version="1"):
    return KeptFile(str(place / "a.bin"), version=version, size=len(DATA))


def hidden(place):
    return [path.name for path in place.iterdir() if path.name.startswith(".datastore-tmp-")]


def finish(file):
    for start in range(0, len(DATA), PART):
        if file.lacks(start):
            write(file, start)
    file.publish()


def test_what_was_left_is_gone_on_with_and_nothing_stays(tmp_path):
    file = opened(tmp_path)
    assert all(file.lacks(start) for start in range(0, len(DATA), PART))
    write(file, PART)
    file.leave()
    assert len(hidden(tmp_path)) == 2
    file = opened(tmp_path)
    assert [file.lacks(start) for start in range(0, len(DATA), PART)] == [True, False, True, True]
    finish(file)
    assert (hidden(tmp_path), (tmp_path / "a.bin").read_bytes()) == ([], DATA)


def test_what_has_nothing_in_it_is_not_left(tmp_path):
    opened(tmp_path).leave()
    assert hidden(tmp_path) == []


def test_another_version_begins_anew_and_the_old_one_goes(tmp_path):
    file = opened(tmp_path)
    write(file, 0)
    file.leave()
    file = opened(tmp_path, version="2")
    assert file.lacks(0)
    assert len(hidden(tmp_path)) == 2
    finish(file)
    assert hidden(tmp_path) == []


def test_after_a_boot_it_begins_anew(tmp_path, monkeypatch):
    file = opened(tmp_path)
    write(file, 0)
    file.leave()
    monkeypatch.setattr(keptfile, "boot_id", lambda: "another boot")
    file = opened(tmp_path)
    assert file.lacks(0)
    file.discard()
    assert hidden(tmp_path) == []


def test_one_at_a_time(tmp_path):
    file = opened(tmp_path)
    with pytest.raises(BlockingIOError):
        opened(tmp_path)
    write(file, 0)
    file.leave()
    file = opened(tmp_path)
    assert not file.lacks(0)
    file.discard()


def test_one_that_is_published_while_another_opens_it_stays_as_it_is(tmp_path, monkeypatch):
    file = opened(tmp_path)
    original = keptfile.try_lock

    def late(fd):
        monkeypatch.setattr(keptfile, "try_lock", original)
        finish(file)
        return original(fd)

    monkeypatch.setattr(keptfile, "try_lock", late)
    other = opened(tmp_path)
    assert other.lacks(0)
    other.discard()
    assert (tmp_path / "a.bin").read_bytes() == DATA


def test_10_where_locks_do_nothing_both_write_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(keptfile, "try_lock", lambda fd: True)
    one, other = opened(tmp_path), opened(tmp_path)
    write(one, 0)
    write(other, PART)
    finish(one)
    write(other, 0)
    finish(other)
    assert (hidden(tmp_path), (tmp_path / "a.bin").read_bytes()) == ([], DATA)


def gets(cloud):
    return [request.headers.get("range") for request in cloud.requests if request.operation == "GetObject"]


def test_11_a_large_download_that_fails_goes_on_with_the_parts_that_are_missing(cloud, place):
    cloud.objects.put("bucket", "d/a.bin", DATA)
    cloud.on("GetObject", r"d/a\.bin", refused(403, "AccessDenied"), nth=3)
    with pytest.raises(ds.Forbidden):
        ds.download("ds://cloud/d/", place / "back")
    assert not (place / "back" / "a.bin").exists()
    first = len(gets(cloud))
    ds.download("ds://cloud/d/", place / "back")
    assert tree(place / "back") == {"a.bin": DATA}
    assert 1 <= len(gets(cloud)) - first < 4


def test_08_parts_of_an_older_version_are_not_used(cloud, place):
    cloud.objects.put("bucket", "d/a.bin", DATA)
    cloud.on("GetObject", r"d/a\.bin", refused(403, "AccessDenied"), nth=3)
    with pytest.raises(ds.Forbidden):
        ds.download("ds://cloud/d/", place / "back")
    other = os.urandom(len(DATA))
    cloud.objects.put("bucket", "d/a.bin", other)
    ds.download("ds://cloud/d/", place / "back")
    assert tree(place / "back") == {"a.bin": other}


def test_08_an_object_that_is_replaced_meanwhile_leaves_nothing(cloud, place):
    cloud.objects.put("bucket", "d/a.bin", DATA)
    other = os.urandom(2 * MIB)
    cloud.on("GetObject", r"d/a\.bin", Swapped(other), nth=2)
    ds.download("ds://cloud/d/", place / "back")
    assert tree(place / "back") == {"a.bin": other}


def test_two_downloads_of_the_same_at_the_same_time(cloud, place):
    cloud.objects.put("bucket", "d/a.bin", DATA)
    (place / "back").mkdir()
    etag = cloud_etag(cloud)
    busy = KeptFile(str(place / "back" / "a.bin"), version=etag, size=len(DATA))
    ds.download("ds://cloud/d/", place / "back")
    assert (place / "back" / "a.bin").read_bytes() == DATA
    busy.discard()
    assert hidden(place / "back") == []


def cloud_etag(cloud):
    from tests.transfers.helpers import provider_of

    info = next(info for page in provider_of("ds://cloud/").list("d/") for info in page.objects)
    return f"{info.identity}\n{info.etag}"
