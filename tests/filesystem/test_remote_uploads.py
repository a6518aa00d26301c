"""Many files and pieces of bytes to a network, and what is deleted there."""

import asyncio
import os
from collections import Counter
from contextlib import closing

import pytest

from datastore.bulk.writing import upload_objects
from datastore.errors import AlreadyExists, Forbidden, InvalidURL, NotFound
from datastore.fs.paths import IsPrefix
from datastore.fs.system import DatastoreFileSystem
from datastore.namespace import current
from datastore.testing.scripted_s3 import LostReply, refused

MIB = 1 << 20
BIG = os.urandom(17 * MIB + 5)


@pytest.fixture
def folder(tmp_path):
    """A local folder with small files, one that goes as one request from the disk, and one in parts."""
    for n in range(30):
        path = tmp_path / "up" / f"{n % 3}" / f"{n}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % n * 20)
    (tmp_path / "up" / "empty").write_bytes(b"")
    (tmp_path / "up" / "medium").write_bytes(BIG[: 3 * MIB])
    (tmp_path / "up" / "big").write_bytes(BIG)
    return tmp_path / "up"


@pytest.fixture
def stored(cloud):
    """What the server holds, by key."""

    def stored():
        provider = current().target("cloud/x").provider
        keys = [info.key for page in provider.list() for info in page.objects]
        return {key: cloud.objects.get("bucket", key).body for key in keys}

    return stored


def _files(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


def test_a_folder_goes_with_one_request_for_each_file_and_large_ones_in_parts(cloud, fs, folder, stored):
    fs.put(str(folder), "cloud/to", recursive=True)
    assert stored() == {f"to/{name}": path.read_bytes() for name, path in _files(folder).items()}
    assert len(cloud.asked("PutObject")) == 32
    assert len(cloud.asked("CompleteMultipartUpload")) == 1
    assert cloud.objects.uploads() == []


def test_one_small_object_is_one_request(cloud, fs, folder):
    fs.put_file(str(folder / "0/0.bin"), "cloud/a")
    fs.pipe_file("cloud/b", b"1")
    with fs.open("cloud/c", "wb") as f:
        f.write(b"1")
    assert [request.operation for request in cloud.requests] == ["PutObject"] * 3


def test_a_mapping_goes_at_once(cloud, fs, stored):
    wanted = {f"cloud/{n}.csv": b"%d" % n for n in range(50)}
    fs.pipe(wanted, metadata={"run": "7"})
    assert {f"cloud/{key}": body for key, body in stored().items()} == wanted
    assert len(cloud.requests) == 50 + 1
    assert fs.info("cloud/7.csv")["metadata"] == {"run": "7"}
    assert fs.info("cloud/7.csv")["content_type"] == "text/csv"
    with pytest.raises(AlreadyExists):
        fs.pipe({"cloud/7.csv": b"x", "cloud/new.csv": memoryview(b"y")}, mode="create")
    assert cloud.objects.get("bucket", "7.csv").body == b"7"


def test_the_first_error_is_raised_and_names_its_object(cloud, fs, folder):
    cloud.on("PutObject", "to/1/1.bin", refused(403, "AccessDenied"))
    with pytest.raises(Forbidden, match=r"1/1\.bin"):
        fs.put(str(folder), "cloud/to", recursive=True)
    with pytest.raises(InvalidURL):
        fs.pipe({"cloud/a": b"1", "cloud/b//c": b"2"})


def test_each_file_has_its_own_outcome(cloud, folder, tmp_path):
    provider = current().target("cloud/x").provider
    cloud.on("PutObject", "a", refused(403, "AccessDenied"))
    cloud.on("PutObject", "lost", LostReply())
    wanted = [
        (folder / "0/0.bin", "a"),
        (folder / "medium", "lost"),
        (tmp_path / "missing", "c"),
        (tmp_path, "folder"),
        (b"bytes", "d"),
        (folder / "big", "e"),
        (b"bad", "f//g"),
    ]
    results = dict(upload_objects(provider, wanted))
    kinds = [type(results[number]).__name__ for number in range(7)]
    assert kinds == [
        "Forbidden",
        "ObjectInfo",
        "FileNotFoundError",
        "IsADirectoryError",
        "ObjectInfo",
        "ObjectInfo",
        "InvalidURL",
    ]
    assert [cloud.objects.get("bucket", key).body for key in "de"] == [b"bytes", BIG]
    assert cloud.objects.get("bucket", "lost").body == BIG[: 3 * MIB]
    assert results[5].size == len(BIG)


def test_giving_up_closes_what_is_open(cloud, folder):
    provider = current().target("cloud/x").provider
    with closing(upload_objects(provider, [(folder / "medium", f"{n}") for n in range(40)])) as results:
        next(results)
    medium = (folder / "medium").stat().st_ino
    assert medium not in {os.fstat(int(fd)).st_ino for fd in os.listdir("/proc/self/fd") if _is_open(fd)}


def _is_open(fd):
    try:
        os.fstat(int(fd))
    except OSError:
        return False
    return True


def test_a_pipe_can_be_put_too(cloud, stored, tmp_path):
    import threading

    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(b"1" * 100_000))
    writer.start()
    provider = current().target("cloud/x").provider
    reader = os.open(tmp_path / "pipe", os.O_RDONLY)  # so that the writer is not lost if a provider opens it twice
    [(_, info)] = upload_objects(provider, [(tmp_path / "pipe", "p")])
    writer.join()
    os.close(reader)
    assert info.size == 100_000
    assert stored() == {"p": b"1" * 100_000}


