"""A place of its own for each test: a store, a cache, and mounts of what it asks for."""

import pytest

import datastore as ds
from datastore.fs.system import DatastoreFileSystem
from datastore.http import engine as http_engine
from datastore.http.retry import Policy
from datastore.namespace import reset_current
from datastore.resolution import store_of
from tests.places import isolate


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """The folder in which the test works; its cache is `place / "cache"`, and is not there yet."""
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


@pytest.fixture
def main():
    """The default branch of a repo in the embedded store."""
    return ds.create_repo("garments").branch("main")


@pytest.fixture
def store():
    """The cache of this process."""
    from datastore.namespace import current

    return store_of(current())


@pytest.fixture
def quick(monkeypatch):
    """Let the engine try as often as ever, without waiting in between."""
    engine = http_engine.Engine(policy=Policy(base=0.001, cap=0.01))
    monkeypatch.setattr(http_engine, "_PROCESS", [engine])
    yield engine
    engine.close()
