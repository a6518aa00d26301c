"""boto3, with its transfer manager in Python and 32 threads for small objects."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from benchmarks.clients import BIG, fresh
from benchmarks.places import Place, S3Place

LABEL = "boto3"
TRANSFER = TransferConfig(preferred_transfer_client="classic")


def connect(place: Place) -> Any:
    """Make a client."""
    assert isinstance(place, S3Place)
    client: Any = boto3.client(
        "s3",
        endpoint_url=place.endpoint,
        region_name=place.region,
        aws_access_key_id=place.access_key,
        aws_secret_access_key=place.secret_key,
        config=Config(max_pool_connections=64, s3={"addressing_style": "path"}),
    )
    client.head_bucket(Bucket=place.bucket)
    return client, place.bucket, TRANSFER


def download(connection: Any, folder: Path) -> None:
    client, bucket, transfer = connection
    client.download_file(bucket, "big", str(folder / "big"), Config=transfer)


def read(connection: Any, folder: Path) -> None:
    client, bucket, transfer = connection
    into = BytesIO()
    client.download_fileobj(bucket, "big", into, Config=transfer)
    assert into.getbuffer().nbytes == BIG


def upload(connection: Any, folder: Path) -> None:
    client, bucket, transfer = connection
    client.upload_file(str(folder.parent / "source" / "big"), bucket, f"scratch/{fresh()}/big", Config=transfer)


def list_keys(connection: Any, folder: Path) -> None:
    client, bucket, _ = connection
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="names/")
    assert sum(len(page["Contents"]) for page in pages) == 20_000


def get_many(connection: Any, folder: Path) -> None:
    client, bucket, _ = connection
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="small/")
    keys = [found["Key"] for page in pages for found in page["Contents"]]

    def get(key: str) -> None:
        (folder / key.removeprefix("small/")).write_bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(get, keys))


def put_many(connection: Any, folder: Path) -> None:
    client, bucket, _ = connection

    prefix = fresh()

    def put(path: Path) -> None:
        client.put_object(Bucket=bucket, Key=f"scratch/{prefix}/small/{path.name}", Body=path.read_bytes())

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(put, (folder.parent / "source" / "small").iterdir()))
