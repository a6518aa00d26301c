"""What the doctor says of the store on this machine."""

import os
import shutil
import sqlite3
from types import SimpleNamespace

import pytest

import datastore as ds
from datastore import disks
from datastore.doctor import examine, examine_mount
from datastore.embedded import probe
from datastore.embedded.store import EmbeddedStore
from datastore.namespace import current, reset_current
from datastore.testing.versioning_tools import save
from tests.embedded.files import listing
from tests.places import isolate


@pytest.fixture
def store(tmp_path, monkeypatch):
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("DATASTORE_STORE", str(tmp_path / "store"))
    reset_current()
    store = EmbeddedStore(tmp_path / "store")
    save(store.create_repo("garments"), "main", {"a": b"1"})
    store.close()
    yield store
    store.close()
    reset_current()


def found(store):
    return {finding.check: finding for finding in store.findings()}


def test_a_sound_store_has_nothing_to_cure(store):
    before = {name: found for name, found in listing(store.path).items() if "lock" not in name}
    findings = found(store)
    assert {"SQLite", "disk", "room", "permissions", "format", "log", "unfinished", "journal"} <= findings.keys()
    assert {finding.state for finding in findings.values()} <= {"ok", "warning"}
    assert "in step" in findings["journal"].detail
    assert (findings["format"].detail, sqlite3.sqlite_version in findings["SQLite"].detail) == ("1, no features", True)
    store.close()
    assert {name: found for name, found in listing(store.path).items() if "lock" not in name} == before


def test_the_doctor_asks_the_store_of_the_configuration_and_that_of_a_mount(store):
    assert "journal" in {finding.check for finding in examine()}
    ds.mount("team", "embedded", path=str(store.path))
    assert "journal" in {finding.check for finding in examine_mount("team")}
    reset_current()
    shutil.rmtree(store.path)
    assert "no store" in next(finding.detail for finding in current().store.findings())


@pytest.mark.parametrize(("version", "harmless"), [((3, 51, 2), True), ((3, 51, 3), False)])
def test_a_sqlite_with_the_race_is_named_as_harmless(store, monkeypatch, version, harmless):
    monkeypatch.setattr(probe.sqlite3, "sqlite_version_info", version)
    assert ("harmless" in found(store)["SQLite"].detail) == harmless


def test_a_disk_that_is_not_local_has_failed(store, monkeypatch):
    monkeypatch.setattr(probe, "file_system_of", lambda _: "nfs4")
    assert found(store)["disk"].state == "failed"
    monkeypatch.setattr(disks, "file_system_of", lambda _: "nfs4")
    (problem,) = [f for f in EmbeddedStore(store.path).findings() if f.check == "store"]
    assert "local disk" in problem.hint


def test_little_room_is_a_warning(store, monkeypatch):
    monkeypatch.setattr(probe.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    monkeypatch.setattr(probe.os, "statvfs", lambda _: SimpleNamespace(f_files=10**6, f_favail=5), raising=False)
    findings = found(store)
    assert (findings["room"].state, findings["files"].state) == ("warning", "warning")
    assert "collect" in findings["room"].hint
    (store.path / "ballast").write_bytes(b"")
    assert "ballast" in found(store)["room"].detail


def test_a_journal_that_is_behind_is_a_warning_and_a_damaged_one_a_failure(store):
    journal = store.path / "refs.journal"
    data = journal.read_bytes()
    journal.write_bytes(b"".join(data.splitlines(keepends=True)[:-1]))
    assert found(store)["journal"].state == "warning"
    journal.write_bytes(data.replace(b"garments", b"garmentz", 1))
    assert (found(store)["journal"].state, found(store)["journal"].hint) == ("failed", "datastore repair")


def test_leftovers_and_a_long_log_are_seen(store, monkeypatch):
    for number in range(3):
        (store.path / "tmp" / f"1-{number}").write_bytes(b"x" * 2**20)
    assert found(store)["unfinished"].detail == "3 files in tmp/, 3.0 MiB"
    monkeypatch.setattr(probe, "_LEFTOVERS", 2)
    monkeypatch.setattr(probe, "_LONG_LOG", 10)
    store.repo("garments").at("main").put("b", b"2")
    findings = found(store)
    assert (findings["unfinished"].state, findings["log"].state) == ("warning", "warning")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no permissions of this kind")
def test_what_may_not_be_touched_is_named(store, monkeypatch):
    monkeypatch.setattr(probe.os, "access", lambda path, _: path.name != "trees")
    assert found(store)["permissions"].detail == "no access to trees"


def test_a_damaged_store_is_told_with_its_cure(store):
    (store.path / "meta.db").unlink()
    findings = found(store)
    assert (findings["store"].state, "repair" in findings["store"].hint) == ("failed", True)
    assert "room" in findings
    store.repair()
    assert found(store)["journal"].state == "ok"
    assert "quarantine" not in found(store)
    (store.path / "config.json").write_bytes(b"{")
    fresh = EmbeddedStore(store.path)
    fresh.repair()
    assert found(fresh)["quarantine"].detail.startswith("1 files")


def test_a_backup_can_only_be_read(store, tmp_path):
    store.backup(tmp_path / "backup")
    findings = found(EmbeddedStore(tmp_path / "backup"))
    assert findings["writing"].state == "warning"
    assert findings["format"].detail == "1, backup"
