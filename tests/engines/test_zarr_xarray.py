"""zarr 3 and xarray read and write through URLs."""

from collections import Counter

import fsspec
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import FsspecStore

from datastore.errors import Forbidden
from tests.engines.helpers import committed, requests

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata")  # zarr says so whenever xarray writes

DATA = np.arange(10_000, dtype="int32").reshape(100, 100)


@pytest.fixture
def array(base):
    """A hundred chunks."""
    found = zarr.create_array(f"ds://{base}/a.zarr", shape=DATA.shape, chunks=(10, 10), dtype=DATA.dtype)
    found[:] = DATA
    return base


def test_arrays(array):
    for place in (array, committed(array)):
        found = zarr.open_array(f"ds://{place}/a.zarr", mode="r")
        np.testing.assert_array_equal(found[:], DATA)
        np.testing.assert_array_equal(found[5:25, 95:], DATA[5:25, 95:])


def test_groups(base):
    root = zarr.open_group(f"ds://{base}/g.zarr", mode="w", attributes={"title": "coats"})
    root.create_array("x/y", shape=(4,), chunks=(2,), dtype="f8")[:] = [1, 2, 3, 4]
    zarr.consolidate_metadata(root.store)
    for place in (base, committed(base)):
        found = zarr.open_group(f"ds://{place}/g.zarr", mode="r")
        assert found.attrs["title"] == "coats"
        assert [name for name, _ in found.members()] == ["x"]
        assert found["x/y"][:].tolist() == [1, 2, 3, 4]
    root = zarr.open_group(f"ds://{base}/g.zarr", mode="a")
    del root["x/y"]
    assert "y" not in zarr.open_group(f"ds://{base}/g.zarr", use_consolidated=False)["x"]


def test_shards_are_read_in_part(base):
    target = f"ds://{base}/s.zarr"
    made = zarr.create_array(
        target, shape=DATA.shape, chunks=(10, 10), shards=(100, 100), dtype=DATA.dtype, compressors=None
    )
    made[:] = DATA
    assert len(fsspec.filesystem("ds").find(f"{base}/s.zarr")) == 2
    for place in (base, committed(base)):
        found = zarr.open_array(f"ds://{place}/s.zarr", mode="r")
        np.testing.assert_array_equal(found[40:50, 40:50], DATA[40:50, 40:50])


def test_a_store_over_an_instance(branch):
    store = FsspecStore(fsspec.filesystem("ds", asynchronous=True), path=f"{branch}/a.zarr")
    zarr.create_array(store, shape=DATA.shape, chunks=(50, 50), dtype=DATA.dtype)[:] = DATA
    np.testing.assert_array_equal(zarr.open_array(store, mode="r")[:], DATA)
    again = FsspecStore.from_url(f"ds://{branch}/a.zarr")
    np.testing.assert_array_equal(zarr.open_array(again, mode="r")[:], DATA)


def test_missing_chunks_are_fill_values_and_refused_ones_are_errors(branch, monkeypatch):
    from datastore.embedded.branch import EmbeddedRef

    made = zarr.create_array(f"ds://{branch}/a.zarr", shape=(4,), chunks=(2,), dtype="i4", fill_value=7)
    made[:2] = [1, 2]
    assert zarr.open_array(f"ds://{branch}/a.zarr", mode="r")[:].tolist() == [1, 2, 7, 7]
    found = zarr.open_array(f"ds://{branch}/a.zarr", mode="r")

    def refuse(self, key, **options):
        raise Forbidden("the credentials have expired")

    monkeypatch.setattr(EmbeddedRef, "read", refuse)
    with pytest.raises(Forbidden):
        found[:]


def test_the_real_error_is_told(refused):
    with pytest.raises(Exception, match="the credentials have expired"):
        zarr.open_array(f"ds://{refused}/a.zarr", mode="r")
    with pytest.raises(FileNotFoundError, match="garmens"):
        zarr.open_array("ds://garmens@main/a.zarr", mode="r")