def test_files_that_are_read_late_are_read_as_they_are_then(cloud, stored, tmp_path):
    provider = current().target("cloud/x").provider
    paths = [tmp_path / f"{n}" for n in range(200)]
    for path in paths:
        path.write_bytes(b"old")
    results = upload_objects(provider, [(path, path.name) for path in paths])
    next(results)
    paths[-1].write_bytes(b"newer")
    assert sum(1 for _ in results) == 199
    assert stored()["199"] == b"newer"


def test_deleting_many_is_one_request_for_a_thousand(cloud, fs):
    for n in range(30):
        cloud.objects.put("bucket", f"d/{n}", b"1")
    cloud.objects.put("bucket", "dd", b"1")
    before = len(cloud.requests)
    fs.rm("cloud/d", recursive=True)
    assert fs.find("cloud") == ["cloud/dd"]
    operations = [request.operation for request in cloud.requests[before:-1]]
    assert operations == ["ListObjectsV2", "HeadObject", "DeleteObjects"]


def test_nothing_is_deleted_if_one_is_missing_or_a_prefix(cloud, fs):
    for key in ("a", "b", "d/e"):
        cloud.objects.put("bucket", key, b"1")
    with pytest.raises(NotFound, match="missing"):
        fs.rm(["cloud/a", "cloud/missing", "cloud/b"])
    with pytest.raises(IsPrefix):
        fs.rm(["cloud/a", "cloud/d", "cloud/b"])
    assert not cloud.asked("DeleteObjects")
    before = len(cloud.requests)
    fs.rm(["cloud/a", "cloud/b"])
    assert sorted(request.operation for request in cloud.requests[before:]) == [
        "DeleteObjects",
        "HeadObject",
        "HeadObject",
    ]
    fs.rm("cloud/d/*")
    assert fs.find("cloud") == []


def test_copies_stay_on_the_server(cloud, fs, stored):
    for n in range(12):
        cloud.objects.put("bucket", f"d/{n % 3}/{n}", b"%d" % n)
    before = len(cloud.requests)
    fs.cp("cloud/d/", "cloud/e/", recursive=True)
    operations = Counter(request.operation for request in cloud.requests[before:])
    assert operations["CopyObject"] == 12
    assert operations["ListObjectsV2"] <= 2
    assert {key: body for key, body in stored().items() if key.startswith("e/")} == {
        f"e/{n % 3}/{n}": b"%d" % n for n in range(12)
    }


def test_coroutines_go_in_bulk_too(cloud, folder, stored, tmp_path):
    fs = DatastoreFileSystem(asynchronous=True)

    async def work():
        await fs._put(str(folder), "cloud/to", recursive=True)
        await fs._pipe({"cloud/p/1": b"1", "cloud/p/2": b"2"})
        await fs._get("cloud/to", str(tmp_path / "back"), recursive=True)
        assert await fs._cat("cloud/p", recursive=True) == {"cloud/p/1": b"1", "cloud/p/2": b"2"}
        assert await fs._cat(["cloud/p/1", "cloud/p/2"]) == {"cloud/p/1": b"1", "cloud/p/2": b"2"}
        await fs._rm(["cloud/p/1", "cloud/p/2"])

    asyncio.run(work())
    assert {name: path.read_bytes() for name, path in _files(tmp_path / "back").items()} == {
        name: path.read_bytes() for name, path in _files(folder).items()
    }
    assert not [key for key in stored() if key.startswith("p/")]


def test_what_was_written_is_seen_at_once(cloud, fs):
    for n in range(3):
        fs.pipe({"cloud/a": b"%d" % n, "cloud/b": b"%d" % n})
        assert fs.cat(["cloud/a", "cloud/b"]) == {"cloud/a": b"%d" % n, "cloud/b": b"%d" % n}
        with fs.open("cloud/a") as f:
            assert f.read() == b"%d" % n
