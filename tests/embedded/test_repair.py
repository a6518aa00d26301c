"""`repair` brings a store back from what is left of it, and from copies elsewhere; it deletes nothing."""

import errno
import hashlib
import json
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

from datastore.embedded import packs
from datastore.embedded.store import EmbeddedStore
from datastore.errors import ConfigError, Forbidden, HeadMoved, IntegrityError, NotFound, NothingToCommit, Unavailable
from datastore.testing.versioning_tools import commit, contents, keys, request, save, staged
from tests.embedded.children import Child
from tests.embedded.files import listing
from tests.embedded.test_deaths import die_at

EVERY = 1 if os.environ.get("DATASTORE_STRESS") else 9
"""How far the steps are apart at which a process dies."""


def fill(store):
    """Every kind of ref."""
    repo = store.create_repo("garments")
    save(repo, "main", {"a.txt": b"first", "b.txt": b"shared"}, message="First")
    repo.create_tag("v1", "main")
    repo.create_branch("exp", "main")
    save(repo, "exp", {"c.txt": b"of exp"})
    save(repo, "main", {"a.txt": b"second", "img/photo.png": b"\x89PNG"}, message="Second")
    repo.merge("exp", "main", request("Merge"))
    repo.create_branch("old", "v1")
    repo.delete_branch("old")
    repo.create_branch("tx", "v1", hidden=True)
    repo.create_branch("gone-tx", "v1", hidden=True)
    save(repo, "gone-tx", {"x": b"x"})
    repo.delete_branch("gone-tx")
    repo.create_branch("kept", "v1")
    repo.protect("kept")
    repo.set_remote("ds://team/garments")
    shoes = store.create_repo("sandals", default_branch="trunk")
    save(shoes, "trunk", {"s": b"1"})
    store.rename_repo("sandals", "shoes")
    store.create_repo("dropped")
    store.delete_repo("dropped")
    return store


def state(store):
    """All that is committed."""
    found = {}
    for name in store.repos():
        repo = store.repo(name)
        branches = repo.branches(hidden=True)
        found[name] = {
            "default": repo.default_branch,
            "remote": repo.remote(),
            "branches": list(branches),
            "tags": list(repo.tags()),
            "log": {branch.name: list(repo.log(branch.name)) for branch in branches},
            "objects": {branch.name: contents(repo.at(branch.head)) for branch in branches},
        }
    return found


@pytest.fixture
def store(tmp_path):
    store = fill(EmbeddedStore(tmp_path / "store"))
    store.close()
    yield store
    store.close()


def lost(store):
    (store.path / "meta.db").unlink()


def truncated(store):
    path = store.path / "meta.db"
    path.write_bytes(path.read_bytes()[:5000])


def garbage(store):
    (store.path / "meta.db").write_bytes(b"garbage" * 1000)


def foreign(store):
    lost(store)
    with sqlite3.connect(store.path / "meta.db") as db:
        db.execute("CREATE TABLE cooking (recipe)")
    db.close()


def overwritten(store):
    path = store.path / "meta.db"
    data = bytearray(path.read_bytes())
    data[4096 * 2 :] = b"\xff" * (len(data) - 4096 * 2)
    path.write_bytes(data)


def done(store, **how):
    return {(step.kind, step.id): step.done for step in store.repair(**how)}


@pytest.mark.parametrize("harm", [lost, truncated, garbage, foreign, overwritten])
def test_a_lost_index_is_made_anew(store, harm):
    before = state(store)
    store.close()
    harm(store)
    there = (store.path / "meta.db").exists()
    steps = done(store)
    assert "made anew" in steps["store", "meta.db"]
    assert state(store) == before
    assert list(store.check()) == []
    assert (store.path / "quarantine" / "meta.db").exists() == there
    repo = store.repo("garments")
    with pytest.raises(Forbidden, match="protected"):
        repo.at("kept").put("x", b"x")
    assert repo.undelete_branch("old").head == repo.commit_of("v1").id
    save(repo, "main", {"after.txt": b"works on"})
    assert list(store.check()) == []
    assert store.repair() == []


def test_a_sound_store_is_left_alone(store):
    repo = store.repo("garments")
    repo.at("main").put("new.txt", b"uncommitted")
    store.close()
    before = listing(store.path)
    assert store.repair() == store.repair(dry_run=True) == []
    store.close()
    assert {name: found for name, found in listing(store.path).items() if "lock" not in name} == {
        name: found for name, found in before.items() if "lock" not in name
    }
    assert staged(repo) == {"new.txt": "added"}


