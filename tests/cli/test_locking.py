import json
import os

import pytest
from click.testing import CliRunner

import datastore as ds
from datastore.cli.app import app


def test_pins_are_added_checked_and_updated(run, fail, garments, folder):
    pinned = run("lock", "add", "ds://garments@main/images/", "--name", "images").out.strip()
    assert pinned == f"ds://garments@{garments.commit_of('main').id}/images/"
    assert run("lock", "add", "garments@main/images/", "-n", "images").out.strip() == pinned
    assert "--update" in fail("lock", "add", "garments@main/train.csv", "-n", "images")
    assert run("lock", "check").rows == [
        ["same", "images", garments.commit_of("main").id, garments.commit_of("main").id, "ds://garments@main/images/"]
    ]
    before = garments.commit_of("main").id
    main = garments.branch("main")
    main.objects.put("images/c.png", b"PNG?")
    after = main.commit("A third image").id
    text = (folder / "datastore.lock").read_text()
    moved = run("lock", "update", "images")
    assert moved.rows[0] == ["moved", "images", before, after, "ds://garments@main/images/"]
    assert moved.out.splitlines()[1].startswith(f"images: {after[:8]}  ")
    assert moved.out.splitlines()[1].endswith("  Ada  A third image")
    assert (folder / "datastore.lock").read_text() == text.replace(before, after).replace(
        "objects = 2", "objects = 3"
    ).replace("size = 7", "size = 11").replace(listing(text), listing((folder / "datastore.lock").read_text()))


def listing(text):
    return next(line for line in text.splitlines() if line.startswith("listing"))


def test_check_ends_with_1_if_something_moved_or_is_gone(shell, run, garments, folder):
    run("lock", "add", "garments@main/train.csv", "-n", "train")
    assert run("lock", "check").rows[0][0] == "same"
    main = garments.branch("main")
    main.objects.put("train.csv", b"sku,price\n")
    main.commit("No rows")
    done = shell("lock", "check", "--json", cwd=folder, env=os.environ | {"DATASTORE_FROZEN": "1"})
    assert (done.returncode, done.stderr) == (1, b"")
    (told,) = json.loads(done.stdout)
    assert (told["state"], told["name"], told["now"]["size"]) == ("moved", "train", 10)
    assert [commit["message"] for commit in told["commits"]] == ["No rows"]
    lock = folder / "datastore.lock"
    lock.write_text(lock.read_text().replace('commit = "', f'commit = "{"0" * 64}"\n#'))
    gone = CliRunner().invoke(app, ["lock", "check"])
    assert gone.stdout.startswith("gone\ttrain\t")
    assert gone.exit_code == 1


def test_pins_are_removed_all_or_none(run, fail, garments, folder):
    for name, key in (("train", "train.csv"), ("images", "images/"), ("pictures", "images/")):
        run("lock", "add", f"garments@main/{key}", "-n", name)
    lock = folder / "datastore.lock"
    text = lock.read_text()
    assert "did you mean 'images'?" in fail("lock", "remove", "train", "imags")
    assert "missing argument 'NAME...'" in fail("lock", "remove", code=2)
    assert lock.read_text() == text
    assert run("lock", "remove", "train", "pictures").rows == [
        ["train", "ds://garments@main/train.csv"],
        ["pictures", "ds://garments@main/images/"],
    ]
    assert [row[1] for row in run("lock", "check").rows] == ["images"]
    commit = garments.commit_of("main").id
    gone = {"name": "images", "url": "ds://garments@main/images/", "commit": commit}
    assert run("lock", "remove", "images", "--json").json == [gone]
    assert run("lock", "check").out == ""
    assert "lock add URL --name NAME" in fail("lock", "remove", "images")


def test_sync_prints_the_paths(run, garments):
    run("lock", "add", "garments@v1/images/", "-n", "images")
    ((name, path),) = run("lock", "sync").rows
    assert name == "images"
    assert path.endswith("/images")
    assert run("lock", "sync", "images", "--json").json[0]["path"] == path


def test_what_is_wrong_is_said_in_two_lines(fail, run, garments, folder):
    assert "no pin 'train'" in fail("lock", "check", "train")
    assert "lock add URL --name NAME" in fail("lock", "sync", "train")
    (folder / "datastore.lock").write_text("version = 1\n<<<<<<< HEAD\n")
    assert "line 2" in fail("lock", "check")
    assert "line 2" in fail("lock", "add", "garments@main/train.csv", "-n", "train")


@pytest.mark.parametrize("verb", ["check", "update", "sync"])
def test_nothing_pinned_is_nothing_to_do(run, verb):
    assert run("lock", verb).out == ""


def test_a_frozen_process_does_not_change_the_lock(fail, run, garments, monkeypatch):
    run("lock", "add", "garments@main/train.csv", "-n", "train")
    monkeypatch.setenv("DATASTORE_FROZEN", "1")
    from datastore.namespace import reset_current

    reset_current()
    assert "frozen" in fail("lock", "update")
    assert "frozen" in fail("lock", "remove", "train")
    assert "frozen" in fail("lock", "add", "garments@main/images/", "-n", "images")
    assert run("lock", "check").code == 0
    assert ds.pinned("train").key == "train.csv"
