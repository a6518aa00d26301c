"""`check`, `update`, `sync`: what has become of the pins."""

import pytest

import datastore as ds
from datastore import locking
from datastore.locking import check, sync, update
from datastore.namespace import current
from tests.lock.conftest import again, put


def states(found):
    return {one.name: one.state for one in found}


@pytest.fixture
def pins(main):
    """Pins of two folders and a file of one branch."""
    put(main, {"val/0.csv": b"sku\n3\n"}, "Validation")
    for name, key in (("train", "train/"), ("val", "val/"), ("notes", "notes.txt")):
        ds.pin(main / key, name=name)
    return main


def test_nothing_has_moved(pins):
    found = check(current())
    assert states(found) == {"notes": "same", "train": "same", "val": "same"}
    assert all(one.now == one.pin and not one.commits and not one.problem for one in found)


def test_what_moved_with_the_commits_that_touched_it(pins):
    before = pins.head.id
    first = put(pins, {"train/0.csv": b"sku\n7\n"}, "Other rows")
    put(pins, {"other.txt": b"x"}, "Something else")
    last = put(pins, {"train/2.csv": b"sku\n8\n", "notes.txt": b"more"}, "More rows")
    found = {one.name: one for one in check(current())}
    assert states(found.values()) == {"notes": "moved", "train": "moved", "val": "same"}
    assert [info.id for info in found["train"].commits] == [last.id, first.id]
    assert [info.message for info in found["notes"].commits] == ["More rows"]
    assert found["train"].pin.commit == before
    assert found["train"].now.commit == last.id
    assert found["train"].now.objects == 3


def test_commits_of_a_merge_are_told_and_older_ones_are_not(pins):
    exp = pins.repo.create_branch("exp")
    put(exp, {"train/9.csv": b"sku\n9\n"}, "From exp")
    put(pins, {"other.txt": b"x"}, "Something else")
    pins.repo.merge("exp", message="Merge exp")
    (train,) = check(current(), ["train"])
    messages = [info.message for info in train.commits]
    assert "From exp" in messages
    assert set(messages) <= {"From exp", "Merge exp"}


def test_a_branch_that_was_made_anew_does_not_lead_to_the_pinned_commit(pins):
    repo = pins.repo
    exp = repo.create_branch("exp")
    put(exp, {"train/9.csv": b"sku\n9\n"}, "From exp")
    ds.pin(exp / "train/", name="exp")
    repo.delete_branch("exp")
    (gone,) = check(current(), ["exp"])
    assert (gone.state, gone.now) == ("moved", None)
    assert "exp" in gone.problem
    put(repo.create_branch("exp"), {"train/8.csv": b"sku\n8\n"}, "Anew")
    (anew,) = check(current(), ["exp"])
    assert (anew.state, list(anew.commits)) == ("moved", [])
    assert "does not lead to the pinned commit any more" in anew.problem


def test_a_long_way_since_is_cut_and_said(pins, monkeypatch):
    monkeypatch.setattr(locking, "_FAR", 3)
    for number in range(5):
        put(pins, {"train/0.csv": b"sku\n%d\n" % (10 + number)}, f"Rows {number}")
    (train,) = check(current(), ["train"])
    assert [info.message for info in train.commits] == ["Rows 4", "Rows 3", "Rows 2"]
    assert "more than 3 commits" in train.problem


def test_uncommitted_changes_are_no_move(pins):
    pins.objects.put("train/0.csv", b"sku\n7\n")
    assert states(check(current(), ["train"])) == {"train": "same"}
    with pytest.raises(ds.UncommittedChanges):
        update(current(), ["train"])


def test_what_was_deleted_has_moved_to_nothing(pins):
    pins.objects.delete(["notes.txt"])
    pins.commit("No notes")
    (notes,) = check(current(), ["notes"])
    assert (notes.state, notes.now) == ("moved", None)
    assert "nothing is there now" in notes.problem
    with pytest.raises(ds.NotFound):
        update(current())
    assert ds.resolve(ds.pinned("notes")).read_bytes() == b"first"


def test_a_pin_whose_commit_is_gone(pins, project):
    path = project / "datastore.lock"
    path.write_text(path.read_text().replace(pins.head.id, "0" * 64))
    found = check(current())
    assert states(found) == {"notes": "gone", "train": "gone", "val": "gone"}
    assert all("0" * 64 in one.problem or "00000000" in one.problem for one in found)


def test_a_pin_that_was_changed_by_hand(pins, project):
    path = project / "datastore.lock"
    path.write_text(path.read_text().replace("size = 5", "size = 6"))
    found = check(current())
    assert states(found) == {"notes": "gone", "train": "same", "val": "same"}
    assert "does not hold what the pin says" in found[0].problem