@pytest.mark.parametrize("harm", [lost, garbage])
def test_a_dry_run_tells_and_changes_nothing(store, harm):
    harm(store)
    before = listing(store.path)
    assert "would be made anew" in done(store, dry_run=True)["store", "meta.db"]
    assert listing(store.path) == before
    reader = EmbeddedStore(store.path, read_only=True)
    assert reader.repair(dry_run=True)
    with pytest.raises(Forbidden):
        reader.repair()


def test_the_same_attempt_again_gives_the_commit_that_is_there(store):
    asked = request("Third")
    repo = store.repo("garments")
    repo.at("main").put("third.txt", b"3")
    made = repo.commit("main", asked)
    store.close()
    lost(store)
    store.repair()
    assert store.repo("garments").commit("main", asked) == made


def test_uncommitted_changes_that_can_be_read_come_along(store):
    repo = store.repo("garments")
    repo.at("exp").put("new.txt", b"uncommitted")
    repo.at("exp").delete(["b.txt"])
    with repo.store.db.write(durable=True) as db:  # one wrong ref is enough to distrust the index
        db.execute("UPDATE tags SET head = ?", ("f" * 64,))
    store.close()
    assert "could still be read: 2" in done(store)["store", "meta.db"]
    assert staged(store.repo("garments"), "exp") == {"b.txt": "removed", "new.txt": "added"}
    assert store.repo("garments").commit_of("v1").message == "First"
    commit(store.repo("garments"), "exp", "Kept")
    assert list(store.check()) == []


def test_content_of_lost_changes_is_kept_and_not_relied_on(store):
    repo = store.repo("garments")
    repo.at("main").put("new.txt", b"uncommitted")
    store.close()
    lost(store)
    assert "all others are lost" in done(store)["store", "meta.db"]
    name = hashlib.sha256(b"uncommitted").hexdigest()
    path = store.path / "blobs" / name[:2] / name
    assert path.read_bytes() == b"uncommitted"
    path.chmod(0o644)
    path.write_bytes(b"UNCOMMITTED")
    store.repo("garments").at("main").put("new.txt", b"uncommitted")
    commit(store.repo("garments"), "main", "Again")
    assert list(store.check()) == []


@pytest.mark.parametrize("cut", [1, 3])
def test_commits_that_lost_their_ref_get_a_branch(store, cut):
    repo = store.repo("garments")
    made = [save(repo, "main", {"n": bytes([number])}) for number in range(3)]
    store.close()
    journal = store.path / "refs.journal"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-cut]) + b'{"epo')
    lost(store)
    name = f"lost-found-{made[-1].id[:8]}"
    assert done(store)["ref", f"garments@{name}"] == "reattached"
    repo = store.repo("garments")
    assert repo.commit_of(name).id == made[-1].id
    assert repo.commit_of("main").id == (made[1].id if cut == 1 else made[0].parents[0])
    assert [branch.name for branch in repo.branches() if "lost" in branch.name] == [name]
    repo.merge(name, "main", request("Found again"))
    assert list(store.check()) == []
    store.close()
    lost(store)
    assert not any(kind == "ref" for kind, _ in done(store))


def test_a_store_without_a_journal_is_all_found_again(store):
    heads = {commit.id for repo in state(store).values() for commits in repo["log"].values() for commit in commits}
    store.close()
    (store.path / "refs.journal").unlink()
    lost(store)
    store.repair()
    assert list(store.check()) == []
    found = {info.id for repo in state(store).values() for commits in repo["log"].values() for info in commits}
    assert heads <= found
    assert all(name.startswith("lost-found-") for name in store.repos())


def test_what_was_deleted_on_purpose_does_not_come_back(store):
    store.close()
    lost(store)
    store.repair()
    assert list(store.repos()) == ["garments", "shoes"]
    assert {branch.name for branch in store.repo("garments").branches(hidden=True)} == {"exp", "kept", "main", "tx"}


