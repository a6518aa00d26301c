"""A ref is resolved once: what an engine reads is of one commit, whatever is committed while it reads."""

import io
import pickle

import numpy as np
import pandas as pd
import pytest

import datastore as ds
from datastore.errors import HeadMoved, NotFound, UnsupportedType, ValidationError
from datastore.handoff import choosing
from tests.handoff.conftest import mounted
from tests.handoff.reading import COLUMNAR, FRAME, commit, same

_VERSIONED = ["embedded", pytest.param("lakefs", marks=pytest.mark.servers)]


@pytest.fixture(params=_VERSIONED)
def versioned(request):
    """The URL of an empty branch."""
    if request.param == "embedded":
        return request.getfixturevalue("main") / ""
    return mounted(request.getfixturevalue("lakefs"))


LAZY = {
    "arrow": (ds.arrow, lambda lazy: lazy.to_table().to_pandas()),
    "scan": (ds.scan, lambda lazy: lazy.collect().to_pandas()),
    "sql": (lambda url: ds.sql(f"FROM '{url}'"), lambda lazy: lazy.df()),
    "hf streaming": (lambda url: ds.hf(url, streaming=True), lambda lazy: pd.DataFrame(list(lazy))),
}


@pytest.mark.parametrize("engine", LAZY)
def test_a_commit_between_schema_and_scan_is_not_seen(versioned, size, engine):
    for n in range(2):
        FRAME[n * 500 : n * 500 + 500].to_parquet(versioned / f"d/{n}.parquet", index=False)
    commit(versioned)
    make, rows = LAZY[engine]
    lazy = make(versioned / "d")
    (FRAME[500:] + FRAME[500:]).to_parquet(versioned / "d/1.parquet", index=False)
    FRAME.to_parquet(versioned / "d/2.parquet", index=False)
    commit(versioned)
    same(rows(lazy), FRAME)
    assert len(rows(make(versioned / "d"))) == 2000


def test_all_urls_of_a_query_see_one_commit(main, monkeypatch):
    from datastore.embedded.repo import EmbeddedRepo

    original, asked = EmbeddedRepo.commit_of, []

    def moving(self, ref):
        found = original(self, ref)
        asked.append(ref)
        for name, count in (("a", 10), ("b", 20)):
            data = io.BytesIO()
            FRAME[:count].to_parquet(data, index=False)
            main.objects.put(f"{name}.parquet", data.getvalue())
        with monkeypatch.context() as patch:
            patch.setattr(EmbeddedRepo, "commit_of", original)
            main.commit("Again", empty="allow")
        return found

    for name in ("a", "b"):
        FRAME.to_parquet(main / f"{name}.parquet", index=False)
    main.commit("Rows")
    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedRepo, "commit_of", moving)
        found = ds.sql(f"SELECT * FROM '{main / 'a.parquet'}' a JOIN '{main / 'b.parquet'}' b USING (a)")
    assert asked == ["main"]
    assert len(found.df()) == 1000
    assert found.df()["a"].min() == 0


@pytest.mark.parametrize("engine", LAZY)
def test_what_is_uncommitted_is_seen_and_never_mixed(main, size, engine):
    FRAME.to_parquet(main / "t.parquet", index=False)
    make, rows = LAZY[engine]
    lazy = make(main / "t.parquet")
    same(rows(lazy), FRAME)
    FRAME[:10].to_parquet(main / "t.parquet", index=False)
    main.commit("Other rows")
    try:
        found = rows(lazy)
    except Exception as error:  # noqa: BLE001 - each engine has a class of its own for what our file system says
        assert "main" in str(error)  # noqa: PT017
    else:
        same(found, FRAME)


@pytest.mark.parametrize("rows", [1000, 100_000])
@pytest.mark.parametrize("engine", COLUMNAR)
def test_an_object_of_a_bucket_that_changes_is_never_mixed(versitygw, monkeypatch, engine, rows):
    monkeypatch.setattr(choosing, "REMOTE", -1)
    root = mounted(versitygw)
    frame = pd.DataFrame({"a": range(rows), "f": np.random.default_rng(1).random(rows)})
    frame.to_parquet(root / "t.parquet", index=False)
    make, read = LAZY[engine]
    lazy = make(root / "t.parquet")
    (-frame).to_parquet(root / "t.parquet", index=False)
    if rows > 1000:  # what is so small came with the schema
        with pytest.raises(Exception, match=r"HeadMoved|changed|other bytes|is another one|by now"):
            read(lazy)
    else:
        same(read(lazy), frame)


def test_a_file_that_was_found_and_is_gone_is_named(main):
    with pytest.raises(NotFound, match=r"t\.parquet"):
        ds.scan(main / "t.parquet")
    with pytest.raises(NotFound, match=r"t\.parquet"):
        ds.sql(f"FROM '{main / 't.parquet'}'")
    with pytest.raises(NotFound, match="garmens"):
        ds.sql("FROM 'ds://garmens@main/t.parquet'")
    with pytest.raises(NotFound, match=r"\*"):
        ds.arrow(main / "*.parquet")


