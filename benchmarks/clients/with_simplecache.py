"""fsspec's `simplecache`, over local files where nothing has to come, over s3fs where it has."""

from pathlib import Path
from typing import Any

import fsspec

from benchmarks.clients import BIG
from benchmarks.measuring import Measured, first_and_next
from benchmarks.places import CachedPlace, Place, S3Place

LABEL = "fsspec simplecache; checks nothing"


def connect(place: Place) -> Any:
    """Return what to open, and how."""
    if isinstance(place, CachedPlace):
        return f"simplecache::file://{place.source}/files", {"simplecache": {"cache_storage": f"{place.home}/simple"}}
    assert isinstance(place, S3Place)
    options = {"key": place.access_key, "secret": place.secret_key, "endpoint_url": place.endpoint}
    import s3fs

    s3fs.S3FileSystem(**options).exists(f"{place.bucket}/big")
    return f"simplecache::s3://{place.bucket}", {"s3": options}


def prepare(connection: Any, folder: Path) -> None:
    _all(connection)


def _all(connection: Any) -> Any:
    base, options = connection
    return fsspec.open_local([f"{base}/{at:05}" for at in range(10_000)], **options)


def warm_one(connection: Any, folder: Path) -> Measured:
    base, options = connection
    return first_and_next(lambda _: fsspec.open_local(f"{base}/00500", **options), 1000)


def warm_others(connection: Any, folder: Path) -> Measured:
    base, options = connection
    return first_and_next(lambda at: fsspec.open_local(f"{base}/{at:05}", **options), 1000)


def warm_many(connection: Any, folder: Path) -> Measured:
    return first_and_next(lambda _: _all(connection), 5)


def cold_big(connection: Any, folder: Path) -> None:
    base, options = connection
    path = fsspec.open_local(f"{base}/big", simplecache={"cache_storage": str(folder)}, **options)
    assert Path(path).stat().st_size == BIG


def cold_many(connection: Any, folder: Path) -> None:
    base, options = connection
    paths = fsspec.open_local(f"{base}/small/*", simplecache={"cache_storage": str(folder)}, **options)
    assert len(paths) == 2000
