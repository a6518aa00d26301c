"""Pins on real servers, and over a wire that breaks: the same meaning, and no request that is not needed."""

import os

import pandas as pd
import pytest

import datastore as ds
from datastore.http.observe import observed
from datastore.locking import check, sync, update
from datastore.namespace import current
from datastore.testing.scripted_s3 import ScriptedS3, refused
from tests.lock.conftest import again, put


@pytest.fixture
def lake(lakefs):
    """Mount a new repo of a lakeFS server; call it again after `again()`."""
    repo = lakefs.new_repo()
    keys = {"access_key_id": lakefs.access_key, "secret_access_key": lakefs.secret_key}

    def mount():
        ds.mount("lake", "lakefs", repo=repo, endpoint=lakefs.endpoint, **keys)
        return ds.repo("lake").branch("main")

    put(mount(), {"train/0.csv": b"sku\n1\n", "train/1.csv": b"sku\n2\n", "notes.txt": b"first"}, "First rows")
    return mount


def test_a_lakefs_repo(lake):
    main = lake()
    first = main.head.id
    ds.pin(main / "train/", name="train")
    ds.pin(main / "notes.txt", name="notes")
    put(main, {"train/0.csv": b"sku\n7\n"}, "Other rows")
    again()
    main = lake()
    assert ds.pinned("train") == main.repo.url("train/", ref=first)
    assert pd.read_csv(ds.pinned("train") / "0.csv")["sku"].tolist() == [1]
    assert sum(len(batch) for batch in ds.stream(ds.pinned("train"), batch_size=1)) == 2
    notes, train = check(current(), every_object=True)
    assert (notes.state, train.state) == ("same", "moved")
    assert [info.message for info in train.commits] == ["Other rows"]
    update(current())
    assert [one.state for one in check(current())] == ["same", "same"]
    assert ds.pinned("train") == main.head / "train/"


def test_a_lakefs_repo_frozen(lake, freeze):
    main = lake()
    main.repo.create_tag("v1", "main")
    ds.pin(main / "train/", name="train")
    put(main, {"train/0.csv": b"sku\n7\n"}, "Other rows")
    freeze()
    main = lake()
    fs = ds.filesystem()
    assert pd.read_csv("ds://lake/train/0.csv")["sku"].tolist() == [1]
    assert fs.cat_file("lake@main/train/0.csv") == b"sku\n1\n"
    assert len(fs.cat("lake@main/train/*.csv")) == 2
    assert (ds.resolve("ds://lake/train/") / "0.csv").read_bytes() == b"sku\n1\n"
    assert ds.resolve("ds://lake@v1/notes.txt").read_bytes() == b"first"
    for read in (lambda: ds.resolve(main / "notes.txt"), lambda: fs.cat_file("lake@main/notes.txt")):
        with pytest.raises(ds.ValidationError, match="does not name it"):
            read()


def test_a_pin_that_was_met_before_takes_no_request(lake):
    ds.pin(lake() / "train/", name="train")
    with observed() as seen:
        ds.pinned("train")
    assert list(seen) == []  # it was just made
    again()
    lake()
    path = current().config.lock
    other = "0" * 63 + "1"
    path.write_text(path.read_text().replace(lake().head.id, other))
    with observed() as seen, pytest.raises(ds.NotFound, match="the commit that 'train' pins is gone"):
        ds.pinned("train")
    assert len(seen) == 1  # whether the commit is there
    (found,) = check(current())
    assert (found.state, found.now.commit) == ("gone", lake().head.id)


@pytest.mark.parametrize("offline", ["", "1"])
def test_what_was_synced_is_read_without_a_request(lake, offline, monkeypatch):
    main = lake()
    ds.pin(main / "train/", name="train")
    ds.pin(ds.url("ds://lake/notes.txt"), name="notes")
    sync(current())
    put(main, {"train/0.csv": b"sku\n7\n"}, "Other rows")
    monkeypatch.setenv("DATASTORE_OFFLINE", offline)
    monkeypatch.setenv("DATASTORE_FROZEN", "1")
    again()
    with observed() as seen:
        lake()
        for url in (ds.pinned("train"), "ds://lake@main/train/"):
            assert (ds.resolve(url) / "0.csv").read_bytes() == b"sku\n1\n"
        for url in (ds.pinned("notes"), "ds://lake/notes.txt"):
            assert ds.resolve(url).read_bytes() == b"first"
    assert list(seen) == []


def test_a_deleted_lakefs_branch_leaves_its_pins(lake):
    main = lake()
    exp = main.repo.create_branch("exp")
    put(exp, {"train/9.csv": b"sku\n9\n"}, "From exp")
    ds.pin(exp / "train/", name="exp")
    main.repo.delete_branch("exp")
    (found,) = check(current())
    assert (found.state, found.now) == ("moved", None)
    assert (ds.resolve(ds.pinned("exp")) / "9.csv").read_bytes() == b"sku\n9\n"


def test_a_nested_lakefs_repo(lakefs):
    repo = lakefs.new_repo()
    keys = {"access_key_id": lakefs.access_key, "secret_access_key": lakefs.secret_key}
    ds.mount("team", "lakefs", endpoint=lakefs.endpoint, **keys)
    main = ds.repo(f"team/{repo}").branch("main")
    put(main, {"a.csv": b"1"}, "One")
    assert ds.pin(f"ds://team/{repo}@main/a.csv", name="a") == main.head / "a.csv"
    put(main, {"a.csv": b"2"}, "Two")
    url = ds.pinned("a")
    assert (url.mount, url.nested) == (f"team/{repo}", True)
    assert ds.resolve(url).read_bytes() == b"1"
    assert [one.state for one in check(current())] == ["moved"]


