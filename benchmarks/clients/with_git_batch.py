"""git that syncs all that it writes, objects in batches."""

from typing import Any

from benchmarks.clients import with_git
from benchmarks.clients.with_git import add, change, checkout
from benchmarks.places import Place

__all__ = ["LABEL", "NOTE", "add", "change", "checkout", "connect"]

LABEL = "git, core.fsync=all, core.fsyncMethod=batch"
NOTE = "one flush for many objects"


def connect(place: Place) -> Any:
    """Make the repo, if it is not there."""
    return with_git.connect(place, "core.fsync=all", "core.fsyncMethod=batch")
