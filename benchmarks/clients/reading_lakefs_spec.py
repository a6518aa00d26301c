"""lakefs-spec."""

from typing import Any

from lakefs_spec import LakeFSFileSystem

from benchmarks.clients.reading import *  # noqa: F403 - the tasks
from benchmarks.places import LakeFSPlace, Place

LABEL = "lakefs-spec"


def connect(place: Place) -> Any:
    """Make a file system as it is by default."""
    assert isinstance(place, LakeFSPlace)
    fs: Any = LakeFSFileSystem(host=place.endpoint, username=place.access_key, password=place.secret_key)
    fs.exists(f"{place.repo}/{place.ref}/none")
    return fs, f"{place.repo}/{place.ref}"
