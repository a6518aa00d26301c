"""A fresh place for each test: store, home, working directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from datastore.namespace import reset_current
from tests.places import isolate


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "place"
    for name in ("home", "work"):
        (place / name).mkdir(parents=True)
    monkeypatch.chdir(place / "work")
    isolate(monkeypatch, place / "home")
    monkeypatch.setenv("DATASTORE_STORE", str(place / "store"))
    reset_current()
    yield place
    reset_current()
