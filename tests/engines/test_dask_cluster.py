"""dask's workers in processes of their own, that know nothing but what they are handed."""

import dask.dataframe as dd
import fsspec
import pandas as pd
import pytest
from distributed import Client, LocalCluster

import datastore as ds
from tests.engines.helpers import FRAME, change, committed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The inplace keyword"),  # dask calls pandas in an old way
]


@pytest.fixture(scope="module", autouse=True)
def client():
    # Started before any test has a place of its own: workers inherit neither its environment nor its folder.
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as found,
    ):
        yield found


def test_spawned_workers_read_and_write(base):
    dd.from_pandas(FRAME, npartitions=4).to_parquet(f"ds://{base}/t")
    for seen in (base, committed(base)):
        found = dd.read_parquet(f"ds://{seen}/t")
        pd.testing.assert_frame_equal(found.compute(), FRAME, check_dtype=False)
    found.to_csv(f"ds://{base}/c/*.csv")
    assert dd.read_csv(f"ds://{base}/c/*.csv")["a"].sum().compute() == 499500


def test_workers_read_the_commit_that_the_graph_was_made_for(repo):
    FRAME.to_parquet("ds://garments@main/t/0.parquet")
    committed("garments@main")
    lazy = dd.read_parquet("ds://garments@main/t")
    FRAME[:10].to_parquet("ds://garments@main/t/0.parquet")
    committed("garments@main")
    assert len(lazy.compute()) == 1000


def test_an_instance_that_is_handed_to_workers(client, repo):
    change("garments@main/a", b"1")
    fs = ds.filesystem(at={"garments@main": committed("garments@main").partition("@")[2]})
    change("garments@main/a", b"2")
    assert client.submit(fs.cat_file, "garments@main/a").result() == b"1"
    assert client.submit(fsspec.filesystem("ds").cat_file, "garments@main/a").result() == b"2"


def test_a_worker_that_fails_says_why_and_publishes_nothing(client, repo):
    def half(fs, path):
        with fs.open(path, "wb") as file:
            file.write(b"half")
            raise ValueError("stop here")

    fs = fsspec.filesystem("ds")
    with pytest.raises(ValueError, match="stop here"):
        client.submit(half, fs, "garments@main/a").result()
    with pytest.raises(ds.NotFound, match="gone"):
        client.submit(fs.cat_file, "garments@main/gone").result()
    assert fs.find("garments@main") == []
