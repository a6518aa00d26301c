"""Every engine reads the same rows as pandas does through `ds://`, from every kind of place."""

import pandas as pd
import pytest

import datastore as ds
from datastore.errors import UnsupportedType
from tests.handoff.reading import COLUMNAR, ENGINES, FRAME, HUB, WRITERS, commit, same


@pytest.mark.parametrize("engine", COLUMNAR)
def test_the_rows_are_those_that_pandas_reads(root, size, engine):
    FRAME.to_parquet(root / "t.parquet", index=False)
    same(COLUMNAR[engine](root / "t.parquet"), pd.read_parquet(root / "t.parquet"))
    commit(root)
    same(COLUMNAR[engine](root / "t.parquet"), pd.read_parquet(root / "t.parquet"))


@pytest.mark.parametrize("engine", HUB)
def test_the_rows_of_datasets_are_those_that_pandas_reads(root, engine):
    FRAME[:20].to_parquet(root / "t.parquet", index=False)
    same(HUB[engine](root / "t.parquet"), FRAME[:20])
    commit(root)
    FRAME[:30].to_parquet(root / "t.parquet", index=False)
    same(HUB[engine](root / "t.parquet"), FRAME[:30])


@pytest.mark.parametrize("engine", COLUMNAR)
@pytest.mark.parametrize("name", WRITERS)
def test_formats(main, size, engine, name):
    WRITERS[name](FRAME, main / name)
    main.commit("Rows")
    same(COLUMNAR[engine](main / name), FRAME)


@pytest.mark.parametrize("engine", HUB)
@pytest.mark.parametrize("name", WRITERS)
def test_formats_of_datasets(main, engine, name):
    WRITERS[name](FRAME, main / name)
    main.commit("Rows")
    if name == "t.orc":
        with pytest.raises(UnsupportedType, match="orc"):
            HUB[engine](main / name)
    else:
        same(HUB[engine](main / name), FRAME)


@pytest.mark.parametrize("name", WRITERS)
def test_a_reader_of_arrow_does_not_wait_for_itself(main, size, name):
    WRITERS[name](FRAME, main / name)
    main.commit("Rows")
    same(ds.arrow(main / name).scanner().to_reader().read_all().to_pandas(), FRAME)


@pytest.mark.parametrize("engine", ENGINES)
def test_many_files(root, engine):
    for n in range(5):
        FRAME[n * 200 : n * 200 + 200].to_parquet(root / f"d/part {n}.parquet", index=False)
    with ds.filesystem().open(root / "d/_SUCCESS", "wb"):
        pass
    commit(root)
    for url in (root / "d", root / "d/part*.parquet", root / "**/part ?.parquet"):
        same(ENGINES[engine](url), FRAME)


@pytest.mark.parametrize("engine", COLUMNAR)
def test_folders_that_are_columns(root, size, engine):
    for year in (2025, 2026):
        for kind in ("x", "y"):
            part = FRAME[FRAME["k"] == f"k{year - 2025 + 2 * (kind == 'y')}"]
            part.to_parquet(root / f"sales/year={year}/kind={kind}/0.parquet", index=False)
    commit(root)
    expected = pd.read_parquet(root / "sales")
    expected = expected.assign(year=expected["year"].astype(int), kind=expected["kind"].astype(str))
    for url in (root / "sales/", root / "sales/**/*.parquet"):
        same(COLUMNAR[engine](url), expected)
    only = COLUMNAR[engine](root / "sales/year=2026/")
    assert list(only.columns) == ["a", "k", "f", "kind"]
    assert sorted(only["a"]) == sorted(expected[expected["year"] == 2026]["a"])
    assert list(COLUMNAR[engine](root / "sales/year=2026/kind=x/0.parquet").columns) == ["a", "k", "f"]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.feather"])
@pytest.mark.parametrize("engine", COLUMNAR)
def test_folders_that_are_columns_in_other_formats(main, engine, name):
    for year in (2025, 2026):
        WRITERS[name](FRAME[:3], main / f"d/year={year}/{name}")
    main.commit("Rows")
    found = COLUMNAR[engine](main / "d")
    assert sorted(found["year"].astype(int)) == [2025] * 3 + [2026] * 3


def test_a_folder_above_a_mount_is_no_column(home):
    (home / "env=prod" / "year=2026").mkdir(parents=True)
    FRAME.to_parquet(home / "env=prod/year=2026/t.parquet", index=False)
    for engine in COLUMNAR.values():
        assert list(engine(f"ds://local{home}/env=prod").columns) == ["a", "k", "f", "year"]


@pytest.mark.parametrize("engine", ENGINES)
def test_names_that_look_like_patterns(root, engine):
    for name in ("a[1].parquet", "b's 100%.parquet", "ü #2.parquet"):
        FRAME.to_parquet(root / name, index=False)
    commit(root)
    for name in ("a[1].parquet", "b's 100%.parquet", "ü #2.parquet"):
        url = str(root / name)
        same(ENGINES[engine](url.replace("'", "''") if engine == "sql" else url), FRAME)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_local_path_is_a_url(home, engine):
    FRAME.to_parquet(home / "t.parquet", index=False)
    same(ENGINES[engine](f"ds://local{home}/t.parquet"), FRAME)


def test_what_is_resolved_can_be_scanned_offline(main, monkeypatch):
    FRAME.to_parquet(main / "d/t.parquet", index=False)
    same(ds.scan(ds.resolve(main / "d/")).collect().to_pandas(), FRAME)


def test_columns_and_filters_are_as_in_the_engine(root, size):
    for n in range(4):
        FRAME[n * 250 : n * 250 + 250].to_parquet(root / f"d/{n}.parquet", index=False)
    commit(root)
    import polars as pl
    import pyarrow.compute as pc

    found = ds.scan(root / "d").filter(pl.col("a") >= 900).select(pl.col("f").sum()).collect().item()
    assert found == FRAME["f"][900:].sum()
    assert ds.arrow(root / "d").to_table(columns=["k"], filter=pc.field("a") >= 900).num_rows == 100
    [(count,)] = ds.sql(f"SELECT count(*) FROM '{root / 'd'}' WHERE a >= 900").fetchall()
    assert count == 100
