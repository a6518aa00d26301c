"""The embedded store as a version control of a folder: each import reads all files."""

import os
from pathlib import Path
from typing import Any

from benchmarks.places import FilesPlace, Place

LABEL = "datastore, `import_folder`"
NOTE = "all of the commit survives power loss"


def connect(place: Place) -> Any:
    """Make the repo, if it is not there."""
    assert isinstance(place, FilesPlace)
    os.environ["DATASTORE_STORE"] = f"{place.home}/store"
    os.chdir(place.home)
    import datastore as ds

    main = ds.create_repo("bench", exist_ok=True).branch("main")
    os.sync()
    return ds.filesystem(), main, Path(place.home)


def add(connection: Any, folder: Path) -> None:
    _, main, home = connection
    main.import_folder(home / "work" / "data", "data")
    main.commit("Add")


def checkout(connection: Any, folder: Path) -> None:
    fs, main, _ = connection
    fs.get(str(main.head / "data/"), f"{folder}/", recursive=True)


def change(connection: Any, folder: Path) -> None:
    _, main, home = connection
    assert len(main.import_folder(home / "work" / "data", "data")) == 10  # what it returns is the status
    main.commit("Change")
