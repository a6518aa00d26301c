"""Puts the same data into a bucket, a repo and a local folder."""

import os
from pathlib import Path

from benchmarks.clients import BIG
from datastore.testing.servers import LakeFSServer, S3Server

__all__ = ["fill_bucket", "fill_repo", "make_source"]

SMALL = 2000
NAMES = 20_000


def make_source(folder: Path) -> None:
    """Make `big`, `small/…` and `table.parquet` (16 MB, 10 columns, 10 row groups)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "small").mkdir(parents=True)
    piece = os.urandom(64 << 20)
    with (folder / "big").open("wb") as file:
        for _ in range(BIG // len(piece)):
            file.write(piece)
    for number in range(SMALL):
        (folder / "small" / f"{number:05}").write_bytes(piece[number * 10_000 : (number + 1) * 10_000])
    values = np.random.default_rng(0)
    table = pa.table({f"c{column}": values.random(200_000) for column in range(10)})
    pq.write_table(table, folder / "table.parquet", row_group_size=20_000)


def fill_bucket(server: S3Server, bucket: str, source: Path) -> None:
    """Fill a bucket of versitygw, whose objects are files of its folder."""
    import shutil

    place = next(server.folder.rglob(bucket))
    shutil.copytree(source, place, dirs_exist_ok=True)
    (place / "names").mkdir()
    for number in range(NAMES):
        (place / "names" / f"{number % 20:02}-{number:06}").touch()


def fill_repo(server: LakeFSServer, repo: str, source: Path) -> None:
    """Fill `main` and commit it; make `scratch`."""
    import datastore as ds

    ds.mount(
        "filling",
        "lakefs",
        repo=repo,
        endpoint=server.endpoint,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
    )
    fs = ds.filesystem()
    fs.put(f"{source}/", "filling@main/", recursive=True)
    fs.pipe({f"filling@main/names/{number % 20:02}-{number:06}": b"" for number in range(NAMES)})
    made = ds.repo("filling")
    made.branch("main").commit("fill")
    made.create_branch("scratch")
