"""`ds.pin` and `ds.pinned`: what was written down is read again, whatever came since."""

import os
import pickle

import pandas as pd
import pytest

import datastore as ds
from datastore.lockformat import parse_lock
from datastore.testing.store_children import Child
from tests.lock.conftest import again, put


def lock(project):
    path = project / "datastore.lock"
    return parse_lock(path.read_bytes(), where=str(path))


def test_a_pin_is_read_again_whatever_came_since(main, project):
    first = main.head
    url = ds.pin("ds://garments@main/train/", name="train")
    assert url == first / "train/"
    assert isinstance(url, ds.DatasetURL)
    put(main, {"train/0.csv": b"sku\n7\n"}, "Others")
    again()
    train = ds.pinned("train")
    assert train == first / "train/"
    assert pd.read_csv(train / "0.csv")["sku"].tolist() == [1]
    assert (ds.resolve(train) / "0.csv").read_bytes() == b"sku\n1\n"
    assert {row["key"] for batch in ds.stream(train, batch_size=9) for row in batch} == {"train/0.csv", "train/1.csv"}


def test_what_is_written_down(main, project):
    ds.pin(main / "train/", name="train")
    ds.pin("ds://garments/notes.txt", name="notes")
    pins = lock(project)
    assert list(pins) == ["notes", "train"]
    assert pins["train"].url == "ds://garments@main/train/"
    assert pins["train"].commit == main.head.id
    assert (pins["train"].objects, pins["train"].size) == (2, 12)
    assert pins["train"].digest is None
    assert pins["notes"].url == "ds://garments/notes.txt"
    assert pins["notes"].digest == main.objects.head("notes.txt").digest
    assert (pins["notes"].listing, pins["notes"].etag, pins["notes"].size) == (None, None, 5)


def test_the_same_pin_again_changes_nothing(main, project):
    before = ds.pin(main / "train/", name="train")
    text = (project / "datastore.lock").read_bytes()
    put(main, {"train/0.csv": b"sku\n7\n"}, "Others")
    assert ds.pin("garments@main/train/", name="train") == before
    assert (project / "datastore.lock").read_bytes() == text
    after = ds.pin(main / "train/", name="train", update=True)
    assert after == main.head / "train/"
    assert ds.pinned("train") == after


def test_a_name_stands_for_one_url(main, project):
    ds.pin(main / "train/", name="train")
    with pytest.raises(ds.AlreadyExists, match=r"'train' pins ds://garments@main/train/ already") as caught:
        ds.pin(main / "notes.txt", name="train")
    assert "update=True" in str(caught.value.hint)
    assert ds.pin(main / "notes.txt", name="train", update=True) == main.head / "notes.txt"
    assert list(lock(project)) == ["train"]


def test_what_is_not_committed_is_not_pinned(main, project):
    main.objects.put("train/2.csv", b"sku\n3\n")
    with pytest.raises(ds.UncommittedChanges, match=r"train/2\.csv"):
        ds.pin(main / "train/", name="train")
    assert not (project / "datastore.lock").exists()
    ds.pin(main / "notes.txt", name="notes")  # nothing is uncommitted there
    assert ds.pin("ds://garments@main@/train/", name="train") == main.head / "train/"


def test_bad_input_changes_nothing(main, project):
    for url, name, error in [
        (main / "gone", "x", ds.NotFound),
        ("ds://nowhere/x", "x", ds.NotFound),
        (main / "train/", "not a name", ds.ValidationError),
        ("ds://local/\udc80", "x", ds.DatastoreError),
    ]:
        with pytest.raises(error):
            ds.pin(url, name=name)
    assert list(project.iterdir()) == []


def test_tags_commits_and_steps_are_pinned_as_their_commits(main):
    first = main.head.id
    main.repo.create_tag("v1", "main")
    put(main, {"notes.txt": b"second"}, "More")
    for number, ref in enumerate(("v1", first[:12], first, "main~1")):
        assert ds.pin(main.repo.url("notes.txt", ref=ref), name=f"n{number}").ref == first


def test_a_name_that_is_not_there_names_the_nearest(main):
    with pytest.raises(ds.NotFound, match=r"datastore\.lock has no pin 'train'") as caught:
        ds.pinned("train")
    assert "ds.pin" in str(caught.value.hint)
    ds.pin(main / "train/", name="train")
    with pytest.raises(ds.NotFound) as caught:
        ds.pinned("trian")
    assert "train" in str(caught.value.hint)


