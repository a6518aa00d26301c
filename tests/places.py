"""Keeps tests away from the configuration, the credentials and the stores of whoever runs them."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

import datastore as ds
from datastore.fs.system import DatastoreFileSystem
from datastore.namespace import reset_current
from datastore.testing.scripted_s3 import ScriptedS3


def isolate(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Make `home` the user's home, and take away every variable that would lead elsewhere."""
    for name in [name for name in os.environ if name.upper().startswith(("DATASTORE_", "AWS_", "LAKECTL_", "R2_"))]:
        monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))


@contextmanager
def alone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Generator[Path]:
    """Work in a folder with a home, a store and a cache of its own, as a process that has just begun."""
    isolate(monkeypatch, folder)
    monkeypatch.setenv("DATASTORE_STORE", str(folder / "store"))
    monkeypatch.setenv("DATASTORE_CACHE", str(folder / "cache"))
    monkeypatch.chdir(folder)
    reset_current()
    yield folder
    reset_current()
    DatastoreFileSystem.clear_instance_cache()


@contextmanager
def scripted_cloud() -> Generator[ScriptedS3]:
    """Run an S3 server that fails by script; the mount "cloud" is its bucket "bucket"."""
    with ScriptedS3() as server:
        keys = {"access_key_id": "key", "secret_access_key": "secret"}
        ds.mount("cloud", "s3", bucket="bucket", endpoint=server.endpoint, region="us-east-1", **keys)
        yield server
