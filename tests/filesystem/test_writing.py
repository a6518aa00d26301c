"""Writers publish a whole object or nothing; what is deleted is exactly what was named."""

# ruff: noqa: TRY301 - what fails inside a block is the point here

import gc
import io
import logging
import pickle
import threading

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from datastore.errors import AlreadyExists, Forbidden, HeadMoved, NotFound, UnsupportedOperation, ValidationError
from datastore.fs.paths import IsPrefix
from datastore.fs.system import DatastoreFileSystem
from datastore.namespace import current
from datastore.values import DeleteFailure
from tests.filesystem.helpers import Wrapper


@pytest.fixture
def path(base):
    return f"{base}/d/a.bin"


@pytest.fixture(params=["writer", "spool"])
def memory_path(request, mem, wrapped):
    """Memory with a writer of its own, and without: bodies are then collected first."""
    if request.param == "spool":
        wrapped(Wrapper)
    return f"{mem}/d/a.bin"


# whole or not at all


def test_nothing_is_seen_before_the_writer_is_closed(fs, path):
    with fs.open(path, "wb") as f:
        f.write(b"a" * 3_000_000)
        f.flush()
        assert f.tell() == 3_000_000
        assert not fs.exists(path)
        f.write(b"b")
    assert fs.size(path) == 3_000_001
    assert fs.cat_file(path, -2) == b"ab"


def test_a_failing_block_leaves_the_old_object(fs, path):
    fs.pipe_file(path, b"old")
    with pytest.raises(ZeroDivisionError), fs.open(path, "wb") as f:
        f.write(b"new")
        raise ZeroDivisionError
    assert f.closed
    assert fs.cat_file(path) == b"old"
    with pytest.raises(ZeroDivisionError), fs.open(path, "w") as text:
        text.write("new")
        raise ZeroDivisionError
    assert fs.cat_file(path) == b"old"
    with pytest.raises(ZeroDivisionError), fs.open(path, "wb", compression="gzip") as packed:
        packed.write(b"new")
        raise ZeroDivisionError
    assert fs.cat_file(path) == b"old"
    with pytest.raises(ZeroDivisionError), fsspec.open(f"ds://{path}", "wt", compression="gzip") as packed:
        packed.write("new")
        raise ZeroDivisionError
    assert fs.cat_file(path) == b"old"


@pytest.mark.parametrize("size", [10, 40 << 20])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, None])
def test_s15_an_error_ctrl_c_or_a_forgotten_writer_leaves_the_target_and_no_upload(fs, base, error, size):
    path = f"{base}/new.bin"
    fs.pipe_file(path, b"old")
    if error is None:
        forgotten = fs.open(path, "wb")
        forgotten.write(bytes(size))
        del forgotten
        gc.collect()
    else:
        with pytest.raises(error), fs.open(path, "wb") as f:
            f.write(bytes(size))
            raise error
    assert fs.cat_file(path) == b"old"
    if base == "gate":  # lakeFS does not tell; tests/providers/lakefs asks its storage
        assert current().target(f"ds://{path}").provider.uploads("new.bin") == []


def test_a_writer_that_is_only_dropped_publishes_nothing(fs, memory_path, caplog):
    for mode, options in (("wb", {}), ("w", {}), ("wb", {"compression": "gzip"}), ("xb", {}), ("ab", {})):
        f = DatastoreFileSystem().open(memory_path, mode, **options)
        f.write("text" if mode == "w" else b"bytes")
        with caplog.at_level(logging.WARNING, "datastore"):
            del f
            gc.collect()
        assert "never closed" in caplog.text
        caplog.clear()
        assert not DatastoreFileSystem().exists(memory_path)


def test_a_writer_in_a_cycle_publishes_nothing(fs, path):
    cycle = [fs.open(path, "wb")]
    cycle.append(cycle)
    cycle[0].write(b"x")
    del cycle
    gc.collect()
    assert not fs.exists(path)


