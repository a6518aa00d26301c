"""A place of its own for each test: a store, a cache, and mounts of what it asks for."""

import pytest

import datastore as ds
from datastore.http import engine as http_engine
from datastore.http.retry import Policy
from datastore.resolution import store_of
from tests.places import alone, scripted_cloud


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """The folder in which the test works; its cache is `place / "cache"`, and is not there yet."""
    folder = tmp_path_factory.mktemp("place")
    with alone(monkeypatch, folder):
        yield folder


@pytest.fixture
def cloud():
    """An S3 server that fails by script; the mount "cloud" is its bucket "bucket"."""
    with scripted_cloud() as server:
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
