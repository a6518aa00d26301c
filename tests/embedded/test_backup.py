"""A backup is a whole store of one moment, made beside writers; what is restored from it works on."""

import os
import shutil
import signal

import pytest

from datastore.embedded import backup, copying
from datastore.embedded.store import EmbeddedStore
from datastore.errors import AlreadyExists, Forbidden, IntegrityError, ValidationError
from datastore.testing.versioning_tools import commit, contents, save, staged
from tests.embedded.children import Child
from tests.embedded.files import listing
from tests.embedded.test_deaths import die_at
from tests.embedded.test_repair import blob, fill, flip, state

EVERY = 1 if os.environ.get("DATASTORE_STRESS") else 7
"""How far the steps are apart at which a process dies."""


@pytest.fixture
def store(tmp_path):
    store = fill(EmbeddedStore(tmp_path / "store"))
    store.repo("garments").at("exp").put("new.txt", b"uncommitted")
    yield store
    store.close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "backup"


def test_a_backup_has_all_and_is_only_read(store, target):
    made = store.backup(target)
    assert (made.path, made.store_id, made.problems) == (str(target), store.id, [])
    copy = EmbeddedStore(target)
    assert state(copy) == state(store)
    assert staged(copy.repo("garments"), "exp") == {"new.txt": "added"}
    assert list(copy.check()) == []
    assert (copy.id, os.listdir(target / "tmp")) == (store.id, [])
    for verb in (lambda: copy.repo("garments").at("main").put("x", b""), lambda: copy.create_repo("x-y-z")):
        with pytest.raises(Forbidden, match="backup"):
            verb()
    with pytest.raises(Forbidden, match="backup"):
        copy.repair()


def test_no_file_is_shared_with_the_store(store, target):
    store.backup(target)
    inodes = {path.stat().st_ino for path in store.path.rglob("*") if path.is_file()}
    assert all(path.stat().st_nlink == 1 for path in target.rglob("*") if path.is_file())
    assert not inodes & {path.stat().st_ino for path in target.rglob("*") if path.is_file()}


def test_the_next_backup_copies_what_is_new(store, target):
    first = store.backup(target)
    assert first.files == sum(
        path.is_file() for name in ("blobs", "trees", "commits") for path in (store.path / name).rglob("*")
    )
    assert store.backup(target).files == 0
    save(store.repo("garments"), "main", {"more.txt": b"more"})
    again = store.backup(target)
    assert again.files == 3
    assert state(EmbeddedStore(target)) == state(store)
    assert list(EmbeddedStore(target).check()) == []


def test_what_is_lost_in_the_store_stays_in_the_backup(store, target):
    store.backup(target)
    before = state(store)
    blob(store, b"second").unlink()
    made = store.backup(target)
    assert made.problems == []
    assert state(EmbeddedStore(target)) == before


def test_a_backup_of_a_damaged_store_says_so(store, target):
    blob(store, b"second").unlink()
    made = store.backup(target)
    assert [(problem.kind, problem.problem) for problem in made.problems] == [("blob", "is missing")]
    assert contents(EmbeddedStore(target).repo("garments").at("v1"))


def test_a_short_copy_is_made_anew(store, target):
    store.backup(target)
    path = target / blob(store, b"second").relative_to(store.path)
    path.chmod(0o644)
    path.write_bytes(b"sec")
    assert store.backup(target).files == 1
    assert list(EmbeddedStore(target).check()) == []


def test_other_folders_are_refused(store, target, tmp_path):
    other = EmbeddedStore(tmp_path / "other")
    other.create_repo("garments")
    other.backup(tmp_path / "of-other")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.docx").write_bytes(b"years of work")
    (tmp_path / "file").write_bytes(b"")
    inside = store.path / "backup"
    for place in (
        other.path,
        tmp_path / "of-other",
        tmp_path / "foreign",
        tmp_path / "file",
        store.path,
        inside,
        tmp_path,
    ):
        before = listing(tmp_path)
        with pytest.raises(ValidationError) as caught:
            store.backup(place)
        assert caught.value.hint
        assert listing(tmp_path) == before
    other.close()


def test_a_store_in_use_is_never_written_over(store, target, tmp_path):
    """Also not if a restore died before its very last step."""
    store.backup(target)
    EmbeddedStore(target).restore(tmp_path / "new")
    shutil.copy(target / "backup.json", tmp_path / "new" / "backup.json")
    before = listing(tmp_path / "new")
    with pytest.raises(ValidationError, match="in use"):
        store.backup(tmp_path / "new")
    assert listing(tmp_path / "new") == before


