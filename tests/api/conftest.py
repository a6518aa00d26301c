"""Keeps tests away from the stores of whoever runs them: each has its own store, home and working folder."""

import pytest

import datastore as ds
from tests.api.helpers import write
from tests.places import alone


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch):
    """The folder in which the test works; its store is `place / "store"`, and is not there yet."""
    folder = tmp_path_factory.mktemp("place")
    with alone(monkeypatch, folder):
        yield folder


@pytest.fixture
def repo():
    return ds.create_repo("garments")


@pytest.fixture
def main(repo):
    """The default branch with one commit: a.csv, b.csv and img/1.png."""
    branch = repo.branch("main")
    write(branch, {"a.csv": "id,n\n1,one\n2,two\n", "b.csv": "id\n1\n", "img/1.png": "one"})
    branch.commit("First rows")
    return branch
