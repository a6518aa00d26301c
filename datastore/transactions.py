"""Transactions: several writes that appear on a branch together, or not at all."""

import contextlib
import secrets
from types import TracebackType
from typing import TYPE_CHECKING, Self

from datastore.errors import DatastoreError, NothingToCommit, UncommittedChanges, ValidationError
from datastore.repository import Branch
from datastore.urls import DatasetURL

if TYPE_CHECKING:
    from datastore.history import Commit

__all__ = ["Transaction"]


class Transaction:
    """All or nothing: writes go to a hidden branch, and the end of the `with` block merges them as one commit.

    `transaction / "key"` is the URL to write to (and to read one's own writes from). An exception in the block discards
    everything. A conflict with what others committed meanwhile discards nothing: the error names the hidden branch.

    Args:
        branch: Where the changes go. It must have no uncommitted changes.
        message: For the commit.

    Attributes:
        commit: What was merged, after the block; None before, and if nothing was written.

    Raises:
        ValidationError: The message is empty.
        UncommittedChanges: On entering, or at the end, the branch has some; names them.
        MergeConflict: At the end, others had changed the same keys; the message names the branch that has your changes.
    """

    def __init__(self, branch: Branch, *, message: str) -> None:
        if not message.strip():
            raise ValidationError("a transaction needs a message", hint="say in a few words what changes")
        self._target = branch
        self._message = message
        self._work: Branch | None = None
        self.commit: Commit | None = None

    def __enter__(self) -> Self:
        pending = self._target.uncommitted()
        if pending:
            keys = [change.key for change in pending]
            raise UncommittedChanges(
                f"branch {self._target.name!r} has uncommitted changes: {', '.join(map(repr, keys[:5]))}",
                keys=keys,
                hint="commit them or drop them with reset, then begin the transaction; nothing was changed",
            )
        name = f"tx-{self._target.name}-{secrets.token_hex(4)}"
        self._work = self._target.repo.create_branch(name, self._target, hidden=True)
        return self

    def __truediv__(self, key: str) -> DatasetURL:
        return self.branch / key

    @property
    def branch(self) -> Branch:
        """The hidden branch, inside of the block."""
        if self._work is None:
            raise RuntimeError("the transaction has not begun: use it in a with statement")
        return self._work

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        repo, work = self._target.repo, self.branch
        if error is not None:
            with contextlib.suppress(DatastoreError):  # the exception of the block is the one to show
                repo.delete_branch(work.name)
            return
        try:
            with contextlib.suppress(NothingToCommit):  # the block may have committed all of it
                work.commit(self._message)
            with contextlib.suppress(NothingToCommit):
                self.commit = repo.merge(work, self._target, message=self._message, squash=True)
        except DatastoreError as failure:
            failure.add_note(f"your changes are safe on the hidden branch {work.name!r}: repo.merge({work.name!r}, …)")
            raise
        repo.delete_branch(work.name)

    def __repr__(self) -> str:
        return f"Transaction({self._target!r}, message={self._message!r})"