def test_an_attempt_that_never_landed_does_not_come_back(store):
    repo = store.repo("garments")
    repo.at("main").put("mine", b"1")
    head, asked = repo.commit_of("main").id, request("Mine")
    opened = repo.store
    real = opened.node_files.put_new

    def beaten(objects):
        real(objects)
        opened.node_files.put_new = real
        repo.create_branch("side", "main")
        save(repo, "side", {"other": b"2"})
        repo.reset("main")
        repo.fast_forward("main", repo.commit_of("side").id, head=head)
        repo.at("main").put("mine", b"1")

    opened.node_files.put_new = beaten
    repo.commit("main", asked)
    store.close()
    lost(store)
    store.repair()
    assert not any("lost" in branch.name for branch in store.repo("garments").branches())
    assert list(store.check()) == []


def test_a_commit_that_was_prepared_over_the_lost_index_does_not_land(store):
    repo = store.repo("garments")
    repo.at("main").put("mine", b"1")
    opened = repo.store
    real = opened.node_files.put_new

    def repaired(objects):
        real(objects)
        opened.node_files.put_new = real
        other = EmbeddedStore(store.path)
        lost(other)
        other.repair()
        other.close()

    opened.node_files.put_new = repaired
    with pytest.raises((NothingToCommit, HeadMoved)):
        commit(repo, "main", "Mine")
    repo.at("main").put("mine", b"1")
    commit(repo, "main", "Mine again")
    assert list(store.check()) == []
    assert contents(EmbeddedStore(store.path).repo("garments").at("main"))["mine"] == b"1"


# files


def blob(store, data):
    name = hashlib.sha256(data).hexdigest()
    return store.path / "blobs" / name[:2] / name


def flip(path):
    data = path.read_bytes()
    path.chmod(0o644)
    middle = len(data) // 2
    path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


def one_of_each(store):
    made = store.repo("garments").commit_of("main")
    store.close()
    return [blob(store, b"second"), store.path / "trees" / made.tree, store.path / "commits" / made.id]


@pytest.mark.parametrize("harm", [flip, os.unlink])
def test_good_copies_come_from_a_backup(store, tmp_path, harm):
    store.backup(tmp_path / "backup")
    before = state(store)
    for path in one_of_each(store):
        harm(path)
    assert list(store.check())
    steps = done(store, source=tmp_path / "backup")
    assert sum("put back from" in step for step in steps.values()) >= (1 if harm is flip else 3)
    assert list(store.check()) == []
    assert state(store) == before
    kept = {path.name for path in (store.path / "quarantine").rglob("*")} if harm is flip else set()
    assert kept >= {path.name for path in one_of_each(store) if harm is flip}


def test_without_a_copy_damage_is_set_aside_and_putting_again_heals(store):
    path = blob(store, b"second")
    flip(path)
    steps = store.repair()
    assert [(step.kind, step.done) for step in steps] == [
        ("blob", f"moved to quarantine/blobs/{path.name}"),
        ("blob", "nothing: there is no good copy; --from names another store, or a backup"),
    ]
    main = store.repo("garments").at("main")
    assert contents(store.repo("garments").at("exp"))
    with pytest.raises(IntegrityError, match="missing"):
        main.read("a.txt")
    main.put("a.txt", b"second")
    assert list(store.check()) == []
    assert store.repair() == []


def test_a_damaged_node_that_is_made_again_heals(store):
    repo = store.repo("shoes")
    head = repo.commit_of("trunk")
    flip(store.path / "trees" / head.tree)
    store.repair()
    repo.create_branch("again", "trunk~1")
    save(repo, "again", {"s": b"other"})
    put_at = next(iter(repo.diff("again~1", "again"))).after.modified_us
    assert put_at
    (problem,) = {problem.id for problem in store.check()}
    assert problem == head.tree


def test_a_commit_file_is_written_anew_from_the_index(store):
    path = one_of_each(store)[2]
    flip(path)
    assert done(store)["commit", path.name] == "put back from the index"
    assert list(store.check()) == []


def test_a_lost_row_of_a_commit_comes_from_its_file(store):
    repo = store.repo("garments")
    made = repo.commit_of("v1")
    with repo.store.db.write(durable=True) as db:
        db.execute("DELETE FROM commits WHERE id IN (?, ?)", (made.id, made.parents[0]))
    store.close()
    assert list(store.check())
    assert done(store)
    assert list(store.check()) == []
    assert next(info.message for info in store.repo("garments").log("v1")) == "First"


