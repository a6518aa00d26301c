"""One repo on a lakeFS server: the versioning contract over its API."""

from collections.abc import Iterator, Mapping, Sequence

from datastore.bridging import Connection
from datastore.providers.lakefs import (
    committing,
    differences,
    history,
    merging,
    protection,
    refs,
    replaying,
    restoring,
    trash,
)
from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.commits import commit_info, resolve
from datastore.providers.lakefs.endpoints import Remote
from datastore.providers.lakefs.objects import LakeFSRef
from datastore.values import (
    BranchInfo,
    Change,
    CommitInfo,
    CommitRequest,
    KeyConflict,
    Side,
    Strategy,
    TagInfo,
)

__all__ = ["LakeFSRepo"]


class LakeFSRepo:
    """One repo. A handle: made without I/O.

    Args:
        client: The server.
        name: The repo's name.
    """

    def __init__(self, client: LakeFSClient, name: str) -> None:
        self.client = client
        self.name = name
        self._remote = Remote(client, name)

    def __repr__(self) -> str:
        return f"<repo {self.name} on lakeFS at {self.client.origin}>"

    # refs

    @property
    def default_branch(self) -> str:
        """The branch that is meant when no ref is given; asked for once per process."""
        return self.client.repository(self.name).default_branch

    def at(self, ref: str, *, head: str | None = None) -> LakeFSRef:
        """Return the provider of a ref."""
        return LakeFSRef(self.client, self.name, ref, head=head)

    def commit_of(self, ref: str) -> CommitInfo:
        """Resolve a ref to its commit; of a branch, its head."""
        return commit_info(resolve(self._remote, ref))

    def is_branch(self, ref: str) -> bool:
        """Tell whether the text is the bare name of a branch."""
        return refs.is_branch(self._remote, ref)

    def branches(self, *, hidden: bool = False) -> Sequence[BranchInfo]:
        """Return the branches by name."""
        return refs.branches(self._remote, hidden=hidden)

    def tags(self) -> Sequence[TagInfo]:
        """Return the tags by name."""
        return refs.tags(self._remote)

    def create_branch(self, name: str, base: str, *, hidden: bool = False) -> BranchInfo:
        """Make a branch at the commit of `base`."""
        return refs.create_branch(self._remote, name, base, hidden=hidden)

    def delete_branch(self, name: str) -> None:
        """Delete a branch. It is kept aside for `undelete_branch`, unless it is a hidden one."""
        trash.delete_branch(self._remote, name)

    def undelete_branch(self, name: str) -> BranchInfo:
        """Bring back the branch that was deleted last under this name, by this package."""
        return trash.undelete_branch(self._remote, name)

    def protect(self, branch: str, *, on: bool = True) -> None:
        """Let a branch take changes only by merge and revert; returns when the server enforces it, after 3 to 6 s."""
        protection.protect(self._remote, branch, on=on)

    def create_tag(self, name: str, ref: str) -> TagInfo:
        """Make a tag; the same name for the same commit again is fine."""
        return refs.create_tag(self._remote, name, ref)

    def delete_tag(self, name: str) -> None:
        """Delete a tag."""
        refs.delete_tag(self._remote, name)

    # history

    def log(
        self, ref: str, *, key: str | None = None, limit: int | None = None, first_parent: bool = False
    ) -> Iterator[CommitInfo]:
        """Yield commits, newest first."""
        return history.log(self._remote, ref, key=key, limit=limit, first_parent=first_parent)

    def merge_base(self, a: str, b: str) -> CommitInfo | None:
        """Return the best common ancestor."""
        return history.merge_base(self._remote, a, b)

    def diff(self, a: str, b: str, *, prefix: str = "") -> Iterator[Change]:
        """Yield what differs between two commits."""
        left, right = resolve(self._remote, a).id, resolve(self._remote, b).id
        yield from differences.changes(self._remote, left, right, prefix=prefix)

    def has_uncommitted(self, branch: str) -> bool:
        """Tell whether the branch has uncommitted changes."""
        return differences.has_uncommitted(self._remote, branch)

    def uncommitted(self, branch: str, *, prefix: str = "") -> Iterator[Change]:
        """Yield what differs between the branch and its head."""
        return differences.uncommitted(self._remote, branch, prefix=prefix)

    # new commits

    def commit(self, branch: str, request: CommitRequest) -> CommitInfo:
        """Turn the uncommitted changes of a branch into a commit."""
        return committing.commit(self._remote, branch, request)

    def conflicts(self, source: str, into: str) -> Sequence[KeyConflict]:
        """Return what a merge would conflict on."""
        return merging.conflicts(self._remote, source, into)

    def merge(
        self,
        source: str,
        into: str,
        request: CommitRequest,
        *,
        strategy: Strategy | None = None,
        choose: Mapping[str, Side] | None = None,
        squash: bool = False,
    ) -> CommitInfo:
        """Merge the commit of `source` into a branch.

        With `choose` the second parent is a commit that leads to the source, not the source itself: lakeFS settles no
        single keys, so that is done on a hidden branch first.
        """
        return merging.merge(self._remote, source, into, request, strategy=strategy, choose=choose, squash=squash)

    def revert(self, branch: str, commit: str, request: CommitRequest, *, parent: int = 1) -> CommitInfo:
        """Commit the opposite of a commit."""
        return replaying.revert(self._remote, branch, commit, request, parent=parent)

    def cherry_pick(self, branch: str, commit: str, request: CommitRequest, *, parent: int = 1) -> CommitInfo:
        """Commit the changes of one commit onto a branch."""
        return replaying.cherry_pick(self._remote, branch, commit, request, parent=parent)

    # uncommitted changes

    def reset(self, branch: str, *, key: str | None = None, prefix: str | None = None) -> int:
        """Drop uncommitted changes and return how many keys had some."""
        return restoring.reset(self._remote, branch, key=key, prefix=prefix)

    def restore(self, branch: str, key: str, ref: str) -> int:
        """Make an object, or all under `key/`, as it is at `ref`; a failure on the way leaves some of them done."""
        return restoring.restore(self._remote, branch, key, ref)

    def connection(self) -> Connection:
        """Return what other clients have to know to reach the same repo."""
        return self.client.connection(self.name)

    def close(self) -> None:
        """Nothing to let go of: connections belong to the process."""
