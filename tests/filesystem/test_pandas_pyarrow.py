"""pandas and pyarrow read and write through URLs."""

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from datastore.errors import NotFound

FRAME = pd.DataFrame({"a": range(100), "b": [n / 3 for n in range(100)], "k": list("vwxyz") * 20, "s": ["ü #1"] * 100})


@pytest.fixture
def url(base):
    return f"ds://{base}"


@pytest.mark.parametrize("name", ["t", "a b #1", "what?", "100%20", "k=v/x", "[1]", "ü/日本"])
@pytest.mark.parametrize("kind", ["parquet", "csv", "json", "feather", "pickle"])
def test_round_trips(url, kind, name):
    target = f"{url}/{name}.{kind}"
    options = {"index": False} if kind == "csv" else {}
    getattr(FRAME, f"to_{kind}")(target, **options)
    pd.testing.assert_frame_equal(getattr(pd, f"read_{kind}")(target), FRAME)


def test_a_subset_of_columns_and_rows(url):
    FRAME.to_parquet(f"{url}/t.parquet")
    found = pd.read_parquet(f"{url}/t.parquet", columns=["b"], filters=[("a", ">", 90)])
    assert found.columns.tolist() == ["b"]
    assert len(found) == 9


def test_compressed_text(url):
    FRAME.to_csv(f"{url}/t.csv.gz", index=False)
    assert fsspec.filesystem("ds").cat_file(f"{url}/t.csv.gz")[:2] == b"\x1f\x8b"
    pd.testing.assert_frame_equal(pd.read_csv(f"{url}/t.csv.gz"), FRAME)
    FRAME.to_json(f"{url}/t.jsonl.bz2", orient="records", lines=True)
    assert len(pd.read_json(f"{url}/t.jsonl.bz2", lines=True)) == 100


def test_partitioned_folders(url):
    FRAME.to_parquet(f"{url}/parts", partition_cols=["k"])
    names = fsspec.filesystem("ds").find(f"{url}/parts")
    assert len(names) == 5
    assert "/parts/k=v/" in names[0]
    found = pd.read_parquet(f"{url}/parts")
    assert sorted(found["a"]) == list(range(100))
    assert pd.read_parquet(f"{url}/parts", filters=[("k", "==", "x")])["a"].tolist() == list(range(2, 100, 5))
    assert len(pd.read_parquet(f"{url}/parts/k=w/")) == 20


def test_a_dataset_at_the_top_of_a_mount(url, base):
    pq.write_to_dataset(pa.table(FRAME), base, partition_cols=["k"], filesystem=fsspec.filesystem("ds"))
    assert len(pd.read_parquet(url)) == 100


def test_datasets_of_pyarrow(url, base):
    fs = fsspec.filesystem("ds")
    table = pa.table(FRAME)
    for _ in range(2):  # the second time over what is there
        pads.write_dataset(
            table,
            f"{base}/ds",
            format="parquet",
            partitioning=["k"],
            filesystem=fs,
            existing_data_behavior="delete_matching",
        )
    dataset = pads.dataset(f"{base}/ds", filesystem=fs, partitioning=["k"])
    assert dataset.count_rows() == 100
    assert dataset.to_table(columns=["a"], filter=pads.field("k") == "v")["a"].to_pylist() == list(range(0, 100, 5))
    with pytest.raises(pa.ArrowInvalid, match="not empty"):
        pads.write_dataset(table, f"{base}/ds", format="parquet", filesystem=fs)


def test_urls_of_pyarrow(url, base):
    target = f"fsspec+{url}/a b.parquet"
    pq.write_table(pa.table(FRAME), target)
    assert pq.read_table(target, columns=["a"]).num_rows == 100
    assert pq.read_metadata(target).num_rows == 100
    assert pads.dataset(target).count_rows() == 100
    assert pd.read_parquet(target).shape == FRAME.shape
    filesystem, path = pafs.FileSystem.from_uri(target)
    info = filesystem.get_file_info(path)
    assert (info.type, info.is_file) == (pafs.FileType.File, True)
    assert info.mtime is not None


def test_the_file_system_interface_of_pyarrow(base, tmp_path):
    fs = pafs.PyFileSystem(pafs.FSSpecHandler(fsspec.filesystem("ds")))
    with fs.open_output_stream(f"{base}/d/a.bin") as stream:
        stream.write(b"0123456789")
    with fs.open_append_stream(f"{base}/d/a.bin") as stream:
        stream.write(b"X")
    with fs.open_input_file(f"{base}/d/a.bin") as file:
        assert file.size() == 11
        assert file.read_at(3, 4) == b"456"
    fs.copy_file(f"{base}/d/a.bin", f"{base}/d/b.bin")
    fs.move(f"{base}/d/b.bin", f"{base}/d/c.bin")
    selector = pafs.FileSelector(base, recursive=True)
    found = {info.path: info.type for info in fs.get_file_info(selector)}
    assert found == {
        f"{base}/d": pafs.FileType.Directory,
        f"{base}/d/a.bin": pafs.FileType.File,
        f"{base}/d/c.bin": pafs.FileType.File,
    }
    assert fs.get_file_info(f"{base}/x").type == pafs.FileType.NotFound
    with pytest.raises(FileNotFoundError):
        fs.open_input_file(f"{base}/x")
    (tmp_path / "out").mkdir()
    pafs.copy_files(f"{base}/d", str(tmp_path / "out"), source_filesystem=fs)
    assert (tmp_path / "out" / "c.bin").read_bytes() == b"0123456789X"
    fs.delete_file(f"{base}/d/a.bin")
    fs.delete_dir_contents(f"{base}/d")
    assert fsspec.filesystem("ds").find(base) == []


def test_feather_of_pyarrow(base):
    fs = fsspec.filesystem("ds")
    with fs.open(f"{base}/t.feather", "wb") as f:
        feather.write_feather(FRAME, f)
    with fs.open(f"{base}/t.feather") as f:
        assert feather.read_table(f, columns=["a"]).num_rows == 100


def test_large_tables_with_many_row_groups(url):
    frame = pd.DataFrame({f"c{n}": pd.Series(range(200_000), dtype="float64") for n in range(5)})
    frame.to_parquet(f"{url}/big.parquet", row_group_size=20_000)
    pd.testing.assert_frame_equal(pd.read_parquet(f"{url}/big.parquet", columns=["c3"]), frame[["c3"]])
    assert pq.ParquetFile(fsspec.open(f"{url}/big.parquet").open()).num_row_groups == 10


def test_reading_in_pieces(url):
    FRAME.to_csv(f"{url}/t.csv", index=False)
    with pd.read_csv(f"{url}/t.csv", chunksize=30) as chunks:
        assert [len(chunk) for chunk in chunks] == [30, 30, 30, 10]
    assert len(pd.read_csv(f"{url}/t.csv", nrows=5)) == 5
    assert len(pd.read_csv(f"{url}/t.csv", engine="pyarrow")) == 100


def test_what_is_missing_is_said_in_our_words(url):
    with pytest.raises(NotFound):
        pd.read_csv(f"{url}/missing.csv")
    with pytest.raises(FileNotFoundError):
        pd.read_parquet(f"{url}/missing.parquet")


def test_many_files_at_once(base):
    with fsspec.open_files([f"ds://{base}/{n}.txt" for n in range(3)], "wt") as files:
        for n, file in enumerate(files):
            file.write(str(n))
    with fsspec.open_files(f"ds://{base}/*.txt", "rt") as files:
        assert [file.read() for file in files] == ["0", "1", "2"]