def test_a_damaged_file_that_nobody_needs_goes_too(store):
    """The next put of the same bytes would rely on it."""
    repo = store.repo("garments")
    repo.at("main").put("n", b"needless")
    repo.reset("main")
    flip(blob(store, b"needless"))
    assert len(store.repair()) == 1
    repo = store.repo("garments")
    repo.at("main").put("n", b"needless")
    commit(repo, "main", "Needed")
    assert list(store.check()) == []


# config, folders, journal


@pytest.mark.parametrize("harm", [os.unlink, lambda path: path.write_bytes(b"{"), lambda path: path.write_text("{}")])
def test_a_config_is_written_anew(store, harm):
    before, store_id = state(store), store.id
    store.close()
    harm(store.path / "config.json")
    assert [problem.id for problem in EmbeddedStore(store.path).check()] == ["config.json"]
    assert "written anew" in done(store)["store", "config.json"]
    assert (store.id, state(store), list(store.check())) == (store_id, before, [])


def test_a_config_and_an_index_that_are_lost_keep_their_id(store):
    store_id = store.id
    store.close()
    (store.path / "config.json").unlink()
    lost(store)
    store.repair()
    assert store.id == store_id
    assert list(store.check()) == []


def test_an_id_that_was_changed_is_found_out(store):
    store_id = store.id
    config = json.loads((store.path / "config.json").read_bytes())
    (store.path / "config.json").write_text(json.dumps({**config, "store_id": store_id.replace("-", "0")}))
    fresh = EmbeddedStore(store.path)
    assert [problem.id for problem in fresh.check()] == ["meta.db"]
    fresh.repair()
    assert fresh.id == store_id
    assert list(fresh.check()) == []


@pytest.mark.parametrize("change", [{"format": 2}, {"format": 2, "store_id": 7}, {"read_features": ["x"]}])
def test_a_newer_store_is_refused(store, change):
    config = json.loads((store.path / "config.json").read_bytes())
    (store.path / "config.json").write_text(json.dumps({**config, **change}))
    before = listing(store.path)
    for dry_run in (True, False):
        with pytest.raises(ConfigError, match="format"):
            EmbeddedStore(store.path).repair(dry_run=dry_run)
    assert {k: v for k, v in listing(store.path).items() if "lock" not in k} == {
        k: v for k, v in before.items() if "lock" not in k
    }


@pytest.mark.parametrize("name", ["blobs", "trees", "commits", "tmp", "locks"])
def test_a_folder_that_is_lost_comes_from_a_backup(store, tmp_path, name):
    store.backup(tmp_path / "backup")
    before = state(store)
    store.close()
    shutil.rmtree(store.path / name)
    if name == "locks":
        (store.path / name).write_bytes(b"a file in the way")
    store.repair(source=tmp_path / "backup")
    assert state(store) == before
    assert list(store.check()) == []


def test_nothing_to_repair_where_no_store_is(tmp_path):
    with pytest.raises(NotFound):
        EmbeddedStore(tmp_path / "nowhere").repair()
    (tmp_path / "folder").mkdir()
    with pytest.raises(NotFound):
        EmbeddedStore(tmp_path / "folder").repair()
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_journal_that_is_behind_or_damaged_gets_a_snapshot(store):
    before = state(store)
    store.close()
    journal = store.path / "refs.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    for harmed in (lines[:-2], [*lines[:3], lines[3].replace(b"1", b"2", 1), *lines[4:]], [*lines[:2], *lines[3:]]):
        journal.write_bytes(b"".join(harmed))
        assert done(store) == {("journal", "refs.journal"): "got a snapshot of all refs"}
        assert list(store.check()) == []
        store.close()
        (store.path / "meta.db").unlink()
        store.repair()
        # A commit of which only a lost line told, that of a repo that was deleted, may come back.
        assert {name: found for name, found in state(store).items() if "lost-found" not in name} == before
        store.close()


# other processes, death


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_a_process_that_has_the_store_open_goes_on_with_the_new_index(store):
    repo = store.repo("garments")
    save(repo, "main", {"before.txt": b"1"})

    def repairs(say):
        other = EmbeddedStore(store.path)
        (store.path / "meta.db").unlink()
        other.repair()
        save(other.repo("garments"), "main", {"theirs.txt": b"2"})
        other.close()
        say("repaired")

    said, status = Child(repairs).lines()
    assert (said, status) == (["repaired"], 0)
    assert "theirs.txt" in keys(repo.at("main"))
    save(repo, "main", {"mine.txt": b"3"})
    store.close()
    assert {"before.txt", "theirs.txt", "mine.txt"} <= set(keys(EmbeddedStore(store.path).repo("garments").at("main")))
    assert list(EmbeddedStore(store.path).check()) == []


