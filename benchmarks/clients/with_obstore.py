"""obstore: the object_store crate in Python. Large objects as a stream, as its documentation shows."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

from benchmarks.clients import BIG, fresh
from benchmarks.places import Place, S3Place

LABEL = "obstore"
PART = 8 << 20


def connect(place: Place) -> Any:
    """Make a store."""
    assert isinstance(place, S3Place)
    store = S3Store(
        place.bucket,
        endpoint=place.endpoint,
        access_key_id=place.access_key,
        secret_access_key=place.secret_key,
        region=place.region,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    obstore.head(store, "big")
    return store


def download(connection: Any, folder: Path) -> None:
    with (folder / "big").open("wb") as file:
        for chunk in obstore.get(connection, "big").stream(min_chunk_size=PART):
            file.write(chunk)


def read(connection: Any, folder: Path) -> None:
    assert len(obstore.get(connection, "big").bytes()) == BIG


def upload(connection: Any, folder: Path) -> None:
    obstore.put(
        connection, f"scratch/{fresh()}/big", folder.parent / "source" / "big", chunk_size=PART, max_concurrency=8
    )


def list_keys(connection: Any, folder: Path) -> None:
    assert sum(len(page) for page in obstore.list(connection, prefix="names/", chunk_size=1000)) == 20_000


def get_many(connection: Any, folder: Path) -> None:
    keys = [found["path"] for page in obstore.list(connection, prefix="small/", chunk_size=1000) for found in page]

    def get(key: str) -> None:
        (folder / key.removeprefix("small/")).write_bytes(obstore.get(connection, key).bytes())

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(get, keys))


def put_many(connection: Any, folder: Path) -> None:
    prefix = fresh()

    def put(path: Path) -> None:
        obstore.put(connection, f"scratch/{prefix}/small/{path.name}", path.read_bytes())

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(put, (folder.parent / "source" / "small").iterdir()))
