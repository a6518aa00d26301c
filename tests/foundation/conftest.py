"""Keeps tests away from the configuration and the stores of whoever runs them."""

import os

import pytest

from datastore.namespace import reset_current


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    for name in [name for name in os.environ if name.upper().startswith(("DATASTORE_", "AWS_", "LAKECTL_"))]:
        monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    yield folder
    reset_current()
