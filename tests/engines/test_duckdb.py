"""DuckDB reads and writes through `register_filesystem`."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import duckdb
import fsspec
import pytest

import datastore as ds
from datastore.errors import NotFound
from tests.engines.helpers import FRAME, change, committed, instances, requests

FORMATS = {"parquet": "(FORMAT parquet)", "csv": "(FORMAT csv, HEADER)", "json": "(FORMAT json)"}


@pytest.fixture
def con():
    with duckdb.connect() as connection:
        connection.register_filesystem(fsspec.filesystem("ds"))
        yield connection


@pytest.fixture
def parts(base):
    """A folder of four Parquet files."""
    for n in range(4):
        FRAME[n * 250 : (n + 1) * 250].to_parquet(f"ds://{base}/d/part {n}.parquet", index=False)
    return base


@pytest.mark.parametrize("kind", FORMATS)
def test_copy_and_select(con, base, kind):
    con.execute(
        f"COPY (SELECT range AS a, range % 3 AS k FROM range(1000)) TO 'ds://{base}/x/t.{kind}' {FORMATS[kind]}"
    )
    assert fsspec.filesystem("ds").find(base) == [f"{base}/x/t.{kind}"]
    for place in (base, committed(base)):
        found = con.sql(f"SELECT sum(a), count(DISTINCT k) FROM 'ds://{place}/x/t.{kind}'").fetchall()
        assert found == [(499500, 3)]


def test_a_glob_with_columns_and_a_filter(con, parts):
    for place in (parts, committed(parts)):
        source = f"read_parquet('ds://{place}/d/*.parquet', filename = true)"
        found = con.sql(f"SELECT filename, count(*) FROM {source} WHERE a >= 500 GROUP BY ALL ORDER BY ALL").fetchall()
        assert found == [(f"ds://{place}/d/part {n}.parquet", 250) for n in (2, 3)]
        assert con.sql(f"SELECT sum(a) FROM 'ds://{place}/**/*.parquet'").fetchall() == [(499500,)]
    assert con.sql(f"SELECT * FROM 'ds://{parts}/d/part 1.parquet'").df()["k"].tolist() == FRAME["k"][250:500].tolist()


def test_partitions(con, base):
    con.register("frame", FRAME)
    write = f"COPY frame TO 'ds://{base}/p' (FORMAT parquet, PARTITION_BY (k)"
    con.execute(write + ")")
    assert len(fsspec.filesystem("ds").glob(f"{base}/p/k=*/*.parquet")) == 4
    source = "read_parquet('ds://{}/p/*/*.parquet', hive_partitioning = true)"
    for place in (base, committed(base)):
        assert con.sql(f"SELECT sum(a) FROM {source.format(place)} WHERE k = 'k1'").fetchall() == [(124750,)]
    with pytest.raises(duckdb.IOException, match="not empty"):
        con.execute(write + ")")
    con.execute(write + ", OVERWRITE)")
    assert con.sql(f"SELECT count(*) FROM {source.format(base)}").fetchall() == [(1000,)]


def test_copy_over_an_existing_file_leaves_the_new_one_alone(con, base):
    for count in (10, 2000):
        con.execute(f"COPY (SELECT * FROM range({count})) TO 'ds://{base}/t.parquet' (FORMAT parquet)")
        assert con.sql(f"SELECT count(*) FROM 'ds://{base}/t.parquet'").fetchall() == [(count,)]
        assert fsspec.filesystem("ds").find(base) == [f"{base}/t.parquet"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_copy_that_fails_publishes_nothing(con, base, kind):
    fails = "SELECT CASE WHEN range = 900000 THEN error('stop here') ELSE range::VARCHAR END AS a FROM range(1000000)"
    fs = fsspec.filesystem("ds")
    with pytest.raises(duckdb.InvalidInputException, match="stop here"):
        con.execute(f"COPY ({fails}) TO 'ds://{base}/t.{kind}' {FORMATS[kind]}")
    assert fs.find(base) == []
    change(f"{base}/t.{kind}", b"old")
    with pytest.raises(duckdb.InvalidInputException, match="stop here"):
        con.execute(f"COPY ({fails}) TO 'ds://{base}/t.{kind}' {FORMATS[kind]}")
    assert fs.cat(base, recursive=True) == {f"{base}/t.{kind}": b"old"}


def test_commits_are_read_only(con, base):
    change(f"{base}/a", b"1")
    place = committed(base)
    if "@" not in place:
        pytest.skip("a bucket has no commits")
    with pytest.raises(duckdb.Error, match="cannot be written to"):
        con.execute(f"COPY (SELECT 1) TO 'ds://{place}/t.parquet' (FORMAT parquet)")


def test_what_somebody_else_writes_is_seen_at_once(con, base):
    target = f"ds://{base}/t.parquet"
    for count in (10, 20, 30):
        FRAME[:count].to_parquet(target)
        assert con.sql(f"SELECT count(*), max(a) FROM '{target}'").fetchall() == [(count, count - 1)]
        committed(base)
        assert con.sql(f"SELECT count(*) FROM '{target}'").fetchall() == [(count,)]


def test_pins_hold_for_a_connection(branch):
    FRAME[:10].to_parquet(f"ds://{branch}/t.parquet")
    commit = committed(branch).partition("@")[2]
    FRAME[:20].to_parquet(f"ds://{branch}/t.parquet")
    with duckdb.connect() as con:
        con.register_filesystem(ds.filesystem(at={branch: commit}))
        assert con.sql(f"SELECT count(*) FROM 'ds://{branch}/t.parquet'").fetchall() == [(10,)]


def test_threads_of_the_engine_share_the_instance(con, branch, monkeypatch):
    for n in range(32):
        FRAME.to_parquet(f"ds://{branch}/d/{n}.parquet")
    con.execute("SET threads = 4")
    with instances(monkeypatch, "open") as (seen, _):
        workers = [
            threading.Thread(
                target=lambda: con.cursor().sql(f"SELECT sum(f) FROM 'ds://{branch}/d/*.parquet'").fetchall()
            )
            for _ in range(3)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert seen == {id(fsspec.filesystem("ds"))}


def test_the_real_error_is_told(con, refused, branch):
    with pytest.raises(Exception, match="the credentials have expired"):
        con.sql(f"SELECT * FROM 'ds://{refused}/t.parquet'")
    with pytest.raises(Exception, match="garmens"):
        con.sql("SELECT * FROM 'ds://garmens@main/t.parquet'")
    with pytest.raises(duckdb.IOException, match="No files found"):
        con.sql(f"SELECT * FROM 'ds://{branch}/t.parquet'")


def test_names_that_are_no_patterns(con, branch):
    for name in ("a b #1", "what?", "100%20", "ü/日本"):
        FRAME.to_parquet(f"ds://{branch}/{name}.parquet")
        assert con.sql(f"SELECT count(*) FROM 'ds://{branch}/{name}.parquet'").fetchall() == [(1000,)]


def test_reads_of_the_store(con, branch, counts):
    for n in range(32):
        FRAME.to_parquet(f"ds://{branch}/d/{n}.parquet")
    pinned = committed(branch)
    for path, most in (
        (f"{branch}/d/0.parquet", Counter(head=2, read=4)),
        (f"{branch}/d/*.parquet", Counter(list=2, read=66)),
        (f"{pinned}/d/0.parquet", Counter(head=1, read=1)),
        (f"{pinned}/d/*.parquet", Counter(list=1, read=31)),
    ):
        counts.clear()
        con.sql(f"SELECT sum(a) FROM 'ds://{path}'").fetchall()
        assert counts <= most, path


def test_requests_to_a_bucket(con, s3):
    for n in range(32):
        FRAME.to_parquet(f"ds://{s3}/d/{n}.parquet")
    for path, most in (
        (f"{s3}/d/0.parquet", Counter(HEAD=2, GET=4)),
        (f"{s3}/d/*.parquet", Counter(GET=2 + 66)),
    ):
        with requests() as methods:
            con.sql(f"SELECT sum(a) FROM 'ds://{path}'").fetchall()
        assert methods <= most, path


def test_a_folder_that_was_made_can_be_looked_into_at_once(fs, branch):
    with pytest.raises(NotFound):
        fs.ls(f"{branch}/d")
    fs.mkdir(f"{branch}/d")
    assert fs.ls(f"{branch}/d") == []  # as DuckDB does before it writes partitions
    assert not fs.isdir(f"{branch}/d")
    with pytest.raises(NotFound):
        in_another_thread(fs.ls, f"{branch}/d")
    assert not fs.exists(f"{branch}/e")
    with pytest.raises(NotFound):
        fs.ls(f"{branch}/d")


def test_what_is_asked_of_a_file_is_answered_for_the_version_that_is_open(fs, branch):
    path = f"{branch}/a"
    change(path, b"1")
    with fs.open(path) as file:
        change(path, b"22")  # by somebody else, between its `open` and its `size`
        assert (fs.size(path), fs.modified(path)) == (1, file.info()["LastModified"])
        assert in_another_thread(fs.size, path) == 2
    assert fs.size(path) == 2
    dropped = fs.open(path)
    change(path, b"333")
    del dropped
    assert fs.size(path) == 3
    with fs.open(path):
        fs.pipe_file(path, b"4444")
        assert fs.size(path) == 4


def in_another_thread(call, *args):
    """Call it in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call, *args).result()
