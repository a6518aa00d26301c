"""A frozen process reads what the lock file says, or nothing: at every entry that takes a URL."""

import pickle

import pandas as pd
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

import datastore as ds
from datastore.moving import covers
from tests.lock.conftest import again, put

READERS = """
import os, datastore as ds, pandas as pd, fsspec
url, key = "ds://garments@main/train/0.csv", "garments@main/train/0.csv"
print(pd.read_csv(url)["sku"][0])
print(int(ds.resolve(url).read_text().split()[1]))
with ds.resolving("ds://garments/train/") as folder:
    print(int((folder / "0.csv").read_text().split()[1]))
print(int(next(iter(ds.stream(url, format="files")))[0]["data"].split()[1]))
fs = fsspec.filesystem("ds")
print(int(fs.cat(key).split()[1]))
print(int(fs.cat_file(key, start=4)))
print(int(fs.cat_ranges([key], 4, 5)[0]))
print(int(fs.open(key).read().split()[1]))
print(int(fs.cat([key, "garments@main/train/1.csv"])[key].split()[1]))
print(len(fs.ls("garments@main/train")) - 1)
print(len(fs.glob("garments@main/train/*.csv")) - 1)
print(len(fs.find("garments@main/train")) - 1)
fs.get("garments@main/train/", f"got{os.getpid()}/", recursive=True)
print(int(open(f"got{os.getpid()}/0.csv").read().split()[1]))
ds.sync("ds://garments@main/train/", f"./synced{os.getpid()}/")
print(int(open(f"synced{os.getpid()}/0.csv").read().split()[1]))
print(int(ds.cache.keep(url).read_text().split()[1]))
"""


@pytest.fixture
def moved(main):
    """A pinned folder that has other rows, and more of them, by now."""
    ds.pin(main / "train/", name="train")
    put(main, {"train/0.csv": b"sku\n7\n", "train/2.csv": b"sku\n8\n"}, "Others")
    return main


def test_every_reader_of_a_process_of_its_own_sees_the_pin(moved, python):
    assert set(python(READERS.replace("- 1)", "+ 4)")).split()) == {"7"}  # what is there now: three objects
    assert set(python(READERS, DATASTORE_FROZEN="1").split()) == {"1"}  # what was pinned: two


def test_every_reader_refuses_what_is_not_pinned(moved, python):
    program = """
import datastore as ds, pandas as pd
url, key = "ds://garments@main/notes.txt", "garments@main/notes.txt"
fs = ds.filesystem()
for read in (
    lambda: pd.read_csv(url), lambda: ds.resolve(url), lambda: ds.resolving(url).__enter__(), lambda: ds.stream(url),
    lambda: fs.cat(key), lambda: fs.open(key), lambda: fs.info(key), lambda: fs.exists(key), lambda: fs.isfile(key),
    lambda: fs.isdir(key), lambda: fs.ls("garments@main"), lambda: fs.find("garments@main/"),
    lambda: fs.get_file(key, "x"), lambda: fs.get(key, "x"), lambda: fs.cat_file(key), lambda: fs.du("garments@main"),
    lambda: fs.cat_ranges([key], 0, 1, on_error="raise"), lambda: ds.sync("ds://garments@main/", "./x/"),
    lambda: fs.cp_file(key, "garments@main/copy.txt"), lambda: ds.cache.keep(url),
    lambda: fs.head(key), lambda: fs.size(key), lambda: fs.glob(key + "*"), lambda: list(fs.walk("garments@main")),
):
    try:
        found = read()
    except ds.ValidationError as error:
        assert "frozen" in str(error) and "datastore" in error.hint, error
    else:
        print(found)
"""
    assert python(program, DATASTORE_FROZEN="1") == ""


def test_the_error_names_what_is_pinned_and_the_way_out(moved, freeze):
    freeze()
    with pytest.raises(
        ds.ValidationError, match=r"ds://garments@main/notes\.txt .*datastore\.lock does not name it"
    ) as caught:
        ds.resolve("ds://garments@main/notes.txt")
    assert "datastore lock add ds://garments@main/notes.txt" in str(caught.value.hint)
    assert "train (ds://garments@main/train/)" in str(caught.value.hint)
    assert caught.value.url == "ds://garments@main/notes.txt"


def test_commits_tags_and_pins_are_read_as_ever(moved, freeze):
    repo = moved.repo
    repo.create_tag("v1", "main")
    head, first = moved.head.id, moved.head.parents[0]
    pinned = ds.pinned("train")
    freeze()
    for ref in (head, head[:12], "v1", "v1~0"):
        assert ds.resolve(repo.url("train/0.csv", ref=ref)).read_bytes() == b"sku\n7\n"
        assert pd.read_csv(repo.url("train/0.csv", ref=ref))["sku"].tolist() == [7]
    assert ds.pinned("train") == pinned == repo.url("train/", ref=first)
    assert pd.read_csv(pinned / "0.csv")["sku"].tolist() == [1]
    for ref in ("main~1", "main@", "main^"):
        with pytest.raises(ds.ValidationError):
            ds.resolve(repo.url("train/0.csv", ref=ref))


