"""s3fs."""

from pathlib import Path
from typing import Any

import s3fs

from benchmarks.clients import BIG, fresh
from benchmarks.places import Place, S3Place

LABEL = "s3fs"


def connect(place: Place) -> Any:
    """Make a file system."""
    assert isinstance(place, S3Place)
    fs: Any = s3fs.S3FileSystem(
        key=place.access_key, secret=place.secret_key, endpoint_url=place.endpoint, use_listings_cache=False
    )
    fs.exists(f"{place.bucket}/big")
    return fs, place.bucket


def download(connection: Any, folder: Path) -> None:
    fs, bucket = connection
    fs.get_file(f"{bucket}/big", str(folder / "big"))


def read(connection: Any, folder: Path) -> None:
    fs, bucket = connection
    assert len(fs.cat_file(f"{bucket}/big")) == BIG


def upload(connection: Any, folder: Path) -> None:
    fs, bucket = connection
    fs.put_file(str(folder.parent / "source" / "big"), f"{bucket}/scratch/{fresh()}/big")


def list_keys(connection: Any, folder: Path) -> None:
    fs, bucket = connection
    assert len(fs.find(f"{bucket}/names")) == 20_000


def get_many(connection: Any, folder: Path) -> None:
    fs, bucket = connection
    fs.get(f"{bucket}/small/", f"{folder}/", recursive=True)


def put_many(connection: Any, folder: Path) -> None:
    fs, bucket = connection
    fs.put(f"{folder.parent}/source/small/", f"{bucket}/scratch/{fresh()}/small/", recursive=True)


def read_parquet(connection: Any, folder: Path) -> None:
    import pandas as pd

    fs, bucket = connection
    pd.read_parquet(f"{bucket}/table.parquet", columns=["c2", "c7"], filesystem=fs)