def test_a_failing_to_csv_publishes_nothing(path):
    class Bad:
        def __str__(self):
            raise ValueError("cannot be written")

    frame = pd.DataFrame({"a": [*range(100_000), Bad()]}, dtype=object)
    with pytest.raises(ValueError, match="cannot be written") as caught:
        frame.to_csv(f"ds://{path}")
    assert any("was not written" in note for note in caught.value.__notes__)
    assert not fsspec.filesystem("ds").exists(path)


def test_a_failing_parquet_writer_publishes_nothing(fs, path):
    table = pa.table({"a": [1, 2, 3]})

    def batches():
        yield from table.to_batches()
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"), pq.ParquetWriter(path, table.schema, filesystem=fs) as writer:
        for batch in batches():
            writer.write_batch(batch)
    assert not fs.exists(path)


@pytest.mark.parametrize("kind", ["parquet", "csv", "feather"])
def test_a_failing_dataset_of_pyarrow_publishes_no_file_that_was_not_finished(fs, base, kind):
    schema = pa.schema({"a": pa.int64()})

    def batches():
        yield pa.record_batch({"a": pa.array(range(100_000))}, schema=schema)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        pads.write_dataset(batches(), f"{base}/d", schema=schema, format=kind, filesystem=fs)
    gc.collect()
    assert fs.find(base) == []


def test_a_failing_pickle_or_parquet_of_pandas_publishes_nothing(fs, path):
    frame = pd.DataFrame({"a": [1, lambda: None]})
    for write in (frame.to_pickle, frame.to_parquet):
        with pytest.raises((AttributeError, TypeError, pa.ArrowException, pickle.PicklingError)):
            write(f"ds://{path}")
        assert not fs.exists(path)


def test_writing_inside_an_except_block_publishes(fs, path):
    try:
        raise KeyError
    except KeyError:
        with fs.open(path, "wb") as f:
            f.write(b"1")
        pd.DataFrame({"a": [1]}).to_csv(f"ds://{path}.csv")
    assert fs.cat_file(path) == b"1"
    assert fs.exists(f"{path}.csv")


def test_a_block_entered_inside_an_except_block_publishes(fs, path):
    f = fs.open(path, "wb")
    try:
        raise KeyError
    except KeyError:
        with f:
            f.write(b"1")
    assert fs.cat_file(path) == b"1"


def test_closing_during_another_exception_publishes_nothing_and_says_so(fs, path, caplog):
    f = fs.open(path, "wb")
    f.write(b"1")
    with caplog.at_level(logging.WARNING, "datastore"):
        try:
            raise KeyError("x")
        except KeyError:
            f.close()
    assert "was not written" in caplog.text
    assert not fs.exists(path)


@pytest.mark.parametrize("give_up", ["abort", "discard"])
def test_giving_up(fs, path, give_up):
    f = fs.open(path, "wb")
    f.write(b"1")
    getattr(f, give_up)()
    f.close()
    assert not fs.exists(path)
    with pytest.raises(ValueError, match="closed"):
        f.write(b"2")


def test_closing_twice_writes_once(fs, mem, counts):
    f = fs.open(f"{mem}/a", "wb")
    f.write(b"1")
    f.close()
    fs.pipe_file(f"{mem}/a", b"2")
    f.close()
    assert fs.cat_file(f"{mem}/a") == b"2"


def test_an_error_of_the_store_is_raised_once(mem, wrapped):
    class Full(Wrapper):
        def put(self, key, body, **options):
            raise OSError(28, "No space left on device")

    wrapped(Full)
    fs = DatastoreFileSystem()
    f = fs.open(f"{mem}/a", "wb")
    f.write(b"1")
    with pytest.raises(OSError, match="No space"):
        f.close()
    f.close()
    assert not fs.exists(f"{mem}/a")


