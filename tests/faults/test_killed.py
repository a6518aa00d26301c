"""A client that dies in the middle of an upload: nothing is visible, and what it left is found and made use of."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

import datastore as ds
from datastore.namespace import current, reset_current
from tests.places import isolate

CHILD = """
import os
import signal
import sys
import threading
import time

import datastore as ds
from datastore.http.observe import observed
from datastore.namespace import current

place = eval(sys.stdin.readline())
ds.mount("data", "minio", **place)
provider = current().target("data").provider

def parts():
    with observed() as seen:
        while True:
            sent = [one for one in seen if one.method == "PUT" and "partNumber" in one.url and one.status == 200]
            if len(sent) >= 3:
                os.write(1, b"three parts are there\\n")
            time.sleep(0.005)

threading.Thread(target=parts, daemon=True).start()
def body():
    piece = open(sys.argv[1], "rb").read(1 << 20)
    for number in range(80):
        yield piece
        time.sleep(0.03)

signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))  # as training scripts and services do
provider.put("large", body())
"""


@pytest.fixture
def place(tmp_path, monkeypatch, minio):
    isolate(monkeypatch, tmp_path)
    reset_current()
    yield {
        "bucket": minio.new_bucket(),
        "endpoint": minio.endpoint,
        "access_key_id": minio.access_key,
        "secret_access_key": minio.secret_key,
    }
    reset_current()


@contextmanager
def uploading(place, tmp_path):
    """A process that has sent three parts of a large object, and goes on."""
    source = tmp_path / "piece"
    source.write_bytes(os.urandom(1 << 20))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(source)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path
    )
    with child:
        child.stdin.write(repr(place).encode() + b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"three parts are there\n"
        yield child
    ds.mount("data", "minio", **place)


def test_s35_a_killed_upload_publishes_nothing_and_is_cleaned_up(place, tmp_path):
    with uploading(place, tmp_path) as child:
        os.kill(child.pid, signal.SIGKILL)
    provider = current().target("data").provider
    assert not ds.filesystem().exists("data/large"), "half an object is visible"
    left = provider.uploads("large")  # MinIO lists the uploads of one key only
    assert len(left) == 1
    assert sum(part.size for part in provider.parts(left[0])) >= 3 * (5 << 20)
    for upload in left:
        provider.abort_upload(upload)
    assert provider.uploads("large") == []


def test_s35_an_upload_that_ends_by_sys_exit_in_a_handler_of_sigterm_is_aborted(place, tmp_path):
    with uploading(place, tmp_path) as child:
        os.kill(child.pid, signal.SIGTERM)
    assert child.returncode == 3
    assert not ds.filesystem().exists("data/large")
    assert current().target("data").provider.uploads("large") == []
