"""git that syncs all that it writes, each file by itself."""

from typing import Any

from benchmarks.clients import with_git
from benchmarks.clients.with_git import add, change, checkout
from benchmarks.places import Place

__all__ = ["LABEL", "NOTE", "add", "change", "checkout", "connect"]

LABEL = "git, core.fsync=all"
NOTE = "fsync of each object"


def connect(place: Place) -> Any:
    """Make the repo, if it is not there."""
    return with_git.connect(place, "core.fsync=all")
