"""polars knows no fsspec; these are the ways that it supports."""

import fsspec
import pyarrow.dataset as pads
import pytest

from tests.engines.helpers import FRAME, committed


@pytest.fixture(scope="module", name="pl")
def _pl():
    """It starts threads when it is imported: not before these tests begin."""
    import polars as pl

    return pl


@pytest.fixture
def frame(pl):
    return pl.from_pandas(FRAME)


def test_read_parquet_with_pyarrow(url, base, pl):
    FRAME.to_parquet(f"{url}/t.parquet", index=False)
    for place in (base, committed(base)):
        found = pl.read_parquet(f"ds://{place}/t.parquet", use_pyarrow=True, columns=["a"])
        assert found["a"].to_list() == list(range(1000))


@pytest.mark.parametrize("kind", ["parquet", "csv", "ipc", "ndjson"])
def test_file_objects(base, kind, pl, frame):
    fs = fsspec.filesystem("ds")
    with fs.open(f"{base}/t", "wb") as file:
        getattr(frame, f"write_{kind}")(file)
    for place in (base, committed(base)):
        with fs.open(f"{place}/t") as file:
            assert getattr(pl, f"read_{kind}")(file).equals(frame)
        with fs.open(f"{place}/t") as file:
            found = getattr(pl, f"scan_{kind}")(file).filter(pl.col("a") >= 900).select("f").collect()
            assert found.height == 100


def test_scan_of_a_dataset_reads_what_is_needed(base, counts, pl):
    FRAME[:500].to_parquet(f"ds://{base}/d/0.parquet", index=False)
    FRAME[500:].to_parquet(f"ds://{base}/d/1.parquet", index=False)
    fs = fsspec.filesystem("ds")
    for place in (base, committed(base)):
        lazy = pl.scan_pyarrow_dataset(pads.dataset(f"{place}/d", filesystem=fs))
        assert lazy.filter(pl.col("a") >= 500).select(pl.col("f").sum()).collect().item() == pytest.approx(
            FRAME["f"][500:].sum()
        )


def test_sink_to_a_file_object(branch, pl, frame):
    fs = fsspec.filesystem("ds")
    with fs.open(f"{branch}/t.parquet", "wb") as file:
        frame.lazy().filter(pl.col("k") == "k1").sink_parquet(file)
    assert pl.read_parquet(f"ds://{branch}/t.parquet", use_pyarrow=True).height == 250


def test_a_write_that_fails_publishes_nothing(branch, pl, frame):
    fs = fsspec.filesystem("ds")

    def fail(value):
        raise ValueError("stop here")

    lazy = frame.lazy().select(pl.col("a").map_elements(fail, return_dtype=pl.Int64))
    with pytest.raises(Exception, match="stop here"), fs.open(f"{branch}/t.parquet", "wb") as file:
        lazy.sink_parquet(file)
    assert fs.find(branch) == []


def test_what_it_cannot_do(branch, pl):
    FRAME.to_parquet(f"ds://{branch}/t.parquet")
    for call in (pl.read_parquet, lambda url: pl.scan_parquet(url).collect(), pl.read_csv):
        with pytest.raises(Exception, match=r"(?i)no such file|not found|unsupported|unknown"):
            call(f"ds://{branch}/t.parquet")


def test_the_real_error_is_told(refused, pl):
    with pytest.raises(Exception, match="the credentials have expired"):
        pl.read_parquet(f"ds://{refused}/t.parquet", use_pyarrow=True)