def test_a_restored_store_works_on(store, target, tmp_path):
    store.backup(target)
    made = EmbeddedStore(target).restore(tmp_path / "new")
    assert (made.store_id, made.problems) == (store.id, [])
    new = EmbeddedStore(tmp_path / "new")
    assert state(new) == state(store)
    assert not (new.path / "backup.json").exists()
    commit(new.repo("garments"), "exp", "Was uncommitted")
    save(new.repo("garments"), "main", {"after.txt": b"works on"})
    assert list(new.check()) == []
    assert new.repair() == []
    with pytest.raises(AlreadyExists):
        EmbeddedStore(target).restore(tmp_path / "new")
    new.close()


def test_a_store_beside_the_old_one_gets_its_own_id(store, target, tmp_path):
    store.backup(target)
    made = EmbeddedStore(target).restore(tmp_path / "new", new_id=True)
    new = EmbeddedStore(tmp_path / "new")
    assert new.id == made.store_id != store.id
    assert list(new.check()) == []
    with pytest.raises(ValidationError):
        new.backup(target)
    new.backup(tmp_path / "backup-of-new")
    new.close()


def test_a_restore_goes_into_an_empty_folder(store, target, tmp_path):
    store.backup(target)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.docx").write_bytes(b"years of work")
    for place in (tmp_path / "foreign", target / "inside"):
        with pytest.raises(ValidationError):
            EmbeddedStore(target).restore(place)
    with pytest.raises((AlreadyExists, ValidationError)):
        EmbeddedStore(target).restore(store.path)
    assert os.listdir(tmp_path / "foreign") == ["thesis.docx"]


def test_half_a_backup_says_what_it_is(store, target, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(backup, "_publish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.backup(target)
    with pytest.raises(IntegrityError, match="not finished") as caught:
        EmbeddedStore(target).repos()
    assert "again" in str(caught.value.hint)
    with pytest.raises(Forbidden):
        EmbeddedStore(target).repair()
    store.backup(target)
    assert state(EmbeddedStore(target)) == state(store)
    assert os.listdir(target / "tmp") == []


def test_writers_go_on_meanwhile(store, target, monkeypatch):
    """What is written after the moment of the backup is not in it, and does no harm."""
    repo = store.repo("garments")
    real = copying._copy

    def beside(batch, scratch):
        save(repo, "main", {"meanwhile.txt": os.urandom(9)})
        repo.at("main").put("uncommitted.txt", b"u")
        repo.reset("main")
        yield from real(batch, scratch)

    before = state(store)
    monkeypatch.setattr(copying, "_copy", beside)
    store.backup(target)
    assert state(EmbeddedStore(target)) == before
    assert list(EmbeddedStore(target).check()) == []
    assert list(store.check()) == []


def test_what_is_removed_meanwhile_leads_to_a_newer_moment(store, target, monkeypatch):
    """As a collector would, after the branch that needed it is gone."""
    repo = store.repo("garments")
    repo.at("main").put("short.txt", b"short-lived")
    real = backup.copy_objects
    gone = []

    def removes(source, to):
        if not gone:
            repo.reset("main")
            blob(store, b"short-lived").unlink()
            gone.append(True)
        return real(source, to)

    monkeypatch.setattr(backup, "copy_objects", removes)
    assert store.backup(target).problems == []
    assert list(EmbeddedStore(target).check()) == []
    assert staged(EmbeddedStore(target).repo("garments")) == {}


def test_a_damaged_index_of_the_store_can_be_taken_from_the_backup(store, target, tmp_path):
    store.backup(target)
    before = state(store)
    flip(blob(store, b"second"))
    store.repair(source=target)
    assert state(store) == before


def backs_up(tmp_path):
    EmbeddedStore(tmp_path / "store").backup(tmp_path / "backup")


def restores(tmp_path):
    EmbeddedStore(tmp_path / "older").restore(tmp_path / "backup")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
@pytest.mark.parametrize("work", ["first", "next", "restore"])
def test_a_death_at_any_step_is_made_good_by_the_next_run(store, tmp_path, work):
    older = state(store)
    store.backup(tmp_path / "older")
    save(store.repo("garments"), "main", {"more.txt": b"more"})
    newer = state(store)
    store.close()
    target = tmp_path / "backup"
    doing, whole = (restores, older) if work == "restore" else (backs_up, newer)
    step, deaths, status = 1, 0, -1
    while status != 0:
        if work == "next":
            shutil.copytree(tmp_path / "older", target)

        def dies(say, step=step):
            die_at(step)
            doing(tmp_path)

        said, status = Child(dies).lines()
        assert status in {0, -signal.SIGKILL}, said
        if work == "next":  # the older backup is whole all the time
            there = EmbeddedStore(target)
            assert list(there.check()) == []
            assert state(there) in (older, newer)
        if work != "restore" or status or not (target / "config.json").exists():
            try:
                doing(tmp_path)
            except AlreadyExists:
                assert work == "restore"
        there = EmbeddedStore(target)
        assert list(there.check()) == []
        assert state(there) == whole
        there.close()
        shutil.rmtree(target)
        deaths += status != 0
        step += EVERY
    assert deaths > 15
