"""A moving ref is resolved once for each top-level call, and what is handed on is pinned."""

import pickle

import fsspec
import pandas as pd
import pyarrow.parquet as pq
import pytest

import datastore as ds
from datastore import namespace
from datastore.api import filesystem
from datastore.errors import HeadMoved, NotFound, ValidationError
from datastore.fs.pins import Pin, format_pins, parse_pins
from datastore.fs.system import DatastoreFileSystem

MAIN = "garments@main"


@pytest.fixture
def branch(repo):
    return repo.branch("main")


@pytest.fixture
def first(branch):
    fsspec.filesystem("ds").pipe({f"{MAIN}/a": b"1", f"{MAIN}/d/b": b"2"})
    return branch.commit("first")


def pinned(url=f"ds://{MAIN}/a"):
    return fsspec.url_to_fs(url)[0]


def change(value=b"other"):
    """Write as somebody else does: by another instance."""
    DatastoreFileSystem(skip_instance_cache=True).pipe_file(f"{MAIN}/a", value)


@pytest.mark.parametrize(
    "pins",
    [
        {},
        {MAIN: Pin("0" * 64)},
        {MAIN: Pin("0" * 64, uncommitted=True), "shoes@v1,2=3": Pin("a" * 64), "lakefs/x@main~1": Pin("b" * 64)},
    ],
)
def test_the_text_form(pins):
    assert parse_pins(format_pins(pins)) == pins


@pytest.mark.parametrize(
    "text", ["garments@main", "garments@main=1234", "garments=" + "0" * 64, f"x@y={'0' * 64},"[:-2], "="]
)
def test_texts_that_are_no_pins(text):
    with pytest.raises(ValidationError, match="pins"):
        DatastoreFileSystem(pins=text)


def test_a_clean_branch_is_pinned_to_its_commit(first, branch):
    fs = pinned()
    assert fs.pins == f"{MAIN}={first.id}"
    change()
    branch.commit("second")
    assert fs.cat_file(f"{MAIN}/a") == b"1"
    assert fs.info("garments/a")["commit"] == first.id  # the same by its default branch
    assert fs.cat_file(f"garments@{first.id}/a") == b"1"
    assert pinned().cat_file(f"{MAIN}/a") == b"other"


def test_a_branch_with_uncommitted_changes_shows_them_until_its_head_moves(first, branch):
    change(b"uncommitted")
    fs = pinned()
    assert fs.pins == f"{MAIN}={first.id}+"
    assert fs.cat_file(f"{MAIN}/a") == b"uncommitted"
    change(b"again")
    assert fs.cat_file(f"{MAIN}/a") == b"again"
    branch.commit("second")
    for verb in (fs.cat_file, fs.info, fs.exists, fs.ls, fs.open):
        with pytest.raises(HeadMoved):
            verb(f"{MAIN}/a")


@pytest.mark.parametrize("ref", ["v1", "main~1", "main@"])
def test_every_ref_that_moves_or_has_a_name_is_pinned(first, branch, repo, ref):
    repo.create_tag("v1", "main")
    change()
    second = branch.commit("second")
    wanted = {"v1": first, "main~1": first, "main@": second}[ref]
    assert pinned(f"ds://garments@{ref}/a").pins == f"garments@{ref}={wanted.id}"


def test_what_is_not_pinned(first, mem):
    for url in (
        f"ds://{mem}/a",
        f"ds://garments@{first.id}/a",
        "ds://",
        "ds://garm*/a",
        "ds://a b",
    ):
        assert DatastoreFileSystem._get_kwargs_from_urls(url) == {}


@pytest.mark.parametrize(
    ("url", "near"), [("ds://garmens/a.parquet", "garments"), ("ds://garments@mian/a.parquet", "main")]
)
def test_a_typo_is_told_by_every_engine_before_it_asks_for_the_file(first, url, near):
    for read in (pd.read_parquet, pd.read_csv, lambda url: fsspec.open(url, "wb")):
        with pytest.raises(NotFound) as caught:
            read(url)
        assert near in caught.value.hint


def test_pinned_instances_do_not_pile_up(first):
    before = len(DatastoreFileSystem._cache)
    assert pinned() is not pinned()
    assert pinned() == pinned()
    assert len(DatastoreFileSystem._cache) == before
    assert fsspec.filesystem("ds") is fsspec.filesystem("ds")


def test_a_writer_sees_what_it_wrote(first):
    change(b"by somebody else")
    DatastoreFileSystem().rm(f"{MAIN}/a")
    fs = pinned(f"ds://{MAIN}/d/b")
    writes = [
        lambda fs: fs.pipe_file(f"{MAIN}/new", b"x"),
        lambda fs: fs.open(f"{MAIN}/new", "wb").close(),
        lambda fs: fs.cp_file(f"{MAIN}/d/b", f"{MAIN}/new"),
        lambda fs: fs.touch(f"{MAIN}/new"),
    ]
    for write in writes:
        fs = pinned(f"ds://{MAIN}/d/b")
        fs = DatastoreFileSystem(pins=f"{MAIN}={first.id}")
        assert not fs.exists(f"{MAIN}/new")
        write(fs)
        assert fs.exists(f"{MAIN}/new")
        assert fs.pins == ""
        DatastoreFileSystem().rm(f"{MAIN}/new")


