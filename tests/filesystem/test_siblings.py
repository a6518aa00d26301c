"""Datasets of many Parquet files: the ends of the next files are on their way when they are opened, and are right."""

import io
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

import datastore as ds
from datastore.errors import DatastoreError
from datastore.testing.scripted_s3 import Late, Reset, Swapped, refused
from tests.filesystem.helpers import in_rounds, requests_to

FILES = 12
TAIL = 256 << 10


def _body(number, *, add=0.0):
    out = io.BytesIO()
    frame = pd.DataFrame({f"c{n}": np.random.default_rng(n).random(10_000) + number + add for n in range(8)})
    frame.to_parquet(out, row_group_size=5_000, compression=None)
    return out.getvalue()


BODIES = [_body(number) for number in range(FILES)]
ALL = pd.concat([pd.read_parquet(io.BytesIO(body)) for body in BODIES], ignore_index=True)


@pytest.fixture
def dataset(cloud):
    """The URL of a folder with some files, on a server that is far away."""
    for number, body in enumerate(BODIES):
        cloud.objects.put("bucket", f"set/{number:02}.parquet", body)
    for method in ("GET", "HEAD"):
        cloud.on(method, ".*", Late(0.1), times=10**9)
    return "ds://cloud/set"


def _tails(seen):
    return Counter(exchange.url for exchange in seen if exchange.received == TAIL)


def test_the_ends_of_8_files_come_together_and_each_comes_once(cloud, dataset):
    # 11 round trips, and not 2 for each file
    found, seen = in_rounds(11, cloud.endpoint, lambda: pd.read_parquet(dataset, columns=["c1"]))
    pd.testing.assert_frame_equal(found, ALL[["c1"]])
    assert sorted(_tails(seen).values()) == [1] * FILES
    assert len(seen) <= 4 + FILES + 2 * FILES  # what is there, the ends, a chunk of each row group


def test_nobody_asks_for_metadata_that_the_listing_has_not(cloud, dataset):
    with requests_to(cloud.endpoint) as seen:
        pd.read_parquet(dataset, columns=["c1"])
    assert [exchange.url for exchange in seen if "_metadata" in exchange.url] == []
    assert [exchange.method for exchange in seen].count("HEAD") == 1


def test_files_in_another_order_are_read_one_by_one(cloud, dataset):
    fs = ds.filesystem()
    once = type(fs)(once=True, skip_instance_cache=True)
    paths = once.find("cloud/set")
    with requests_to(cloud.endpoint) as seen:
        for number in (7, 3, 9, 0, 5):
            with once.open(paths[number]) as f:
                assert f.read() == BODIES[number]
    assert sum(_tails(seen).values()) == 5


@pytest.mark.parametrize("number", [2, 5, 11])
@pytest.mark.parametrize("fault", [refused(403, "AccessDenied"), Reset(after=1000), refused(404, "NoSuchKey")])
def test_what_did_not_come_ahead_is_asked_for_again(cloud, dataset, number, fault):
    cloud._rules.clear()
    cloud.on("GetObject", f"set/{number:02}.parquet", fault)
    pd.testing.assert_frame_equal(pd.read_parquet(dataset, columns=["c1"]), ALL[["c1"]])


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_file_that_is_replaced_on_the_way_is_of_one_version_or_an_error(cloud, dataset, nth):
    cloud._rules.clear()
    cloud.on("GetObject", "set/04.parquet", Swapped(_body(4, add=0.5)), nth=nth)
    try:
        found = pd.read_parquet(dataset, columns=["c1"])["c1"].to_numpy()
    except (DatastoreError, OSError):
        return
    old = ALL["c1"].to_numpy()
    new = np.where(np.arange(len(old)) // 10_000 == 4, old + 0.5, old)
    assert np.allclose(found, old) or np.allclose(found, new)


def test_a_call_after_a_write_sees_what_was_written(cloud, dataset):
    cloud._rules.clear()
    assert len(pd.read_parquet(dataset)) == FILES * 10_000
    cloud.objects.put("bucket", "set/05.parquet", _body(5, add=1))
    cloud.objects.put("bucket", "set/12.parquet", _body(12))
    found = pd.read_parquet(dataset, columns=["c0"])["c0"]
    assert len(found) == (FILES + 1) * 10_000
    assert found[50_000] == ALL["c0"][50_000] + 1
    fs = ds.filesystem()
    assert fs.exists("cloud/set/12.parquet")
    cloud.objects.put("bucket", "set/13.parquet", _body(13))
    assert len(fs.find("cloud/set")) == FILES + 2
    assert fs.info("cloud/set/13.parquet")["size"] == len(_body(13))


def test_two_datasets_at_the_same_time_and_many_threads(cloud, dataset):
    from concurrent.futures import ThreadPoolExecutor

    cloud._rules.clear()
    for number, body in enumerate(BODIES[:5]):
        cloud.objects.put("bucket", f"other/{number}.parquet", body)
    once = type(ds.filesystem())(once=True, skip_instance_cache=True)

    def read(name):
        return pads.dataset(f"cloud/{name}", filesystem=once).to_table(columns=["c3"]).num_rows

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, ["set", "other"] * 8)) == [FILES * 10_000, 50_000] * 8


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_asks_for_itself(cloud, dataset):
    import multiprocessing

    cloud._rules.clear()
    once = type(ds.filesystem())(once=True, skip_instance_cache=True)
    paths = once.find("cloud/set")
    for path in paths[:2]:
        once.open(path).close()

    def read(answer):
        answer.put([pq.read_metadata(io.BytesIO(once.open(path).read())).num_rows for path in paths[2:]])

    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    child = context.Process(target=read, args=(answer,))
    child.start()
    assert answer.get(timeout=30) == [10_000] * (FILES - 2)
    child.join(30)
    assert child.exitcode == 0
    assert once.open(paths[2]).read() == BODIES[2]


def test_small_files_come_whole(cloud):
    for number in range(FILES):
        out = io.BytesIO()
        pd.DataFrame({"n": [number]}).to_parquet(out)
        cloud.objects.put("bucket", f"set/{number:02}.parquet", out.getvalue())
    cloud.objects.put("bucket", "set/99.parquet", b"")
    with pytest.raises(pa.ArrowInvalid, match="size is 0"):
        pd.read_parquet("ds://cloud/set")
    ds.filesystem().rm_file("cloud/set/99.parquet")
    with requests_to(cloud.endpoint) as seen:
        assert pd.read_parquet("ds://cloud/set")["n"].tolist() == list(range(FILES))
    assert len(seen) == 4 - 1 + FILES
