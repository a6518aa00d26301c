"""The versioning API: repos and branches as handles that are free to make."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from datastore import importing, linking, pushing
from datastore.bridging import SupportsRemote
from datastore.errors import AlreadyExists, InvalidURL, NotFound, NothingToCommit, UnsupportedOperation, ValidationError
from datastore.history import Commit, Diff, Log
from datastore.interop import connection_of, lakefs_client
from datastore.names import check_metadata
from datastore.namespace import Namespace, current
from datastore.notebook import reprs
from datastore.provider import Provider, SupportsCopy, SupportsImport, SupportsVersioning
from datastore.replicating.origins import without_record
from datastore.urls import SCHEME, DatasetURL, format_location, parse_location
from datastore.values import CommitRequest, KeyConflict, Side, Strategy, TagInfo

if TYPE_CHECKING:
    from datastore.experiments import Experiment, Resume
    from datastore.transactions import Transaction

__all__ = ["Branch", "Empty", "Repo"]

Empty = Literal["raise", "skip", "allow"]
"""What to do when there is nothing to commit: raise `NothingToCommit`, give back the head, or make an empty commit."""


class Repo:
    """A repo: branches, tags and commits over the same keys.

    A handle: making it does no I/O, every verb asks the store.

    Args:
        name: A repo of the embedded store, a mount of a versioned provider, or `mount/repo`.
        namespace: Where the name is looked up; the process's own if not given.
    """

    def __init__(self, name: str, *, namespace: Namespace | None = None) -> None:
        self.name = name
        self._namespace = namespace or current()

    @property
    def namespace(self) -> Namespace:
        """Where its name, and that of other repos and mounts, is looked up."""
        return self._namespace

    @property
    def versioned(self) -> SupportsVersioning:
        """The store's side of it, for what this class does not offer."""
        target = self._namespace.target(parse_location(self.name))
        if target.versioned is None:
            raise UnsupportedOperation(
                f"{self.name!r} has no versions", hint="branches need the embedded store or lakeFS"
            )
        if target.name != self.name:  # a ref or key would be left out without a word
            raise InvalidURL(f"{self.name!r} is not the name of a repo", hint=f"write ds.repo({target.name!r})")
        return target.versioned

    def url(self, key: str = "", *, ref: "str | Branch | Commit | None" = None) -> DatasetURL:
        """Return the URL of a key at a ref; no ref means the default branch."""
        text = None if ref is None else _text(self, ref)
        location = format_location(self.name, text, key)
        return DatasetURL(SCHEME + location + ("" if key else "/"), nested="/" in self.name)

    # branches and tags

    def branch(self, name: str | None = None) -> "Branch":
        """Return a branch by name, the default one if none is given. Nothing is created, nothing is asked."""
        return Branch(self, name if name is not None else self.versioned.default_branch)

    def branches(self, *, hidden: bool = False) -> "list[Branch]":
        """Return the branches by name."""
        return [Branch(self, info.name) for info in self.versioned.branches(hidden=hidden)]

    def create_branch(
        self, name: str, base: "str | Branch | Commit" = "main", *, exist_ok: bool = False, hidden: bool = False
    ) -> "Branch":
        """Make a branch at the head of `base`; its uncommitted changes are not carried along.

        Raises:
            AlreadyExists: The name is taken, and `exist_ok` is False.
            NotFound: No such base.
            ValidationError: Not a name for a branch.
        """
        try:
            self.versioned.create_branch(name, _text(self, base), hidden=hidden)
        except AlreadyExists:
            if not exist_ok or not self.versioned.is_branch(name):
                raise
        return Branch(self, name)

    def delete_branch(self, name: str) -> None:
        """Delete a branch with its uncommitted changes; `undelete_branch` brings both back."""
        self.versioned.delete_branch(name)

    def undelete_branch(self, name: str) -> "Branch":
        """Bring back the branch that was deleted last under this name."""
        self.versioned.undelete_branch(name)
        return Branch(self, name)

    def tags(self) -> Sequence[TagInfo]:
        """Return the tags by name."""
        return self.versioned.tags()

    def create_tag(self, name: str, ref: "str | Branch | Commit") -> TagInfo:
        """Name a commit for good. The same tag for the same commit again is fine."""
        return self.versioned.create_tag(name, _text(self, ref))

    def delete_tag(self, name: str) -> None:
        """Delete a tag."""
        self.versioned.delete_tag(name)

    # history

    def commit_of(self, ref: "str | Branch | Commit") -> Commit:
        """Return the commit that a ref names: branch, tag, id, at least 8 digits of one, `main~2`, `main^2`."""
        return Commit(self, self.versioned.commit_of(_text(self, ref)))

    def at(self, when: "str | Branch | Commit | datetime", *, branch: str | None = None) -> DatasetURL:
        """Return the pinned URL of the repo at a ref or a point in time: `pd.read_csv(repo.at("v1") / "a.csv")`.

        Args:
            when: A ref, or a time: the last commit of the branch that is not younger.
            branch: Whose first parents are searched for a time; the default branch if not given.

        Raises:
            NotFound: No such ref; or the branch is younger than that time.
            ValidationError: `branch` together with a ref.
        """
        if not isinstance(when, datetime):
            if branch is not None:
                raise ValidationError("branch= goes with a time, not with a ref", hint="leave it out")
            return self.url(ref=self.commit_of(when))
        # Taken apart, because a Timestamp of pandas that is naive does not know `astimezone`.
        limit = when if when.tzinfo else datetime.combine(when.date(), when.time()).astimezone()
        versioned = self.versioned
        name = branch or versioned.default_branch
        for info in versioned.log(name, first_parent=True):
            if info.time <= limit:
                return self.url(ref=info.id)
        moment = limit.astimezone(UTC).isoformat(timespec="seconds")
        raise NotFound(
            f"branch {name!r} of {self.name!r} has no commit as old as {moment}", hint="repo.log() shows the times"
        )

    def log(
        self,
        ref: "str | Branch | Commit | None" = None,
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
        versioned = self.versioned
        start = versioned.default_branch if ref is None else _text(self, ref)
        found = versioned.log(start, key=key, limit=limit, first_parent=first_parent)
        title = f"{self.name}@{start if ref is None else _shown(ref)}" + (f"  {key}" if key else "")
        return Log((Commit(self, info) for info in found), title=title)

    def diff(
        self, a: "str | Branch | Commit", b: "str | Branch | Commit", *, merge_base: bool = False, prefix: str = ""
    ) -> Diff:
        """Return what changed from commit a to commit b; uncommitted changes are not looked at.

        Args:
            a: The left side.
            b: The right side.
            merge_base: Compare b with the commit where the two parted, so that only what b did is shown.
            prefix: Only keys under it.
        """
        versioned = self.versioned
        right = versioned.commit_of(_text(self, b))
        left = versioned.commit_of(_text(self, a))
        if merge_base:
            left = versioned.merge_base(left.id, right.id) or left
        sides = (versioned.at(left.id), versioned.at(right.id))
        title = f"{_shown(a)}{'...' if merge_base else '..'}{_shown(b)}"
        return Diff(versioned.diff(left.id, right.id, prefix=prefix), title=title, sides=sides)

    def merge_base(self, a: "str | Branch | Commit", b: "str | Branch | Commit") -> Commit | None:
        """Return the best common ancestor of two refs."""
        found = self.versioned.merge_base(_text(self, a), _text(self, b))
        return None if found is None else Commit(self, found)

    def conflicts(self, source: "str | Branch | Commit", into: "str | Branch" = "main") -> Sequence[KeyConflict]:
        """Return what a merge would conflict on, without merging."""
        return self.versioned.conflicts(_text(self, source), _text(self, into))

    def merge(
        self,
        source: "str | Branch | Commit",
        into: "str | Branch" = "main",
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
        request = self.request(
            message or f"Merge {_shown(source)} into {_text(self, into)}", metadata=metadata, empty=empty
        )
        try:
            info = self.versioned.merge(
                _text(self, source), _text(self, into), request, strategy=strategy, choose=choose, squash=squash
            )
        except NothingToCommit:
            if empty != "skip":
                raise
            return self.commit_of(into)
        return Commit(self, info)

    def request(
        self, message: str, *, metadata: Mapping[str, str] | None = None, empty: Empty = "raise"
    ) -> CommitRequest:
        """Return what a store needs to make a commit in the name of this user."""
        if empty not in {"raise", "skip", "allow"}:
            raise ValidationError(f"empty={empty!r} is not known", hint='"raise", "skip" or "allow"')
        return CommitRequest(
            message=message,
            author=self._namespace.config.author,
            op_id=uuid.uuid4().hex,
            metadata=check_metadata({} if metadata is None else metadata),
            allow_empty=empty == "allow",
        )

    # work that spans several verbs

    def experiment(
        self,
        name: str,
        *,
        base: "str | Branch | Commit" = "main",
        params: Mapping[str, object] | None = None,
        resume: "Resume" = "never",
    ) -> "Experiment":
        """Return a branch for one experiment; see `Experiment`."""
        from datastore.experiments import Experiment

        return Experiment(self, name, base=_text(self, base), params=params, resume=resume)

    def transaction(self, branch: "str | Branch | None" = None, *, message: str) -> "Transaction":
        """Return a transaction on a branch, the default one if none is given; see `Transaction`."""
        from datastore.transactions import Transaction

        return Transaction(self.branch() if branch is None else self.branch(_text(self, branch)), message=message)

    # other repos

    @property
    def remote(self) -> DatasetURL | None:
        """The repo that this one exchanges commits with: that of the first push, pull, fetch or clone."""
        return pushing.remote_of(self)

    def set_remote(self, url: str | None) -> None:
        """Remember another repo for `push`, `pull` and `fetch` without a URL; None forgets it."""
        versioned = self.versioned
        if not isinstance(versioned, SupportsRemote):
            raise UnsupportedOperation(f"{self.name!r} cannot remember a remote", hint="pass the URL each time")
        versioned.set_remote(None if url is None else SCHEME + self._namespace.url(url).mount)

    def push(
        self, url: str | None = None, *, branch: "str | Branch | None" = None, tags: bool = False
    ) -> "pushing.Exchange":
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
        return pushing.push(self, url, branch=None if branch is None else _text(self, branch), tags=tags)

    def pull(
        self, url: str | None = None, *, branch: "str | Branch | None" = None, tags: bool = False
    ) -> "pushing.Exchange":
        """Bring a branch here up to the one of another repo; the other way round, all as in `push`."""
        return pushing.pull(self, url, branch=None if branch is None else _text(self, branch), tags=tags)

    def fetch(self, url: str | None = None, *, branch: "str | Branch | None" = None) -> "Branch":
        """Bring a branch of another repo here without touching any branch of yours.

        It becomes the hidden branch `origin--<name>`, made or moved to what is there now: look at it, merge it.
        Arguments as in `push`.

        >>> import datastore as ds
        >>> here, there = ds.create_repo("here"), ds.create_repo("there")
        >>> here.fetch("ds://there").name
        'origin--main'
        """
        return pushing.fetch(self, url, branch=None if branch is None else _text(self, branch))

    def lakefs_client(self) -> Any:
        """Return a client of lakefs_sdk for the server that this repo is on, with the credentials of this moment.

        Raises:
            UnsupportedOperation: It is on none, or the extra `interop` is not installed.
        """
        return lakefs_client(connection_of(self.versioned, title=f"repo {self.name!r}"))

    def rename(self, name: str) -> "Repo":
        """Give the repo another name and return it under that name. Old URLs stop working."""
        store, old = self._namespace.store_of(self.name)
        other, new = self._namespace.store_of(name)
        if other is not store:
            raise ValidationError(
                f"{name!r} is in another store than {self.name!r}", hint="ds.clone copies a repo; then delete this one"
            )
        store.repo(old)
        self._namespace.check_free(name)
        store.rename_repo(old, new)
        return Repo(name, namespace=self._namespace)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Repo) and (self.name, self._namespace) == (other.name, other._namespace)

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> "tuple[object, ...]":
        return _rebuild_repo, (self.name, self._namespace.handle())

    def __repr__(self) -> str:
        return f"Repo({self.name!r})"

    def _repr_html_(self) -> str:
        return reprs.repo_table(self.name, f"ds://{self.name}").html()


class Branch:
    """A branch: the place where changes are made. `branch / "key"` is the URL of an object on it.

    A handle: making it does no I/O, and does not create the branch.

    Args:
        repo: Where it is.
        name: Its name.
    """

    def __init__(self, repo: Repo, name: str) -> None:
        self.repo = repo
        self.name = name

    def __truediv__(self, key: str) -> DatasetURL:
        return self.repo.url(key, ref=self.name)

    @property
    def head(self) -> Commit:
        """Its newest commit."""
        return self.repo.commit_of(f"{self.name}@")

    @property
    def objects(self) -> Provider:
        """The provider of its objects: head, read, put, delete, list."""
        return self.repo.versioned.at(self.name)

    # uncommitted changes

    def uncommitted(self, prefix: str = "") -> Diff:
        """Return what differs between the branch and its head."""
        versioned = self.repo.versioned
        sides = (versioned.at(f"{self.name}@"), versioned.at(self.name))
        return Diff(versioned.uncommitted(self.name, prefix=prefix), title=f"{self.name}: uncommitted", sides=sides)

    def commit(self, message: str, *, metadata: Mapping[str, str] | None = None, empty: Empty = "raise") -> Commit:
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
        request = self.repo.request(message, metadata=metadata, empty=empty)
        try:
            return Commit(self.repo, self.repo.versioned.commit(self.name, request))
        except NothingToCommit:
            if empty != "skip":
                raise
            return self.head

    def reset(self, prefix: str | None = None, *, key: str | None = None) -> int:
        """Drop uncommitted changes: all, under a prefix, or of one key; return how many keys had some."""
        if prefix is not None and key is not None:
            raise ValidationError("reset takes a prefix or a key, not both", hint="call it twice")
        return self.repo.versioned.reset(self.name, prefix=prefix, key=key)

    def restore(self, key: str, ref: "str | Branch | Commit | None" = None) -> int:
        """Make an object (or all under `key/`) as it is at `ref`, uncommitted; return how many keys changed.

        Args:
            key: The object; a prefix if it ends in `/`.
            ref: Where to take it from; the branch's own head if not given.
        """
        return self.repo.versioned.restore(self.name, key, f"{self.name}@" if ref is None else _text(self.repo, ref))

    def revert(self, commit: "str | Commit", *, parent: int = 1, message: str | None = None) -> Commit:
        """Commit the opposite of a commit; of a merge, `parent` tells which side to go back to."""
        undone = self.repo.commit_of(commit)
        request = self.repo.request(message or f"Revert: {undone.message}", metadata={"reverts": undone.id})
        return Commit(self.repo, self.repo.versioned.revert(self.name, undone.id, request, parent=parent))

    def cherry_pick(self, commit: "str | Commit", *, parent: int = 1, message: str | None = None) -> Commit:
        """Commit the changes of a commit from elsewhere."""
        picked = self.repo.commit_of(commit)
        request = self.repo.request(
            message or picked.message, metadata={**without_record(picked.metadata), "cherry-picked-from": picked.id}
        )
        return Commit(self.repo, self.repo.versioned.cherry_pick(self.name, picked.id, request, parent=parent))

    def import_folder(
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
        provider = self.objects
        if not isinstance(provider, SupportsImport):
            raise UnsupportedOperation(
                f"{self.repo.name!r} cannot import folders", hint="fs.put(folder, url, recursive=True)"
            )
        files = importing.files_of(Path(path).expanduser(), prefix, ignore=ignore)
        provider.import_files(files, reflink=reflink)
        return self.uncommitted(_folder(prefix))

    def link(self, url: str, prefix: str = "") -> Diff:
        """Put entries for data that stays where it is; uncommitted, and no bytes move.

        Each entry is pinned to the version that is there now: of an object that changes or goes, a read raises
        `IntegrityError` and never gives other bytes. `materialize` brings them in.

        >>> import datastore as ds
        >>> raw = ds.mount("raw", "memory", name="link-example")
        >>> ds.filesystem().pipe_file("ds://raw/2026/a.csv", b"id")
        >>> branch = ds.create_repo("garments").branch("main")
        >>> branch.link("ds://raw/2026/", "raw/").added
        ['raw/a.csv']

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
        linking.link(self.repo.namespace, self.objects, url=url, prefix=prefix)
        return self.uncommitted(_folder(prefix))

    def materialize(self, prefix: str = "") -> Diff:
        """Bring in the bytes of all links whose keys begin with a prefix; uncommitted.

        What is brought in already stays, if it is interrupted: the same call goes on.

        Returns:
            The uncommitted changes of the keys that begin with the prefix.

        Raises:
            IntegrityError: A source is not any more what was linked.
        """
        linking.materialize(self.objects, prefix)
        return self.uncommitted(prefix)

    def rename(self, key: str, new_key: str) -> None:
        """Give an object another key; no bytes move."""
        self.copy(key, new_key)
        if key == new_key:
            return
        for failure in self.objects.delete([key]):
            raise failure.error

    def copy(self, key: str, new_key: str) -> None:
        """Copy an object within the branch; no bytes move."""
        provider = self.objects
        if not isinstance(provider, SupportsCopy):
            raise UnsupportedOperation(f"{self.repo.name!r} cannot copy by itself", hint="fs.cp(a, b)")
        provider.copy(key, new_key)

    def log(self, *, key: str | None = None, limit: int | None = None) -> Log:
        """Return its commits, newest first."""
        return self.repo.log(self, key=key, limit=limit)

    def protect(self, *, on: bool = True) -> None:
        """Let the branch take changes only by merge and revert."""
        self.repo.versioned.protect(self.name, on=on)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Branch) and (self.repo, self.name) == (other.repo, other.name)

    def __hash__(self) -> int:
        return hash((self.repo, self.name))

    def __repr__(self) -> str:
        return f"Branch({self.repo.name!r}, {self.name!r})"

    def _repr_html_(self) -> str:
        return reprs.handle_table(self.repo.name, self.name).html()


def _text(repo: Repo, ref: "str | Branch | Commit") -> str:
    if isinstance(ref, str):
        return ref
    if not isinstance(ref, Branch | Commit):  # pyright: ignore[reportUnnecessaryIsInstance] - a date, None …
        raise ValidationError(f"{ref!r} is not a ref", hint="pass a text, a Branch or a Commit")
    if ref.repo.name != repo.name:  # its name may stand for something else here
        raise ValidationError(
            f"ref {_shown(ref)!r} belongs to repo {ref.repo.name!r}, not to {repo.name!r}",
            hint="take it from this repo: repo.branch(name), repo.commit_of(ref)",
        )
    return ref.name if isinstance(ref, Branch) else ref.id


def _folder(prefix: str) -> str:
    return f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""


def _shown(ref: "str | Branch | Commit") -> str:
    return ref if isinstance(ref, str) else ref.name if isinstance(ref, Branch) else ref.id[:8]


def _rebuild_repo(name: str, handle: dict[str, str]) -> Repo:
    return Repo(name, namespace=Namespace.from_handle(handle))
