"""Conflicts of a merge with all their sides, which lakeFS does not tell."""

from collections.abc import Sequence

from datastore.errors import MergeConflict
from datastore.providers.lakefs.differences import info_of_row, info_of_stats
from datastore.providers.lakefs.endpoints import Remote
from datastore.providers.lakefs.placing import stats_of
from datastore.providers.lakefs.threeway import Rows
from datastore.values import KeyConflict, ObjectInfo

__all__ = ["key_conflicts", "merge_conflict"]


def key_conflicts(
    remote: Remote,
    keys: Sequence[str],
    *,
    commits: tuple[str, str, str],
    source: Rows,
    dest: Rows,
) -> list[KeyConflict]:
    """Return the conflicts of some keys.

    Args:
        remote: The repo.
        keys: In conflict, sorted.
        commits: Ids of base, source and dest.
        source: What differs from the base to the source.
        dest: What differs from the base to dest.
    """
    base, theirs, ours = commits
    unknown = [key for key in keys if source[key].type == dest[key].type == "changed"]
    stats = stats_of(remote, base, unknown)

    def of_base(key: str) -> ObjectInfo | None:
        if key in stats:
            return info_of_stats(remote, stats[key], base)
        removed = next((rows[key] for rows in (source, dest) if rows[key].type == "removed"), None)
        return info_of_row(remote, removed, base)

    def of_side(rows: Rows, key: str, commit: str) -> ObjectInfo | None:
        return info_of_row(remote, None if rows[key].type == "removed" else rows[key], commit)

    return [
        KeyConflict(key=key, base=of_base(key), source=of_side(source, key, theirs), dest=of_side(dest, key, ours))
        for key in keys
    ]


def merge_conflict(conflicts: list[KeyConflict], source: str, into: str) -> MergeConflict:
    """The error of a merge with conflicts that nobody settled."""
    names = ", ".join(repr(conflict.key) for conflict in conflicts[:5]) + (", …" if len(conflicts) > 5 else "")
    count = f"{len(conflicts)} key{'s' if len(conflicts) > 1 else ''}"
    return MergeConflict(
        f"merging {source!r} into {into!r}: both changed {count}: {names}",
        conflicts=conflicts,
        hint='nothing was changed; look at .conflicts, then say which side to take: choose={key: "source"}, '
        'or strategy="dest-wins"',
    )
