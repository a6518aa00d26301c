"""datastore, by its public API alone."""

from pathlib import Path
from typing import Any

import datastore as ds
from benchmarks.clients import BIG, fresh
from benchmarks.places import LakeFSPlace, Place, S3Place

LABEL = "datastore"


def connect(place: Place) -> Any:
    """Mount the bucket, or the repo."""
    if isinstance(place, S3Place):
        ds.mount(
            "bench",
            "s3",
            bucket=place.bucket,
            endpoint=place.endpoint,
            region=place.region,
            access_key_id=place.access_key,
            secret_access_key=place.secret_key,
        )
        base, scratch = "bench", "bench/scratch"
    else:
        assert isinstance(place, LakeFSPlace)
        ds.mount(
            "bench",
            "lakefs",
            repo=place.repo,
            endpoint=place.endpoint,
            access_key_id=place.access_key,
            secret_access_key=place.secret_key,
        )
        base, scratch = "bench@main", "bench@scratch"
    fs = ds.filesystem()
    fs.exists(f"{base}/big")
    return fs, base, scratch


def download(connection: Any, folder: Path) -> None:
    fs, base, _ = connection
    fs.get_file(f"{base}/big", str(folder / "big"))


def read(connection: Any, folder: Path) -> None:
    fs, base, _ = connection
    assert len(fs.cat_file(f"{base}/big")) == BIG


def upload(connection: Any, folder: Path) -> None:
    fs, _, scratch = connection
    fs.put_file(str(folder.parent / "source" / "big"), f"{scratch}/{fresh()}/big")


def list_keys(connection: Any, folder: Path) -> None:
    fs, base, _ = connection
    assert len(fs.find(f"{base}/names")) == 20_000


def get_many(connection: Any, folder: Path) -> None:
    fs, base, _ = connection
    fs.get(f"{base}/small/", f"{folder}/", recursive=True)
    assert sum(1 for _ in folder.iterdir()) == 2000


def put_many(connection: Any, folder: Path) -> None:
    fs, _, scratch = connection
    fs.put(f"{folder.parent}/source/small/", f"{scratch}/{fresh()}/small/", recursive=True)


def read_parquet(connection: Any, folder: Path) -> int:
    import pandas as pd

    from datastore.http.observe import observed

    with observed() as seen:
        pd.read_parquet(f"ds://{connection[1]}/table.parquet", columns=["c2", "c7"])
    return seen.depth()
