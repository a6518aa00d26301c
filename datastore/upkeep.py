"""What a store with files of its own can do for them: protocols beside the contract of `provider.py`."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol, runtime_checkable

from datastore.values import GRACE, KEEP_DELETED, Backup, Collected, Problem, Repaired

__all__ = ["SupportsBackup", "SupportsCheck", "SupportsCollect", "SupportsRepair"]


@runtime_checkable
class SupportsRepair(Protocol):
    """Can put in order what `check` finds."""

    def repair(self, *, dry_run: bool = False, source: Path | None = None) -> Sequence[Repaired]:
        """Do it, and return what was done; `source` is another store, or a backup, to take good copies from."""
        ...


@runtime_checkable
class SupportsBackup(Protocol):
    """Can be copied as a whole while it is written to."""

    def backup(self, target: Path) -> Backup:
        """Copy the store into a new folder, or bring up to date what an earlier call copied there."""
        ...

    def restore(self, target: Path, *, new_id: bool = False) -> Backup:
        """Make a store of this one in a new folder; with `new_id` both can live on."""
        ...


@runtime_checkable
class SupportsCheck(Protocol):
    """Can be checked from the refs down to the bytes."""

    def check(self, *, deep: bool = True) -> Iterator[Problem]:
        """Yield what is wrong; `deep` reads and hashes every blob, otherwise sizes are compared."""
        ...


@runtime_checkable
class SupportsCollect(Protocol):
    """Can remove what no commit, branch, tag or uncommitted change needs any more."""

    def collect(
        self,
        *,
        grace: timedelta = GRACE,
        keep_deleted: timedelta = KEEP_DELETED,
        dry_run: bool = False,
        max_bytes: int | None = None,
    ) -> Collected:
        """Remove it, beside readers and writers.

        Args:
            grace: What is younger stays; safe with 0, too.
            keep_deleted: How long a deleted branch can be brought back.
            dry_run: Only tell what would go.
            max_bytes: Stop before more than this is removed.
        """
        ...
