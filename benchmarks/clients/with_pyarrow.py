"""pyarrow's own S3 file system, in C++."""

from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from benchmarks.clients import BIG, fresh
from benchmarks.places import Place, S3Place

LABEL = "pyarrow"


def connect(place: Place) -> Any:
    """Make a file system."""
    assert isinstance(place, S3Place)
    fs = pafs.S3FileSystem(
        access_key=place.access_key,
        secret_key=place.secret_key,
        endpoint_override=place.endpoint.partition("://")[2],
        scheme="http",
        region=place.region,
    )
    fs.get_file_info(f"{place.bucket}/big")
    return fs, place.bucket


def download(connection: Any, folder: Path) -> None:
    fs, bucket = connection
    pafs.copy_files(f"{bucket}/big", str(folder / "big"), source_filesystem=fs, chunk_size=8 << 20)


def read(connection: Any, folder: Path) -> None:
    fs, bucket = connection
    with fs.open_input_file(f"{bucket}/big") as file:
        assert len(file.readall()) == BIG


def upload(connection: Any, folder: Path) -> None:
    fs, bucket = connection
    source = str(folder.parent / "source" / "big")
    pafs.copy_files(source, f"{bucket}/scratch/{fresh()}/big", destination_filesystem=fs, chunk_size=8 << 20)


def list_keys(connection: Any, folder: Path) -> None:
    fs, bucket = connection
    assert len(fs.get_file_info(pafs.FileSelector(f"{bucket}/names", recursive=True))) == 20_000


def get_many(connection: Any, folder: Path) -> None:
    fs, bucket = connection
    pafs.copy_files(f"{bucket}/small", str(folder), source_filesystem=fs)


def read_parquet(connection: Any, folder: Path) -> None:
    import pandas as pd

    fs, bucket = connection
    pd.read_parquet(f"{bucket}/table.parquet", columns=["c2", "c7"], filesystem=fs)
