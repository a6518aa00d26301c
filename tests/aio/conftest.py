"""A place of its own for each test: a store, a cache, and mounts of what it asks for."""

import pytest

import datastore as ds
from tests.places import alone, scripted_cloud


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """The folder in which the test works."""
    folder = tmp_path_factory.mktemp("place")
    with alone(monkeypatch, folder):
        yield folder


@pytest.fixture
def cloud():
    """An S3 server that fails by script; the mount "cloud" is its bucket "bucket"."""
    with scripted_cloud() as server:
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