def test_a_failed_write_publishes_nothing_although_it_is_closed(fs, path, monkeypatch):
    f = fs.open(path, "wb")
    f.write(b"1" * 200_000)
    monkeypatch.setattr(f._writer, "write", lambda data: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        f.write(b"2" * 200_000)
    f.close()
    assert not fs.exists(path)


def test_a_writer_does_not_pickle(fs, path):
    with fs.open(path, "wb") as f, pytest.raises(TypeError, match="writing"):
        pickle.dumps(f)


# what can be written


def test_anything_with_bytes_can_be_written(fs, path):
    array = np.arange(5, dtype="int32")
    with fs.open(path, "wb") as f:
        assert f.write(array) == 20
        assert f.write(memoryview(array)) == 20
        assert f.write(bytearray(b"x")) == 1
        assert f.write(pa.py_buffer(b"yz")) == 2
        f.writelines([b"1", b"2"])
        with pytest.raises(TypeError):
            f.write("text")
    assert fs.cat_file(path) == array.tobytes() * 2 + b"xyz12"
    fs.pipe_file(path, array)
    assert fs.cat_file(path) == array.tobytes()
    with pytest.raises(TypeError):
        fs.pipe_file(path, "text")


def test_large_bodies_without_a_writer_of_the_store(wrapped, mem):
    wrapped(Wrapper)
    fs, data = DatastoreFileSystem(), bytes(1 << 20) * 20
    with fs.open(f"{mem}/a", "wb") as f:
        for start in range(0, len(data), 700_000):
            f.write(data[start : start + 700_000])
    assert fs.cat_file(f"{mem}/a") == data


def test_attributes(fs, repo, mem):
    for base in ("garments@main", mem):
        path = f"{base}/a.bin"
        with fs.open(path, "wb", content_type="image/x-own", metadata={"run": "1"}) as f:
            f.write(b"1")
        assert (fs.info(path)["content_type"], fs.info(path)["metadata"]) == ("image/x-own", {"run": "1"})
        fs.pipe_file(path, b"2", metadata={"run": "2"})
        assert (fs.info(path)["content_type"], fs.info(path)["metadata"]) == ("application/octet-stream", {"run": "2"})


def test_zip_files_and_archives_can_be_written(fs, path):
    import zipfile

    with fs.open(path, "wb") as f, zipfile.ZipFile(f, "w") as archive:
        archive.writestr("a.txt", "hello")
    with fs.open(path) as f, zipfile.ZipFile(f) as archive:
        assert archive.read("a.txt") == b"hello"
    pd.DataFrame({"a": [1]}).to_csv(f"ds://{path}.zip")
    assert pd.read_csv(f"ds://{path}.zip")["a"].tolist() == [1]
    np.save(buffer := io.BytesIO(), np.arange(3))
    with fs.open(path, "wb") as f:
        np.save(f, np.arange(3))
    assert fs.cat_file(path) == buffer.getvalue()


# create


def test_exclusive_creation(fs, path):
    with fs.open(path, "xb") as f:
        f.write(b"1")
    with pytest.raises(AlreadyExists):
        fs.open(path, "xb")
    with pytest.raises(FileExistsError):
        fs.open(path, "x")
    with pytest.raises(FileExistsError):
        fs.pipe_file(path, b"2", mode="create")
    with pytest.raises(ValidationError, match="mode"):
        fs.pipe_file(path, b"2", mode="new")
    assert fs.cat_file(path) == b"1"


@pytest.mark.parametrize("data", [b"mine", b""])
def test_who_loses_the_race_to_create_is_told(memory_path, data):
    fs = DatastoreFileSystem()
    f = fs.open(memory_path, "xb")
    f.write(data)
    fs.pipe_file(memory_path, b"theirs")
    with pytest.raises(AlreadyExists):
        f.close()
    assert fs.cat_file(memory_path) == b"theirs"


def test_one_of_many_creates(fs, base):
    if base == "gate":
        pytest.skip("versitygw looks first, then writes")
    path, won, lost = f"{base}/a", [], []
    ready = threading.Barrier(6, timeout=20)

    def create(n):
        ready.wait()
        try:
            with fs.open(path, "xb") as f:
                f.write(b"%d" % n)
            won.append(n)
        except FileExistsError:
            lost.append(n)

    threads = [threading.Thread(target=create, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 5
    assert fs.cat_file(path) == b"%d" % won[0]


# append


def test_append(fs, path):
    for piece in (b"one\n", b"two\n"):
        with fs.open(path, "ab") as f:
            f.write(piece)
    with fs.open(path, "a") as f:
        f.write("three\n")
    assert fs.cat_file(path) == b"one\ntwo\nthree\n"
    with fs.open(path, "ab") as f:
        assert f.tell() == 14
    pd.DataFrame({"a": [1]}).to_csv(f"ds://{path}.csv", index=False)
    pd.DataFrame({"a": [2]}).to_csv(f"ds://{path}.csv", index=False, header=False, mode="a")
    assert pd.read_csv(f"ds://{path}.csv")["a"].tolist() == [1, 2]
    with fs.open(f"{path}.gz", "ab", compression="gzip") as f:
        f.write(b"1")
    with fs.open(f"{path}.gz", "ab", compression="gzip") as f:
        f.write(b"2")
    with fs.open(f"{path}.gz", "rb", compression="gzip") as f:
        assert f.read() == b"12"


def test_append_keeps_attributes(fs, mem):
    fs.pipe_file(f"{mem}/a.bin", b"1", content_type="text/x-own", metadata={"run": "1"})
    with fs.open(f"{mem}/a.bin", "ab") as f:
        f.write(b"2")
    info = fs.info(f"{mem}/a.bin")
    assert (info["content_type"], info["metadata"], info["size"]) == ("text/x-own", {"run": "1"}, 2)


@pytest.mark.parametrize("old", [b"old", None])
def test_append_never_loses_what_somebody_else_wrote(memory_path, old):
    fs = DatastoreFileSystem()
    if old is not None:
        fs.pipe_file(memory_path, old)
    f = fs.open(memory_path, "ab")
    f.write(b"mine")
    fs.pipe_file(memory_path, b"theirs")
    with pytest.raises(HeadMoved if old is not None else AlreadyExists):
        f.close()
    assert fs.cat_file(memory_path) == b"theirs"


# places that cannot be written


def test_mounts_and_roots_are_no_objects(fs, base):
    for verb in (lambda p: fs.open(p, "wb"), lambda p: fs.pipe_file(p, b""), fs.touch):
        with pytest.raises(IsPrefix, match="mount or repo"):
            verb(base)
        with pytest.raises(ValueError, match="names no mount"):
            verb("")


def test_tags_and_commits_are_read_only_from_the_first_moment(fs, repo):
    fs.pipe_file("garments@main/a", b"1")
    commit = repo.branch("main").commit("first")
    repo.create_tag("v1", "main")
    for ref in ("v1", commit.id, "main~0", "main@"):
        with pytest.raises(Forbidden):
            fs.open(f"garments@{ref}/a", "wb")
        with pytest.raises(Forbidden):
            fs.pipe_file(f"garments@{ref}/a", b"2")
        with pytest.raises(Forbidden):
            fs.rm(f"garments@{ref}/a")
    assert fs.cat_file("garments@main/a") == b"1"


def test_no_branch_is_made_by_a_typo(fs, repo):
    with pytest.raises(NotFound):
        fs.open("garments@mian/a", "wb")
    with pytest.raises(NotFound):
        pd.DataFrame({"a": [1]}).to_csv("ds://garments@mian/a.csv")
    with pytest.raises(NotFound):
        pd.DataFrame({"a": [1]}).to_parquet("ds://garmens@main/a.parquet")
    assert [branch.name for branch in repo.branches()] == ["main"]


@pytest.mark.parametrize("key", ["a/../b", "a//b", "./a", "a/./b"])
def test_keys_that_may_not_be_written(fs, base, key):
    with pytest.raises(ValueError, match="segment"):
        fs.open(f"{base}/{key}", "wb")
    with pytest.raises(ValueError, match="segment"):
        fs.pipe_file(f"{base}/{key}", b"")
    assert fs.find(base) == []


def test_transactions_point_at_the_real_ones(fs, path):
    for begin in (lambda: fs.transaction, fs.start_transaction, lambda: fs.open(path, "wb", autocommit=False)):
        with pytest.raises(UnsupportedOperation) as caught:
            begin()
        assert "transaction()" in caught.value.hint


def test_options_of_other_writers_are_accepted(fs, path):
    with fs.open(path, "wb", block_size=5, cache_options={}) as f:
        f.write(b"1")
    with fs.open(path, "rb", block_size=5, cache_type="none", size=1) as f:
        assert f.read() == b"1"


def test_touch(fs, path):
    fs.touch(path, truncate=False)
    assert fs.size(path) == 0
    fs.pipe_file(path, b"1")
    with pytest.raises(UnsupportedOperation, match="time"):
        fs.touch(path, truncate=False)
    assert fs.cat_file(path) == b"1"
    fs.touch(path)
    assert fs.size(path) == 0


def test_stores_on_this_machine_sign_no_urls(fs, path, base):
    if base in {"gate", "lake@main"}:
        pytest.skip("it is not on this machine")
    with pytest.raises(UnsupportedOperation):
        fs.sign(path)


# deletions


@pytest.fixture
def tree(fs, base):
    fs.pipe({f"{base}/{key}": b"1" for key in ("a", "ab", "d/a", "d/e/b", "d2/c")})
    return base


def left(fs, base):
    return [name[len(base) + 1 :] for name in fs.find(base)]


def test_exactly_what_is_named_is_deleted(fs, tree):
    fs.rm(f"{tree}/a")
    assert left(fs, tree) == ["ab", "d/a", "d/e/b", "d2/c"]
    fs.rm(f"{tree}/d", recursive=True)
    assert left(fs, tree) == ["ab", "d2/c"]
    fs.rm([f"{tree}/ab", f"ds://{tree}/d2/c"])
    assert left(fs, tree) == []
    assert fs.isdir(tree)


def test_what_is_missing_or_a_prefix_stops_a_deletion_before_it_begins(fs, tree):
    before = left(fs, tree)
    with pytest.raises(NotFound):
        fs.rm(f"{tree}/missing")
    with pytest.raises(NotFound):
        fs.rm(f"{tree}/missing", recursive=True)
    with pytest.raises(NotFound):
        fs.rm([f"{tree}/a", f"{tree}/missing"])
    with pytest.raises(IsADirectoryError) as caught:
        fs.rm(f"{tree}/d")
    assert "recursive" in caught.value.hint
    with pytest.raises(IsADirectoryError):
        fs.rm([f"{tree}/a", f"{tree}/d"])
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{tree}/*")
    with pytest.raises(IsADirectoryError):
        fs.rm(tree)
    with pytest.raises(NotFound):
        fs.rm_file(f"{tree}/missing")
    with pytest.raises(NotFound):
        fs.rm(f"{tree}/x*")
    with pytest.raises(ValueError, match="names no mount"):
        fs.rm("", recursive=True)
    assert left(fs, tree) == before


def test_a_mount_is_emptied_and_stays(fs, tree):
    fs.rm(tree, recursive=True)
    assert left(fs, tree) == []
    assert fs.isdir(tree)
    fs.rm(tree, recursive=True)


def test_depth(fs, tree):
    fs.rm(f"{tree}/d", recursive=True, maxdepth=1)
    assert left(fs, tree) == ["a", "ab", "d/e/b", "d2/c"]


def test_a_name_that_looks_like_a_pattern_deletes_that_object(fs, mem):
    fs.pipe({f"{mem}/[1].csv": b"", f"{mem}/1.csv": b"", f"{mem}/*": b""})
    fs.rm(f"{mem}/[1].csv")
    fs.rm(f"{mem}/*")
    assert left(fs, mem) == ["1.csv"]
    fs.rm(f"{mem}/[1].csv")
    assert left(fs, mem) == []


def test_one_batch(fs, mem, counts):
    fs.pipe({f"{mem}/d/{n}": b"" for n in range(100)})
    counts.clear()
    fs.rm(f"{mem}/d", recursive=True)
    assert counts["delete"] == 1
    assert counts["list"] <= 2


def test_a_failed_deletion_names_the_key(wrapped, mem):
    class Stubborn(Wrapper):
        def delete(self, keys):
            return [DeleteFailure(key, Forbidden("held by law")) for key in keys]

    wrapped(Stubborn)
    fs = DatastoreFileSystem()
    fs.pipe({f"{mem}/d/a": b"", f"{mem}/d/b": b""})
    with pytest.raises(Forbidden, match=r"mem/d/a and 1 more: held by law"):
        fs.rm(f"{mem}/d", recursive=True)
