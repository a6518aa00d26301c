"""Ranks that train together must not read different commits."""

import pytest

import datastore as ds
from tests.lock.conftest import put


@pytest.fixture
def as_rank(monkeypatch):
    """Make this process one of two that torchrun started."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")


def test_resolve_and_stream_refuse_a_moving_ref_by_one_rule(main, as_rank):
    main.repo.create_tag("v1", "main")
    for url in (main / "train/", "ds://garments/train/", "ds://garments@main~0/train/", "ds://garments@main@/train/"):
        for read in (ds.resolve, ds.stream, ds.cache.keep):
            with pytest.raises(ds.ValidationError, match="another commit for each rank") as caught:
                read(url)
            assert "name a commit or tag" in str(caught.value.hint)
        with pytest.raises(ds.ValidationError, match="another commit for each rank"), ds.resolving(url):
            pass
    for ref in (main.head.id, main.head.id[:12], "v1"):
        url = main.repo.url("train/", ref=ref)
        assert (ds.resolve(url) / "0.csv").read_bytes() == b"sku\n1\n"
        assert ds.stream(url).url == main.head / "train/"


def test_pins_are_read_and_the_error_names_them(main, as_rank):
    url = ds.pin(main / "train/", name="train")
    put(main, {"train/0.csv": b"sku\n7\n"}, "Others")
    with pytest.raises(ds.ValidationError, match="another commit for each rank") as caught:
        ds.resolve(main / "train/0.csv")
    assert "ds.pinned('train')" in str(caught.value.hint)
    assert ds.stream(ds.pinned("train")).url == url
    assert (ds.resolve(ds.pinned("train")) / "0.csv").read_bytes() == b"sku\n1\n"


def test_a_frozen_rank_reads_the_pin(main, as_rank, freeze):
    url = ds.pin(main / "train/", name="train")
    put(main, {"train/0.csv": b"sku\n7\n"}, "Others")
    freeze()
    assert ds.stream(main / "train/").url == url
    assert (ds.resolve(main / "train/") / "0.csv").read_bytes() == b"sku\n1\n"


def test_one_process_alone_reads_what_it_likes(main, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert ds.resolve(main / "train/0.csv").read_bytes() == b"sku\n1\n"


def test_a_bucket_is_resolved_and_streamed_if_it_is_pinned(as_rank):
    ds.mount("raw", "memory", name="rank-bucket")
    fs = ds.filesystem()
    fs.pipe({"raw/d/a.txt": b"1", "raw/d/b.txt": b"2"})
    assert ds.resolve("ds://raw/d/a.txt").read_bytes() == b"1"  # it has no ref that could move
    with pytest.raises(ds.ValidationError, match="has no versions") as caught:
        ds.stream("ds://raw/d/")
    assert "ds.pin" in str(caught.value.hint)
    ds.pin("ds://raw/d/", name="d")
    assert ds.stream("ds://raw/d/", batch_size=1).rows == 2
    fs.pipe_file("raw/d/a.txt", b"7")
    for read in (ds.stream, ds.resolve):
        with pytest.raises(ds.HeadMoved):
            read("ds://raw/d/")
