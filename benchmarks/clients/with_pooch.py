"""pooch, which hashes a file each time that it is asked for."""

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pooch
from botocore.config import Config

from benchmarks.clients import BIG
from benchmarks.measuring import Measured, first_and_next
from benchmarks.places import CachedPlace, Place, S3Place

LABEL = "pooch; hashes its files"


def connect(place: Place) -> Any:
    """Know all hashes, as its users do."""
    pooch.get_logger().setLevel(logging.ERROR)
    if isinstance(place, CachedPlace):
        files = sorted((Path(place.source) / "files").iterdir())
        registry = {file.name: f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files}
        address = f"file://{place.source}/files/"  # which nothing is fetched from
        return pooch.create(f"{place.home}/pooch", address, registry=registry), place
    assert isinstance(place, S3Place)
    keys = {"aws_access_key_id": place.access_key, "aws_secret_access_key": place.secret_key}
    client: Any = boto3.client(
        "s3",
        endpoint_url=place.endpoint,
        region_name=place.region,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        **keys,
    )
    return client, place.bucket


def prepare(connection: Any, folder: Path) -> None:
    """Copy the files to where it looks for them."""
    kept, place = connection
    kept.path.mkdir(parents=True)
    for file in (Path(place.source) / "files").iterdir():
        (kept.path / file.name).write_bytes(file.read_bytes())


def warm_one(connection: Any, folder: Path) -> Measured:
    return first_and_next(lambda _: connection[0].fetch("00500"), 1000)


def warm_others(connection: Any, folder: Path) -> Measured:
    return first_and_next(lambda at: connection[0].fetch(f"{at:05}"), 1000)


def warm_many(connection: Any, folder: Path) -> Measured:
    kept = connection[0]
    return first_and_next(lambda _: [kept.fetch(name) for name in kept.registry], 5)


def _retrieved(connection: Any, key: str, folder: Path) -> Path:
    client, bucket = connection
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    return Path(pooch.retrieve(url, known_hash=None, fname=key.replace("/", "-"), path=folder))


def cold_big(connection: Any, folder: Path) -> None:
    assert _retrieved(connection, "big", folder).stat().st_size == BIG


def cold_many(connection: Any, folder: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(lambda at: _retrieved(connection, f"small/{at:05}", folder), range(2000)))
    assert len(paths) == 2000
