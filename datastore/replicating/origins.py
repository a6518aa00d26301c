"""Which commit it was first: the identity that a commit keeps from repo to repo."""

from collections.abc import Mapping
from typing import Final

from datastore.values import CommitInfo

__all__ = ["ONTO", "ORIGIN", "origin_of", "recorded", "without_record"]

ORIGIN: Final = "datastore_origin"
"""Metadata of a replica: the id of the commit where it was made first."""
ONTO: Final = "datastore_onto"
"""Metadata of a replica: the id of the parent that it was made for."""


def origin_of(commit: CommitInfo) -> str:
    """Return the id that a commit had where it was made first; its own if that is here.

    The record counts only on the parent that it was written for. So metadata that were copied with a cherry-pick, or a
    replica that landed on a head that had moved, do not pass for the original.

    >>> made = CommitInfo(id="b1", parents=("b0",), author="", time_us=0, message="", metadata={}, tree="")
    >>> import msgspec
    >>> replica = msgspec.structs.replace(made, metadata=recorded({}, origin="a1", onto="b0"))
    >>> picked = msgspec.structs.replace(replica, id="c9", parents=("c8",))
    >>> origin_of(made), origin_of(replica), origin_of(picked)
    ('b1', 'a1', 'c9')
    """
    parent = commit.parents[0] if commit.parents else ""
    if commit.metadata.get(ONTO) != parent:
        return commit.id
    return commit.metadata.get(ORIGIN, commit.id)


def recorded(metadata: Mapping[str, str], *, origin: str, onto: str) -> dict[str, str]:
    """Return the metadata of a replica: the commit's own, with where it comes from and where it goes."""
    return {**without_record(metadata), ORIGIN: origin, ONTO: onto}


def without_record(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata that a commit's author gave it."""
    return {name: value for name, value in metadata.items() if name not in {ORIGIN, ONTO}}