# buckets


def test_a_bucket(versitygw, freeze):
    keys = {"access_key_id": versitygw.access_key, "secret_access_key": versitygw.secret_key}
    bucket = versitygw.new_bucket()

    def mount():
        ds.mount("raw", "s3", bucket=bucket, endpoint=versitygw.endpoint, region=versitygw.region, **keys)
        return ds.filesystem()

    fs = mount()
    fs.pipe({"raw/d/a.csv": b"sku\n1\n", "raw/d/b.csv": b"sku\n2\n", "raw/c.csv": b"sku\n3\n"})
    assert ds.pin("ds://raw/d/", name="d") == "ds://raw/d/"
    ds.pin("ds://raw/d/a.csv", name="a")
    text = current().config.lock.read_text()
    assert f'etag = "{fs.info("raw/d/a.csv")["etag"]}"' in text
    for secret in keys.values():
        assert secret not in text
    again()
    mount()
    with observed() as seen:
        ds.pinned("a")
        ds.pinned("d")
    assert len(seen) == 2  # a HEAD, a listing
    assert [one.state for one in check(current())] == ["same", "same"]
    freeze()
    fs = mount()
    assert pd.read_csv("ds://raw/d/b.csv")["sku"].tolist() == [2]
    with pytest.raises(ds.ValidationError, match="does not name it"):
        fs.cat_file("raw/c.csv")
    fs.pipe_file("raw/d/a.csv", b"sku\n7\n")
    assert [one.state for one in check(current())] == ["moved", "moved"]
    for name in ("a", "d"):
        with pytest.raises(ds.HeadMoved, match="not any more"):
            ds.pinned(name)
    with pytest.raises(ds.HeadMoved):
        ds.resolve("ds://raw/d/")


def test_a_bucket_offline_after_sync_with_the_server_stopped(monkeypatch):
    keys = {"access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1"}
    with ScriptedS3() as server:
        endpoint = server.endpoint
        server.objects.put("bucket", "d/a.bin", b"1")
        server.objects.put("bucket", "b.bin", os.urandom(2 << 20))
        ds.mount("cloud", "s3", bucket="bucket", endpoint=endpoint, **keys)
        ds.pin("ds://cloud/d/", name="d")
        ds.pin("ds://cloud/b.bin", name="b")
        ds.pin("ds://cloud/b.bin", name="c")
        done = {one.name: one.path.stat() for one in sync(current())}
    monkeypatch.setenv("DATASTORE_OFFLINE", "1")
    monkeypatch.setenv("DATASTORE_FROZEN", "1")
    again()
    ds.mount("cloud", "s3", bucket="bucket", endpoint=endpoint, **keys)
    assert (ds.resolve(ds.pinned("d")) / "a.bin").read_bytes() == b"1"
    assert ds.resolve("ds://cloud/b.bin").stat().st_size == done["b"].st_size
    with pytest.raises(ds.ValidationError, match="does not name it"):
        ds.resolve("ds://cloud/other.bin")


def test_offline_a_bucket_is_what_was_pinned_or_an_error(monkeypatch):
    keys = {"access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1"}

    def process(offline, frozen):
        monkeypatch.setenv("DATASTORE_OFFLINE", offline)
        monkeypatch.setenv("DATASTORE_FROZEN", frozen)
        again()
        ds.mount("cloud", "s3", bucket="bucket", endpoint=server.endpoint, **keys)

    with ScriptedS3() as server:
        process("", "")
        for key in ("a.bin", "d/b.bin"):
            server.objects.put("bucket", key, b"old")
        ds.pin("ds://cloud/a.bin", name="a")
        ds.pin("ds://cloud/d/", name="d")
        ds.resolve("ds://cloud/a.bin")
        process("1", "")
        with pytest.raises(ds.NotCached, match="what 'a' pins is not in the cache") as caught:
            ds.pinned("a")
        assert "datastore lock sync a" in str(caught.value.hint)
        process("", "")
        sync(current())
        process("1", "")
        assert ds.resolve(ds.pinned("a")).read_bytes() == b"old"
        process("", "")
        for key in ("a.bin", "d/b.bin"):
            server.objects.put("bucket", key, b"new!")
        assert ds.resolve("ds://cloud/a.bin").read_bytes() == b"new!"
        assert ds.resolve("ds://cloud/d/b.bin").read_bytes() == b"new!"
    process("1", "")
    with pytest.raises(ds.NotCached, match="what 'a' pins"):  # the URL alone leads to the new bytes
        ds.pinned("a")
    process("1", "1")
    assert ds.resolve(ds.pinned("a")).read_bytes() == b"old"
    assert ds.resolve("ds://cloud/a.bin").read_bytes() == b"old"
    assert (ds.resolve("ds://cloud/d/") / "b.bin").read_bytes() == b"old"
    with pytest.raises(ds.NotCached):  # it was never resolved by itself as what was pinned
        ds.resolve("ds://cloud/d/b.bin")


def test_a_service_that_does_not_answer_is_no_pin_that_is_gone():
    keys = {"access_key_id": "key", "secret_access_key": "secret", "region": "us-east-1"}
    with ScriptedS3() as server:
        server.objects.put("bucket", "a.bin", b"1")
        ds.mount("cloud", "s3", bucket="bucket", endpoint=server.endpoint, **keys)
        ds.pin("ds://cloud/a.bin", name="a")
        server.on("HeadObject", r".*", refused(403, "AccessDenied"), times=100)
        for call in (lambda: ds.pinned("a"), lambda: check(current())):
            with pytest.raises(ds.Forbidden):
                call()
