"""Processes that are forked while objects are open over a network."""

import itertools
import os
import subprocess
import sys
import threading

import fsspec
import pytest

import datastore as ds
from datastore.fs.system import DatastoreFileSystem

MIB = 1 << 20
DATA = os.urandom(3 * MIB + 17)


def _in_child(work):
    """Run something in a forked child, and return how it ended."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("key", ["a.bin", "a.parquet"])
def test_a_file_that_was_opened_before_a_fork_reads_right_on_both_sides(s3, key):
    fs = DatastoreFileSystem()
    fs.pipe_file(f"{s3}/{key}", DATA)
    with fs.open(f"{s3}/{key}") as f:
        f.seek(10)
        assert f.read(100_000) == DATA[10:100_010]  # more is on its way
        for _ in range(3):
            assert _in_child(lambda: f.read(MIB) == DATA[100_010 : 100_010 + MIB]) == 0
            assert _in_child(lambda: f.seek(2 * MIB) and f.read() == DATA[2 * MIB :]) == 0
        assert f.read() == DATA[100_010:]
        assert _in_child(lambda: f.seek(0) == 0 and f.read() == DATA) == 0


def test_children_use_the_file_system_of_their_parent(s3, tmp_path):
    fs = DatastoreFileSystem()
    fs.pipe({f"{s3}/d/{n}": b"%d" % n for n in range(30)})
    wanted = {f"{s3}/d/{n}": b"%d" % n for n in range(30)}

    def child():
        fs.get(f"{s3}/d", str(tmp_path / "out"), recursive=True)
        fs.pipe({f"{s3}/new/1": b"1", f"{s3}/new/2": b"2"})
        return fs.cat(f"{s3}/d", recursive=True) == wanted

    assert _in_child(child) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        str(n): b"%d" % n for n in range(30)
    }
    assert fs.cat(f"{s3}/new", recursive=True) == {f"{s3}/new/1": b"1", f"{s3}/new/2": b"2"}


def test_what_a_worker_writes_is_seen_by_the_next_call_on_the_same_url(lake):
    fs = DatastoreFileSystem()
    fs.pipe_file(f"{lake}/a", b"1")
    ds.repo(lake.partition("@")[0]).branch("main").commit("clean")
    url = f"ds://{lake}/a"
    fsspec.url_to_fs(url)
    for asked in (fsspec.core.get_fs_token_paths, fsspec.url_to_fs, fsspec.open):
        asked(url)  # resolves the ref; the parent makes no request until it asks again
        assert _in_child(lambda: fs.pipe_file(f"{lake}/a", b"2") is None) == 0
        with fsspec.open(url) as file:
            assert file.read() == b"2"
        assert fsspec.core.get_fs_token_paths(url)[0].cat_file(url) == b"2"
        ds.repo(lake.partition("@")[0]).branch("main").commit("clean again")
        fs.pipe_file(f"{lake}/a", b"1")
        ds.repo(lake.partition("@")[0]).branch("main").commit("as before")


def test_forks_in_the_middle_of_transfers(s3, tmp_path):
    fs = DatastoreFileSystem()
    fs.pipe({f"{s3}/d/{n}": DATA[: 200_000 + n] for n in range(60)})
    stop, wrong = threading.Event(), []

    def busy(number):
        for turn in itertools.takewhile(lambda _: not stop.is_set(), itertools.count()):
            folder = tmp_path / f"{number}-{turn}"
            fs.get(f"{s3}/d", str(folder), recursive=True)
            found = {path.name: path.stat().st_size for path in folder.iterdir()}
            wrong.extend(name for name, size in found.items() if size != 200_000 + int(name))

    threads = [threading.Thread(target=busy, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert _in_child(lambda: fs.cat_file(f"{s3}/d/7") == DATA[:200_007]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong


_OVER_TLS = """
import os, sys
import datastore as ds
from datastore.fs.system import DatastoreFileSystem

endpoint, bucket, access_key, secret_key = sys.argv[1:]
keys = {"access_key_id": access_key, "secret_access_key": secret_key}
ds.mount("gate", "s3", bucket=bucket, endpoint=endpoint, region="us-east-1", **keys)
fs = DatastoreFileSystem()
data = os.urandom(3_000_017)
for key in ("a.bin", "a.parquet"):
    fs.pipe_file(f"gate/{key}", data)
    with fs.open(f"gate/{key}") as f:
        assert f.read(100_000) == data[:100_000]
        for _ in range(3):
            child = os.fork()
            if child == 0:
                os._exit(0 if f.read() == data[100_000:] and fs.cat_file(f"gate/{key}", start=-9) == data[-9:] else 1)
            assert os.waitpid(child, 0)[1] == 0
        assert f.read() == data[100_000:]
print("right")
"""


def test_files_read_right_after_a_fork_over_tls(versitygw_tls):
    server = versitygw_tls
    told = [server.endpoint, server.new_bucket(), server.access_key, server.secret_key]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _OVER_TLS, *told],
        env={**os.environ, "SSL_CERT_FILE": str(server.ca_file)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("right\n", 0), done.stderr
