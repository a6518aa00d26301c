"""Hugging Face `datasets` reads and writes through URLs; its caches are given names that never change their meaning."""

import pickle
from collections import Counter

import datasets
import fsspec
import pytest
from datasets import Dataset, DownloadConfig, load_dataset, load_from_disk

import datastore as ds
from tests.engines.helpers import FRAME, committed, requests

WRITERS = {
    "parquet": lambda frame, url: frame.to_parquet(url, index=False),
    "csv": lambda frame, url: frame.to_csv(url, index=False),
    "json": lambda frame, url: frame.to_json(url, orient="records", lines=True),
}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    datasets.disable_progress_bars()
    for name in ("HF_DATASETS_CACHE", "DOWNLOADED_DATASETS_PATH", "EXTRACTED_DATASETS_PATH", "HF_MODULES_CACHE"):
        monkeypatch.setattr(datasets.config, name, tmp_path / "hf" / name)


def load(kind, url, **options):
    return load_dataset(kind, data_files=url, split="train", **options)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", WRITERS)
def test_load_dataset(base, kind, streaming):
    for n in range(2):
        WRITERS[kind](FRAME[n * 500 : (n + 1) * 500], f"ds://{base}/d/{n}.{kind}")
    for place in (base, committed(base)):
        found = load(kind, f"ds://{place}/d/*.{kind}", streaming=streaming)
        assert [row["a"] for row in found] == list(range(1000))


def test_splits_and_columns(branch):
    FRAME[:900].to_parquet(f"ds://{branch}/train.parquet", index=False)
    FRAME[900:].to_parquet(f"ds://{branch}/test.parquet", index=False)
    place = committed(branch)
    files = {"train": f"ds://{place}/train.parquet", "test": [f"ds://{place}/test.parquet"]}
    found = load_dataset("parquet", data_files=files, columns=["a"])
    assert {name: (part.num_rows, part.column_names) for name, part in found.items()} == {
        "train": (900, ["a"]),
        "test": (100, ["a"]),
    }


def test_writing(base):
    made = Dataset.from_pandas(FRAME)
    made.save_to_disk(f"ds://{base}/saved")
    made.to_parquet(f"ds://{base}/t.parquet")
    made.to_csv(f"ds://{base}/t.csv")
    made.to_json(f"ds://{base}/t.json")
    for place in (base, committed(base)):
        assert load_from_disk(f"ds://{place}/saved")["a"][:] == list(range(1000))
        for kind in WRITERS:
            rows = load(kind, f"ds://{place}/t.{kind}", streaming=True)
            assert [row["a"] for row in rows] == list(range(1000))


def test_a_name_with_a_commit_never_shows_old_data(branch):
    repo = ds.repo("garments")
    for count in (10, 20, 30):
        FRAME[:count].to_parquet(f"ds://{branch}/t.parquet")
        Dataset.from_pandas(FRAME[:count]).save_to_disk(f"ds://{branch}/saved")
        repo.branch("main").commit(f"{count} rows")
        assert load("parquet", repo.at("main") / "t.parquet").num_rows == count
        assert load_from_disk(repo.at("main") / "saved").num_rows == count


@pytest.mark.parametrize(
    "options", [{"streaming": True}, {"download_config": DownloadConfig(use_etag=True)}], ids=["stream", "etags"]
)
def test_ways_in_which_a_name_that_moves_never_shows_old_data(branch, options):
    for count in (10, 20, 30):
        FRAME[:count].to_parquet(f"ds://{branch}/t.parquet")
        assert len(list(load("parquet", f"ds://{branch}/t.parquet", **options))) == count
        committed(branch)
        assert len(list(load("parquet", f"ds://{branch}/t.parquet", **options))) == count


def test_without_them_their_cache_goes_by_the_name_alone(branch):
    for count in (10, 20):
        FRAME[:count].to_parquet(f"ds://{branch}/t.parquet")
        committed(branch)
        assert load("parquet", f"ds://{branch}/t.parquet").num_rows == 10  # docs/engines.md: hand it a commit


def test_a_write_that_fails_publishes_nothing(branch):
    def rows():
        for n in range(3000):
            if n == 2500:
                raise ValueError("stop here")
            yield {"a": n}

    made = datasets.IterableDataset.from_generator(rows)
    for write in (made.to_parquet, made.to_csv, made.to_json):
        with pytest.raises(ValueError, match="stop here"):
            write(f"ds://{branch}/t")
        assert fsspec.filesystem("ds").find(branch) == []


def test_the_real_error_is_told(refused):
    for streaming in (False, True):
        with pytest.raises(Exception, match="the credentials have expired"):
            load("parquet", f"ds://{refused}/t.parquet", streaming=streaming)


def test_what_is_not_there(branch):
    with pytest.raises(FileNotFoundError, match=r"t\.parquet"):
        load("parquet", f"ds://{branch}/t.parquet")


def test_a_stream_in_workers(branch):
    FRAME.to_parquet(f"ds://{branch}/t.parquet", row_group_size=100)
    stream = load("parquet", f"ds://{committed(branch)}/t.parquet", streaming=True)
    assert len(list(pickle.loads(pickle.dumps(stream)))) == 1000


def test_processes(branch):
    for n in range(4):
        FRAME[n * 250 : (n + 1) * 250].to_parquet(f"ds://{branch}/d/{n}.parquet", index=False)
    place = committed(branch)
    assert load("parquet", f"ds://{place}/d/*.parquet", num_proc=2).num_rows == 1000


def test_reads_of_the_store(branch, counts):
    for n in range(4):
        FRAME.to_parquet(f"ds://{branch}/d/{n}.parquet")
    pinned = committed(branch)
    for place, streaming, most in (
        (branch, False, Counter(list=1, head=8, read=4)),
        (branch, True, Counter(list=1, head=4, read=4)),
        (pinned, False, Counter(list=1, read=4)),
        (pinned, True, Counter(list=1, read=4)),
    ):
        counts.clear()
        found = load("parquet", f"ds://{place}/d/*.parquet", streaming=streaming)
        assert sum(1 for _ in found) == 4000
        assert counts <= most


def test_requests_to_a_bucket(s3):
    for n in range(4):
        FRAME.to_parquet(f"ds://{s3}/d/{n}.parquet")
    for streaming, most in ((False, Counter(HEAD=8, GET=1 + 4)), (True, Counter(HEAD=4, GET=1 + 4))):
        with requests() as methods:
            found = load("parquet", f"ds://{s3}/d/*.parquet", streaming=streaming)
            assert sum(1 for _ in found) == 4000
        assert methods <= most
