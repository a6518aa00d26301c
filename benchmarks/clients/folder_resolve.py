"""`ds.resolve` of a prefix of a lakeFS branch: a folder that is shared and read-only, so nothing is sent from it."""

from pathlib import Path
from typing import Any

import datastore as ds
from benchmarks.clients.folder_sync import connect, counted

__all__ = ["LABEL", "again", "bring", "connect", "update"]

LABEL = "datastore, `ds.resolve`"


def bring(connection: Any, folder: Path) -> None:
    branch, place = connection
    counted(ds.resolve(branch / "small/"), place)


again = bring


def update(connection: Any, folder: Path) -> None:
    path = ds.resolve(connection[0] / "small/")
    assert sum(file.stat().st_size == 10_001 for file in path.iterdir()) == 10
