"""Keeps tests away from the configuration and the stores of whoever runs them."""

import pytest

from datastore.namespace import reset_current
from tests.places import isolate


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    isolate(monkeypatch, folder)
    yield folder
    reset_current()
