"""What lakeFS answers about branches, commits and differences, as it says it."""

from msgspec import Struct

from datastore.providers.lakefs.answers import BranchRow, ObjectStats, Pagination

__all__ = [
    "BranchPage",
    "CommitPage",
    "CommitRow",
    "DiffPage",
    "DiffRow",
    "HookRun",
    "HookRuns",
    "MergeBase",
    "ProtectionRule",
    "Reference",
    "RepositoryPage",
    "identity",
    "same_entry",
]


class CommitRow(Struct, frozen=True):
    """One commit; `creation_date` is in seconds, the first commit of a repo has an empty `meta_range_id`."""

    id: str
    parents: tuple[str, ...]
    committer: str
    message: str
    creation_date: int
    meta_range_id: str
    metadata: dict[str, str] | None = None
    generation: int = 0


class CommitPage(Struct, frozen=True):
    """A page of a log."""

    pagination: Pagination
    results: list[CommitRow]


class BranchPage(Struct, frozen=True):
    """A page of branches or of tags, which have the same fields."""

    pagination: Pagination
    results: list[BranchRow]


class RepositoryName(Struct, frozen=True):
    """A repo in a listing, as far as its name."""

    id: str


class RepositoryPage(Struct, frozen=True):
    """A page of repos."""

    pagination: Pagination
    results: list[RepositoryName]


class _Side(Struct, frozen=True, gc=False):
    checksum: str
    mtime: int
    content_type: str = ""
    metadata: dict[str, str] | None = None


class DiffRow(Struct, frozen=True, gc=False):
    """One path that differs; `right` is its right side, but the left one of a path that was removed."""

    path: str
    type: str
    size_bytes: int = 0
    right: _Side | None = None

    @property
    def stats(self) -> ObjectStats:
        """The side that is known, with all but its physical address."""
        side = self.right or _Side("", 0)
        return ObjectStats(
            path=self.path,
            physical_address="",
            checksum=side.checksum,
            mtime=side.mtime,
            size_bytes=self.size_bytes,
            metadata=side.metadata,
            content_type=side.content_type,
        )


class DiffPage(Struct, frozen=True):
    """A page of differences."""

    pagination: Pagination
    results: list[DiffRow]


class MergeBase(Struct, frozen=True):
    """A merge base. The server (1.84) gives the other two ids under each other's names: they are a pair here."""

    base_commit_id: str
    source_commit_id: str
    destination_commit_id: str


class Reference(Struct, frozen=True):
    """The commit that a merge made."""

    reference: str


class ProtectionRule(Struct, frozen=True):
    """Which branches take no writes; a glob."""

    pattern: str


class HookRun(Struct, frozen=True):
    """One hook in one run of the actions."""

    hook_run_id: str
    action: str
    hook_id: str
    status: str


class HookRuns(Struct, frozen=True):
    """The hooks of one run."""

    results: list[HookRun]


def same_entry(a: ObjectStats | None, b: ObjectStats | None) -> bool:
    """Tell whether two entries are equal to the server: size, checksum, content type, metadata.

    >>> one = ObjectStats(path="a", physical_address="s3://x/1", checksum="c", mtime=1)
    >>> two = ObjectStats(path="b", physical_address="s3://x/2", checksum="c", mtime=2, metadata={})
    >>> same_entry(one, two), same_entry(one, None)
    (True, False)
    """
    if a is None or b is None:
        return a is b
    return identity(a) == identity(b)


def identity(stats: ObjectStats) -> tuple[object, ...]:
    """Return what the server compares entries by (facts/lakefs.md §1, Entry identity)."""
    return stats.size_bytes, stats.checksum, stats.content_type, tuple(sorted((stats.metadata or {}).items()))
