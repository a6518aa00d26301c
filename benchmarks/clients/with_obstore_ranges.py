"""obstore with parallel ranges that the caller writes by hand: more than its documentation asks for."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore

from benchmarks.clients import BIG
from benchmarks.clients.with_obstore import PART, connect

__all__ = ["LABEL", "connect", "download", "read"]

LABEL = "obstore, ranges by hand"


def download(connection: Any, folder: Path) -> None:
    size = obstore.head(connection, "big")["size"]
    fd = os.open(folder / "big", os.O_RDWR | os.O_CREAT)

    def part(start: int) -> None:
        data = obstore.get_range(connection, "big", start=start, end=min(start + PART, size))
        os.pwrite(fd, data, start)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(part, range(0, size, PART)))
    os.close(fd)


def read(connection: Any, folder: Path) -> None:
    starts = list(range(0, BIG, PART))
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda start: obstore.get_range(connection, "big", start=start, length=PART), starts))
    assert len(b"".join(parts)) == BIG
