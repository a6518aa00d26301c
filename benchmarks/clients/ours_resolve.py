"""`ds.resolve`, by its public API alone."""

import os
from pathlib import Path
from typing import Any

import datastore as ds
from benchmarks.clients import BIG
from benchmarks.measuring import Measured, first_and_next
from benchmarks.places import CachedPlace, Place, S3Place

LABEL = "datastore"


def connect(place: Place) -> Any:
    """Import what it takes; the configuration is read at the first call, when the cache is known."""
    import datastore.resolution  # noqa: F401  # pyright: ignore[reportUnusedImport]

    if not isinstance(place, CachedPlace):
        assert isinstance(place, S3Place)
        return place
    os.environ["DATASTORE_CACHE"] = f"{place.home}/ours"
    ds.mount("bench", "embedded", path=place.store, repo="cached")
    return ds.repo("bench").at("main") / "files/"


def prepare(connection: Any, folder: Path) -> None:
    ds.resolve(connection)
    for at in range(1000):
        ds.resolve(connection / f"{at:05}")


def warm_one(connection: Any, folder: Path) -> Measured:
    return first_and_next(lambda _: ds.resolve(connection / "00500").name, 1000)


def warm_others(connection: Any, folder: Path) -> Measured:
    return first_and_next(lambda at: ds.resolve(connection / f"{at:05}").name, 1000)


def warm_many(connection: Any, folder: Path) -> Measured:
    return first_and_next(lambda _: ds.resolve(connection).name, 20)


def _mount(place: S3Place, folder: Path) -> ds.DatasetURL:
    os.environ["DATASTORE_CACHE"] = str(folder)
    keys = {"access_key_id": place.access_key, "secret_access_key": place.secret_key}
    return ds.mount("cold", "s3", bucket=place.bucket, endpoint=place.endpoint, region=place.region, **keys)


def cold_big(connection: Any, folder: Path) -> None:
    url = _mount(connection, folder)
    assert ds.resolve(url / "big").stat().st_size == BIG


def cold_many(connection: Any, folder: Path) -> None:
    url = _mount(connection, folder)
    assert sum(1 for _ in ds.resolve(url / "small/").iterdir()) == 2000
