"""A fresh place for each test: store, home, working directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from datastore.namespace import reset_current


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = tmp_path / "place"
    for name in ("home", "work"):
        (place / name).mkdir(parents=True)
    monkeypatch.chdir(place / "work")
    monkeypatch.setenv("HOME", str(place / "home"))
    monkeypatch.setenv("DATASTORE_STORE", str(place / "store"))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "DATASTORE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    reset_current()
    yield place
    reset_current()
