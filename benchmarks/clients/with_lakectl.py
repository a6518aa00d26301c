"""lakectl, lakeFS's own command."""

import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.clients import fresh
from benchmarks.places import CopiedPlace, LakeFSPlace, Place

LABEL = "lakectl"


def connect(place: Place) -> Any:
    """Describe the server in the environment."""
    assert isinstance(place, LakeFSPlace)
    set_up(place)
    return place


def set_up(place: LakeFSPlace | CopiedPlace) -> None:
    """Let lakectl find the server, and no configuration of the user's."""
    os.environ.update(
        LAKECTL_SERVER_ENDPOINT_URL=place.endpoint,
        LAKECTL_CREDENTIALS_ACCESS_KEY_ID=place.access_key,
        LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY=place.secret_key,
        LAKECTL_CONFIG="/dev/null",
        LAKECTL_STATS_ENABLED="false",
    )


def _lakectl(place: LakeFSPlace, *arguments: str) -> None:
    subprocess.run([place.lakectl, *arguments], check=True, stdout=subprocess.DEVNULL)


def download(connection: Any, folder: Path) -> None:
    _lakectl(connection, "fs", "download", f"lakefs://{connection.repo}/main/big", str(folder / "big"))


def upload(connection: Any, folder: Path) -> None:
    source = str(folder.parent / "source" / "big")
    _lakectl(connection, "fs", "upload", "-s", source, f"lakefs://{connection.repo}/scratch/{fresh()}/big")


def list_keys(connection: Any, folder: Path) -> None:
    _lakectl(connection, "fs", "ls", "-r", f"lakefs://{connection.repo}/main/names/")


def get_many(connection: Any, folder: Path) -> None:
    source = f"lakefs://{connection.repo}/main/small/"
    _lakectl(connection, "fs", "download", "-r", "-p", "32", source, str(folder))


def put_many(connection: Any, folder: Path) -> None:
    source, target = str(folder.parent / "source" / "small"), f"lakefs://{connection.repo}/scratch/{fresh()}/small/"
    _lakectl(connection, "fs", "upload", "-r", "-p", "32", "-s", source, target)