def test_a_pin_is_dropped_and_the_others_stay_as_they_are(main, project):
    ds.pin(main / "notes.txt", name="notes")
    before = (project / "datastore.lock").read_bytes()
    ds.pin(main / "train/", name="train")
    ds.unpin("train")
    assert (project / "datastore.lock").read_bytes() == before
    with pytest.raises(ds.NotFound, match=r"datastore\.lock has no pin 'train'"):
        ds.pinned("train")
    put(main, {"train/0.csv": b"sku\n7\n"}, "Others")
    assert ds.pin(main / "train/", name="train") == main.head / "train/"  # the name is free
    for name in ("train", "notes"):
        ds.unpin(name)
    assert lock(project) == {}
    assert [one.name for one in project.iterdir()] == ["datastore.lock"]


def test_a_pin_that_is_not_there_is_not_dropped_and_the_nearest_is_named(main, project, freeze):
    with pytest.raises(ds.NotFound, match="has no pin 'train'"):
        ds.unpin("train")
    assert list(project.iterdir()) == []
    ds.pin(main / "train/", name="train")
    before = (project / "datastore.lock").stat()
    with pytest.raises(ds.NotFound) as caught:
        ds.unpin("trian")
    assert caught.value.hint == "did you mean 'train'?"
    freeze()
    with pytest.raises(ds.Forbidden, match="frozen"):
        ds.unpin("train")
    after = (project / "datastore.lock").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


# where the file is


def test_the_nearest_file_upwards_counts(main, project, monkeypatch):
    ds.pin(main / "train/", name="train")
    below = project / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    again()
    assert ds.pinned("train") == main.head / "train/"
    ds.pin(main / "notes.txt", name="notes")
    assert list(lock(project)) == ["notes", "train"]
    assert list(below.iterdir()) == []


def test_a_new_file_is_made_beside_the_configuration_of_the_project(main, project, monkeypatch):
    (project / "datastore.yaml").write_text("mounts: {}\n")
    (project / "notebooks").mkdir()
    monkeypatch.chdir(project / "notebooks")
    again()
    ds.pin(main / "train/", name="train")
    assert (project / "datastore.lock").exists()


def test_the_variable_names_another_file(main, project, monkeypatch, tmp_path):
    ds.pin(main / "train/", name="train")
    monkeypatch.setenv("DATASTORE_LOCK", str(tmp_path / "other.lock"))
    again()
    with pytest.raises(ds.NotFound, match=r"other\.lock"):
        ds.pinned("train")
    ds.pin(main / "notes.txt", name="notes")
    assert (tmp_path / "other.lock").exists()
    assert list(lock(project)) == ["train"]


def test_a_folder_that_is_not_there_is_said(main, project, monkeypatch):
    monkeypatch.setenv("DATASTORE_LOCK", str(project / "gone" / "datastore.lock"))
    again()
    with pytest.raises(ds.ConfigError, match="gone is no folder") as caught:
        ds.pin(main / "train/", name="train")
    assert "DATASTORE_LOCK" in str(caught.value.hint)


def test_a_link_to_a_lock_file_stays_one(main, project, tmp_path):
    (tmp_path / "real.lock").write_text("version = 1\n")
    (project / "datastore.lock").symlink_to(tmp_path / "real.lock")
    ds.pin(main / "train/", name="train")
    assert (project / "datastore.lock").is_symlink()
    assert "[pins.train]" in (tmp_path / "real.lock").read_text()


def test_a_damaged_file_is_left_as_it_is(main, project):
    path = project / "datastore.lock"
    for text in (b"", b"version = 1\n[pins.a]\nurl = ", b"<<<<<<< HEAD\nversion = 1\n"):
        path.write_bytes(text)
        for call in (lambda: ds.pinned("a"), lambda: ds.unpin("a"), lambda: ds.pin(main / "train/", name="train")):
            with pytest.raises(ds.ConfigError, match=r"datastore\.lock"):
                call()
        assert path.read_bytes() == text
    assert [one.name for one in project.iterdir()] == ["datastore.lock"]


def test_a_change_of_the_file_is_seen_at_once(main, project):
    ds.pin(main / "train/", name="train")
    path = project / "datastore.lock"
    path.write_text(path.read_text().replace("[pins.train]", "[pins.other]"))
    assert ds.pinned("other") == main.head / "train/"
    path.unlink()
    with pytest.raises(ds.NotFound):
        ds.pinned("other")


# processes


def test_processes_that_pin_at_once_lose_nothing(main, project):
    def work(number):
        def pin(say):
            for count in range(10):
                ds.pin(main / "train/", name=f"p{number}-{count}")
            say("done")

        return pin

    children = [Child(work(number), seconds=60) for number in range(6)]
    for child in children:
        said, status = child.lines()
        assert (said, status) == (["done"], 0)
    assert len(lock(project)) == 60
    assert [one.name for one in project.iterdir()] == ["datastore.lock"]