def test_repos_are_read_as_ever_and_branches_are_written(moved, freeze):
    freeze()
    main = ds.repo("garments").branch("main")
    assert main.objects.read("train/0.csv").read() == b"sku\n7\n"
    assert len(main.repo.log("main")) == 3
    frame = pd.DataFrame({"x": [1, 2], "y": [3, 4]})
    with main.repo.experiment("try", base="main") as exp:
        frame.to_csv(exp / "out.csv")
        frame.to_parquet(exp / "out.parquet")
        frame.to_parquet(exp / "parts", partition_cols=["x"])
        commit = exp.commit("Results")
    assert len(pd.read_parquet(commit / "parts")) == 2
    with pytest.raises(ds.ValidationError):
        pd.read_csv(main.repo.branch("try") / "out.csv")


def test_what_this_process_writes_does_not_thaw_the_pin(moved, freeze):
    freeze()
    fs = ds.filesystem()
    fs.pipe_file("garments@main/train/0.csv", b"sku\n9\n")
    assert fs.cat_file("garments@main/train/0.csv") == b"sku\n1\n"
    assert pd.read_csv("ds://garments@main/train/0.csv")["sku"].tolist() == [1]


def test_nothing_is_pinned_and_nothing_is_changed(moved, freeze, project):
    text = (project / "datastore.lock").read_bytes()
    freeze()
    assert ds.pin("ds://garments@main/train/", name="train") == ds.pinned("train")  # a notebook that is run again
    for call in (
        lambda: ds.pin("ds://garments@main/train/", name="train", update=True),
        lambda: ds.pin("ds://garments@main/train/", name="other"),
    ):
        with pytest.raises(ds.Forbidden, match="is not changed"):
            call()
    assert (project / "datastore.lock").read_bytes() == text


def test_without_a_lock_file_everything_that_moves_is_refused(main, freeze):
    freeze()
    with pytest.raises(ds.ValidationError):
        ds.resolve(main / "train/")


def test_a_damaged_lock_file_is_an_error_and_not_a_thaw(moved, freeze, project):
    (project / "datastore.lock").write_text("<<<<<<< HEAD\n")
    freeze()
    for read in (lambda: ds.resolve(moved / "train/"), lambda: pd.read_csv("ds://garments@main/train/0.csv")):
        with pytest.raises(ds.ConfigError, match="line 1"):
            read()


@pytest.mark.parametrize("value", ["0", "no", "false", ""])
def test_no_is_no(moved, freeze, value):
    freeze(value)
    assert ds.resolve(moved / "train/0.csv").read_bytes() == b"sku\n7\n"


def test_a_value_that_is_neither_is_an_error(moved, freeze):
    freeze("perhaps")
    with pytest.raises(ds.ConfigError, match="DATASTORE_FROZEN is 'perhaps'"):
        ds.resolve(moved / "train/0.csv")


def test_the_configuration_can_say_it(moved, project):
    (project / "datastore.yaml").write_text("frozen: true\n")
    again()
    assert ds.resolve(moved / "train/0.csv").read_bytes() == b"sku\n1\n"
    with pytest.raises(ds.ValidationError):
        ds.resolve(moved / "notes.txt")


# several pins of one ref


@pytest.fixture
def two(main):
    """Two folders of one branch, pinned at different commits; both are others by now. The commits."""
    put(main, {"val/0.csv": b"sku\n3\n"}, "Validation")
    ds.pin(main / "train/", name="train")
    first = main.head.id
    put(main, {"val/0.csv": b"sku\n4\n", "train/0.csv": b"sku\n5\n"}, "Others")
    ds.pin(main / "val/", name="val")
    second = main.head.id
    put(main, {"val/0.csv": b"sku\n6\n", "train/0.csv": b"sku\n6\n"}, "Yet others")
    return first, second


def test_each_key_is_read_at_the_commit_of_its_own_pin(two, freeze, tmp_path):
    freeze()
    keys = ["garments@main/train/0.csv", "garments@main/val/0.csv"]
    wanted = [b"sku\n1\n", b"sku\n4\n"]
    fs = ds.filesystem()
    for order in (slice(None), slice(None, None, -1)):
        some, expected = keys[order], wanted[order]
        assert [fs.cat_file(key) for key in some] == expected
        assert [fs.cat(some)[key] for key in some] == expected
        assert fs.cat_ranges(some, 0, 100) == expected
        fs.get(some, [str(tmp_path / "a"), str(tmp_path / "b")])
        assert [(tmp_path / name).read_bytes() for name in "ab"] == expected
    assert [pd.read_csv(f"ds://{key}")["sku"][0] for key in keys] == [1, 4]


