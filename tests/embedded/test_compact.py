"""Packs are rewritten when much of them is dead, beside readers and writers, and nothing that lives is lost."""

import hashlib

import pytest

from datastore.embedded import compact as module
from datastore.embedded import packs
from datastore.embedded.compact import Compacted, PackUse, compact, plan_rewrites
from datastore.embedded.packs import HEADER, PACK_BYTES, PACK_RECORDS, RECORD_BYTES
from datastore.errors import Forbidden
from datastore.testing.versioning_tools import commit, contents
from tests.embedded.files import listing
from tests.embedded.test_packs import blob_rows, flip, forget_rows, packs_of, put


def objects(name, count=60):
    return {f"{name}/{number:03}": f"{name} {number} ".encode() * 9 for number in range(count)}


def digests(found):
    return [hashlib.sha256(data).digest() for data in found.values()]


@pytest.fixture
def store(opened):
    store = opened()
    store.create_repo("garments")
    return store


def drop(store, doomed):
    """Delete keys for good: nobody needs their blobs any more, and the collector has been there."""
    store.repo("garments").at("main").delete(list(doomed))
    forget_rows(store, digests(doomed))


def first(found, count):
    return dict(list(found.items())[:count])


def test_half_dead_packs_are_rewritten_and_others_are_not(store):
    main = store.repo("garments").at("main")
    one, two = objects("one"), objects("two")
    put(main, one)
    put(main, two)
    drop(store, first(one, 31))
    drop(store, first(two, 20))
    before = {path.name: path.stat().st_size for path in packs_of(store)}
    planned = compact(store._open(), dry_run=True)
    assert {path.name for path in packs_of(store)} == set(before)
    done = compact(store._open())
    assert done == planned
    assert (done.rewritten, done.written, done.unnamed) == (1, 1, 0)
    after = {path.name: path.stat().st_size for path in packs_of(store)}
    assert len(after) == 2
    assert len(set(before) & set(after)) == 1
    assert done.freed == sum(before.values()) - sum(after.values()) > 0
    assert contents(main) == dict(list(one.items())[31:] + list(two.items())[20:])
    assert list(store.check()) == []
    assert compact(store._open()) == Compacted()


def test_dead_packs_go(store):
    one = objects("one")
    put(store.repo("garments").at("main"), one)
    size = packs_of(store)[0].stat().st_size
    drop(store, one)
    assert compact(store._open(), dead=1) == Compacted(rewritten=1, freed=size)
    assert packs_of(store) == []
    put(store.repo("garments").at("main"), one)
    assert contents(store.repo("garments").at("main")) == one


def test_many_tiny_packs_become_one(store):
    main = store.repo("garments").at("main")
    everything = {}
    for number in range(module._MANY):
        found = objects(f"n{number}", 40)
        put(main, found)
        everything.update(found)
        if number < module._MANY - 1:
            assert compact(store._open()) == Compacted()
    commit(store.repo("garments"), "main", "All")
    assert compact(store._open()).rewritten == module._MANY
    assert len(packs_of(store)) == 1
    assert contents(main) == everything
    assert list(store.check()) == []


