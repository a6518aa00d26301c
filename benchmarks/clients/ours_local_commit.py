"""The embedded store at a commit."""

from typing import Any

from benchmarks.clients import ours_local
from benchmarks.clients.through_fsspec import *  # noqa: F403 - the tasks
from benchmarks.places import Place

LABEL = "datastore, commit"


def connect(place: Place) -> Any:
    """Open the repo by its commit, and read one object."""
    return ours_local.connect(place, commit=True)
