"""ds.sync between stores, and what it shares with upload and download."""

import pytest

import datastore as ds
from datastore.values import Attributes
from tests.transfers.helpers import counted, fill, objects, provider_of, tree

DRESSED = Attributes(content_type="application/x-mine", metadata={"n": "1", "Käse": "gut"})


def test_a_folder_becomes_as_another_one_is(there, disk):
    provider_of(there).put("raw/old", b"1")
    told = ds.sync(disk, there, delete=True, dry_run=True)
    assert (len(told.added), told.deleted, told.bytes) == (4, ["old"], 3_000_006)
    assert list(ds.sync(disk, there, delete=True)) == list(told)
    assert objects(there) == tree(disk)
    again = ds.sync(disk, there, delete=True)
    assert (len(again), again.skipped) == (0, 4)


def test_and_back(there, disk, place):
    ds.upload(disk, there)
    back = fill(place / "back", {"a.csv": b"old", "mine": b"1"})
    done = ds.sync(there, back)
    assert (done.changed, len(done.added)) == (["a.csv"], 3)
    assert tree(back) == {**tree(disk), "mine": b"1"}
    assert ds.sync(there, back, delete=True).deleted == ["mine"]
    assert tree(back) == tree(disk)


def test_patterns_hold_on_both_sides(there, disk):
    for key in ("old.csv", "old.bin"):
        provider_of(there).put(f"raw/{key}", b"1")
    done = ds.sync(disk, there, delete=True, allow_patterns="*.csv")
    assert (done.added, done.deleted) == (["a.csv"], ["old.csv"])
    assert sorted(objects(there)) == ["a.csv", "old.bin"]
    done = ds.sync(disk, there, delete=True, ignore_patterns=["*.bin", "deep/"])
    assert (len(done), done.skipped) == (0, 1)


def test_a_message_commits(main, disk):
    plan = ds.sync(disk, main / "raw/", message="Raw data")
    assert (plan.commit, main.head.message) == (main.head, "Raw data")
    assert ds.sync(disk, main / "raw/", message="Again").commit == plan.commit


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["main", "lake", "s3"])
def test_attributes_go_along_and_are_not_taken_for_a_change(s3, main, kind, request):
    dest = main / "copy/" if kind == "main" else request.getfixturevalue(kind) / "copy/"
    provider_of(s3).put("raw/a.csv", b"1", attributes=DRESSED)
    provider_of(s3).put("raw/b.csv", b"2")
    ds.sync(s3, dest) if kind != "s3" else ds.sync(s3, main / "copy/")
    if kind == "s3":
        source, dest = main / "copy/", ds.url(s3.rstrip("/") + "2/")
        ds.sync(source, dest)
        with counted() as methods:
            assert len(ds.sync(source, dest)) == 0
        assert methods == {"HEAD": 3}, "two to find out what is there, one for attributes that no listing tells"
    else:
        assert len(ds.sync(s3, dest)) == 0
    found = provider_of(dest).head(provider_target(dest) + "a.csv")
    assert (found.content_type, dict(found.metadata)) == (DRESSED.content_type, DRESSED.metadata)


def provider_target(url):
    return url.location.key


def test_a_dry_run_tells_rows_that_change(main, place):
    folder = fill(place / "src", {"a.csv": b"id,n\n1,2\n"})
    ds.upload(folder, main / "raw/")
    (folder / "a.csv").write_bytes(b"id,n\n1,3\n")
    told = ds.upload(folder, main / "raw/", dry_run=True)
    assert told.table("a.csv", key="id").counts == {"added": 0, "removed": 0, "changed": 1}
    assert list(told.to_pandas()["kind"]) == ["changed"]


def test_a_plan_is_shown_and_cannot_be_changed(main, disk):
    told = ds.upload(disk, main / "raw/", dry_run=True)
    lines = repr(told).splitlines()
    assert lines[0].startswith("Plan ds://local/")
    assert "ds://garments@main/raw/  to copy 4 (2.9 MiB)  to delete 0  0 there already (0 B)" in lines[0]
    assert lines[-1].strip() == "Next: the same without dry_run=True"
    assert "<table" in told._repr_html_()
    done = ds.upload(disk, main / "raw/")
    assert repr(done).splitlines()[0].startswith("Transfer ")
    for name in ("dry_run", "title", "skipped"):
        with pytest.raises(AttributeError):
            setattr(told, name, 1)
    assert isinstance(told, ds.Plan)
    assert isinstance(told, ds.Diff)
