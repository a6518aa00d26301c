"""Keeps tests away from the configuration, the credentials and the stores of whoever runs them."""

import os
from pathlib import Path

import pytest


def isolate(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Make `home` the user's home, and take away every variable that would lead elsewhere."""
    for name in [name for name in os.environ if name.upper().startswith(("DATASTORE_", "AWS_", "LAKECTL_", "R2_"))]:
        monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
