"""dask reads and writes through URLs: in threads, in processes, in a cluster of spawned workers."""

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import dask
import dask.bag as db
import dask.dataframe as dd
import fsspec
import pandas as pd
import pytest

from tests.engines.helpers import FRAME, change, committed, instances, requests

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask calls pandas in an old way


@pytest.fixture(scope="module")
def spawned():
    """Processes for all tests: to start them takes longer than what they do."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(params=["threads", "processes"])
def scheduler(request):
    pool = {"pool": request.getfixturevalue("spawned")} if request.param == "processes" else {}
    with dask.config.set(scheduler=request.param, num_workers=2, **pool):
        yield request.param


@pytest.fixture
def frame():
    return dd.from_pandas(FRAME, npartitions=4)


def test_parquet(base, scheduler, frame):
    frame.to_parquet(f"ds://{base}/t")
    assert len(fsspec.filesystem("ds").glob(f"{base}/t/part.*.parquet")) == 4
    for place in (base, committed(base)):
        found = dd.read_parquet(f"ds://{place}/t", columns=["a", "k"], filters=[("a", ">=", 500)])
        pd.testing.assert_frame_equal(found.compute(), FRAME[["a", "k"]][500:], check_dtype=False)
        assert dd.read_parquet(f"ds://{place}/t/*.parquet")["a"].sum().compute() == 499500


def test_overwritten_and_partitioned(base, frame):
    for _ in range(2):
        frame.to_parquet(f"ds://{base}/t", partition_on="k", overwrite=True)
    assert len(fsspec.filesystem("ds").find(f"{base}/t")) == 16
    found = dd.read_parquet(f"ds://{base}/t", filters=[("k", "==", "k1")])
    assert found["a"].sum().compute() == 124750


def test_csv(base, scheduler, frame):
    frame.to_csv(f"ds://{base}/t/*.csv", index=False)
    for place in (base, committed(base)):
        found = dd.read_csv(f"ds://{place}/t/*.csv", blocksize=2000)
        assert found.npartitions > 4
        pd.testing.assert_frame_equal(found.compute().reset_index(drop=True), FRAME, check_dtype=False)


def test_bags(base, scheduler):
    db.from_sequence(range(100), npartitions=3).map(str).to_textfiles(f"ds://{base}/b/*.txt.gz")
    for place in (base, committed(base)):
        assert db.read_text(f"ds://{place}/b/*.txt.gz").map(int).sum().compute() == 4950


def test_a_write_that_fails_publishes_nothing_of_the_part_that_failed(branch):
    def fail(part):
        if part["a"].iloc[0] >= 500:
            raise ValueError("stop here")
        return part

    frame = dd.from_pandas(FRAME, npartitions=4).map_partitions(fail, meta=FRAME)
    with pytest.raises(ValueError, match="stop here"), dask.config.set(scheduler="synchronous"):
        frame.to_csv(f"ds://{branch}/t/*.csv")
    for path in fsspec.filesystem("ds").find(branch):
        assert len(pd.read_csv(f"ds://{path}")) == 250


def test_names_of_graphs_follow_the_content(branch):
    FRAME.to_parquet(f"ds://{branch}/t/0.parquet")
    FRAME.to_csv(f"ds://{branch}/t.csv")
    change(f"{branch}/other", b"1")

    def names():
        return dd.read_parquet(f"ds://{branch}/t")._name, dd.read_csv(f"ds://{branch}/t.csv")._name

    first = names()
    assert names() == first
    FRAME[:10].to_parquet(f"ds://{branch}/t/0.parquet")
    FRAME[:10].to_csv(f"ds://{branch}/t.csv")
    second = names()
    assert not set(first) & set(second)
    committed(branch)
    third = names()
    FRAME.to_parquet(f"ds://{branch}/t/0.parquet")
    FRAME.to_csv(f"ds://{branch}/t.csv")
    committed(branch)
    assert not set(third) & set(names())
    assert len(dd.read_parquet(f"ds://{branch}/t")) == len(dd.read_csv(f"ds://{branch}/t.csv")) == 1000


def test_a_graph_reads_the_commit_that_it_was_made_for(branch):
    FRAME.to_parquet(f"ds://{branch}/t/0.parquet")
    committed(branch)
    lazy = dd.read_parquet(f"ds://{branch}/t")
    FRAME[:10].to_parquet(f"ds://{branch}/t/0.parquet")
    committed(branch)
    assert len(lazy) == 1000
    assert len(dd.read_parquet(f"ds://{branch}/t")) == 10


def test_tokens_are_the_same_in_every_process(branch):
    import subprocess
    import sys

    program = (
        "import sys, fsspec; from dask.base import tokenize;"
        "print(tokenize(fsspec.filesystem('ds')), fsspec.filesystem('ds').ukey(sys.argv[1]))"
    )
    change(f"{branch}/a", b"1")
    found = {
        subprocess.run(
            [sys.executable, "-c", program, f"{branch}/a"], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    from dask.base import tokenize

    fs = fsspec.filesystem("ds")
    assert found == {f"{tokenize(fs)} {fs.ukey(f'{branch}/a')}\n"}


def test_threads_share_an_instance(branch, frame, monkeypatch):
    frame.to_parquet(f"ds://{branch}/t")
    committed(branch)
    lazy = dd.read_parquet(f"ds://{branch}/t", filesystem=fsspec.filesystem("ds"))
    with instances(monkeypatch, "open") as (seen, _), dask.config.set(scheduler="threads", num_workers=4):
        assert len(lazy.compute()) == 1000
    assert seen == {id(fsspec.filesystem("ds"))}


def test_the_real_error_is_told(refused):
    for read in (dd.read_parquet, dd.read_csv, lambda url: db.read_text(url).compute(scheduler="synchronous")):
        with pytest.raises(Exception, match="the credentials have expired"):
            read(f"ds://{refused}/t.parquet")


def test_reads_of_the_store(branch, frame, counts):
    frame.to_parquet(f"ds://{branch}/t")
    with dask.config.set(scheduler="threads"):
        for place in (branch, committed(branch)):
            counts.clear()
            dd.read_parquet(f"ds://{place}/t").compute()
            assert counts <= Counter(head=2, list=3, read=4)


def test_requests_to_a_bucket(s3, frame):
    frame.to_parquet(f"ds://{s3}/t")
    with requests() as methods, dask.config.set(scheduler="threads"):
        dd.read_parquet(f"ds://{s3}/t").compute()
    assert methods <= Counter(HEAD=7, GET=7)
