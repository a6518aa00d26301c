"""The ways to read, for whatever speaks fsspec: a connection is a file system and what stands before the keys."""

import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset as pads

from benchmarks.measuring import Measured
from benchmarks.watching import watched

__all__ = [
    "all_columns",
    "archive",
    "array",
    "filtered",
    "listed_again",
    "many_files",
    "many_groups",
    "members",
    "pieces",
    "ranges",
    "small",
    "two_columns",
    "wide",
    "wider",
]

FILES = 16
ROWS = 20_000


def counted(work: Callable[[], Any]) -> Measured:
    """Return seconds, requests and round trips in sequence."""
    with watched() as seen:
        begin = time.perf_counter()
        work()
        wall = time.perf_counter() - begin
    return Measured(wall, depth=seen.depth(), requests=len(seen))


def _parquet(connection: Any, key: str, **options: Any) -> Measured:
    """Read by URL where the client has one that leads there by itself, else through its file system."""
    fs, base = connection
    if getattr(fs, "protocol", None) == "ds":
        return counted(lambda: pd.read_parquet(f"ds://{base}/{key}", **options))
    return counted(lambda: pd.read_parquet(f"{base}/{key}", filesystem=fs, **options))


def two_columns(connection: Any, folder: Path) -> Measured:
    return _parquet(connection, "ten.parquet", columns=["c2", "c7"])


def all_columns(connection: Any, folder: Path) -> Measured:
    return _parquet(connection, "ten.parquet")


def many_groups(connection: Any, folder: Path) -> Measured:
    return _parquet(connection, "groups.parquet", columns=["c2", "c7"])


def wide(connection: Any, folder: Path) -> Measured:
    return _parquet(connection, "wide.parquet", columns=["c20", "c700"])


def wider(connection: Any, folder: Path) -> Measured:
    return _parquet(connection, "wide.parquet", columns=[f"c{number}" for number in range(0, 1000, 50)])


def many_files(connection: Any, folder: Path) -> Measured:
    return _parquet(connection, "set", columns=["c1"])


def filtered(connection: Any, folder: Path) -> Measured:
    fs, base = connection
    wanted = pads.field("c2") > 0.5

    def work() -> None:
        if getattr(fs, "protocol", None) == "ds":
            data = pads.dataset(f"fsspec+ds://{base}/set")
        else:
            data = pads.dataset(f"{base}/set", filesystem=fs, format="parquet")
        assert data.to_table(columns=["c1"], filter=wanted).num_rows < FILES * ROWS

    return counted(work)


def _opened(connection: Any, key: str, read: Callable[[Any], Any]) -> Measured:
    fs, base = connection

    def work() -> None:
        with fs.open(f"{base}/{key}", "rb") as file:
            read(file)

    return counted(work)


def pieces(connection: Any, folder: Path) -> Measured:
    def read(file: Any) -> None:
        while file.read(1 << 20):
            pass

    return _opened(connection, "big.bin", read)


def array(connection: Any, folder: Path) -> Measured:
    return _opened(connection, "a.npy", np.load)


def archive(connection: Any, folder: Path) -> Measured:
    def read(file: Any) -> None:
        with zipfile.ZipFile(file) as found:
            for name in found.namelist():
                found.read(name)

    return _opened(connection, "model.zip", read)


def members(connection: Any, folder: Path) -> Measured:
    def read(file: Any) -> None:
        with tarfile.open(fileobj=file) as found:
            assert len(found.getnames()) == 1000

    return _opened(connection, "many.tar", read)


def ranges(connection: Any, folder: Path) -> Measured:
    fs, base = connection
    starts = [number * 600_000 for number in range(100)]
    stops = [start + 1000 for start in starts]
    return counted(lambda: fs.cat_ranges([f"{base}/big.bin"] * 100, starts, stops))


def small(connection: Any, folder: Path) -> Measured:
    fs, base = connection
    return counted(lambda: fs.cat([f"{base}/small/{number:03}" for number in range(200)]))


def listed_again(connection: Any, folder: Path) -> Measured:
    fs, base = connection

    def work() -> None:
        assert len(fs.ls(f"{base}/small", detail=False)) == 200
        fs.info(f"{base}/small/007")

    work()
    return counted(work)
