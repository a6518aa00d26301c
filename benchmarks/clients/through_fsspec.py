"""The tasks of the local path for whatever speaks fsspec: a connection is a file system and a folder in it.

Calls on small objects take a different one each time, and say the seconds of one call.
"""

import io
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.clients import BIG
from benchmarks.measuring import Measured

__all__ = [
    "cat",
    "cat_many",
    "exists",
    "get_big",
    "info",
    "listing",
    "opened",
    "parquet",
    "scattered",
    "through",
]

CALLS = 500
PIECE = 64 << 10


def call(act: Callable[[int], Any]) -> Measured:
    """Return the seconds of one call of many; the first ten are not counted."""
    for at in range(10):
        act(1000 + at)
    begin = time.perf_counter()
    for at in range(CALLS):
        act(at)
    return Measured((time.perf_counter() - begin) / CALLS)


def opened(connection: Any, folder: Path) -> Measured:
    fs, base = connection

    def act(at: int) -> None:
        with fs.open(f"{base}/small/{at:05}", "rb") as file:
            assert len(file.read()) == 10_000

    return call(act)


def cat(connection: Any, folder: Path) -> Measured:
    fs, base = connection
    return call(lambda at: fs.cat_file(f"{base}/small/{at:05}"))


def info(connection: Any, folder: Path) -> Measured:
    fs, base = connection
    return call(lambda at: fs.info(f"{base}/small/{at:05}"))


def exists(connection: Any, folder: Path) -> Measured:
    fs, base = connection
    return call(lambda at: fs.exists(f"{base}/small/{at:05}"))


def listing(connection: Any, folder: Path) -> None:
    fs, base = connection
    assert len(fs.ls(f"{base}/small", detail=False)) == 2000


def cat_many(connection: Any, folder: Path) -> None:
    fs, base = connection
    assert len(fs.cat([f"{base}/small/{at:05}" for at in range(1000)])) == 1000


def through(connection: Any, folder: Path) -> None:
    fs, base = connection
    with fs.open(f"{base}/big", "rb") as file:
        read_through(file)


def scattered(connection: Any, folder: Path) -> None:
    fs, base = connection
    with fs.open(f"{base}/big", "rb") as file:
        read_scattered(file)


def read_through(file: io.BufferedIOBase) -> None:
    """Read 1 GiB in pieces of 1 MiB."""
    assert sum(len(piece) for piece in iter(lambda: file.read(1 << 20), b"")) == BIG


def read_scattered(file: io.BufferedIOBase) -> None:
    """Read 1,000 pieces of 64 KiB."""
    places = random.Random(0)
    for _ in range(1000):
        file.seek(places.randrange(BIG - PIECE))
        assert len(file.read(PIECE)) == PIECE


def parquet(connection: Any, folder: Path) -> Measured:
    fs, base = connection
    return read_table(fs.unstrip_protocol(f"{base}/table.parquet"))


def read_table(url: str) -> Measured:
    """Return the seconds of a whole table, after one column of it."""
    import pandas as pd

    pd.read_parquet(url, columns=["c0"])
    begin = time.perf_counter()
    pd.read_parquet(url)
    return Measured(time.perf_counter() - begin)


def get_big(connection: Any, folder: Path) -> None:
    fs, base = connection
    fs.get_file(f"{base}/big", str(folder / "big"))
