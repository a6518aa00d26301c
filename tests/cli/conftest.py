"""Runs the command line in this process, or in one of its own, far from the stores of whoever runs the tests."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

import datastore as ds
from datastore.cli.app import app
from datastore.namespace import reset_current
from tests.places import isolate


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory; the store is in it, under `.store`."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    isolate(monkeypatch, home)
    monkeypatch.setenv("DATASTORE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DATASTORE_AUTHOR", "Ada")
    monkeypatch.chdir(work)
    reset_current()
    yield work
    reset_current()


class Result:
    """What a command printed, and how it ended."""

    def __init__(self, result):
        self.code = result.exit_code
        self.out = result.stdout
        self.err = result.stderr
        self.bytes = result.stdout_bytes

    @property
    def rows(self):
        """The lines of stdout, split into columns."""
        return [line.split("\t") for line in self.out.splitlines()]

    @property
    def json(self):
        """The document on stdout."""
        return json.loads(self.out)


@pytest.fixture
def run():
    """Run a command that has to succeed."""

    def run(*args, stdin=None):
        result = Result(CliRunner().invoke(app, list(map(str, args)), input=stdin, catch_exceptions=False))
        assert result.code == 0, result.err
        assert result.err == ""
        return result

    return run


@pytest.fixture
def fail():
    """Run a command that has to fail; it says so in one line and a hint, and prints nothing else."""

    def fail(*args, code=1):
        result = Result(CliRunner().invoke(app, list(map(str, args)), catch_exceptions=False))
        assert result.code == code, result.out + result.err
        assert result.out == ""
        lines = result.err.splitlines()
        assert lines[0].startswith("error: ")
        assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: "))
        return result.err

    return fail


@pytest.fixture
def shell():
    """Run the command in a process of its own."""

    def shell(*args, **options):
        command = [sys.executable, "-m", "datastore.cli", *map(str, args)]
        return subprocess.run(command, capture_output=True, check=False, timeout=60, **options)

    return shell


@pytest.fixture
def garments():
    """A repo: two commits on main, the first with tag v1, and a branch exp that changed a row."""
    repo = ds.create_repo("garments")
    main = repo.branch("main")
    main.objects.put("train.csv", b"sku,price\n1,10\n2,20\n")
    main.objects.put("images/a.png", b"PNG")
    repo.create_tag("v1", main.commit("First rows"))
    main.objects.put("images/b.png", b"PNG!")
    main.commit("Another image")
    exp = repo.create_branch("exp")
    exp.objects.put("train.csv", b"sku,price\n1,10\n2,21\n3,30\n")
    exp.commit("Dearer")
    return repo