def test_a_plan_fills_packs_and_no_more():
    def use(number, size, live, count=100):
        return PackUse(id=number, name=str(number), size=size, count=count, live=live)

    whole = use(1, PACK_BYTES, PACK_BYTES - len(HEADER))
    halves = [use(number, PACK_BYTES, PACK_BYTES * 2 // 5) for number in range(2, 7)]
    assert [[one.id for one in group] for group in plan_rewrites([whole, *halves])] == [[2, 3], [4, 5], [6]]
    crowded = [use(number, PACK_BYTES, 1000, PACK_RECORDS * 2 // 3) for number in range(2)]
    assert [[one.id for one in group] for group in plan_rewrites(crowded)] == [[0], [1]]
    assert plan_rewrites([whole]) == plan_rewrites([use(1, 1000, 900)] * 3) == []
    assert plan_rewrites([whole], dead=0) == [[whole]]


def test_a_pack_that_is_wholly_live_can_be_rewritten_as_it_is(store):
    put(store.repo("garments").at("main"), objects("one"))
    before = set(listing(store.path / "packs"))
    compact(store._open(), dead=0)
    assert set(listing(store.path / "packs")) == before
    assert contents(store.repo("garments").at("main")) == objects("one")


def test_what_is_damaged_stays_where_it_is(store):
    main = store.repo("garments").at("main")
    one, two = objects("one"), objects("two")
    put(main, one)
    put(main, two)
    drop(store, first(one, 50))
    drop(store, first(two, 50))
    digest = hashlib.sha256(one["one/055"]).digest()
    _, name, offset = blob_rows(store)[digest]
    flip(store.path / "packs" / f"{name}.pack", offset)
    assert compact(store._open()).rewritten == 1
    assert (store.path / "packs" / f"{name}.pack").exists()
    (problem,) = store.check()
    assert problem.id == digest.hex()
    readable = contents(main)
    assert {key for key, data in readable.items() if data != {**one, **two}[key]} == {"one/055"}
    assert len(readable) == 20


def test_a_missing_pack_stops_nobody(store):
    main = store.repo("garments").at("main")
    one, two = objects("one"), objects("two")
    put(main, one)
    path = packs_of(store)[0]
    put(main, two)
    drop(store, first(one, 50))
    drop(store, first(two, 50))
    path.unlink()
    store.close()
    assert compact(store._open()).rewritten == 1
    assert len(list(store.check())) == 10


def test_files_that_no_row_names_go(store):
    put(store.repo("garments").at("main"), objects("one"))
    path = packs_of(store)[0]
    other = path.with_name("0" * 64 + ".pack")
    other.write_bytes(HEADER)
    (path.parent / "notes.txt").write_bytes(b"not ours")
    assert compact(store._open(), dry_run=True) == Compacted()
    assert compact(store._open()) == Compacted(freed=len(HEADER), unnamed=1)
    assert sorted(found.name for found in path.parent.iterdir()) == sorted([path.name, "notes.txt"])


def between(store, monkeypatch, meanwhile):
    """Have something happen after the live blobs were copied, before the rows are moved."""
    original = module._swap

    def swap(*args):
        monkeypatch.setattr(module, "_swap", original)
        meanwhile()
        return original(*args)

    monkeypatch.setattr(module, "_swap", swap)


def test_what_is_collected_while_it_is_copied_does_not_come_back(store, monkeypatch):
    one = objects("one")
    put(store.repo("garments").at("main"), one)
    drop(store, first(one, 40))
    gone = dict(list(one.items())[40:45])
    between(store, monkeypatch, lambda: drop(store, gone))
    compact(store._open())
    assert not set(digests(gone)) & set(blob_rows(store))
    assert contents(store.repo("garments").at("main")) == dict(list(one.items())[45:])
    assert list(store.check()) == []


def test_what_is_put_again_while_it_is_dead_lives(store, opened, monkeypatch):
    """The very same batch is put again, so that its pack has the same name, while the old one is being rewritten."""
    one = objects("one")
    put(store.repo("garments").at("main"), one)
    drop(store, first(one, 40))
    other = opened().repo("garments").at("main")
    between(store, monkeypatch, lambda: put(other, one))
    compact(store._open())
    assert contents(other) == contents(store.repo("garments").at("main")) == one
    drop(store, one)
    put(other, one)
    drop(store, one)
    between(store, monkeypatch, lambda: put(other, one))
    compact(store._open())
    assert contents(other) == one
    assert list(store.check()) == []


def test_two_at_once(store, opened, monkeypatch):
    one = objects("one")
    put(store.repo("garments").at("main"), one)
    drop(store, first(one, 40))
    other = opened()
    between(store, monkeypatch, lambda: compact(other._open()))
    compact(store._open())
    assert contents(other.repo("garments").at("main")) == dict(list(one.items())[40:])
    assert list(store.check()) == []
    assert len(packs_of(store)) == 1


def test_readers_of_the_old_pack_go_on(store):
    one = objects("one")
    main = store.repo("garments").at("main")
    put(main, one)
    drop(store, first(one, 40))
    readers = {key: main.read(key) for key in list(one)[40:]}
    compact(store._open())
    assert {key: reader.readall() for key, reader in readers.items()} == dict(list(one.items())[40:])


def test_a_store_that_is_read_only_is_not_compacted(store, opened):
    put(store.repo("garments").at("main"), objects("one"))
    store.close()
    with pytest.raises(Forbidden):
        compact(opened(read_only=True)._open())


def test_what_a_rewrite_takes_is_what_was_counted(store, monkeypatch):
    one = objects("one")
    put(store.repo("garments").at("main"), one)
    drop(store, first(one, 40))
    live = sum(len(data) + RECORD_BYTES for data in list(one.values())[40:])
    with store._open().db.read() as db:
        (use,) = module._uses(db)
    assert (use.count, use.live, use.size) == (20, live, packs_of(store)[0].stat().st_size)
    monkeypatch.setattr(packs, "PACK_RECORDS", 1)
    compact(store._open())
    assert packs_of(store)[0].stat().st_size == live + len(HEADER)
