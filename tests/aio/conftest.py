"""A place of its own for each test: a store, a cache, and mounts of what it asks for."""

import pytest

import datastore as ds
from datastore.fs.system import DatastoreFileSystem
from datastore.namespace import reset_current
from tests.places import isolate


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """The folder in which the test works."""
    folder = tmp_path_factory.mktemp("place")
    isolate(monkeypatch, folder)
    monkeypatch.setenv("DATASTORE_STORE", str(folder / "store"))
    monkeypatch.setenv("DATASTORE_CACHE", str(folder / "cache"))
    monkeypatch.chdir(folder)
    reset_current()
    yield folder
    reset_current()
    DatastoreFileSystem.clear_instance_cache()


@pytest.fixture
def cloud():
    """An S3 server that fails by script; the mount "cloud" is its bucket "bucket"."""
    from datastore.testing.scripted_s3 import ScriptedS3

    with ScriptedS3() as server:
        keys = {"access_key_id": "key", "secret_access_key": "secret"}
        ds.mount("cloud", "s3", bucket="bucket", endpoint=server.endpoint, region="us-east-1", **keys)
        yield server


@pytest.fixture(params=["embedded", pytest.param("lakefs", marks=pytest.mark.servers)])
def name(request):
    """The name of an empty repo, on each kind of store."""
    if request.param == "embedded":
        return ds.create_repo("garments").name
    lakefs = request.getfixturevalue("lakefs")
    keys = {"access_key_id": lakefs.access_key, "secret_access_key": lakefs.secret_key}
    ds.mount("lake", "lakefs", repo=lakefs.new_repo(), endpoint=lakefs.endpoint, **keys)
    return "lake"