def test_a_failed_write_keeps_the_pin(first):
    fs = pinned()
    with pytest.raises(FileExistsError):
        fs.pipe_file(f"{MAIN}/a", b"2", mode="create")
    with pytest.raises(ZeroDivisionError), fs.open(f"{MAIN}/a", "wb"):
        raise ZeroDivisionError
    assert fs.pins == f"{MAIN}={first.id}"


def test_what_is_deleted_is_what_is_there_now(first, branch):
    fs = pinned()
    DatastoreFileSystem().pipe_file(f"{MAIN}/d/new", b"")
    fs.rm(f"{MAIN}/d", recursive=True)
    assert fs.find(MAIN) == [f"{MAIN}/a"]
    fs = pinned()
    DatastoreFileSystem().rm(f"{MAIN}/a")
    with pytest.raises(NotFound):
        fs.rm(f"{MAIN}/a")


def test_pins_that_a_person_gives(first, branch):
    change()
    branch.commit("second")
    for at in (f"{MAIN}={first.id}", {MAIN: first.id}):
        fs = filesystem(at=at)
        assert fs.cat_file(f"{MAIN}/a") == b"1"
    assert DatastoreFileSystem(pins={MAIN: first.id}).storage_options["pins"] == f"{MAIN}={first.id}"
    assert filesystem().cat_file(f"{MAIN}/a") == b"other"


def test_pickles_carry_the_pins(first, branch):
    fs = pinned()
    with fs.open(f"{MAIN}/a") as f:
        pickled = pickle.dumps((fs, f))
    change()
    branch.commit("second")
    again, file = pickle.loads(pickled)
    assert again == fs
    assert hash(again) == hash(fs)
    assert again.cat_file(f"{MAIN}/a") == b"1"
    with file:
        assert file.read() == b"1"


def test_a_pickled_reader_of_uncommitted_bytes_fails_when_they_are_gone(first):
    change(b"uncommitted")
    with DatastoreFileSystem().open(f"{MAIN}/a") as f:
        pickled = pickle.dumps(f)
    with pickle.loads(pickled) as again:
        assert again.read() == b"uncommitted"
    change(b"later")
    with pytest.raises(HeadMoved):
        pickle.loads(pickled)
    with pinned().open(f"{MAIN}/a") as f:
        pickled = pickle.dumps(f)
    ds.repo("garments").branch("main").commit("second")
    with pytest.raises(HeadMoved):
        pickle.loads(pickled)


def test_one_metadata_request_and_one_read_for_a_parquet_file(branch, counts):
    frame = pd.DataFrame({"a": range(10_000), "b": 1.5})
    frame.to_parquet(f"ds://{MAIN}/t.parquet")
    branch.commit("data")
    for options in ({}, {"columns": ["b"]}, {"storage_options": {"anon": False}}):
        counts.clear()
        assert len(pd.read_parquet(f"ds://{MAIN}/t.parquet", **options)) == 10_000
        assert counts["head"] <= 1
        assert counts["read"] <= 1
        assert counts["list"] == 0


def test_a_folder_of_parquet_files_asks_for_no_infos(branch, counts):
    frame = pd.DataFrame({"a": range(100), "k": list("abcde") * 20})
    frame.to_parquet(f"ds://{MAIN}/parts", partition_cols=["k"])
    branch.commit("data")
    counts.clear()
    assert len(pd.read_parquet(f"ds://{MAIN}/parts")) == 100
    assert counts["head"] <= 1
    assert counts["list"] <= 2
    assert counts["read"] <= 10  # pyarrow opens each file for its schema and for its data


def test_one_dataset_is_of_one_commit_while_somebody_writes(branch):
    import pyarrow.dataset as pads

    pd.DataFrame({"a": [1]}).to_parquet(f"ds://{MAIN}/parts/1.parquet")
    branch.commit("first")
    fs, path = fsspec.url_to_fs(f"ds://{MAIN}/parts")
    dataset = pads.dataset(path, filesystem=fs)
    pd.DataFrame({"a": [2]}).to_parquet(f"ds://{MAIN}/parts/1.parquet")
    branch.commit("second")
    assert dataset.to_table()["a"].to_pylist() == [1]
    assert pq.read_table(path, filesystem=fsspec.url_to_fs(f"ds://{MAIN}/parts")[0])["a"].to_pylist() == [2]


def test_tokens_of_dask_are_those_of_what_is_seen(first, branch):
    from dask.base import tokenize

    a, b = pinned(), pinned()
    assert tokenize(a) == tokenize(b)
    assert a.fsid == b.fsid
    change()
    branch.commit("second")
    assert tokenize(pinned()) != tokenize(a)


def test_a_pickle_does_not_read_another_store(first, tmp_path):
    pickled = pickle.dumps(pinned())
    namespace.reset_current()
    store = namespace.current().config.store
    namespace.reset_current()
    store.rename(tmp_path / "moved")
    ds.create_repo("garments")
    again = pickle.loads(pickled)
    with pytest.raises(OSError, match="another store"):
        again.cat_file(f"{MAIN}/a")
