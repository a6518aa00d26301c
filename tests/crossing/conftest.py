"""A fresh place for each test: store, home, working directory; no proxy, no credentials of whoever runs them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import alone


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Iterator[Path]:
    """The user's home, and the folder in which the test works."""
    folder = tmp_path_factory.mktemp("home")
    with alone(monkeypatch, folder):
        yield folder