def test_objects_of_several_formats_are_refused_with_the_choice(main):
    FRAME.to_parquet(main / "d/t.parquet", index=False)
    FRAME[:5].to_csv(main / "d/t.csv", index=False)
    main.objects.put("e/README", b"#")
    with pytest.raises(ValidationError, match=r"t\.csv") as caught:
        ds.scan(main / "d")
    assert caught.value.hint == "name the one that you want: format='csv' or format='parquet'"
    assert ds.scan(main / "d", format="csv").collect().height == 5
    assert ds.arrow(main / "d/*.parquet").count_rows() == 1000
    with pytest.raises(UnsupportedType, match="README"):
        ds.arrow(main / "e")
    with pytest.raises(ValidationError, match="xls"):
        ds.scan(main / "d", format="xls")
    with pytest.raises(NotFound, match="no orc"):
        ds.scan(main / "d", format="orc")
    with pytest.raises(ValidationError, match=r"\*\*"):
        ds.scan(main / "d/x**/t.csv")


def test_a_name_without_a_suffix_is_read_as_it_is_told(main):
    FRAME.to_parquet(main / "part-0", index=False)
    main.commit("Rows")
    same(ds.scan(main / "part-0", format="parquet").collect().to_pandas(), FRAME)
    same(ds.arrow(main / "part-0", format="parquet").to_table().to_pandas(), FRAME)


def test_what_is_handed_over_travels_to_other_processes_without_credentials(root):
    FRAME.to_parquet(root / "t.parquet", index=False)
    commit(root)
    dataset = pickle.loads(pickle.dumps(ds.arrow(root / "t.parquet")))
    same(dataset.to_table().to_pandas(), FRAME)


# queries


def test_a_connection_of_the_caller_keeps_its_tables_and_gets_none(main):
    import duckdb

    FRAME.to_parquet(main / "t.parquet", index=False)
    main.commit("Rows")
    with duckdb.connect() as con:
        con.execute("CREATE TEMP TABLE names AS SELECT 'k1' AS k, 'one' AS name")
        found = ds.sql(
            f"SELECT name, count(*) FROM '{main / 't.parquet'}' JOIN names USING (k) GROUP BY 1", connection=con
        )
        assert found.fetchall() == [("one", 250)]
        before = con.sql("SHOW ALL TABLES").fetchall()
        assert [row[2] for row in before] == ["names"]
        ds.sql(f"CREATE TABLE kept AS FROM '{main / 't.parquet'}'", connection=con)
        assert con.sql("SELECT count(*) FROM kept").fetchall() == [(1000,)]
        assert con.list_filesystems() == []


def test_a_relation_keeps_its_connection(main):
    FRAME.to_parquet(main / "t.parquet", index=False)
    relation = ds.sql(f"FROM '{main / 't.parquet'}'").filter("a < 10").order("a")
    assert relation.fetchall() == [(n, f"k{n % 4}", n / 4) for n in range(10)]
    assert relation.df().shape == (10, 3)


def test_frames_of_the_caller_are_tables(main):
    import polars as pl

    FRAME.to_parquet(main / "t.parquet", index=False)
    wanted = pl.DataFrame({"a": [3, 5]})
    query = f"SELECT f FROM '{main / 't.parquet'}' JOIN wanted USING (a) ORDER BY a"
    assert ds.sql(query).fetchall() == [(0.75,), (1.25,)]
    assert wanted.height == 2


def test_texts_that_are_no_tables_stay_texts(main):
    FRAME.to_parquet(main / "t.parquet", index=False)
    url = str(main / "t.parquet")
    rows = ds.sql(
        f"""SELECT '{url}' AS u, 'ds://nowhere/x' AS v -- FROM 'ds://comment/x'
        FROM "{url}" AS t WHERE '{url}' != 'ds://nowhere/y' AND k IN ('ds://nowhere/z', 'k1') LIMIT 1"""
    ).fetchall()
    assert rows == [(url, "ds://nowhere/x")]
    [(count,)] = ds.sql(
        f"SELECT count(*) FROM '{url}' AS a, '{url}' AS b WHERE a.a = b.a AND a.a < ?", params=[7]
    ).fetchall()
    assert count == 7


def test_errors_of_a_query_are_those_of_duckdb_with_the_way_out(main):
    import duckdb

    FRAME.to_parquet(main / "t.parquet", index=False)
    with pytest.raises(duckdb.BinderException, match="nope"):
        ds.sql(f"SELECT nope FROM '{main / 't.parquet'}'")
    with pytest.raises(duckdb.BinderException, match="nope"):
        ds.sql(f"SELECT nope FROM '{main / 't.parquet'}' WHERE k IN ('ds://nowhere/x')")
    with pytest.raises(NotFound, match="nowhere"):
        ds.sql(f"SELECT * FROM '{main / 't.parquet'}', 'ds://nowhere/x'")
    with pytest.raises(duckdb.Error) as caught:
        ds.sql(f"FROM read_parquet('{main / 't.parquet'}')")
    assert "where tables stand" in "".join(caught.value.__notes__)


def test_an_engine_that_is_not_installed_is_named_with_its_extra(main, monkeypatch):
    import sys

    from datastore.errors import UnsupportedOperation

    FRAME.to_parquet(main / "t.parquet", index=False)
    calls = {"polars": ds.scan, "duckdb": lambda url: ds.sql(f"FROM '{url}'"), "datasets": ds.hf}
    for name, call in calls.items():
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(UnsupportedOperation, match=f"{name} is not installed") as caught:
                call(main / "t.parquet")
        assert caught.value.hint == "pip install 'datastore-sdk[engines]'"


def test_head_moved_is_ours_through_arrow(main):
    FRAME.to_parquet(main / "t.parquet", index=False)
    dataset = ds.arrow(main / "t.parquet")
    main.commit("Rows")
    with pytest.raises(HeadMoved):
        dataset.to_table()
