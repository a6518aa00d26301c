"""Plain files, by the means of Python alone."""

import os
import shutil
from pathlib import Path
from typing import Any

from benchmarks.clients.through_fsspec import call, read_scattered, read_table, read_through
from benchmarks.measuring import Measured
from benchmarks.places import LocalPlace, Place

LABEL = "plain files"


def connect(place: Place) -> Any:
    """Take the folder."""
    assert isinstance(place, LocalPlace)
    os.sync()
    return Path(place.source)


def opened(connection: Any, folder: Path) -> Measured:
    def act(at: int) -> None:
        with open(f"{connection}/small/{at:05}", "rb") as file:  # noqa: PTH123 - a Path costs as much again
            assert len(file.read()) == 10_000

    return call(act)


def info(connection: Any, folder: Path) -> Measured:
    return call(lambda at: os.stat(f"{connection}/small/{at:05}"))  # noqa: PTH116 - as above


def exists(connection: Any, folder: Path) -> Measured:
    return call(lambda at: os.path.exists(f"{connection}/small/{at:05}"))  # noqa: PTH110 - as above


def listing(connection: Any, folder: Path) -> None:
    assert len(os.listdir(connection / "small")) == 2000


def cat_many(connection: Any, folder: Path) -> None:
    assert len([(connection / "small" / f"{at:05}").read_bytes() for at in range(1000)]) == 1000


def through(connection: Any, folder: Path) -> None:
    with (connection / "big").open("rb") as file:
        read_through(file)


def scattered(connection: Any, folder: Path) -> None:
    with (connection / "big").open("rb") as file:
        read_scattered(file)


def parquet(connection: Any, folder: Path) -> Measured:
    return read_table(f"{connection}/table.parquet")


def add_big(connection: Any, folder: Path) -> None:
    """Copy 1 GiB, and see to it that it is on the disk."""
    shutil.copyfile(folder.parent / "source" / "big", folder / "big")
    with (folder / "big").open("rb") as file:
        os.fsync(file.fileno())


def get_big(connection: Any, folder: Path) -> None:
    shutil.copyfile(connection / "big", folder / "big")
