"""webdataset reads and writes tars, by one line that makes `ds://` known to it, or by a stream."""

import sys
from collections import Counter

import fsspec
import pytest
import webdataset as wds

from tests.engines.helpers import committed


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    schemes = sys.modules["webdataset.gopen"].gopen_schemes
    monkeypatch.setitem(schemes, "ds", lambda url, mode="rb", bufsize=8192, **_: fsspec.open(url, mode).open())


def write(url, numbers):
    with wds.TarWriter(url) as sink:
        for n in numbers:
            sink.write({"__key__": f"{n:04}", "txt": f"text {n}", "cls": n})


@pytest.fixture
def shards(base):
    for shard in range(3):
        write(f"ds://{base}/s/{shard:03}.tar", range(shard * 10, shard * 10 + 10))
    return base


def test_shards(shards):
    for place in (shards, committed(shards)):
        found = wds.WebDataset(f"ds://{place}/s/{{000..002}}.tar", shardshuffle=False).decode()
        assert [(row["cls"], row["txt"]) for row in found] == [(n, f"text {n}") for n in range(30)]


def test_a_writer_that_fails_publishes_nothing(branch):
    with pytest.raises(ValueError, match="stop here"), wds.TarWriter(f"ds://{branch}/a.tar") as sink:
        sink.write({"__key__": "1", "txt": "1"})
        raise ValueError("stop here")
    assert fsspec.filesystem("ds").find(branch) == []


def test_the_real_error_is_told(refused):
    with pytest.raises(PermissionError, match="the credentials have expired"):
        list(wds.WebDataset(f"ds://{refused}/a.tar", shardshuffle=False))


def test_reads_of_the_store(branch, counts):
    write(f"ds://{branch}/a.tar", range(10))
    for place in (branch, committed(branch)):
        counts.clear()
        assert len(list(wds.WebDataset(f"ds://{place}/a.tar", shardshuffle=False))) == 10
        assert counts <= Counter(read=1)
