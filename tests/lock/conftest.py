"""A place of its own for each test: a project with a store and a cache, and no variable of a launcher."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import datastore as ds
from datastore import pinning
from datastore.fs.system import DatastoreFileSystem
from datastore.namespace import reset_current
from tests.places import isolate

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def project(tmp_path_factory, monkeypatch):
    """The folder in which the test works; the store is not in it."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "project"
    folder.mkdir()
    isolate(monkeypatch, home)
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATASTORE_STORE", str(home / "store"))
    monkeypatch.setenv("DATASTORE_CACHE", str(home / "cache"))
    monkeypatch.chdir(folder)
    again()
    yield folder
    again()


def again():
    """Be another process, as far as what is remembered goes."""
    reset_current()
    DatastoreFileSystem.clear_instance_cache()
    pinning._SEEN.clear()


@pytest.fixture
def main():
    """The default branch of a repo with one commit: two objects under `train/`, and one beside them."""
    branch = ds.create_repo("garments").branch("main")
    put(branch, {"train/0.csv": b"sku\n1\n", "train/1.csv": b"sku\n2\n", "notes.txt": b"first"}, "First rows")
    return branch


def put(branch, objects, message):
    """Commit some objects."""
    for key, data in objects.items():
        branch.objects.put(key, data)
    return branch.commit(message)


@pytest.fixture
def freeze(monkeypatch):
    """Make this process a frozen one."""

    def freeze(value="1"):
        monkeypatch.setenv("DATASTORE_FROZEN", value)
        again()

    return freeze


@pytest.fixture
def python(project):
    """Run a program in a process of its own; returns what it printed."""

    def python(program, *, code=0, cwd=project, **variables):
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        return done.stdout.strip() if code == 0 else done.stderr

    return python
