"""The embedded store as the copy of a folder: what is there by size and time is not read again."""

from pathlib import Path
from typing import Any

import datastore as ds
from benchmarks.clients.ours_files import NOTE, checkout, connect

__all__ = ["LABEL", "NOTE", "add", "change", "checkout", "connect"]

LABEL = "datastore, `ds.sync`"


def add(connection: Any, folder: Path) -> None:
    _, main, home = connection
    ds.sync(home / "work" / "data", main / "data/")
    main.commit("Add")


def change(connection: Any, folder: Path) -> None:
    _, main, home = connection
    done = ds.sync(home / "work" / "data", main / "data/", compare="time")
    assert len(done) == 10  # what it returns is the status
    main.commit("Change")
