"""Handles of a store: on their way to other processes, and as mounts."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from datastore.embedded.store import EmbeddedStore, Options, open_mount
from datastore.errors import DatastoreError, Forbidden, IntegrityError, NotFound
from datastore.testing.versioning_tools import commit, contents, save, staged


@pytest.fixture
def store(opened):
    store = opened()
    save(store.create_repo("garments"), "main", {"a.txt": b"hello"})
    return store


def test_handles_pickle(store):
    repo = store.repo("garments")
    head = repo.commit_of("main")
    for handle in (store, repo, repo.at("main"), repo.at(head.id), repo.at("main", head=head.id)):
        again = pickle.loads(pickle.dumps(handle))
        assert repr(again) == repr(handle)
    again = pickle.loads(pickle.dumps((store, repo, repo.at("main"))))
    assert contents(again[2]) == {"a.txt": b"hello"}
    again[2].put("b.txt", b"b")
    assert staged(repo) == staged(again[1]) == {"b.txt": "added"}
    pinned = pickle.loads(pickle.dumps(repo.at("main", head=head.id)))
    commit(repo, "main", "Moves")
    with pytest.raises(DatastoreError, match="has moved"):
        pinned.head("a.txt")


def test_a_handle_of_a_store_that_is_not_there_yet_pickles(opened, path):
    again = pickle.loads(pickle.dumps(opened()))
    again.create_repo("garments")
    assert list(opened().repos()) == ["garments"]
    again.close()


def test_a_pickle_does_not_open_another_store(opened, store, path, tmp_path):
    data = [pickle.dumps(store), pickle.dumps(store.repo("garments")), pickle.dumps(store.repo("garments").at("main"))]
    store.close()
    path.rename(tmp_path / "away")
    for pickled in data:
        with pytest.raises(NotFound):
            pickle.loads(pickled)
    opened().create_repo("garments")
    for pickled in data:
        with pytest.raises(IntegrityError, match="another store"):
            pickle.loads(pickled)


def test_a_read_only_handle_stays_one(opened, store):
    handle = opened(read_only=True).repo("garments").at("main")
    again = pickle.loads(pickle.dumps(handle))
    with pytest.raises(Forbidden):
        again.put("b.txt", b"")


# mounts


def test_mounts(store, path, tmp_path):
    whole = open_mount(Options(path=str(path)))
    assert list(whole.repos()) == ["garments"]
    one = open_mount(Options(path=str(path), repo="garments", read_only=True))
    assert contents(one.at("main")) == {"a.txt": b"hello"}
    with pytest.raises(NotFound, match="garmnets"):
        open_mount(Options(path=str(path), repo="garmnets"))
    with pytest.raises(NotFound, match="no store"):
        open_mount(Options(path=str(tmp_path / "nowhere"), repo="garments"))
    assert not (tmp_path / "nowhere").exists()
    whole.close()
    one.close()


def test_paths_are_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert EmbeddedStore(Path("rel")).path == tmp_path / "rel"
    assert EmbeddedStore(Path("~/store")).path == tmp_path / "home" / "store"


def test_spawned_processes_read_the_same_bytes(store):
    repo = store.repo("garments")
    repo.at("main").put("b.txt", b"uncommitted")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(contents, repo.at("main")).result() == {"a.txt": b"hello", "b.txt": b"uncommitted"}
        assert pool.submit(contents, repo.at("main@")).result() == {"a.txt": b"hello"}
        assert pool.submit(commit, repo, "main", "By a worker").result() == repo.commit_of("main")
