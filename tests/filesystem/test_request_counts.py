"""How many requests things take on a real S3 server: guards, so that nobody adds one unawares."""

import io
import os
from collections import Counter

import numpy as np
import pandas as pd
import pytest

import datastore as ds
from datastore.namespace import current
from tests.filesystem.helpers import requests_to

pytestmark = pytest.mark.servers


class _Counted:
    """Requests to the bucket in a block, by method."""

    def __init__(self):
        bucket = current().target("gate/x").provider.bucket_name
        self._watch = requests_to(f"/{bucket}")

    def __enter__(self):
        self.seen = self._watch.__enter__()
        return self

    def __exit__(self, *error):
        self._watch.__exit__(*error)
        self.methods = dict(Counter(exchange.method for exchange in self.seen))


@pytest.fixture
def csv(fs, s3):
    fs.pipe_file(f"{s3}/d/a.csv", b"a,b\n1,2\n")
    return f"{s3}/d/a.csv"


def test_single_objects(fs, csv, tmp_path):
    expected = {
        "stat": (lambda: fs.info(csv), {"HEAD": 1}),
        "exists": (lambda: fs.exists(csv), {"HEAD": 1}),
        "isfile": (lambda: fs.isfile(csv), {"HEAD": 1}),
        "open and read": (lambda: fs.open(csv).read(), {"GET": 1}),
        "cat": (lambda: fs.cat(csv), {"GET": 1}),
        "part": (lambda: fs.cat_file(csv, start=-2), {"GET": 1}),
        "pandas": (lambda: pd.read_csv(f"ds://{csv}"), {"GET": 1}),
        "get": (lambda: fs.get_file(csv, str(tmp_path / "a")), {"GET": 1}),
        "put": (lambda: fs.put_file(str(tmp_path / "a"), csv + "2"), {"PUT": 1}),
        "pipe": (lambda: fs.pipe_file(csv + "3", b"1"), {"PUT": 1}),
        "to_csv": (lambda: pd.DataFrame({"a": [1]}).to_csv(f"ds://{csv}4"), {"PUT": 1}),
        "rm": (lambda: fs.rm(csv + "4"), {"HEAD": 1, "POST": 1}),
    }
    for verb, (work, methods) in expected.items():
        with _Counted() as counted:
            work()
        assert (verb, counted.methods) == (verb, methods)


def test_parquet(fs, s3):
    frame = pd.DataFrame({f"c{n}": np.random.default_rng(n).random(100_000) for n in range(10)})
    with _Counted() as counted:
        frame.to_parquet(f"ds://{s3}/t.parquet", row_group_size=10_000)
    assert counted.methods == {"PUT": 1}
    with _Counted() as counted:
        found = pd.read_parquet(f"ds://{s3}/t.parquet", columns=["c2", "c7"])
    pd.testing.assert_frame_equal(found, frame[["c2", "c7"]])
    assert counted.methods == {"HEAD": 1, "GET": 1 + 20}
    small = io.BytesIO()
    frame[:100].to_parquet(small)
    fs.pipe_file(f"{s3}/s.parquet", small.getvalue())
    with _Counted() as counted:
        pd.read_parquet(f"ds://{s3}/s.parquet")
    assert counted.methods == {"HEAD": 1, "GET": 1}


def test_many_objects(fs, s3, tmp_path):
    files = {f"{s3}/d/{n:04}": os.urandom(100) for n in range(1500)}
    with _Counted() as counted:
        fs.pipe(files)
    assert counted.methods == {"PUT": 1500}
    with _Counted() as counted:
        assert len(fs.find(f"{s3}/d")) == 1500
    assert counted.methods == {"GET": 2}
    with _Counted() as counted:
        fs.get(f"{s3}/d", str(tmp_path / "out"), recursive=True)
    assert counted.methods == {"GET": 2 + 1500}
    assert {f"{s3}/d/{path.name}": path.read_bytes() for path in (tmp_path / "out").iterdir()} == files
    with _Counted() as counted:
        assert fs.cat(f"{s3}/d/000*") == {path: files[path] for path in sorted(files)[:10]}
    assert counted.methods == {"HEAD": 1, "GET": 2 + 10}  # an object of that very name would be meant itself
    with _Counted() as counted:
        fs.put(str(tmp_path / "out"), f"{s3}/up", recursive=True)
    assert counted.methods["PUT"] == 1500
    assert sum(counted.methods.values()) <= 1500 + 3
    with _Counted() as counted:
        fs.rm(f"{s3}/d", recursive=True)
    assert counted.methods == {"GET": 2, "HEAD": 1, "POST": 2}


def test_ranges(fs, s3):
    data = os.urandom(2 << 20)
    fs.pipe_file(f"{s3}/a", data)
    with _Counted() as counted:
        found = fs.cat_ranges([f"{s3}/a"] * 8, range(0, 1_600_000, 200_000), range(10, 1_600_010, 200_000))
    assert found == [data[start : start + 10] for start in range(0, 1_600_000, 200_000)]
    assert counted.methods == {"HEAD": 1, "GET": 8}


@pytest.fixture
def lake(lakefs):
    """A repo on a real lakeFS server, as a mount; requests for bytes are counted by the API's name of the object."""
    repo = lakefs.new_repo()
    keys = {"access_key_id": lakefs.access_key, "secret_access_key": lakefs.secret_key}
    ds.mount("lake", "lakefs", repo=repo, endpoint=lakefs.endpoint, **keys)
    return repo


def test_a_lakefs_branch(fs, lake, tmp_path):
    with requests_to(f"/{lake}/") as seen:
        fs.pipe_file("lake@main/a.csv", b"a,b\n1,2\n")
    assert len(seen) == 1
    fs.pipe({f"lake@main/d/{n:03}": b"%d" % n for n in range(300)})
    commit = ds.repo("lake").branch("main").commit("first")
    with requests_to(f"/{lake}/") as seen:
        assert fs.info("lake@main/a.csv")["size"] == 8
    assert len(seen) == 1
    with requests_to(f"/{lake}/") as seen:
        assert fs.open("lake@main/a.csv").read() == b"a,b\n1,2\n"
    assert len(seen) == 2
    with requests_to(f"/{lake}/") as seen:
        assert list(pd.read_csv("ds://lake@main/a.csv")) == ["a", "b"]
    assert len(seen) <= 2 + 2  # is it as committed, and at which commit?
    with requests_to(f"/{lake}/") as seen:
        fs.get("lake@main/d", str(tmp_path / "out"), recursive=True)
    assert len(seen) <= 300 + 1 + 5  # signed URLs come by the hundred
    assert {int(path.name): path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        n: b"%d" % n for n in range(300)
    }
    pinned = ds.filesystem(at={"lake@main": commit.id})
    pinned.ls("lake@main")
    with requests_to(f"/{lake}/") as seen:
        assert pinned.open("lake@main/a.csv").read() == b"a,b\n1,2\n"
    assert len(seen) == 1
