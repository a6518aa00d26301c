"""A place of its own for each test: store, home, working directory, and no variable of a launcher."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import datastore as ds
from datastore.fs.system import DatastoreFileSystem
from datastore.namespace import reset_current
from tests.places import isolate


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Iterator[Path]:
    """The user's home, and the folder in which the test works."""
    folder = tmp_path_factory.mktemp("home")
    isolate(monkeypatch, folder)
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATASTORE_STORE", str(folder / "store"))
    monkeypatch.chdir(folder)
    reset_current()
    yield folder
    reset_current()
    DatastoreFileSystem.clear_instance_cache()


@pytest.fixture
def main():
    """The branch of a new repo."""
    return ds.create_repo("garments").branch("main")
