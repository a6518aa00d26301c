"""Many small objects into an embedded branch at once: one step, one file on the disk, whichever way they come."""

import os
from pathlib import Path

import pytest

import datastore as ds
from datastore.bulk.copying import copy_objects
from datastore.embedded.store import EmbeddedStore
from datastore.errors import AlreadyExists, IntegrityError, ValidationError
from datastore.testing.versioning_tools import contents

MANY = {f"k/{number:03}.txt": b"object %d" % number for number in range(120)}


def files():
    store = Path(os.environ["DATASTORE_STORE"])
    found = sum(path.is_file() for path in (store / "blobs").rglob("*"))
    return len(list((store / "packs").glob("*.pack"))), found


def test_pipe(fs, repo):
    fs.pipe({f"garments@main/{key}": data for key, data in MANY.items()}, content_type="image/png")
    assert files() == (1, 0)
    assert fs.cat("garments@main/k", recursive=True) == {f"garments@main/{key}": data for key, data in MANY.items()}
    assert fs.info("garments@main/k/003.txt")["content_type"] == "image/png"
    assert fs.cat_ranges(["garments@main/k/003.txt"] * 2, [0, -1], [3, None]) == [b"obj", b"3"]


def test_a_pipe_is_all_or_nothing(fs, repo):
    fs.pipe_file("garments@main/k/100.txt", b"there")
    with pytest.raises(AlreadyExists):
        fs.pipe({f"garments@main/{key}": data for key, data in MANY.items()}, mode="create")
    with pytest.raises(ValidationError):
        fs.pipe({**{f"garments@main/{key}": data for key, data in MANY.items()}, "garments@main/a//b": b""})
    assert fs.find("garments@main") == ["garments@main/k/100.txt"]


def test_a_pipe_to_several_places(fs, repo, mem):
    both = {f"{base}/{key}": data for base in ("garments@main", mem) for key, data in MANY.items()}
    fs.pipe(both)
    assert {path: fs.cat_file(path) for path in both} == both


def test_what_was_seen_before_is_read_anew(fs, repo):
    fs.pipe_file("garments@main/k/001.txt", b"old")
    assert fs.cat_file("garments@main/k/001.txt") == b"old"
    fs.pipe({f"garments@main/{key}": data for key, data in MANY.items()})
    assert fs.cat_file("garments@main/k/001.txt") == MANY["k/001.txt"]
    assert len(fs.ls("garments@main/k")) == len(MANY)


def test_put_of_a_folder(fs, repo, tmp_path):
    for key, data in MANY.items():
        (tmp_path / "in" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / key).write_bytes(data)
    fs.put(f"{tmp_path}/in/", "garments@main/", recursive=True)
    assert files() == (1, 0)
    assert contents(ds.repo("garments").branch("main").objects) == MANY


def test_sync_from_anywhere(fs, repo, mem, tmp_path):
    fs.pipe({f"{mem}/{key}": data for key, data in MANY.items()})
    fs.pipe_file(f"{mem}/large.bin", bytes(200_000))
    ds.sync(f"ds://{mem}/", "ds://garments@main/mem/")
    assert files() == (1, 1)
    everything = {**MANY, "large.bin": bytes(200_000)}
    assert contents(repo.branch("main").objects) == {f"mem/{key}": data for key, data in everything.items()}
    ds.sync(f"ds://{mem}/", "ds://garments@main/again/")
    assert files() == (1, 1)


def test_a_clone_of_another_store(repo, tmp_path):
    repo.branch("main").objects.put_many([(key, data, None) for key, data in MANY.items()])
    made = repo.branch("main").commit("Many")
    store = EmbeddedStore(tmp_path / "other")
    target = store.create_repo("garments").at("main")
    source = repo.versioned.at(made.id)
    infos = [info for page in source.list() for info in page.objects]
    done = sorted(copy_objects(source, target, [(info, info.key) for info in infos]))
    assert done == [(number, info.size) for number, info in enumerate(infos)]
    assert contents(target) == MANY
    assert len(list((tmp_path / "other" / "packs").iterdir())) == 1
    store.close()


def test_a_copy_of_what_is_damaged_publishes_what_came_before(repo, tmp_path):
    main = repo.branch("main").objects
    main.put_many([(key, data, None) for key, data in MANY.items()])
    (pack,) = (Path(os.environ["DATASTORE_STORE"]) / "packs").iterdir()
    data = pack.read_bytes()
    pack.chmod(0o644)
    pack.write_bytes(data.replace(b"object 77", b"objekt 77"))
    store = EmbeddedStore(tmp_path / "other")
    target = store.create_repo("garments").at("main")
    infos = [info for page in main.list() for info in page.objects]
    with pytest.raises(IntegrityError, match="077"):
        list(copy_objects(main, target, [(info, info.key) for info in infos]))
    assert contents(target) == {key: data for key, data in MANY.items() if key < "k/077.txt"}
    store.close()
