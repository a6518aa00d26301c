"""lakefs-spec, the fsspec file system of the lakeFS community."""

from pathlib import Path
from typing import Any

from lakefs_spec import LakeFSFileSystem

from benchmarks.clients import BIG, fresh
from benchmarks.places import LakeFSPlace, Place

LABEL = "lakefs-spec"


def connect(place: Place) -> Any:
    """Make a file system."""
    assert isinstance(place, LakeFSPlace)
    fs: Any = LakeFSFileSystem(host=place.endpoint, username=place.access_key, password=place.secret_key)
    fs.exists(f"{place.repo}/main/big")
    return fs, place.repo


def download(connection: Any, folder: Path) -> None:
    fs, repo = connection
    fs.get_file(f"{repo}/main/big", str(folder / "big"))


def read(connection: Any, folder: Path) -> None:
    fs, repo = connection
    assert len(fs.cat_file(f"{repo}/main/big")) == BIG


def upload(connection: Any, folder: Path) -> None:
    fs, repo = connection
    fs.put_file(str(folder.parent / "source" / "big"), f"{repo}/scratch/{fresh()}/big")


def list_keys(connection: Any, folder: Path) -> None:
    fs, repo = connection
    assert len(fs.find(f"{repo}/main/names/")) == 20_000


def get_many(connection: Any, folder: Path) -> None:
    fs, repo = connection
    fs.get(f"{repo}/main/small/", f"{folder}/", recursive=True)


def put_many(connection: Any, folder: Path) -> None:
    fs, repo = connection
    fs.put(f"{folder.parent}/source/small/", f"{repo}/scratch/{fresh()}/small/", recursive=True)


def read_parquet(connection: Any, folder: Path) -> None:
    import pandas as pd

    fs, repo = connection
    pd.read_parquet(f"{repo}/main/table.parquet", columns=["c2", "c7"], filesystem=fs)
