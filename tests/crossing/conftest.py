"""A fresh place for each test: store, home, working directory; no proxy, no credentials of whoever runs them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from datastore.fs.system import DatastoreFileSystem
from datastore.namespace import reset_current
from tests.places import isolate


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Iterator[Path]:
    """The user's home, and the folder in which the test works."""
    folder = tmp_path_factory.mktemp("home")
    isolate(monkeypatch, folder)
    monkeypatch.setenv("DATASTORE_STORE", str(folder / "store"))
    monkeypatch.chdir(folder)
    reset_current()
    yield folder
    reset_current()
    DatastoreFileSystem.clear_instance_cache()
