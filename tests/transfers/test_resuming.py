"""Transfers that die, or lose the network, go on: what has arrived is found where it arrived, and not sent again."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

import datastore as ds
from datastore.http.engine import engine
from datastore.namespace import reset_current
from datastore.testing.scripted_s3 import Late
from tests.transfers.helpers import MIB, counted, fill, objects, tree

SMALL = {f"small/{n:02}": b"%d" % n * 1000 for n in range(40)}
LARGE = 40 * MIB

CHILD = """
import sys
import time
import datastore as ds

class Told:
    # Says when a number of steps was told of, and then goes no further.

    left = 0

    def set_size(self, size): pass
    def close(self): pass
    def branched(self, *_, **__): return self

    def relative_update(self, inc=1):
        Told.left -= 1
        if Told.left == 0:
            print("so far", flush=True)
            time.sleep(60)

mount, verb, source, dest, Told.left = eval(sys.stdin.readline())
if mount:
    name, provider, options = mount
    ds.mount(name, provider, **options)
getattr(ds, verb)(source, dest, callback=Told())
"""


@pytest.fixture
def child(place):
    """Start a transfer in a process of its own, with caches and state of its own."""
    started = []

    def start(mount, verb, source, dest, *, steps=0):
        state = place / f"state{len(started)}"
        env = {
            **os.environ,
            "DATASTORE_STORE": str(place / "store"),
            "DATASTORE_CACHE": str(state / "cache"),
            "HOME": str(state),
            "TMPDIR": str(place),
        }
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=place, text=True
        )
        started.append(process)
        process.stdin.write(repr((mount, verb, str(source), str(dest), steps)) + "\n")
        process.stdin.flush()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(process):
    """End a process as a cluster does: politely, then not."""
    process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    process.kill()
    process.wait()


def cloud_mount(cloud):
    keys = {"access_key_id": "key", "secret_access_key": "secret"}
    return "cloud", "s3", {"bucket": "bucket", "endpoint": cloud.endpoint, "region": "us-east-1", **keys}


def arrived(cloud):
    """How many parts and objects have arrived."""
    return Counter(request.operation for request in cloud.requests)


@pytest.mark.parametrize(
    ("what", "count"), [("PutObject", 1), ("PutObject", 25), ("UploadPart", 1), ("UploadPart", 4), ("ListParts", 1)]
)
def test_35_an_upload_that_is_killed_goes_on_from_an_empty_disk(cloud, child, place, what, count):
    folder = fill(place / "src", {**SMALL, "zz.bin": os.urandom(LARGE)})
    cloud.on("PutObject", r".*", Late(0.05), times=10_000)
    cloud.on("UploadPart", r".*", Late(0.1), times=10_000)
    if what == "ListParts":  # the second attempt dies, too
        cloud.on("CompleteMultipartUpload", r".*", Late(30))
        what, count = "CompleteMultipartUpload", 1
    process = child(cloud_mount(cloud), "upload", folder, "ds://cloud/raw/")
    while arrived(cloud)[what] < count:
        assert process.poll() is None
        time.sleep(0.002)
    end(process)
    assert "zz.bin" not in objects("ds://cloud/raw/"), "half an object is visible"
    time.sleep(0.2)  # what the server was still at
    there = set(objects("ds://cloud/raw/"))
    parts = arrived(cloud)["UploadPart"]
    del cloud.requests[:]
    done = ds.upload(folder, "ds://cloud/raw/")
    assert objects("ds://cloud/raw/") == tree(folder)
    sent = arrived(cloud)
    assert sent["PutObject"] == len(SMALL) - len(there)
    assert done.skipped == len(there)
    assert sent["CreateMultipartUpload"] == (0 if parts else 1)
    assert sent["UploadPart"] <= 5 - max(parts - 8, 0)
    if what == "CompleteMultipartUpload":
        assert sent["UploadPart"] == 0, "all parts were there"
    assert ds.upload(folder, "ds://cloud/raw/").copied == []


@pytest.mark.servers
def test_35_onto_a_branch_what_has_arrived_is_not_sent_again(lakefs, child, place):
    files = {f"{n:03}": b"%d" % n * 2000 for n in range(400)}
    folder = fill(place / "src", files)
    keys = {"access_key_id": lakefs.access_key, "secret_access_key": lakefs.secret_key}
    options = {"repo": lakefs.new_repo(), "endpoint": lakefs.endpoint, **keys}
    process = child(("lake", "lakefs", options), "upload", folder, "ds://lake@main/raw/", steps=150)
    assert process.stdout.readline()
    end(process)
    ds.mount("lake", "lakefs", **options)
    there = objects("ds://lake@main/raw/")
    assert 60 < len(there) < 400
    with counted() as methods:
        done = ds.upload(folder, "ds://lake@main/raw/", message="Raw data")
    assert (done.skipped, len(done.copied)) == (len(there), 400 - len(there))
    assert methods["POST"] == 400 - len(there) + 1
    assert len(ds.diff("ds://lake@main~1/", "ds://lake@main/")) == 400
    assert objects("ds://lake@main/raw/") == files


@pytest.mark.parametrize("steps", [1, 20, 60])
def test_35_into_the_embedded_store_all_or_none_and_the_next_one_does_it(child, main, place, steps):
    folder = fill(place / "src", {**SMALL, **{f"b{n}.bin": os.urandom(MIB) for n in range(30)}})
    process = child(None, "upload", folder, "ds://garments@main/raw/", steps=steps)
    assert process.stdout.readline()
    end(process)
    assert objects("ds://garments@main/raw/") in ({}, tree(folder))
    ds.upload(folder, "ds://garments@main/raw/", message="Raw data")
    assert objects("ds://garments@main/raw/") == tree(folder)


@pytest.mark.parametrize("steps", [1, 20, 45])
def test_11_a_download_that_is_killed_goes_on_and_leaves_no_half_file(cloud, child, place, steps):
    files = {**{name: data * 500 for name, data in SMALL.items()}, "zz.bin": os.urandom(LARGE)}
    for name, data in files.items():
        cloud.objects.put("bucket", f"raw/{name}", data)
    process = child(cloud_mount(cloud), "download", "ds://cloud/raw/", place / "back", steps=steps)
    assert process.stdout.readline()
    end(process)
    whole = {name: data for name, data in tree(place / "back").items() if ".datastore-tmp-" not in name}
    assert whole.items() <= files.items(), "half a file has a name"
    del cloud.requests[:]
    assert ds.download("ds://cloud/raw/", place / "back").skipped == len(whole)
    asked = {request.key for request in cloud.requests if request.operation == "GetObject"}
    assert asked == {f"raw/{name}" for name in files.keys() - whole.keys()}
    assert {name: data for name, data in tree(place / "back").items() if ".datastore-tmp-" not in name} == files


@pytest.fixture
def lines(toxiproxy, versitygw):
    """One bucket of a real S3 server: mount "far" is behind a line that can be cut, mount "near" is not."""
    with toxiproxy.proxy(versitygw.endpoint) as between:
        bucket = versitygw.new_bucket()
        keys = {"access_key_id": versitygw.access_key, "secret_access_key": versitygw.secret_key}
        for name, endpoint in (("far", between.endpoint), ("near", versitygw.endpoint)):
            ds.mount(name, "minio", bucket=bucket, endpoint=endpoint, region=versitygw.region, **keys)
        yield between
        between.clear()
        engine().close()  # connections that the proxy still holds
        reset_current()


class _Cut:
    """A callback that cuts the line when some bytes have arrived."""

    def __init__(self, line, after):
        self.line, self.left = line, [after]

    def set_size(self, size):
        pass

    def relative_update(self, inc=1):
        pass

    def branched(self, *_, **__):
        cut = self

        class Child(_Cut):
            def __init__(self):
                pass

            def relative_update(self, inc=1):
                cut.left[0] -= inc
                if cut.left[0] < 0:
                    cut.line.down()

            def close(self):
                pass

        return Child()


@pytest.mark.servers
def test_a_line_that_is_cut_in_the_middle_of_an_upload(lines, place):
    folder = fill(place / "src", {**SMALL, "zz.bin": os.urandom(96 * MIB)})
    with pytest.raises(ds.Unavailable):
        ds.upload(folder, "ds://far/raw/", callback=_Cut(lines, 20 * MIB))
    there = objects("ds://near/raw/")
    assert there == SMALL, "the small ones come first, and of the large one nothing shows"
    lines.up()
    with counted() as methods:
        assert ds.upload(folder, "ds://far/raw/").skipped == len(SMALL)
    assert methods["PUT"] < 12, "parts that were there were sent again"
    assert objects("ds://near/raw/") == tree(folder)


@pytest.mark.servers
def test_a_line_that_is_cut_in_the_middle_of_a_download(lines, place):
    folder = fill(place / "src", {**SMALL, "zz.bin": os.urandom(LARGE)})
    ds.upload(folder, "ds://near/raw/")
    with pytest.raises(ds.Unavailable):
        ds.download("ds://far/raw/", place / "back", callback=_Cut(lines, 0))
    there = {name for name in tree(place / "back") if ".datastore-tmp-" not in name}
    assert there <= set(SMALL), "the large one is not complete, and has no name yet"
    lines.up()
    assert ds.download("ds://far/raw/", place / "back").skipped == len(there)
    assert tree(place / "back") == tree(folder)


@pytest.mark.servers
def test_connections_that_break_do_not_show(lines, place):
    folder = fill(place / "src", {**SMALL, "zz.bin": os.urandom(LARGE)})
    lines.limit_data(12 * MIB)
    ds.upload(folder, "ds://far/raw/")
    ds.download("ds://far/raw/", place / "back")
    assert tree(place / "back") == tree(folder) == objects("ds://near/raw/")
