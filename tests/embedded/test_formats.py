"""Stores that older versions of this program wrote, tests/embedded/stores/README.md: read, checked, written to."""

import json
import tarfile
from pathlib import Path

import pytest

from datastore.embedded.store import EmbeddedStore
from datastore.testing.versioning_tools import contents, save
from tests.embedded.files import listing
from tests.embedded.stores.make import expected

STORES = sorted(Path(__file__).with_name("stores").glob("[0-9]*.tar.gz"))


@pytest.fixture(params=STORES, ids=lambda path: path.name)
def old(request, tmp_path):
    with tarfile.open(request.param) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / "store"


def told(old):
    return json.loads((old.parent / "expected.json").read_text())


def test_all_of_it_is_read_as_on_the_day_it_was_written(old):
    assert len(STORES) >= 1
    assert expected(old) == told(old)


def test_it_is_read_without_a_write(old):
    before = listing(old)
    store = EmbeddedStore(old, read_only=True)
    assert list(store.check()) == []
    assert {name: store.repo(name).remote() for name in store.repos()} == {
        name: repo["remote"] for name, repo in told(old)["repos"].items()
    }
    store.close()
    assert listing(old) == before


def test_it_is_written_to(old):
    store = EmbeddedStore(old)
    repo = store.repo("garments")
    repo.undelete_branch("old")
    assert contents(repo.at("old"))["undelete-me.txt"] == b"of a deleted branch"
    save(repo, "exp", {"more.txt": b"more"})
    assert "new.txt" in contents(repo.at("exp@"))
    save(store.repo("many"), "trunk", {"000000": b"changed", "x": b"new"})
    assert list(store.check()) == []
    store.close()


def test_its_index_can_be_made_anew(old):
    (old / "meta.db").unlink()
    store = EmbeddedStore(old)
    store.repair()
    found, wanted = expected(old), told(old)
    for name, repo in wanted["repos"].items():
        assert {branch: row[0] for branch, row in found["repos"][name]["branches"].items()} == {
            branch: row[0] for branch, row in repo["branches"].items()
        }
        assert found["repos"][name]["log"] == repo["log"]
        assert found["repos"][name]["tags"] == repo["tags"]
    assert found["problems"] == []
    assert store.repair() == []
    store.close()
