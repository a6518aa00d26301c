"""What a transfer is going to do, or has done, as a value that people and programs look at."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from datastore.history import Diff
from datastore.notebook import reprs
from datastore.notebook.markup import Table
from datastore.provider import Provider
from datastore.values import Change, ObjectInfo

if TYPE_CHECKING:
    from datastore.history import Commit

__all__ = ["Plan"]


class Plan(Diff):
    """What `upload`, `download` or `sync` is going to do (`dry_run=True`), or has done.

    A `Diff` of the dest: `before` is what is, or was, in a place there, `after` what the source has for it. It cannot
    be changed.

    Args:
        changes: In the order of names.
        title: Source and dest, for people.
        sides: Providers of dest and source.
        prefixes: What they put before the names of the changes.
        skipped: What the dest has already.
        blocked: Names of files that differ and are not to be replaced.
        dry_run: Whether nothing was done.
        commit: That was made of it.
    """

    def __init__(
        self,
        changes: Iterable[Change],
        *,
        title: str,
        sides: tuple[Provider, Provider],
        prefixes: tuple[str, str] = ("", ""),
        skipped: Iterable[ObjectInfo] = (),
        blocked: Sequence[str] = (),
        dry_run: bool = True,
        commit: "Commit | None" = None,
    ) -> None:
        super().__init__(changes, title=title, sides=sides, prefixes=prefixes)
        sizes = [info.size for info in skipped]
        self.dry_run = dry_run
        self.commit = commit
        self.blocked = tuple(blocked)
        self.skipped = len(sizes)
        self.skipped_bytes = sum(sizes)
        self._final = True

    def __setattr__(self, name: str, value: object) -> None:
        if hasattr(self, "_final"):
            raise AttributeError(f"a plan cannot be changed: {name!r}")
        super().__setattr__(name, value)

    @property
    def copied(self) -> list[str]:
        """Names that are copied: those that the dest does not have, and those that differ there."""
        return [change.key for change in self if change.after]

    @property
    def deleted(self) -> list[str]:
        """Names that are deleted at the dest."""
        return self.removed

    @property
    def bytes(self) -> int:
        """Bytes of what is copied."""
        return sum(change.after.size for change in self if change.after)

    def __repr__(self) -> str:
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> Table:
        return reprs.plan_table(
            self.title,
            list(self),
            done=not self.dry_run,
            skipped=(self.skipped, self.skipped_bytes),
            blocked=len(self.blocked),
        )
