"""Repos of a server: made, found, deleted."""

import secrets

import pytest

from datastore.errors import AlreadyExists, ConfigError, NotFound, UnsupportedOperation, ValidationError
from datastore.provider import SupportsRepos, SupportsVersioning
from datastore.providers.lakefs.repos import LakeFSRepos
from datastore.testing.versioning_tools import contents, save
from tests.providers.lakefs.versioned import client_for


@pytest.fixture
def store(lakefs):
    return LakeFSRepos(client_for(lakefs), storage_namespace=lakefs.new_namespace())


@pytest.fixture
def name():
    return f"garments-{secrets.token_hex(4)}"


def test_what_a_mount_without_a_repo_opens(store, name):
    assert isinstance(store, SupportsRepos)
    repo = store.create_repo(name)
    assert isinstance(repo, SupportsVersioning)
    assert name in store.repos()
    assert list(store.repos()) == sorted(store.repos())
    assert store.repo(name).default_branch == "main"
    save(repo, "main", {"a.txt": b"a"})
    assert contents(store.repo(name).at("main")) == {"a.txt": b"a"}


def test_another_default_branch(store, name):
    repo = store.create_repo(name, default_branch="trunk")
    assert repo.default_branch == "trunk"
    assert [branch.name for branch in repo.branches()] == ["trunk"]


def test_a_name_that_is_taken(store, name):
    save(store.create_repo(name), "main", {"a": b"a"})
    with pytest.raises(AlreadyExists, match=name):
        store.create_repo(name)
    assert contents(store.repo(name).at("main")) == {"a": b"a"}


@pytest.mark.parametrize("bad", ["", "ab", "A", "a b", "-abc", "a/b", "x" * 64])
def test_bad_names_are_refused_before_anything_is_asked(store, bad):
    for verb in (store.create_repo, store.repo, store.delete_repo):
        with pytest.raises(ValidationError):
            verb(bad)


def test_a_repo_that_is_deleted_and_made_again_is_empty(store, name):
    save(store.create_repo(name), "main", {"a": b"a"})
    store.delete_repo(name)
    assert name not in store.repos()
    with pytest.raises(NotFound, match=name):
        store.repo(name)
    with pytest.raises(NotFound, match=name):
        store.delete_repo(name)
    again = store.create_repo(name)
    assert contents(again.at("main")) == {}
    save(again, "main", {"b": b"b"})
    assert contents(again.at("main")) == {"b": b"b"}
    assert [info.message for info in again.log("main")] == ["Write b", "Repository created"]


def test_a_typo_names_the_nearest(store, name):
    store.create_repo(name)
    with pytest.raises(NotFound) as caught:
        store.repo(name[:-1])
    assert repr(name) in str(caught.value.hint)


def test_lakefs_cannot_rename(store, name):
    store.create_repo(name)
    with pytest.raises(UnsupportedOperation, match=name) as caught:
        store.rename_repo(name, "other")
    assert caught.value.hint


def test_where_objects_go_has_to_be_known(lakefs, lakefs_local, name):
    with pytest.raises(ConfigError, match=name) as caught:
        LakeFSRepos(client_for(lakefs)).create_repo(name)
    assert "storage_namespace" in str(caught.value.hint)
    local = LakeFSRepos(client_for(lakefs_local))
    save(local.create_repo(name), "main", {"a": b"a"})
    assert contents(local.repo(name).at("main")) == {"a": b"a"}
