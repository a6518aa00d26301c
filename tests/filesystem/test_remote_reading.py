"""File objects over a network: one version, few requests, any order."""

import io
import os
import pickle
import threading

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore.errors import Forbidden, HeadMoved, IntegrityError, NotFound
from datastore.fs.system import DatastoreFileSystem
from datastore.testing.scripted_s3 import Cut, Late, Swapped, refused
from tests.filesystem.helpers import requests_to

MIB = 1 << 20
DATA = os.urandom(9 * MIB + 321)

_steps = st.lists(
    st.tuples(
        st.sampled_from(["read", "readinto", "readline", "read1", "peek", "all"]),
        st.one_of(st.none(), st.integers(0, len(DATA) + 10)),
        st.one_of(st.integers(0, 300), st.integers(0, 3 * MIB)),
    ),
    max_size=12,
)


@pytest.mark.parametrize("key", ["a.bin", "a.parquet"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_reading_in_any_order_gives_the_bytes_of_the_object(cloud, fs, key, steps):
    cloud.objects.put("bucket", key, DATA)
    model = io.BytesIO(DATA)
    with fs.open(f"cloud/{key}") as f:
        for verb, position, size in steps:
            if position is not None:
                assert f.seek(position) == model.seek(position)
            if verb == "readinto":
                mine, theirs = bytearray(size), bytearray(size)
                assert f.readinto(mine) == model.readinto(theirs)
                assert mine == theirs
            elif verb == "readline":
                assert f.readline(size) == model.readline(size)
            elif verb == "read1":
                piece = f.read1(size)
                assert piece == model.read(len(piece))
            elif verb == "peek":
                peeked = f.peek(10)
                assert DATA[model.tell() : model.tell() + len(peeked)] == peeked
            else:
                wanted = -1 if verb == "all" else size
                assert f.read(wanted) == model.read(wanted)
            assert f.tell() == model.tell()


def test_a_small_object_is_one_request(cloud, fs):
    cloud.objects.put("bucket", "a.csv", b"a,b\n1,2\n")
    for _ in range(2):
        with fs.open("cloud/a.csv") as f:
            assert f.read() == b"a,b\n1,2\n"
            f.seek(0)
            assert f.readline() == b"a,b\n"
    assert list(pd.read_csv("ds://cloud/a.csv")) == ["a", "b"]
    assert fs.cat_file("cloud/a.csv") == b"a,b\n1,2\n"
    assert [request.method for request in cloud.requests] == ["GET"] * 4
    cloud.objects.put("bucket", "empty", b"")
    with fs.open("cloud/empty") as f:
        assert f.read() == b""


def test_what_others_write_is_read_at_once(cloud, fs):
    for n in range(4):
        body = b"n\n%d\n" % n
        cloud.objects.put("bucket", "a.csv", body)
        assert pd.read_csv("ds://cloud/a.csv")["n"].tolist() == [n]
        assert fs.cat_file("cloud/a.csv") == body
        assert fs.info("cloud/a.csv")["size"] == len(body)


def test_infos_are_one_request(cloud, fs):
    cloud.objects.put("bucket", "d/a.csv", b"1")
    for verb in (fs.info, fs.exists, fs.isfile, fs.size, fs.modified, fs.ukey):
        before = len(cloud.requests)
        assert verb("cloud/d/a.csv")
        assert [request.method for request in cloud.requests[before:]] == ["HEAD"]
    assert not fs.isdir("cloud/d/a.csv")
    assert fs.isdir("cloud/d")
    assert not fs.exists("cloud/no")
    cloud.on("HeadObject", "d/a.csv", refused(403, ""), times=9)
    for verb in (fs.exists, fs.isfile, fs.isdir, fs.info):
        with pytest.raises(Forbidden):
            verb("cloud/d/a.csv")


def test_a_file_keeps_to_the_version_that_it_was_opened_at(cloud, fs):
    for key in ("a.bin", "a.parquet"):
        cloud.objects.put("bucket", key, DATA)
        with fs.open(f"cloud/{key}") as f:
            first = f.read(100)
            cloud.objects.put("bucket", key, bytes(len(DATA)))
            with pytest.raises(IntegrityError, match="another version"):
                f.seek(3 * MIB)
                f.read(MIB)
            assert first == DATA[:100]


def test_a_version_that_changes_in_the_middle_of_a_large_read_is_noticed(cloud, fs):
    cloud.objects.put("bucket", "a.bin", DATA * 3)
    cloud.on("GetObject", "a.bin", Swapped(bytes(len(DATA) * 3)), nth=3)
    with fs.open("cloud/a.bin") as f, pytest.raises((IntegrityError, HeadMoved)):
        f.read()


def test_an_open_file_travels_and_reads_its_version_or_fails(cloud, fs):
    for key in ("a.bin", "a.parquet"):
        cloud.objects.put("bucket", key, DATA)
        with fs.open(f"cloud/{key}") as f:
            f.seek(5 * MIB)
            with pickle.loads(pickle.dumps(f)) as again:
                assert (again.tell(), again.read(10)) == (5 * MIB, DATA[5 * MIB : 5 * MIB + 10])
            pickled = pickle.dumps(f)
        cloud.objects.put("bucket", key, b"other")
        with pytest.raises(HeadMoved):
            pickle.loads(pickled)


def test_a_large_read_goes_in_parallel_and_asks_for_nothing_else(cloud, fs):
    cloud.objects.put("bucket", "a.bin", DATA * 3)
    cloud.on("GetObject", ".*", Late(0.15), times=99)
    with fs.open("cloud/a.bin") as f, requests_to(cloud.endpoint) as seen:
        assert f.read() == DATA * 3
    assert seen.depth() == 1
    assert sum(exchange.received for exchange in seen) == len(DATA) * 3 - MIB


def test_reading_on_is_read_ahead(cloud, fs):
    cloud.objects.put("bucket", "a.bin", DATA * 3)
    cloud.on("GetObject", ".*", Late(0.15), times=99)
    with requests_to(cloud.endpoint) as seen, fs.open("cloud/a.bin") as f:
        pieces = []
        while piece := f.read(100_000):
            pieces.append(piece)
    assert b"".join(pieces) == DATA * 3
    assert seen.depth() < len(seen)
    assert sum(exchange.received for exchange in seen) == len(DATA) * 3


@pytest.mark.parametrize("after", [0, 1000, MIB])
def test_connections_that_break_are_no_matter(cloud, fs, after):
    for key in ("a.bin", "a.parquet"):
        cloud.objects.put("bucket", key, DATA)
        cloud.on("GetObject", key, Cut(after=after), times=3)
        with fs.open(f"cloud/{key}") as f:
            assert f.read() == DATA


def test_two_thousand_files_are_open_at_once(cloud, fs):
    for n in range(100):
        cloud.objects.put("bucket", f"{n}.bin", b"%05d" % n * 400)
    cloud.objects.put("bucket", "big.bin", DATA)
    paths = [f"cloud/{n % 100}.bin" for n in range(1990)] + ["cloud/big.bin"] * 10
    files = [fs.open(path) for path in paths]
    assert len(os.listdir("/proc/self/fd")) < 1500
    for n, file in enumerate(files[:1990]):
        assert file.read(5) == b"%05d" % (n % 100)
    for n, file in enumerate(files[1990:]):
        file.seek(n * 900_000)
        assert file.read(10) == DATA[n * 900_000 : n * 900_000 + 10]
    for file in files:
        file.close()


def test_one_file_system_serves_many_threads(cloud, fs):
    for n in range(20):
        cloud.objects.put("bucket", f"{n}", b"%d" % n * 5000)
    wrong = []

    def work(number):
        for n in range(20):
            key = (n + number) % 20
            with fs.open(f"cloud/{key}") as f:
                if f.read() != b"%d" % key * 5000:
                    wrong.append(key)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_is_no_object_is_said_so(cloud, fs):
    cloud.objects.put("bucket", "d/a", b"1")
    with pytest.raises(NotFound):
        fs.open("cloud/no")
    with pytest.raises(IsADirectoryError):
        fs.open("cloud/d")
    with pytest.raises(NotFound):
        fs.open("cloud/no.parquet")
    with pytest.raises(FileNotFoundError):
        pd.read_parquet("ds://cloud/no.parquet")


def test_signed_urls_read_without_credentials(cloud, fs, mem):
    import urllib.request

    from datastore.errors import UnsupportedOperation

    cloud.objects.put("bucket", "d/a b.csv", b"1")
    url = fs.sign("cloud/d/a b.csv", expiration=60)
    assert "X-Amz-Signature" in url
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"1"
    with pytest.raises(UnsupportedOperation):
        fs.sign(f"{mem}/a")


def test_an_instance_of_one_call_does_not_outlive_it(cloud):
    import fsspec

    one, _ = fsspec.url_to_fs("ds://cloud/a")
    other, _ = fsspec.url_to_fs("ds://cloud/a")
    assert one is not other
    assert one == other == DatastoreFileSystem()
    assert fsspec.filesystem("ds") is fsspec.filesystem("ds")
    assert pickle.loads(pickle.dumps(one)) == one