def harm_all(store):
    """Something for every step of a repair."""
    made = store.repo("garments").commit_of("main")
    repo = store.repo("garments")
    repo.at("exp").put("new.txt", b"uncommitted")
    save(repo, "main", {"late.txt": b"late"})
    store.close()
    journal = store.path / "refs.journal"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    with sqlite3.connect(store.path / "meta.db") as db:
        db.execute("UPDATE tags SET head = ?", ("f" * 64,))
        db.execute("DROP TABLE remotes")
    db.close()
    flip(blob(store, b"second"))
    (store.path / "trees" / made.tree).unlink()
    flip(store.path / "commits" / made.id)
    (store.path / "config.json").write_bytes(b"")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_a_repair_that_dies_at_any_step_is_finished_by_the_next(tmp_path):
    original = fill(EmbeddedStore(tmp_path / "original"))
    original.backup(tmp_path / "backup")
    wanted = state(original)
    harm_all(original)
    step, deaths, status = 1, 0, -1
    while status != 0:
        store = EmbeddedStore(shutil.copytree(tmp_path / "original", tmp_path / str(step), symlinks=True))

        def dies(say, store=store, step=step):
            die_at(step)
            store.repair(source=tmp_path / "backup")
            say("done")

        said, status = Child(dies).lines()
        assert status in {0, -signal.SIGKILL}, said
        store.repair(source=tmp_path / "backup")
        assert list(store.check()) == []
        found = state(store)
        log = found["garments"]["log"].values()
        assert any(info.message == "Write late.txt" for commits in log for info in commits)
        for name in ("exp", "kept", "tx"):
            assert found["garments"]["objects"][name] == wanted["garments"]["objects"][name]
        assert found["shoes"] == wanted["shoes"]
        store.close()
        shutil.rmtree(store.path)
        deaths += status != 0
        step += EVERY
    assert deaths > 20


def test_what_the_disk_does_not_read_today_stays_where_it_is(tmp_path, monkeypatch):
    store = fill(EmbeddedStore(tmp_path / "store"))
    main = store.repo("garments").at("main")
    for number in range(40):  # enough for a pack
        (tmp_path / f"{number}").write_bytes(b"%d" % number)
    main.import_files([(tmp_path / f"{number}", f"many/{number}") for number in range(40)])
    commit(store.repo("garments"), "main", "Many")
    before = state(store)
    files = {name for name in listing(store.path) if name.startswith(("blobs", "trees", "commits", "packs"))}
    opened, read, refused = Path.open, packs._PackFile.read, set()

    def refuse(path):
        if path not in refused:
            refused.add(path)
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    def open_path(self, *how, **more):
        if {"blobs", "trees", "commits"} & set(self.parts):
            refuse(self)
        return opened(self, *how, **more)

    def read_pack(self, size, offset):
        if offset:  # not the header, without which repair says that the disk failed
            refuse(offset)
        return read(self, size, offset)

    monkeypatch.setattr(Path, "open", open_path)
    monkeypatch.setattr(packs._PackFile, "read", read_pack)
    told = list(store.repair())
    assert {one.kind for one in told} == {"blob", "tree", "commit"}
    assert len(told) > 40
    assert all(one.problem.startswith("cannot be read") and one.done.startswith("left as it is") for one in told)
    assert files <= listing(store.path).keys()
    assert not (store.path / "quarantine").exists()
    assert state(store) == before
    assert list(store.check()) == []


@pytest.mark.parametrize("name", ["backup.json", "config.json"])
def test_a_first_look_that_the_disk_refuses_is_told_as_such(tmp_path, monkeypatch, name):
    store = fill(EmbeddedStore(tmp_path / "store"))
    before = state(store)
    stat = Path.stat

    def refuse(self, **more):
        if self.name == name:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self))
        return stat(self, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refuse)
        with pytest.raises(Unavailable, match="failed: Input/output error"):
            list(store.repair())
    assert state(store) == before
    assert list(store.check()) == []