def test_one_dataset_of_two_pins_is_refused_rather_than_mixed(two, freeze):
    freeze()
    with pytest.raises((ds.ValidationError, OSError), match="pins another commit"):
        pads.dataset(
            ["garments@main/train/0.csv", "garments@main/val/0.csv"],
            format="csv",
            filesystem=ds.filesystem(at=f"garments@main={two[0]}"),
        ).to_table()


def test_the_pin_of_the_folder_nearest_to_the_key_counts(main, freeze):
    ds.pin(ds.url("ds://garments@main/"), name="all")
    put(main, {"train/0.csv": b"sku\n5\n", "notes.txt": b"second"}, "Others")
    ds.pin(main / "train/", name="train")
    put(main, {"train/0.csv": b"sku\n6\n", "notes.txt": b"third"}, "Yet others")
    freeze()
    assert ds.resolve(main / "train/0.csv").read_bytes() == b"sku\n5\n"
    assert ds.resolve(main / "notes.txt").read_bytes() == b"first"
    assert ds.filesystem().cat_file("garments/notes.txt") == b"first"


def test_two_pins_of_one_url_that_differ_have_to_be_told_apart(main, freeze):
    ds.pin(main / "notes.txt", name="old")
    put(main, {"notes.txt": b"second"}, "Others")
    ds.pin(main / "notes.txt", name="new")
    freeze()
    with pytest.raises(ds.ValidationError, match=r"'new', 'old'.* name different states") as caught:
        ds.resolve(main / "notes.txt")
    assert "ds.pinned('new')" in str(caught.value.hint)
    assert ds.resolve(ds.pinned("old")).read_bytes() == b"first"


def test_what_is_near_is_not_within():
    assert covers("", "anything", folder=True)
    assert covers("train/", "train/a/b", folder=True)
    assert covers("train", "train/", folder=True)
    for pinned, key in (("train/", "training/a"), ("train/", "trai"), ("train/", ""), ("a/b/", "a"), ("a/b/", "a/c")):
        assert not covers(pinned, key, folder=True)
    assert covers("a.csv", "a.csv", folder=False)
    assert not covers("a.csv", "a.csv.bak", folder=False)


# other processes and engines


def test_engines_read_the_pin(main, freeze, tmp_path):
    frame = pd.DataFrame({"x": range(10), "y": range(10)})
    frame.to_parquet(main / "set/0.parquet")
    frame.to_parquet(main / "set/1.parquet")
    main.commit("Set")
    ds.pin(main / "set/", name="set")
    frame[:5].to_parquet(main / "set/1.parquet")
    frame.to_parquet(main / "set/2.parquet")
    main.commit("Others")
    freeze()
    assert len(pd.read_parquet("ds://garments@main/set/")) == 20
    assert len(pd.read_parquet("ds://garments@main/set/1.parquet", columns=["y"])) == 10
    fs = ds.filesystem()
    assert pq.read_table("garments@main/set", filesystem=fs).num_rows == 20
    assert pads.dataset("garments@main/set", filesystem=fs).count_rows() == 20
    assert pickle.loads(pickle.dumps(fs)).cat_file("garments@main/set/1.parquet")[:4] == b"PAR1"


def test_a_worker_that_is_not_frozen_reads_what_its_parent_did(moved, freeze, monkeypatch):
    import fsspec

    freeze()
    opened = fsspec.open("ds://garments@main/train/0.csv")
    assert "garments@main" in opened.fs.pins
    state = pickle.dumps(opened)
    monkeypatch.delenv("DATASTORE_FROZEN")
    again()
    with pickle.loads(state) as file:
        assert file.read() == b"sku\n1\n"


# without versions


def test_a_bucket_is_read_while_it_is_what_was_pinned(freeze):
    ds.mount("raw", "memory", name="frozen-bucket")
    fs = ds.filesystem()
    fs.pipe({"raw/d/a.csv": b"sku\n1\n", "raw/d/b.csv": b"sku\n2\n", "raw/c.csv": b"sku\n3\n"})
    ds.pin("ds://raw/d/", name="d")
    freeze()
    ds.mount("raw", "memory", name="frozen-bucket")
    fs = ds.filesystem()
    assert pd.read_csv("ds://raw/d/a.csv")["sku"].tolist() == [1]
    assert (ds.resolve("ds://raw/d/") / "b.csv").read_bytes() == b"sku\n2\n"
    for read in (lambda: fs.cat_file("raw/c.csv"), lambda: ds.resolve("ds://raw/c.csv"), lambda: fs.ls("raw")):
        with pytest.raises(ds.ValidationError):
            read()
    fs.pipe_file("raw/d/a.csv", b"sku\n7\n")
    for read in (lambda: ds.resolve("ds://raw/d/"), lambda: ds.stream("ds://raw/d/"), lambda: ds.pinned("d")):
        with pytest.raises(ds.HeadMoved, match="not any more what 'd' pins"):
            read()
    again()
    ds.mount("raw", "memory", name="frozen-bucket")
    with pytest.raises(ds.HeadMoved):  # the file system looks once in a process
        ds.filesystem().cat_file("raw/d/a.csv")
