"""Data sets of `ROWS` rows in every format, whose rows are known by their number `n`."""

import io
import json
import tarfile

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1000


def table(start, stop):
    """Some rows."""
    numbers = list(range(start, stop))
    return pa.table(
        {
            "n": numbers,
            "text": [f"row {n}" for n in numbers],
            "half": [n / 2 for n in numbers],
            "vector": pa.array([[n, n + 1] for n in numbers], pa.list_(pa.float32(), 2)),
        }
    )


def parquet(root):
    """Four files of five row groups."""
    fs, path = fsspec.url_to_fs(str(root))
    for number in range(4):
        with fs.open(f"{path}/{number}.parquet", "wb") as file:
            pq.write_table(table(250 * number, 250 * number + 250), file, row_group_size=50)


def arrow(root):
    """A file and a stream, of batches of 50 rows."""
    fs, path = fsspec.url_to_fs(str(root))
    for number, (name, writer) in enumerate({"0.arrow": pa.ipc.new_file, "1.arrow": pa.ipc.new_stream}.items()):
        part = table(500 * number, 500 * number + 500)
        part = part.append_column("kind", pa.array(["a", "b"] * 250).dictionary_encode())
        with fs.open(f"{path}/{name}", "wb") as file, writer(file, part.schema) as sink:
            sink.write_table(part, max_chunksize=50)


def jsonl(root):
    """A plain file, without a last newline, and two compressed ones; the first has no fractions."""
    fs, path = fsspec.url_to_fs(str(root))
    names = ("0.jsonl", "1.jsonl.gz", "2.jsonl.zst")
    for name, start, stop in zip(names, (0, 400, 700), (400, 700, ROWS), strict=True):
        lines = [
            json.dumps({"n": n, "half": n / 2 if n % 2 or start else n // 2, "text": f"row {n}"})
            for n in range(start, stop)
        ]
        fs.pipe_file(f"{path}/{name}", _packed(name, "\n".join(lines).encode()))


def _packed(name, data):
    import gzip

    import zstandard

    if name.endswith(".gz"):
        return gzip.compress(data)
    return zstandard.compress(data) if name.endswith(".zst") else data


def webdataset(root):
    """Shards of `x/<n>.txt` and `x/<n>.seg.json`; some names need a header of their own."""
    fs, path = fsspec.url_to_fs(str(root))
    for name, start, stop in (("0.tar", 0, 960), ("1.tar.gz", 960, ROWS)):
        shard = io.BytesIO()
        with tarfile.open(fileobj=shard, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for n in range(start, stop):
                for suffix, data in (("txt", f"{n}" * 300), ("seg.json", json.dumps({"n": n}))):
                    member = tarfile.TarInfo(f"x/{'é' * (n % 50 == 0)}{n:06}.{suffix}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data.encode()))
        fs.pipe_file(f"{path}/{name}", _packed(name, shard.getvalue()))


def files(root):
    """One file each."""
    fs, path = fsspec.url_to_fs(str(root))
    fs.pipe({f"{path}/{n % 7}/{n:04}.bin": f"{n}".encode() for n in range(ROWS)})


FORMATS = {"parquet": parquet, "arrow": arrow, "jsonl": jsonl, "webdataset": webdataset, "files": files}


def numbers(batch):
    """Return which rows a batch has, and check that they are whole."""
    if isinstance(batch, list) and "__key__" in batch[0]:
        found = [json.loads(row["seg.json"])["n"] for row in batch]
        assert [row["txt"] for row in batch] == [f"{n}".encode() * 300 for n in found]
        assert [row["__key__"] for row in batch] == [f"x/{'é' * (n % 50 == 0)}{n:06}" for n in found]
    elif isinstance(batch, list):
        found = [int(row["data"]) for row in batch]
        assert all(row["key"].endswith(f"/{n % 7}/{n:04}.bin") for row, n in zip(batch, found, strict=True))
    else:
        found = batch["n"].tolist()
        assert batch["text"].tolist() == [f"row {n}" for n in found]
        assert batch["half"].tolist() == [n / 2 for n in found]
        if "vector" in batch:
            assert batch["vector"].tolist() == [[n, n + 1] for n in found]
    return found


def frame(rows):
    """A table for pandas."""
    return pd.DataFrame({"n": range(rows)})
