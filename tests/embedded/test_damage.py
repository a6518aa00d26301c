"""A flipped byte anywhere in a store: `check` names the object, and the rest can be read."""

import json
import os
import random
import shutil

import pytest

from datastore.embedded.store import EmbeddedStore
from datastore.errors import ConfigError, IntegrityError
from datastore.testing.versioning_tools import keys, save
from tests.embedded.test_repair import fill, state

FLIPS = 2 * int(os.environ.get("DATASTORE_STRESS", "1"))
"""In each file."""
PART_KINDS = {"blobs": "blob", "trees": "tree", "commits": "commit"}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A store of more than one leaf, closed."""
    store = fill(EmbeddedStore(tmp_path_factory.mktemp("original") / "store"))
    repo = store.repo("garments")
    repo.at("exp").put("new.txt", b"uncommitted")
    many = store.create_repo("many")
    many.at("main").import_files([(store.path / "config.json", f"{number:05}") for number in range(1500)])
    save(many, "main", {"last": b"last"})
    before = state(store)
    store.close()
    return store.path, before


def readable(store):
    """(sha256 that it should have, bytes or error) of all objects of all branches."""
    found = {}
    for name in store.repos():
        repo = store.repo(name)
        for branch in repo.branches(hidden=True):
            view = repo.at(f"{branch.name}@")
            try:
                found |= {(name, branch.name, key): read(view, key) for key in keys(view) if not key.isdigit()}
            except IntegrityError as error:
                found[name, branch.name] = (None, error)
    return found


def read(view, key):
    try:
        info = view.head(key)
        with view.read(key) as reader:
            return info.digest, reader.read()
    except IntegrityError as error:
        return None, error


def flipped(path, at, mask):
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ mask]))
        return old


def problems_of(path):
    store = EmbeddedStore(path)
    try:
        return list(store.check())
    except ConfigError as error:  # its format, it seems, is a newer one
        return [error]
    finally:
        store.close()


def files_of(path):
    return sorted(file for file in path.rglob("*") if file.is_file() and file.parent.name not in {"locks", "tmp"})


@pytest.fixture
def copy(original, tmp_path):
    return shutil.copytree(original[0], tmp_path / "store")


@pytest.mark.parametrize("part", ["blobs", "trees", "commits"])
def test_a_flipped_byte_in_an_object(copy, part):
    whole = EmbeddedStore(copy)
    before = readable(whole)
    whole.close()
    for file in files_of(copy / part):
        data = file.read_bytes()
        for seed in range(FLIPS if data else 0):
            chance = random.Random(f"{part}{seed}{len(data)}")
            flipped(file, chance.randrange(len(data)), 1 << chance.randrange(8))
            problems = problems_of(copy)
            assert (PART_KINDS[part], file.name) in {(problem.kind, problem.id) for problem in problems}
            store = EmbeddedStore(copy)
            for name, (digest, found) in readable(store).items():
                if digest != f"sha256:{file.name}" and not isinstance(found, IntegrityError):
                    assert found == before[name][1]
            assert list(store.repos()) == ["garments", "many", "shoes"]
            assert sum(not isinstance(found, IntegrityError) for _, found in readable(store).values()) > 3
            store.close()
            file.write_bytes(data)
    assert problems_of(copy) == []


@pytest.mark.parametrize("name", ["config.json", "refs.journal"])
def test_a_flipped_byte_beside_the_objects(copy, name):
    file = copy / name
    data = file.read_bytes()
    chance = random.Random(name)
    ends = [len(data) - 1, len(data) - 2, len(data) - 40, *(at for at in range(len(data)) if data[at] == 10)]
    for at in [*ends, *(chance.randrange(len(data)) for _ in range(20 * FLIPS))]:
        flipped(file, at, 1 << chance.randrange(8))
        problems = problems_of(copy)
        if not (name == "config.json" and says_the_same(file.read_bytes(), data)):
            ids = {getattr(problem, "id", "config.json").partition(":")[0] for problem in problems}
            assert ids & {name, "meta.db"}, (at, problems)
        file.write_bytes(data)
    assert problems_of(copy) == []


def says_the_same(a, b):
    try:
        return json.loads(a) == json.loads(b)
    except ValueError:
        return False


def test_a_flipped_byte_in_the_index(original, copy):
    """It is told, or it is in a place that says nothing of what is committed; `repair` brings back what it says."""
    _, before = original
    file, journal = copy / "meta.db", copy / "refs.journal"
    data, lines = file.read_bytes(), journal.read_bytes()
    chance = random.Random("index")
    told = 0
    for _ in range(20 * FLIPS):
        flipped(file, chance.randrange(len(data)), 1 << chance.randrange(8))
        problems = problems_of(copy)
        told += bool(problems)
        store = EmbeddedStore(copy)
        if problems:
            store.repair()
            assert list(store.check()) == []
        assert state(store) == before
        store.close()
        file.write_bytes(data)
        journal.write_bytes(lines)
    assert told
    assert problems_of(copy) == []


def test_an_index_that_is_older_than_the_journal(copy):
    """As it is when the end of SQLite's log is lost: commits that were acknowledged come back."""
    older = (copy / "meta.db").read_bytes()
    store = EmbeddedStore(copy)
    made = save(store.repo("garments"), "main", {"late.txt": b"late"})
    store.close()
    (copy / "meta.db").write_bytes(older)
    (problem,) = problems_of(copy)
    assert (problem.kind, problem.id) == ("store", "meta.db")
    assert "older than refs.journal" in problem.problem
    store.repair()
    assert store.repo("garments").commit_of("main") == made
    assert "new.txt" in keys(store.repo("garments").at("exp"))
    assert list(store.check()) == []
    store.close()
