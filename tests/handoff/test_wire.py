"""Over a network: few requests, only the bytes that are needed, and no secret anywhere."""

import io
import logging
import traceback

import numpy as np
import pandas as pd
import pytest

import datastore as ds
from datastore.errors import UncommittedChanges, UnsupportedOperation, ValidationError
from datastore.handoff import choosing
from datastore.http.observe import observed
from tests.handoff.conftest import mounted
from tests.handoff.reading import FRAME, commit, same

pytestmark = pytest.mark.servers

WIDE = pd.DataFrame({f"c{n}": np.random.default_rng(n).random(60_000) for n in range(10)})


@pytest.fixture(params=["versitygw", "lakefs"])
def served(request):
    """The URL of an empty place on a server."""
    return mounted(request.getfixturevalue(request.param))


def gets(seen):
    """The requests for bytes: those that are no listing and no metadata."""
    asked = [one.url for one in seen if one.method == "GET" and "list-type" not in one.url]
    return [url for url in asked if "/api/v1/" not in url or "/objects?" in url]


QUERIES = {
    "arrow": lambda url: ds.arrow(url).to_table(columns=["c3"])["c3"].to_numpy().sum(),
    "scan": lambda url: ds.scan(url).select("c3").collect()["c3"].sum(),
    "sql": lambda url: ds.sql(f"SELECT sum(c3) FROM '{url}'").fetchall()[0][0],
}


@pytest.mark.parametrize("engine", QUERIES)
def test_columns_that_are_not_asked_for_are_not_read(served, engine, monkeypatch):
    monkeypatch.setattr(choosing, "REMOTE", 0)
    for n in range(4):
        WIDE.to_parquet(served / f"d/{n}.parquet", index=False, row_group_size=20_000)
    commit(served)
    with observed() as seen:
        assert QUERIES[engine](served / "d") == pytest.approx(4 * WIDE["c3"].sum())
    whole = 4 * WIDE.size * 8
    assert sum(one.received for one in seen) < whole / 3  # a footer of 256 KiB and a tenth of each object
    assert len(gets(seen)) <= 5 + 4 * 3  # the first footer is read for the schema, too; a range for each row group


@pytest.mark.parametrize("engine", QUERIES)
def test_a_filter_reads_no_other_columns(served, engine, monkeypatch):
    monkeypatch.setattr(choosing, "REMOTE", 0)
    frame = WIDE.assign(n=range(len(WIDE)))
    frame.to_parquet(served / "t.parquet", index=False, row_group_size=6_000)
    commit(served)
    import polars as pl
    import pyarrow.compute as pc

    queries = {
        "arrow": lambda url: ds.arrow(url).to_table(columns=["c3"], filter=pc.field("n") < 10).num_rows,
        "scan": lambda url: ds.scan(url).filter(pl.col("n") < 10).select("c3").collect().height,
        "sql": lambda url: len(ds.sql(f"SELECT c3 FROM '{url}' WHERE n < 10").fetchall()),
    }
    with observed() as seen:
        assert queries[engine](served / "t.parquet") == 10
    assert sum(one.received for one in seen) < frame.size * 8 / 3


@pytest.mark.parametrize("engine", QUERIES)
def test_a_small_folder_comes_at_once_and_stays(served, engine):
    for n in range(20):
        WIDE[:100].to_parquet(served / f"d/{n}.parquet", index=False)
    commit(served)
    with observed() as seen:
        assert QUERIES[engine](served / "d") == pytest.approx(20 * WIDE["c3"][:100].sum())
    assert len(gets(seen)) == 20
    assert len(seen) <= 20 + 8  # a listing; on lakeFS what the branch is, and signed URLs
    with observed() as seen:
        QUERIES[engine](served / "d")
    assert gets(seen) == []
    assert len(seen) <= 5


def test_one_listing_for_a_pattern(served):
    for n in range(20):
        FRAME[:5].to_parquet(served / f"d/{n}.parquet", index=False)
    commit(served)
    with observed() as seen:
        assert ds.arrow(served / "d/1*.parquet").count_rows() == 11 * 5
    assert len(gets(seen)) == 11


# secrets


def secret_of(url):
    """The secret key of the mount of a URL."""
    connection = ds.namespace.current().target(url)
    root = connection.versioned or connection.provider
    return root.connection().secret_access_key.reveal()


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_no_secret_is_in_what_engines_show(served, monkeypatch, caplog, limit):
    monkeypatch.setattr(choosing, "REMOTE", limit)
    caplog.set_level(logging.DEBUG)
    FRAME.to_parquet(served / "t.parquet", index=False)
    commit(served)
    url, shown = served / "t.parquet", io.StringIO()
    lazy, dataset, relation = ds.scan(url), ds.arrow(url), ds.sql(f"FROM '{url}'")
    for text in (
        repr(lazy),
        lazy.explain(),
        lazy.serialize() if limit else "",
        repr(dataset),
        *dataset.files,
        repr(dataset.filesystem),
        repr(relation),
        relation.explain(),
        relation.sql_query(),
    ):
        shown.write(str(text))
    try:
        ds.sql(f"SELECT nope FROM '{url}'")
    except Exception:  # noqa: BLE001
        shown.write(traceback.format_exc())
    options = [ds.storage_options(url), ds.storage_options(url, tool="polars")]
    shown.write(f"{options} {options!r} {options[0]} {options[1]!s}")
    assert secret_of(url) not in shown.getvalue() + caplog.text
    assert all(secret_of(url) in one.values() for one in options)


# storage options


def test_other_clients_read_with_the_options(served):
    import polars as pl

    FRAME.to_parquet(served / "d/t.parquet", index=False)
    commit(served)
    options = ds.storage_options(served / "d/t.parquet")
    same(pd.read_parquet(options.url, storage_options=options), FRAME)
    options = ds.storage_options(served / "d/t.parquet", tool="polars")
    same(pl.scan_parquet(options.url, storage_options=options).collect().to_pandas(), FRAME)


def test_options_of_a_branch_are_for_its_commit(lakefs):
    root = mounted(lakefs)
    FRAME.to_parquet(root / "t.parquet", index=False)
    with pytest.raises(UncommittedChanges):
        ds.storage_options(root / "t.parquet")
    commit(root)
    options = ds.storage_options(root / "t.parquet")
    FRAME[:1].to_parquet(root / "t.parquet", index=False)
    commit(root)
    same(pd.read_parquet(options.url, storage_options=options), FRAME)


@pytest.mark.parametrize("tool", ["polars", "spark"])
def test_where_there_is_no_other_way(main, tool):
    FRAME.to_parquet(main / "t.parquet", index=False)
    commit = main.commit("Rows")
    options = ds.storage_options(main / "t.parquet")
    assert (options.url, options) == (f"ds://garments@{commit.id}/t.parquet", {})
    with pytest.raises((UnsupportedOperation, ValidationError), match=tool):
        ds.storage_options(main / "t.parquet", tool=tool)
