"""A network that fails: right bytes or a typed error, never wrong bytes, and nothing left behind."""

import os
import threading

import pytest

import datastore as ds
from datastore.errors import DatastoreError, Unavailable
from datastore.http.engine import engine
from datastore.namespace import current, reset_current
from tests.places import isolate

MIB = 1 << 20
LARGE = os.urandom(24 * MIB)
SMALL = {f"small/{number:03}": os.urandom(5000 + number) for number in range(60)}


@pytest.fixture
def proxy(toxiproxy, versitygw):
    with toxiproxy.proxy(versitygw.endpoint) as between:
        yield between


@pytest.fixture
def fs(tmp_path, monkeypatch, versitygw, proxy):
    isolate(monkeypatch, tmp_path)
    reset_current()
    bucket = versitygw.new_bucket()
    for name, endpoint in (("far", proxy.endpoint), ("near", versitygw.endpoint)):
        ds.mount(
            name,
            "minio",  # the row of a service that keeps conditions
            bucket=bucket,
            endpoint=endpoint,
            region=versitygw.region,
            access_key_id=versitygw.access_key,
            secret_access_key=versitygw.secret_key,
        )
    found = ds.filesystem()
    found.pipe({f"near/{key}": data for key, data in SMALL.items()} | {"near/large": LARGE})
    yield found
    proxy.clear()
    engine().close()  # connections that the proxy still holds
    reset_current()


def unfinished():
    return list(current().target("near").provider.uploads())


def fetch(fs, folder):
    fs.get("far/small/", f"{folder}/", recursive=True)
    fs.get_file("far/large", str(folder / "large"))
    return {f"small/{path.name}": path.read_bytes() for path in folder.iterdir() if path.name != "large"}


def test_far_away_is_slow_and_right(fs, proxy, tmp_path):
    proxy.latency(40, jitter=20)
    assert fetch(fs, tmp_path / "out") == SMALL
    assert (tmp_path / "out" / "large").read_bytes() == LARGE
    fs.pipe_file("far/written", LARGE)
    assert fs.cat_file("near/written") == LARGE


def test_connections_that_break_are_made_up_for(fs, proxy, tmp_path):
    # Each connection ends after so many bytes, headers included: no transfer of the large object is spared.
    proxy.limit_data(5 * MIB)
    assert fetch(fs, tmp_path / "out") == SMALL
    assert (tmp_path / "out" / "large").read_bytes() == LARGE
    with fs.open("far/large") as file:
        assert file.read() == LARGE


def test_a_slow_line_is_no_dead_one(fs, proxy):
    proxy.slow(kilobytes_per_second=2000)
    assert fs.cat_file("far/large", start=MIB, end=3 * MIB) == LARGE[MIB : 3 * MIB]


def test_a_server_that_comes_back_is_waited_for(fs, proxy):
    proxy.down()
    back = threading.Timer(0.4, proxy.up)
    back.start()
    try:
        assert fs.cat([f"far/{key}" for key in SMALL]) == {f"far/{key}": data for key, data in SMALL.items()}
    finally:
        back.join()


def test_a_server_that_is_gone_is_an_error_with_its_address(fs, proxy, tmp_path):
    proxy.down()
    with pytest.raises(Unavailable, match=proxy.address):
        fs.cat_file("far/large")
    with pytest.raises(Unavailable):
        fs.get_file("far/large", str(tmp_path / "large"))
    assert list(tmp_path.glob("large*")) == [], "half a file"
    with pytest.raises(Unavailable):
        fs.pipe_file("far/written", LARGE)
    assert not fs.exists("near/written")
    assert unfinished() == []


def test_a_reset_in_the_middle_of_an_upload_is_right_or_told(fs, proxy):
    proxy.toxic("reset_peer", upstream=True, toxicity=0.3, timeout=50)
    try:
        fs.pipe_file("far/written", LARGE)
    except DatastoreError:
        assert not fs.exists("near/written")
    else:
        assert fs.cat_file("near/written") == LARGE
    proxy.clear()
    # What could not be aborted while the line was dead is aborted with the next upload.
    fs.pipe_file("far/again", LARGE)
    assert fs.cat_file("near/again") == LARGE
    assert unfinished() == []


def test_resets_of_reads_do_not_show(fs, proxy, tmp_path):
    proxy.toxic("reset_peer", toxicity=0.2, timeout=20)
    assert fetch(fs, tmp_path / "out") == SMALL
    assert (tmp_path / "out" / "large").read_bytes() == LARGE


def test_threads_end_or_are_few(fs, proxy, tmp_path):
    proxy.limit_data(3 * MIB)
    before = {thread.name for thread in threading.enumerate()}
    for number in range(3):
        fetch(fs, tmp_path / f"out{number}")
    engine().close()
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("datastore-http")]
    assert len(left) <= len([name for name in before if name.startswith("datastore-http")])