def test_processes_that_pin_and_drop_at_once_lose_nothing(main, project):
    for number in range(6):
        ds.pin(main / "train/", name=f"old{number}")

    def work(number):
        def change(say):
            for count in range(5):
                ds.pin(main / "train/", name=f"p{number}-{count}")
                ds.unpin(f"p{number}-{count - 1}" if count else f"old{number}")
            say("done")

        return change

    children = [Child(work(number), seconds=60) for number in range(6)]
    assert [child.lines() for child in children] == [(["done"], 0)] * 6
    assert set(lock(project)) == {f"p{number}-4" for number in range(6)}
    assert [one.name for one in project.iterdir()] == ["datastore.lock"]


def test_processes_that_pin_one_name_at_once_agree(main, project):
    def work(say):
        for _ in range(5):
            main.objects.put(f"train/{os.getpid()}.csv", os.urandom(4))
            main.commit("One more", empty="skip")  # another one may have taken it
        say(ds.pin("ds://garments@main@/train/", name="train").ref)

    children = [Child(work, seconds=60) for _ in range(4)]
    refs = set()
    for child in children:
        said, status = child.lines()
        assert status == 0, said
        refs.update(said)
    assert refs == {lock(project)["train"].commit}


def test_a_holder_that_died_is_in_nobodys_way(main, project):
    (project / ".datastore.lock.busy").write_bytes(b"")
    ds.pin(main / "train/", name="train")
    assert [one.name for one in project.iterdir()] == ["datastore.lock"]


def test_pinned_urls_pickle(main):
    url = ds.pin(main / "train/", name="train")
    assert pickle.loads(pickle.dumps(url)) == url


# without versions


def test_local_files_are_pinned_by_their_bytes_and_where_they_are_from_the_lock_file(project, monkeypatch):
    (project / "data").mkdir()
    (project / "data" / "a.csv").write_bytes(b"sku\n1\n")
    ds.pin("./data/a.csv", name="a")
    ds.pin(project / "data", name="all")
    text = (project / "datastore.lock").read_text()
    assert str(project) not in text
    assert 'url = "./data/a.csv"' in text
    assert pd.read_csv(ds.pinned("a"))["sku"].tolist() == [1]
    moved = project.parent / "elsewhere"
    project.rename(moved)
    copied = (moved / "data" / "a.csv").read_bytes()
    (moved / "data" / "a.csv").unlink()
    (moved / "data" / "a.csv").write_bytes(copied)  # another file, as after a clone
    monkeypatch.chdir(moved)
    again()
    assert pd.read_csv(ds.pinned("a"))["sku"].tolist() == [1]
    assert ds.resolve(ds.pinned("all")).name == "data"
    (moved / "data" / "a.csv").write_bytes(b"sku\n2\n")
    for name in ("a", "all"):
        with pytest.raises(ds.HeadMoved, match=f"not any more what '{name}' pins") as caught:
            ds.pinned(name)
        assert f"datastore lock check {name}" in str(caught.value.hint)
    (moved / "data" / "a.csv").unlink()
    with pytest.raises(ds.NotFound):
        ds.pinned("a")


def test_a_file_outside_of_the_project_has_its_whole_path(project, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"1")
    url = ds.pin(tmp_path / "a.csv", name="a")
    assert url == f"ds://local{tmp_path}/a.csv"
    assert f'url = "{url}"' in (project / "datastore.lock").read_text()


def test_a_mount_hides_where_its_folder_is(project, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"1")
    ds.mount("disk", "local", path=str(tmp_path))
    ds.pin("ds://disk/a.csv", name="a")
    assert str(tmp_path) not in (project / "datastore.lock").read_text()
    assert ds.pinned("a") == "ds://disk/a.csv"


def test_an_empty_file_is_data(project):
    bucket = ds.mount("raw", "memory", name="lock-empty")
    fs = ds.filesystem()
    fs.pipe_file("ds://raw/d/a.csv", b"1")
    ds.pin(bucket / "d/", name="d")
    assert ds.pinned("d") == "ds://raw/d/"
    fs.pipe_file("ds://raw/d/b.csv", b"")
    with pytest.raises(ds.HeadMoved):
        ds.pinned("d")


# what is gone


def test_a_commit_that_is_gone_is_said_when_the_pin_is_used(main, project):
    ds.pin(main / "train/", name="train")
    path = project / "datastore.lock"
    path.write_text(path.read_text().replace(main.head.id, "0" * 64))
    with pytest.raises(ds.NotFound, match="the commit that 'train' pins is gone") as caught:
        ds.pinned("train")
    assert "datastore lock check train" in str(caught.value.hint)
