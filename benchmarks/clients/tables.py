"""The keyed diff of a table's rows: as a user asks for it, from the store, and of two frames that are in memory."""

import os
import time
from pathlib import Path
from typing import Any

import datastore as ds
from benchmarks.measuring import Measured
from benchmarks.places import Place, TablesPlace
from datastore.tables import diff_tables

LABEL = "datastore"


def connect(place: Place) -> Any:
    """Open the repo, and compare two small tables, for the imports."""
    import pandas as pd

    assert isinstance(place, TablesPlace)
    ds.mount("tables", "embedded", path=place.store, repo="tables")
    repo = ds.repo("tables")
    small = pd.DataFrame({"id": [1, 2], "word": ["a", "b"]})
    diff_tables(small, small.iloc[1:], key="id")
    assert repo.branches()
    os.sync()
    return repo


def few(connection: Any, folder: Path) -> None:
    assert connection.diff("main", "few").table("t.parquet", key="id").counts["changed"] <= 100


def many(connection: Any, folder: Path) -> None:
    assert connection.diff("main", "many").table("t.parquet", key="id").counts["removed"]


def few_in_memory(connection: Any, folder: Path) -> Measured:
    return _in_memory("few")


def many_in_memory(connection: Any, folder: Path) -> Measured:
    return _in_memory("many")


def _in_memory(branch: str) -> Measured:
    import pandas as pd

    before, after = (pd.read_parquet(f"ds://tables@{name}/t.parquet") for name in ("main", branch))
    begin = time.perf_counter()
    diff_tables(before, after, key="id")
    return Measured(time.perf_counter() - begin)