def test_a_mode_that_creates_does_not_replace(branch):
    zarr.create_array(f"ds://{branch}/a.zarr", shape=(4,), dtype="i4")
    with pytest.raises(FileExistsError):
        zarr.open_array(f"ds://{branch}/a.zarr", mode="w-", shape=(4,), dtype="i4")
    with pytest.raises(Exception, match="exists"):
        zarr.create_array(f"ds://{branch}/a.zarr", shape=(4,), dtype="i4")


def test_datasets_of_xarray(base):
    made = xr.Dataset({"t": (("x", "y"), DATA.astype("f8")), "n": ("x", np.arange(100))}, attrs={"unit": "K"})
    made.to_zarr(f"ds://{base}/x.zarr", encoding={"t": {"chunks": (10, 10)}})
    for place in (base, committed(base)):
        for found in (
            xr.open_zarr(f"ds://{place}/x.zarr"),
            xr.open_dataset(f"ds://{place}/x.zarr", engine="zarr", chunks={}),
        ):
            xr.testing.assert_identical(found.compute(), made)
            assert float(found["t"][3, 4]) == 304
    made.assign(t=made["t"] + 1)[["t"]].to_zarr(f"ds://{base}/x.zarr", mode="a")
    assert float(xr.open_zarr(f"ds://{base}/x.zarr")["t"][3, 4]) == 305


def test_appended_along_a_dimension(branch):
    made = xr.Dataset({"t": (("x",), np.arange(4.0))})
    made.to_zarr(f"ds://{branch}/x.zarr")
    made.to_zarr(f"ds://{branch}/x.zarr", append_dim="x")
    assert xr.open_zarr(f"ds://{branch}/x.zarr")["t"].values.tolist() == [0, 1, 2, 3] * 2


def test_what_is_open_stays_at_its_commit(branch):
    zarr.create_array(f"ds://{branch}/a.zarr", shape=(4,), chunks=(2,), dtype="i4")[:] = 1
    committed(branch)
    found = zarr.open_array(f"ds://{branch}/a.zarr", mode="r")
    zarr.open_array(f"ds://{branch}/a.zarr", mode="r+")[2:] = 2
    committed(branch)
    assert found[:].tolist() == [1, 1, 1, 1]
    assert zarr.open_array(f"ds://{branch}/a.zarr", mode="r")[:].tolist() == [1, 1, 2, 2]


def test_a_mapping(branch):
    store = zarr.storage.FsspecStore.from_mapper(fsspec.get_mapper(f"ds://{branch}/m.zarr", asynchronous=True))
    zarr.create_array(store, shape=(4,), dtype="i4")[:] = 3
    assert zarr.open_array(f"ds://{branch}/m.zarr", mode="r")[:].tolist() == [3] * 4


def test_reads_of_the_store(branch, counts):
    options = {"shape": DATA.shape, "chunks": (10, 10), "dtype": DATA.dtype}
    zarr.create_array(f"ds://{branch}/a.zarr", **options)[:] = DATA
    zarr.create_array(f"ds://{branch}/s.zarr", shards=(100, 100), **options)[:] = DATA
    for place in (branch, committed(branch)):
        counts.clear()
        zarr.open_array(f"ds://{place}/a.zarr", mode="r")[:]
        assert counts <= Counter(read=100 + 3)
        found = zarr.open_array(f"ds://{place}/s.zarr", mode="r")
        counts.clear()
        np.testing.assert_array_equal(found[:10, :10], DATA[:10, :10])
        assert counts <= Counter(read=2)  # the index of the shard, and one chunk


def test_requests_to_a_bucket(s3):
    options = {"shape": DATA.shape, "chunks": (10, 10), "dtype": DATA.dtype}
    zarr.create_array(f"ds://{s3}/a.zarr", **options)[:] = DATA
    with requests() as methods:
        zarr.open_array(f"ds://{s3}/a.zarr", mode="r")[:]
    assert methods <= Counter(GET=100 + 3)
