"""An index of an older version is brought up to date, or looked at as it is where nothing may be written."""

import os
import shutil
import signal
import sqlite3
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from datastore.embedded import upgrade as module
from datastore.embedded.schema import SCHEMA_VERSION
from datastore.embedded.store import EmbeddedStore
from datastore.errors import ConfigError, Forbidden, Unavailable
from datastore.testing.versioning_tools import commit, contents, messages, staged
from tests.embedded.children import Child
from tests.embedded.files import listing
from tests.embedded.test_deaths import die_at

STORES = Path(__file__).parent / "stores"
MAIN = {"a.txt": b"second", "b/c.txt": b"shared", "big.bin": bytes(range(256)) * 400, "empty": b""}


@pytest.fixture
def old(path):
    """The store that each version of the index has left; index-1 is of commit 5bac618."""
    unpack(path)
    return path


def unpack(path):
    with tarfile.open(STORES / "index-1.tar.gz") as tar:
        tar.extractall(path.parent, filter="data")
    if path.name != "store":
        (path.parent / "store").rename(path)


def tables(index):
    """What the index is made of, whatever the order of its making."""
    with sqlite3.connect(index) as db:
        found = db.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        columns = {name: db.execute(f"PRAGMA table_info({name})").fetchall() for (name,) in found}
        version = db.execute("PRAGMA user_version").fetchone()[0]
        problems = db.execute("PRAGMA integrity_check").fetchall()
    db.close()
    return version, columns, problems


def is_as_it_was(store):
    repo = store.repo("garments")
    assert contents(repo.at("main")) == MAIN
    assert contents(repo.at("v1")) == {"a.txt": b"first", "b/c.txt": b"shared", "empty": b""}
    assert staged(repo, "exp") == {"new.txt": "added", "empty": "removed"}
    assert messages(repo) == ["Second", "First"]
    assert list(store.check()) == []


def test_an_upgraded_store_is_as_a_new_one(opened, old, tmp_path):
    store = opened()
    is_as_it_was(store)
    repo = store.repo("garments")
    assert repo.remote() == "ds://team/garments"
    repo.undelete_branch("old")
    many = {f"k/{number:03}": b"%d" % number for number in range(100)}
    repo.at("main").put_many([(key, data, None) for key, data in many.items()])
    commit(repo, "main", "Into a pack")
    assert contents(repo.at("main@")) == {**MAIN, **many}
    assert list(store.check()) == []
    assert len(list((old / "packs").iterdir())) == 1
    store.close()
    new = opened(tmp_path / "new")
    new.create_repo("garments")
    new.close()
    assert tables(old / "meta.db") == tables(tmp_path / "new" / "meta.db")
    assert tables(old / "meta.db")[0] == SCHEMA_VERSION


def test_the_old_index_is_kept(opened, old):
    before = tables(old / "meta.db")
    store = opened()
    store.repos()
    store.close()
    (copy,) = (old / "backups").iterdir()
    assert copy.name == "meta-1.db"
    assert tables(copy) == before
    times = listing(old / "backups")
    opened().repos()
    assert listing(old / "backups") == times


def test_an_index_without_content_needs_no_copy(opened, old):
    with sqlite3.connect(old / "meta.db") as db:
        for table in ("staging", "branches", "deleted_branches", "tags", "commits", "remotes", "repos"):
            db.execute(f"DELETE FROM {table}")
    db.close()
    assert list(opened().repos()) == []
    assert not (old / "backups").exists()


def test_tables_that_came_during_version_1(opened, old):
    with sqlite3.connect(old / "meta.db") as db:
        db.execute("DROP TABLE remotes")
    db.close()
    before = listing(old)
    reading = opened(read_only=True)
    assert reading.repo("garments").remote() is None
    reading.close()
    assert listing(old) == before
    repo = opened().repo("garments")
    repo.set_remote("ds://elsewhere/garments")
    assert repo.remote() == "ds://elsewhere/garments"


def test_reading_writes_nothing(opened, old):
    before = listing(old)
    store = opened(read_only=True)
    is_as_it_was(store)
    with pytest.raises(Forbidden):
        store.repo("garments").at("main").put("new", b"")
    store.close()
    assert listing(old) == before
    assert tables(old / "meta.db")[0] == 1


def test_no_room_for_a_copy(opened, old, monkeypatch):
    usage = SimpleNamespace(free=1000)
    before = listing(old)
    stores = [opened(), opened()]
    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "disk_usage", lambda path: usage)
        for verb in (stores[0].repos, lambda: stores[1].create_repo("shoes")):
            with pytest.raises(Unavailable, match="1000 bytes left") as caught:
                verb()
            assert "nothing was changed" in str(caught.value.hint)
    for store in stores:
        store.close()
    assert set(listing(old)) == set(before)
    assert listing(old)["meta.db"] == before["meta.db"]
    is_as_it_was(opened())


def test_a_newer_index_is_refused(opened, old):
    with sqlite3.connect(old / "meta.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = listing(old)
    for read_only in (True, False):
        with pytest.raises(ConfigError, match="index version 99"):
            opened(read_only=read_only).repos()
    assert listing(old) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_several_processes_upgrade_at_once(opened, old):
    def writes(say):
        store = EmbeddedStore(old)
        store.repo("garments").at("main").put(f"by/{os.getpid()}", b"x")
        say(f"by/{os.getpid()}")
        store.close()

    children = [Child(writes) for _ in range(4)]
    said = [child.lines() for child in children]
    assert [status for _, status in said] == [0] * 4
    assert set(contents(opened().repo("garments").at("main"), "by/")) == {lines[0] for lines, _ in said}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_death_at_every_step(tmp_path):
    step, status, said = 0, -signal.SIGKILL, []
    while status:
        step += 1
        path = tmp_path / str(step)
        unpack(path)

        def dies(say, path=path, step=step):
            store = EmbeddedStore(path)
            die_at(step)
            store.repos()
            say("done")
            store.close()

        said, status = Child(dies).lines()
        assert status in (0, -signal.SIGKILL), said
        reading = EmbeddedStore(path, read_only=True)
        if not Path(f"{path / 'meta.db'}-wal").exists():
            is_as_it_was(reading)
        reading.close()
        store = EmbeddedStore(path)
        is_as_it_was(store)
        store.close()
        assert tables(path / "meta.db")[0] == SCHEMA_VERSION
        assert [copy.name for copy in (path / "backups").iterdir()] == ["meta-1.db"]
        shutil.rmtree(path)
    assert step > 30
    assert said == ["done"]
