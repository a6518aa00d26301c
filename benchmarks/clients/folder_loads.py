"""`ds.download` of a prefix of a lakeFS branch into a folder, `ds.upload` of the folder."""

from pathlib import Path
from typing import Any

import datastore as ds
from benchmarks.clients.folder_sync import connect, counted

__all__ = ["LABEL", "again", "bring", "connect", "send", "update"]

LABEL = "datastore, `ds.download` and `ds.upload`"


def bring(connection: Any, folder: Path) -> None:
    branch, place = connection
    ds.download(branch / "small/", folder)
    counted(folder, place)


def again(connection: Any, folder: Path) -> None:
    assert not ds.download(connection[0] / "small/", folder)


def update(connection: Any, folder: Path) -> None:
    assert len(ds.download(connection[0] / "small/", folder, overwrite=True)) == 10


def send(connection: Any, folder: Path) -> None:
    assert len(ds.upload(folder, connection[0] / "small/", message="ten changed here")) == 10
