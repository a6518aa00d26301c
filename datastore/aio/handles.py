"""Awaitable twins: Repo, Branch, Experiment, Transaction. Written by `python -m tools.twins`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datastore import experiments, repository, transactions
from datastore.aio.objects import Objects
from datastore.aio.running import call, enter, leave
from datastore.aio.twin import Twin, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Any, Self

    from datastore import pushing
    from datastore.experiments import Resume
    from datastore.history import Commit, Diff, Log
    from datastore.repository import Empty
    from datastore.urls import DatasetURL
    from datastore.values import KeyConflict, Side, Strategy, TagInfo

__all__ = ["Branch", "Experiment", "Repo", "Transaction"]


class Repo(Twin[repository.Repo]):
    """A repo: branches, tags and commits over the same keys.

    The twin of `datastore.repository.Repo`, which is its `sync`; more is told there.
    """

    @property
    def name(self) -> str:
        """Its name."""
        return self.sync.name

    def url(self, key: str = "", *, ref: str | Branch | Commit | None = None) -> DatasetURL:
        """Return the URL of a key at a ref; no ref means the default branch."""
        return self.sync.url(key, ref=plain(ref))

    def branch(self, name: str | None = None) -> Branch:
        """Return a branch by name, the default one if none is given. Nothing is created, nothing is asked."""
        return Branch(self.sync.branch(name))

    async def branches(self, *, hidden: bool = False) -> list[Branch]:
        """Return the branches by name."""
        return [Branch(one) for one in await call(self.sync.branches, hidden=hidden)]

    async def create_branch(
        self, name: str, base: str | Branch | Commit = "main", *, exist_ok: bool = False, hidden: bool = False
    ) -> Branch:
        """Make a branch at the head of `base`; its uncommitted changes are not carried along.

        Raises:
            AlreadyExists: The name is taken, and `exist_ok` is False.
            NotFound: No such base.
            ValidationError: Not a name for a branch.
        """
        return Branch(await call(self.sync.create_branch, name, plain(base), exist_ok=exist_ok, hidden=hidden))

    async def delete_branch(self, name: str) -> None:
        """Delete a branch with its uncommitted changes; `undelete_branch` brings both back."""
        await call(self.sync.delete_branch, name)

    async def undelete_branch(self, name: str) -> Branch:
        """Bring back the branch that was deleted last under this name."""
        return Branch(await call(self.sync.undelete_branch, name))

    async def tags(self) -> Sequence[TagInfo]:
        """Return the tags by name."""
        return await call(self.sync.tags)

    async def create_tag(self, name: str, ref: str | Branch | Commit) -> TagInfo:
        """Name a commit for good. The same tag for the same commit again is fine."""
        return await call(self.sync.create_tag, name, plain(ref))

    async def delete_tag(self, name: str) -> None:
        """Delete a tag."""
        await call(self.sync.delete_tag, name)

    async def commit_of(self, ref: str | Branch | Commit) -> Commit:
        """Return the commit that a ref names: branch, tag, id, at least 8 digits of one, `main~2`, `main^2`."""
        return await call(self.sync.commit_of, plain(ref))

    async def at(self, when: str | Branch | Commit | datetime, *, branch: str | None = None) -> DatasetURL:
        """Return the pinned URL of the repo at a ref or a point in time: `pd.read_csv(repo.at("v1") / "a.csv")`.

        Args:
            when: A ref, or a time: the last commit of the branch that is not younger.
            branch: Whose first parents are searched for a time; the default branch if not given.

        Raises:
            NotFound: No such ref; or the branch is younger than that time.
            ValidationError: `branch` together with a ref.
        """
        return await call(self.sync.at, plain(when), branch=branch)

    async def log(
        self,
        ref: str | Branch | Commit | None = None,
        *,
        key: str | None = None,
        limit: int | None = None,
        first_parent: bool = False,
    ) -> Log:
        """Return commits, newest first.

        Args:
            ref: Where to start; the default branch if not given.
            key: Only commits that changed this object, or something under `key/`.
            limit: At most so many.
            first_parent: Leave out what came in by merges.
        """
        return await call(self.sync.log, plain(ref), key=key, limit=limit, first_parent=first_parent)

    async def diff(
        self, a: str | Branch | Commit, b: str | Branch | Commit, *, merge_base: bool = False, prefix: str = ""
    ) -> Diff:
        """Return what changed from commit a to commit b; uncommitted changes are not looked at.

        Args:
            a: The left side.
            b: The right side.
            merge_base: Compare b with the commit where the two parted, so that only what b did is shown.
            prefix: Only keys under it.
        """
        return await call(self.sync.diff, plain(a), plain(b), merge_base=merge_base, prefix=prefix)

    async def merge_base(self, a: str | Branch | Commit, b: str | Branch | Commit) -> Commit | None:
        """Return the best common ancestor of two refs."""
        return await call(self.sync.merge_base, plain(a), plain(b))

    async def conflicts(self, source: str | Branch | Commit, into: str | Branch = "main") -> Sequence[KeyConflict]:
        """Return what a merge would conflict on, without merging."""
        return await call(self.sync.conflicts, plain(source), plain(into))

    async def merge(
        self,
        source: str | Branch | Commit,
        into: str | Branch = "main",
        *,
        message: str | None = None,
        strategy: Strategy | None = None,
        choose: Mapping[str, Side] | None = None,
        squash: bool = False,
        metadata: Mapping[str, str] | None = None,
        empty: Empty = "raise",
    ) -> Commit:
        """Merge the commit of `source` into a branch.

        Args:
            source: Its uncommitted changes are not part of the merge.
            into: A branch without uncommitted changes.
            message: For the commit; says what was merged if not given.
            strategy: `source-wins` or `dest-wins` settles every conflict.
            choose: `{key: "source" or "dest"}` settles the conflict of one key.
            squash: Leave the source's commits out of the history.
            metadata: For the commit.
            empty: What to do if all of source is there already.

        Raises:
            MergeConflict: Both sides changed the same keys; look at `.paths` and `.conflicts`. Nothing was changed.
            UncommittedChanges: `into` has some; names them.
            NothingToCommit: All of source is there already, and `empty` is "raise".
        """
        return await call(
            self.sync.merge,
            plain(source),
            plain(into),
            message=message,
            strategy=strategy,
            choose=choose,
            squash=squash,
            metadata=metadata,
            empty=empty,
        )

    def experiment(
        self,
        name: str,
        *,
        base: str | Branch | Commit = "main",
        params: Mapping[str, object] | None = None,
        resume: Resume = "never",
    ) -> Experiment:
        """Return a branch for one experiment; see `Experiment`."""
        return Experiment(self.sync.experiment(name, base=plain(base), params=params, resume=resume))

    def transaction(self, branch: str | Branch | None = None, *, message: str) -> Transaction:
        """Return a transaction on a branch, the default one if none is given; see `Transaction`."""
        return Transaction(self.sync.transaction(plain(branch), message=message))

    async def remote(self) -> DatasetURL | None:
        """The repo that this one exchanges commits with: that of the first push, pull, fetch or clone."""
        return await call(lambda: self.sync.remote)

    async def set_remote(self, url: str | None) -> None:
        """Remember another repo for `push`, `pull` and `fetch` without a URL; None forgets it."""
        await call(self.sync.set_remote, url)

    async def push(
        self, url: str | None = None, *, branch: str | Branch | None = None, tags: bool = False
    ) -> pushing.Exchange:
        """Bring a branch of another repo up to the one here: its commits, with the objects that are missing there.

        Works between any two stores that keep versions. Only forward: nothing of the other side is ever replaced. A
        push that was interrupted goes on where it was; one that has nothing to do does nothing.

        Args:
            url: The other repo, `ds://lakefs/garments`; with a ref, that branch of it. The remembered one if not given.
            branch: The branch here; the URL's ref, or the default branch, if not given. The other repo's branch of the
                same name is made if it is missing.
            tags: Whether the tags of its commits go along.

        Raises:
            Diverged: The other branch has commits that are missing here; names the newest common one.
            UncommittedChanges: The other branch has some.
            Forbidden: The other branch is protected.
        """
        return await call(self.sync.push, url, branch=plain(branch), tags=tags)

    async def pull(
        self, url: str | None = None, *, branch: str | Branch | None = None, tags: bool = False
    ) -> pushing.Exchange:
        """Bring a branch here up to the one of another repo; the other way round, all as in `push`."""
        return await call(self.sync.pull, url, branch=plain(branch), tags=tags)

    async def fetch(self, url: str | None = None, *, branch: str | Branch | None = None) -> Branch:
        """Bring a branch of another repo here without touching any branch of yours.

        It becomes the hidden branch `origin--<name>`, made or moved to what is there now: look at it, merge it.
        Arguments as in `push`.
        """
        return Branch(await call(self.sync.fetch, url, branch=plain(branch)))

    async def lakefs_client(self) -> Any:
        """Return a client of lakefs_sdk for the server that this repo is on, with the credentials of this moment.

        Raises:
            UnsupportedOperation: It is on none, or the extra `interop` is not installed.
        """
        return await call(self.sync.lakefs_client)

    async def rename(self, name: str) -> Repo:
        """Give the repo another name and return it under that name. Old URLs stop working."""
        return Repo(await call(self.sync.rename, name))


class Branch(Twin[repository.Branch]):
    """A branch: the place where changes are made. `branch / "key"` is the URL of an object on it.

    The twin of `datastore.repository.Branch`, which is its `sync`; more is told there.
    """

    @property
    def repo(self) -> Repo:
        """Where it is."""
        return Repo(self.sync.repo)

    @property
    def name(self) -> str:
        """Its name."""
        return self.sync.name

    def __truediv__(self, key: str) -> DatasetURL:
        return self.sync / key

    async def head(self) -> Commit:
        """Its newest commit."""
        return await call(lambda: self.sync.head)

    @property
    def objects(self) -> Objects:
        """The provider of its objects: head, read, put, delete, list."""
        return Objects(self.sync.objects)

    async def uncommitted(self, prefix: str = "") -> Diff:
        """Return what differs between the branch and its head."""
        return await call(self.sync.uncommitted, prefix)

    async def commit(
        self, message: str, *, metadata: Mapping[str, str] | None = None, empty: Empty = "raise"
    ) -> Commit:
        """Turn the uncommitted changes, whoever made them, into a commit.

        Args:
            message: What changed, in a few words.
            metadata: String pairs to keep with it, at most 64 KiB.
            empty: What to do if there are none: "raise", "skip" (give back the head) or "allow" (make an empty commit).

        Raises:
            NothingToCommit: There are none; names the commit that took yours, if another writer's did.
            HeadMoved: Other writers were faster many times in a row; nothing was changed.
            Forbidden: The branch is protected.
        """
        return await call(self.sync.commit, message, metadata=metadata, empty=empty)

    async def reset(self, prefix: str | None = None, *, key: str | None = None) -> int:
        """Drop uncommitted changes: all, under a prefix, or of one key; return how many keys had some."""
        return await call(self.sync.reset, prefix, key=key)

    async def restore(self, key: str, ref: str | Branch | Commit | None = None) -> int:
        """Make an object (or all under `key/`) as it is at `ref`, uncommitted; return how many keys changed.

        Args:
            key: The object; a prefix if it ends in `/`.
            ref: Where to take it from; the branch's own head if not given.
        """
        return await call(self.sync.restore, key, plain(ref))

    async def revert(self, commit: str | Commit, *, parent: int = 1, message: str | None = None) -> Commit:
        """Commit the opposite of a commit; of a merge, `parent` tells which side to go back to."""
        return await call(self.sync.revert, commit, parent=parent, message=message)

    async def cherry_pick(self, commit: str | Commit, *, parent: int = 1, message: str | None = None) -> Commit:
        """Commit the changes of a commit from elsewhere."""
        return await call(self.sync.cherry_pick, commit, parent=parent, message=message)

    async def import_folder(
        self, path: str | Path, prefix: str = "", *, ignore: str | Sequence[str] = (), reflink: bool = False
    ) -> Diff:
        """Put all files of a local folder under a prefix, uncommitted: all of them or, on any error, none.

        Args:
            path: The folder.
            prefix: What the keys begin with.
            ignore: Patterns of `.gitignore`, besides those in the folder's `.datastoreignore`.
            reflink: Share disk blocks with the files where the file system can; they are copied otherwise.

        Returns:
            The uncommitted changes under the prefix.
        """
        return await call(self.sync.import_folder, path, prefix, ignore=ignore, reflink=reflink)

    async def link(self, url: str, prefix: str = "") -> Diff:
        """Put entries for data that stays where it is; uncommitted, and no bytes move.

        Each entry is pinned to the version that is there now: of an object that changes or goes, a read raises
        `IntegrityError` and never gives other bytes. `materialize` brings them in.

        Args:
            url: An object, or a prefix with all that is under it, of another mount. Of a repo, what is committed.
            prefix: What the keys begin with.

        Returns:
            The uncommitted changes under the prefix.

        Raises:
            UnsupportedOperation: This repo's store cannot keep such entries, or cannot reach that one.
            NotFound: There is nothing at the URL.
            Forbidden: It is on the disk of this machine, outside of any mount of yours.
        """
        return await call(self.sync.link, url, prefix)

    async def materialize(self, prefix: str = "") -> Diff:
        """Bring in the bytes of all links whose keys begin with a prefix; uncommitted.

        What is brought in already stays, if it is interrupted: the same call goes on.

        Returns:
            The uncommitted changes of the keys that begin with the prefix.

        Raises:
            IntegrityError: A source is not any more what was linked.
        """
        return await call(self.sync.materialize, prefix)

    async def rename(self, key: str, new_key: str) -> None:
        """Give an object another key; no bytes move."""
        await call(self.sync.rename, key, new_key)

    async def copy(self, key: str, new_key: str) -> None:
        """Copy an object within the branch; no bytes move."""
        await call(self.sync.copy, key, new_key)

    async def log(self, *, key: str | None = None, limit: int | None = None) -> Log:
        """Return its commits, newest first."""
        return await call(self.sync.log, key=key, limit=limit)

    async def protect(self, *, on: bool = True) -> None:
        """Let the branch take changes only by merge and revert."""
        await call(self.sync.protect, on=on)


class Experiment(Twin[experiments.Experiment]):
    """A branch to try something on. Use it in a `async with` block, or call `start`.

    The twin of `datastore.experiments.Experiment`, which is its `sync`; more is told there.
    """

    @property
    def repo(self) -> Repo:
        """Where it is."""
        return Repo(self.sync.repo)

    @property
    def name(self) -> str:
        """Of the experiment and its branch."""
        return self.sync.name

    @property
    def params(self) -> dict[str, object]:
        """Recorded with each commit."""
        return self.sync.params

    @property
    def metrics(self) -> dict[str, float | int | str]:
        """Recorded with the next commits."""
        return self.sync.metrics

    @property
    def branch(self) -> Branch:
        """Its branch."""
        return Branch(self.sync.branch)

    async def start(self) -> Self:
        """Make the branch, or find it again."""
        await call(self.sync.start)
        return self

    def __truediv__(self, key: str) -> DatasetURL:
        return self.sync / key

    def log_metrics(self, **metrics: float | str) -> None:
        """Remember figures for the next commits; a later value of the same name replaces the earlier one."""
        self.sync.log_metrics(**metrics)

    async def commit(
        self, message: str, *, metadata: Mapping[str, str] | None = None, empty: Empty = "raise"
    ) -> Commit:
        """Commit what was written, with parameters and metrics in the commit's metadata."""
        return await call(self.sync.commit, message, metadata=metadata, empty=empty)

    async def diff(self) -> Diff:
        """Return what the experiment changed since it parted from its base; commits only."""
        return await call(self.sync.diff)

    async def merge(
        self,
        into: str | Branch | None = None,
        *,
        message: str | None = None,
        strategy: Strategy | None = None,
        choose: Mapping[str, Side] | None = None,
        squash: bool = False,
        empty: Empty = "raise",
    ) -> Commit:
        """Merge into a branch (the base, if none is given); see `Repo.merge`."""
        return await call(
            self.sync.merge, plain(into), message=message, strategy=strategy, choose=choose, squash=squash, empty=empty
        )

    async def __aenter__(self) -> Self:
        await enter(self.sync)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await leave(self.sync, kind, error, trace)


class Transaction(Twin[transactions.Transaction]):
    """All or nothing: writes go to a hidden branch, and the end of the `async with` block merges them as one commit.

    The twin of `datastore.transactions.Transaction`, which is its `sync`; more is told there.
    """

    @property
    def commit(self) -> Commit | None:
        """What was merged, after the block; None if nothing was written."""
        return self.sync.commit

    async def __aenter__(self) -> Self:
        await enter(self.sync)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await leave(self.sync, kind, error, trace)

    def __truediv__(self, key: str) -> DatasetURL:
        return self.sync / key

    @property
    def branch(self) -> Branch:
        """The hidden branch, inside of the block."""
        return Branch(self.sync.branch)
