"""Streams over a network: the same rows, and no request that is not needed."""

import pytest

import datastore as ds
from datastore.http.observe import observed
from datastore.streaming import units
from tests.streaming import data

pytestmark = pytest.mark.servers


@pytest.fixture(params=["versitygw", "lakefs"])
def root(request):
    """An empty prefix of a real server."""
    server = request.getfixturevalue(request.param)
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key, "endpoint": server.endpoint}
    if request.param == "lakefs":
        ds.mount("remote", "lakefs", repo=server.new_repo(), **keys)
        return ds.url("ds://remote@main/")
    return ds.mount("remote", "s3", bucket=server.new_bucket(), region=server.region, **keys) / "sets/"


@pytest.mark.parametrize("form", data.FORMATS)
def test_every_format_gives_each_row_once_and_goes_on_where_it_was(root, form, monkeypatch):
    monkeypatch.setattr(units, "TARGET", 4000)
    data.FORMATS[form](root / form)
    if root.ref:
        ds.repo("remote").branch("main").commit("Rows")
    options = {"shuffle": 1, "window": 64 << 10}
    stream = ds.stream(root / form, **options)
    whole = [data.numbers(batch) for batch in stream]
    assert sorted(n for batch in whole for n in batch) == list(range(data.ROWS))
    resumed = ds.stream(stream.url, **options)
    resumed.load_state_dict(stream.state_dict(steps=7))
    assert [data.numbers(batch) for batch in resumed] == whole[7:]


def test_requests_for_parquet_are_a_listing_the_footers_and_the_wanted_columns(versitygw):
    keys = {"access_key_id": versitygw.access_key, "secret_access_key": versitygw.secret_key}
    bucket = ds.mount(
        "counted", "s3", bucket=versitygw.new_bucket(), endpoint=versitygw.endpoint, region=versitygw.region, **keys
    )
    data.parquet(bucket / "train")
    with observed() as seen:
        stream = ds.stream(bucket / "train/", columns=["n"], shuffle=1)
    assert len(seen) == 5  # a listing, four footers
    with observed() as seen:
        assert sum(len(batch["n"]) for batch in stream) == data.ROWS
    assert len(seen) == 20 + 1  # a range for each row group, and for one on the border of two lanes another one
