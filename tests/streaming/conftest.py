"""A place of its own for each test: store, home, working directory, and no variable of a launcher."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import datastore as ds
from tests.places import alone


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Iterator[Path]:
    """The user's home, and the folder in which the test works."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    with alone(monkeypatch, folder):
        yield folder


@pytest.fixture
def main():
    """The branch of a new repo."""
    return ds.create_repo("garments").branch("main")
