"""What the sweeps have found: errors of the disk that were told as they came, or told although nothing was wrong."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from datastore import streams
from datastore.embedded.database import Database
from datastore.embedded.readonly import Mode
from datastore.errors import Unavailable
from datastore.testing.versioning_tools import contents, save


@pytest.fixture
def repo(opened):
    repo = opened().create_repo("garments")
    save(repo, "main", {"a.txt": b"first"})
    return repo


def failing(code, only=""):
    def fails(*args, **_):
        if only in str(args[0]):
            raise OSError(code, os.strerror(code), str(args[0]))
        return os.stat(args[0])  # noqa: PTH116 - Path.stat is what is patched

    return fails


def test_an_index_that_could_once_not_be_opened_for_writing(repo, monkeypatch):
    """SQLite opens it for reading then, without a word; every later write of the same handle failed."""
    connect, modes = Database._connect, []

    def once_for_reading(self, mode):
        modes.append(mode)
        return connect(self, Mode("mode=ro") if len(modes) == 1 else mode)

    repo.close()
    monkeypatch.setattr(Database, "_connect", once_for_reading)
    repo.at("main").put("b.txt", b"second")
    save(repo, "main", {"c.txt": b"third"})
    assert contents(repo.at("main@")) == {"a.txt": b"first", "b.txt": b"second", "c.txt": b"third"}


@pytest.mark.parametrize("part", ["_wal_size", "_checkpoint"])
def test_what_fails_after_a_write_has_landed_is_no_error(repo, monkeypatch, part):
    monkeypatch.setattr("datastore.embedded.database._CHECKPOINT_BYTES", 0)
    monkeypatch.setattr(Database, part, failing(errno.EIO))
    info = repo.at("main").put("b.txt", b"second")
    assert repo.at("main").head("b.txt").etag == info.etag
    assert save(repo, "main", {"c.txt": b"third"}).id == repo.commit_of("main").id


def test_a_lock_file_that_cannot_be_written_to_locks(repo, monkeypatch):
    monkeypatch.setattr(os, "pwrite", failing(errno.ENOSPC))
    repo.at("main").put("b.txt", b"second")
    assert contents(repo.at("main"))["b.txt"] == b"second"


def test_a_store_that_cannot_be_made_is_made_later(opened, path, monkeypatch):
    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    store = opened()
    with monkeypatch.context() as patched, pytest.raises(Unavailable, match="full"):
        patched.setattr(sqlite3, "connect", full)
        store.create_repo("garments")
    assert not store.exists()
    assert contents(store.create_repo("garments").at("main")) == {}


@pytest.mark.parametrize("name", ["config.json", "meta.db"])
def test_a_part_that_cannot_be_looked_at_is_not_lost(repo, opened, path, monkeypatch, name):
    repo.close()
    monkeypatch.setattr(Path, "stat", failing(errno.EIO, only=name))
    monkeypatch.setattr(Path, "read_bytes", failing(errno.EIO))
    with pytest.raises(Unavailable, match="failed"):
        opened().repo("garments")


def test_a_node_that_cannot_be_read(repo, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", failing(errno.EIO, only="trees"))
    with pytest.raises(Unavailable, match="failed"):
        repo.store.node_files.get(repo.commit_of("main").tree)


def test_bytes_that_cannot_be_read(repo, monkeypatch):
    reader = repo.at("main").read("a.txt")
    monkeypatch.setattr(streams, "read_at", failing(errno.EIO))
    with reader, pytest.raises(Unavailable, match=r"'a\.txt' cannot be read"):
        reader.read()


def test_a_blob_that_cannot_be_opened_is_named_by_check(repo, monkeypatch):
    real = os.open
    refuses = failing(errno.EIO)
    monkeypatch.setattr(os, "open", lambda path, *how: refuses(path) if "blobs" in str(path) else real(path, *how))
    with pytest.raises(Unavailable, match="failed"):
        repo.at("main").read("a.txt")
    (problem,) = repo.check()
    assert problem.kind == "blob"
    assert problem.problem.startswith("cannot be read")
