"""fsspec's own caches in front of us: what they may be trusted with, and what not."""

import io
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from tests.engines.helpers import FRAME, change, committed


@pytest.fixture
def through(tmp_path):
    """Read a path through one of the caches."""

    def read(kind, path, **options):
        with fsspec.open(f"{kind}::ds://{path}", **{kind: {"cache_storage": str(tmp_path / kind), **options}}) as file:
            return file.read()

    return read


@pytest.mark.parametrize("kind", ["simplecache", "filecache"])
def test_names_with_a_commit_never_show_old_data(base, kind, through, counts):
    if "@" not in base:
        pytest.skip("a bucket has no commits")
    for value in (b"1", b"22", b"3"):
        change(f"{base}/a", value)
        place = committed(base)
        assert through(kind, f"{place}/a") == value
        assert through(kind, f"{place}/a") == value


def test_a_name_that_moves_is_asked_for_again_if_the_cache_checks(base, through):
    for value in (b"1", b"2"):
        change(f"{base}/a", value)
        assert through("filecache", f"{base}/a", check_files=True) == value


def test_simplecache_never_asks_again(base, through):
    for value in (b"1", b"2"):
        change(f"{base}/a", value)
        assert through("simplecache", f"{base}/a") == b"1"  # so it is made: give it names with a commit


def test_a_hit_asks_nothing_of_the_objects(branch, through, counts):
    change(f"{branch}/a", b"1")
    place = committed(branch)
    through("simplecache", f"{place}/a")
    counts.clear()
    through("simplecache", f"{place}/a")
    assert not counts


def test_writing_through_simplecache(base, through, tmp_path):
    with fsspec.open(f"simplecache::ds://{base}/a", "wb", simplecache={"cache_storage": str(tmp_path / "w")}) as file:
        file.write(b"1")
    assert fsspec.filesystem("ds").cat_file(f"{base}/a") == b"1"


def test_pandas_through_a_cache(branch, through):
    FRAME.to_parquet(f"ds://{branch}/t.parquet")
    pd.testing.assert_frame_equal(
        pd.read_parquet(io.BytesIO(through("simplecache", f"{committed(branch)}/t.parquet"))), FRAME
    )


def test_local_copies(branch, tmp_path):
    change(f"{branch}/a.txt", b"1")
    url = f"simplecache::ds://{committed(branch)}/a.txt"
    local = fsspec.open_local(url, simplecache={"cache_storage": str(tmp_path), "same_names": True})
    assert Path(local).read_bytes() == b"1"


def test_the_real_error_is_told(refused, through):
    for kind in ("simplecache", "filecache"):
        with pytest.raises(PermissionError, match="the credentials have expired"):
            through(kind, f"{refused}/a")