def test_bytes_that_are_gone(pins):
    """The blobs of the store are removed from under it: an object of its own, because small ones share a file."""
    pins.objects.put("big.bin", b"x" * 200_000)
    pins.commit("Big")
    ds.pin(pins / "big.bin", name="big")
    assert states(check(current(), ["big"])) == {"big": "same"}
    digest = pins.objects.head("big.bin").digest.removeprefix("sha256:")
    blobs = [path for path in current().config.store.rglob("*") if path.is_file() and digest[4:] in path.name]
    assert blobs
    for path in blobs:
        path.unlink()
    again()
    (big,) = check(current(), ["big"])
    assert big.state == "gone"
    assert "big.bin" in big.problem


def test_each_object_is_looked_at_if_asked_for(main):
    for number in range(3):
        main.objects.put(f"set/{number}.bin", bytes([number]) * 200_000)
    main.commit("Big ones")
    ds.pin(main / "set/", name="set")
    digest = main.objects.head("set/2.bin").digest.removeprefix("sha256:")
    for path in current().config.store.rglob("*"):
        if path.is_file() and digest[4:] in path.name:
            path.unlink()
    again()
    assert states(check(current())) == {"set": "same"}
    assert states(check(current(), every_object=True)) == {"set": "gone"}


def test_update_pins_anew_and_tells_the_same(pins, project):
    text = (project / "datastore.lock").read_text()
    last = put(pins, {"train/0.csv": b"sku\n7\n"}, "Other rows")
    told = check(current())
    (train,) = update(current(), ["train"])
    assert train == next(one for one in told if one.name == "train")
    changed = [line for line in (project / "datastore.lock").read_text().splitlines() if line not in text]
    assert len(changed) == 2  # the commit and the digest; as large as before
    assert ds.pinned("train") == last / "train/"
    assert states(check(current())) == {"notes": "same", "train": "same", "val": "same"}
    update(current())
    assert ds.pinned("val") == last / "val/"


def test_update_repairs_a_pin_whose_commit_is_gone(pins, project):
    path = project / "datastore.lock"
    path.write_text(path.read_text().replace(pins.head.id, "0" * 64))
    put(pins, {"train/0.csv": b"sku\n7\n"}, "Other rows")
    update(current())
    assert states(check(current())) == {"notes": "same", "train": "same", "val": "same"}


def test_a_failing_update_changes_nothing(pins, project):
    text = (project / "datastore.lock").read_bytes()
    put(pins, {"train/0.csv": b"sku\n7\n"}, "Other rows")
    pins.objects.delete(["val/0.csv"])
    pins.commit("No validation")
    with pytest.raises(ds.NotFound):
        update(current())
    assert (project / "datastore.lock").read_bytes() == text


def test_unknown_names(pins):
    for verb in (check, update, sync):
        with pytest.raises(ds.NotFound, match="'trian'"):
            verb(current(), ["trian"])


def test_without_a_lock_file_there_is_nothing_to_tell(main):
    assert check(current()) == update(current()) == sync(current()) == []


def test_a_frozen_process_checks_and_syncs_and_does_not_update(pins, freeze):
    put(pins, {"train/0.csv": b"sku\n7\n"}, "Other rows")
    freeze()
    assert states(check(current())) == {"notes": "same", "train": "moved", "val": "same"}
    assert (sync(current(), ["train"])[0].path / "0.csv").read_bytes() == b"sku\n1\n"
    with pytest.raises(ds.Forbidden, match="frozen"):
        update(current())


def test_sync_brings_everything_and_gives_the_paths(pins):
    first = pins.head
    put(pins, {"train/0.csv": b"sku\n7\n"}, "Other rows")
    done = sync(current())
    assert [one.name for one in done] == ["notes", "train", "val"]
    assert [one.url for one in done] == [first / "notes.txt", first / "train/", first / "val/"]
    assert done[0].path.read_bytes() == b"first"
    assert (done[1].path / "0.csv").read_bytes() == b"sku\n1\n"


def test_local_data_that_changed(project):
    (project / "a.csv").write_bytes(b"1")
    ds.pin("./a.csv", name="a")
    assert states(check(current())) == {"a": "same"}
    (project / "a.csv").write_bytes(b"2")
    assert states(check(current())) == {"a": "moved"}
    update(current())
    assert ds.pinned("a")
    (project / "a.csv").unlink()
    (found,) = check(current())
    assert (found.state, found.now) == ("gone", None)
