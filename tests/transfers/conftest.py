"""A place of its own for each test: a store, a cache, a folder with files, and mounts of what it asks for."""

import itertools

import pytest

import datastore as ds
from tests.places import alone, scripted_cloud
from tests.transfers.helpers import fill

_names = itertools.count()
SERVED = [pytest.param(name, marks=pytest.mark.servers) for name in ("s3", "lakefs")]


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """The folder in which the test works."""
    folder = tmp_path_factory.mktemp("place")
    with alone(monkeypatch, folder):
        yield folder


@pytest.fixture
def main():
    """The default branch of a repo in the embedded store."""
    return ds.create_repo("garments").branch("main")


@pytest.fixture
def disk(place):
    """A folder with some files: plain names, others, empty ones, one of several MiB."""
    return fill(
        place / "disk", {"a.csv": b"id\n1\n", "deep/b #1.txt": b"b", "deep/ü/leer": b"", "big.bin": b"x" * 3_000_000}
    )


@pytest.fixture
def cloud():
    """An S3 server that fails by script; the mount "cloud" is its bucket "bucket"."""
    with scripted_cloud() as server:
        yield server


@pytest.fixture
def s3(versitygw):
    """An empty prefix on a real S3 server."""
    keys = {"access_key_id": versitygw.access_key, "secret_access_key": versitygw.secret_key}
    where = {"bucket": versitygw.new_bucket(), "endpoint": versitygw.endpoint, "region": versitygw.region}
    return ds.mount(f"gate{next(_names)}", "s3", **where, **keys) / "raw/"


@pytest.fixture
def lake(lakefs):
    """An empty prefix of a branch on a real lakeFS server."""
    keys = {"access_key_id": lakefs.access_key, "secret_access_key": lakefs.secret_key}
    name = f"lake{next(_names)}"
    ds.mount(name, "lakefs", repo=lakefs.new_repo(), endpoint=lakefs.endpoint, **keys)
    return ds.url(f"ds://{name}@main/raw/")


@pytest.fixture(params=["embedded", "memory", "local", *SERVED])
def there(request, place):
    """An empty prefix in each kind of store."""
    if request.param == "embedded":
        return request.getfixturevalue("main") / "raw/"
    if request.param == "memory":
        return ds.mount("scratch", "memory", name=f"transfers-{next(_names)}") / "raw/"
    if request.param == "local":
        (place / "mounted").mkdir()
        return ds.mount("mounted", "local", path=str(place / "mounted")) / "raw/"
    return request.getfixturevalue({"s3": "s3", "lakefs": "lake"}[request.param])
