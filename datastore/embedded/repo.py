"""One repo of the embedded store: `SupportsVersioning` over the index, the trees and the blobs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile

from datastore.bridging import Opener
from datastore.embedded import commits, refs, staging
from datastore.embedded.advance import Plan, Snapshot, advance, fast_forward, uncommitted
from datastore.embedded.branch import EmbeddedRef
from datastore.embedded.collected import twice
from datastore.embedded.content import info_of
from datastore.embedded.merge import Merged, three_way
from datastore.embedded.nodes import Entry, same_content
from datastore.embedded.objects import Drafts
from datastore.embedded.opened import OpenStore
from datastore.embedded.refs import BranchRow
from datastore.embedded.staging import Edits
from datastore.errors import Forbidden, MergeConflict, NotFound, NothingToCommit, ValidationError, nearest
from datastore.names import check_branch, check_metadata, check_tag, parse_ref
from datastore.values import (
    BranchInfo,
    Change,
    CommitInfo,
    CommitRequest,
    KeyConflict,
    ObjectInfo,
    Problem,
    Side,
    Strategy,
    TagInfo,
)

__all__ = ["EmbeddedRepo"]


class EmbeddedRepo:
    """One repo. A handle: made without I/O, and it follows the name, not the repo that had it.

    Args:
        store: The opened store.
        name: The repo's name.
    """

    def __init__(self, store: OpenStore, name: str) -> None:
        self.store = store
        self.name = name
        self._staged_here: dict[str, tuple[str, str]] = {}

    def __repr__(self) -> str:
        return f"<repo {self.name} in {self.store.layout.root}>"

    # refs

    @property
    def default_branch(self) -> str:
        """The branch that is meant when no ref is given."""
        with self.store.db.read() as db:
            repo = refs.repo_id(db, self.name)
            return str(db.execute("SELECT default_branch FROM repos WHERE id = ?", (repo,)).fetchone()[0])

    def at(self, ref: str, *, head: str | None = None) -> EmbeddedRef:
        """Return the provider of a ref."""
        return EmbeddedRef(self, parse_ref(ref), head=head)

    def commit_of(self, ref: str) -> CommitInfo:
        """Resolve a ref to its commit; of a branch, its head."""
        with self.store.db.snapshot() as db:
            repo = refs.repo_id(db, self.name)
            load = partial(self.store.commit_from, db, repo)
            return self.store.commit(repo, refs.resolve(db, repo, parse_ref(ref), load=load)[0], seen_by=db).info

    def is_branch(self, ref: str) -> bool:
        """Tell whether the text is the bare name of a branch."""
        with self.store.db.snapshot() as db:
            return refs.find_branch(db, refs.repo_id(db, self.name), ref) is not None

    def branches(self, *, hidden: bool = False) -> Sequence[BranchInfo]:
        """Return the branches by name."""
        with self.store.db.snapshot() as db:
            rows = refs.branch_rows(db, refs.repo_id(db, self.name))
        return [row.info for row in rows if hidden or not row.hidden]

    def tags(self) -> Sequence[TagInfo]:
        """Return the tags by name."""
        with self.store.db.snapshot() as db:
            return refs.tag_rows(db, refs.repo_id(db, self.name))

    def create_branch(self, name: str, base: str, *, hidden: bool = False) -> BranchInfo:
        """Make a branch at the commit of `base`."""
        check_branch(name)
        expression = parse_ref(base)
        change: dict[str, object] = {"do": "create-branch", "repo": self.name, "branch": name}
        change |= {"hidden": True} if hidden else {}
        with self.store.changing_refs(change) as db:
            repo = refs.repo_id(db, self.name)
            refs.refuse_taken_name(db, repo, name)
            head, _ = refs.resolve(db, repo, expression, load=partial(self.store.commit_from, db, repo))
            query = "INSERT INTO branches (repo, name, head, token, hidden) VALUES (?, ?, ?, ?, ?)"
            db.execute(query, (repo, name, head, refs.new_token(db), hidden))
            change["new"] = head
        return BranchInfo(name=name, head=head, hidden=hidden)

    def delete_branch(self, name: str) -> None:
        """Delete a branch. It is kept aside for `undelete_branch`, unless it is a hidden one."""
        change: dict[str, object] = {"do": "delete-branch", "repo": self.name, "branch": name}
        with self.store.changing_refs(change) as db:
            repo = refs.repo_id(db, self.name)
            row = refs.require_branch(db, repo, name)
            default = db.execute("SELECT default_branch FROM repos WHERE id = ?", (repo,)).fetchone()[0]
            if name == default:
                raise Forbidden(
                    f"branch {name!r} is the default branch of {self.name!r}", hint="delete the repo, or another branch"
                )
            if row.protected:
                raise Forbidden(
                    f"branch {name!r} is protected",
                    hint=f"repo.branch({name!r}).protect(on=False) first, if you mean it",
                )
            if row.hidden:
                staging.drop(db, row.token)
            else:
                query = "INSERT INTO deleted_branches (repo, name, head, token, deleted_us) VALUES (?, ?, ?, ?, ?)"
                change["time_us"] = self.store.clock()
                db.execute(query, (repo, name, row.head, row.token, change["time_us"]))
            db.execute("DELETE FROM branches WHERE repo = ? AND name = ?", (repo, name))
            change["old"] = row.head

    def undelete_branch(self, name: str) -> BranchInfo:
        """Bring back the branch that was deleted last under this name."""
        change: dict[str, object] = {"do": "create-branch", "repo": self.name, "branch": name, "undelete": True}
        with self.store.changing_refs(change) as db:
            repo = refs.repo_id(db, self.name)
            refs.refuse_taken_name(db, repo, name)
            query = "SELECT id, head, token FROM deleted_branches WHERE repo = ? AND name = ? ORDER BY id DESC LIMIT 1"
            found = db.execute(query, (repo, name)).fetchone()
            if found is None:
                names = [row[0] for row in db.execute("SELECT name FROM deleted_branches WHERE repo = ?", (repo,))]
                raise NotFound(f"no deleted branch {name!r}", hint=nearest(name, names, what="deleted branches"))
            number, head, old_token = found
            # A new staging area: a commit that was under way when the branch was deleted must not land on it.
            token = refs.new_token(db)
            staging.move(db, old_token, token)
            db.execute("DELETE FROM deleted_branches WHERE id = ?", (number,))
            db.execute("INSERT INTO branches (repo, name, head, token) VALUES (?, ?, ?, ?)", (repo, name, head, token))
            change["new"] = head
        return BranchInfo(name=name, head=head)

    def protect(self, branch: str, *, on: bool = True) -> None:
        """Let a branch take changes only by merge and revert."""
        with self.store.changing_refs({"do": "protect", "repo": self.name, "branch": branch, "on": on}) as db:
            row = refs.require_branch(db, refs.repo_id(db, self.name), branch)
            db.execute("UPDATE branches SET protected = ? WHERE repo = ? AND name = ?", (on, row.repo, branch))

    def create_tag(self, name: str, ref: str) -> TagInfo:
        """Make a tag; the same name for the same commit again is fine."""
        check_tag(name)
        expression = parse_ref(ref)
        change: dict[str, object] = {"do": "create-tag", "repo": self.name, "tag": name}
        with self.store.db.snapshot() as db:
            repo = refs.repo_id(db, self.name)
            commit, _ = refs.resolve(db, repo, expression, load=partial(self.store.commit_from, db, repo))
            if refs.find_tag(db, repo, name) == commit:
                return TagInfo(name=name, commit=commit)
        with self.store.changing_refs(change) as db:
            repo = refs.repo_id(db, self.name)
            if refs.find_tag(db, repo, name) != commit:  # somebody else may have made the same tag meanwhile
                refs.refuse_taken_name(db, repo, name)
                refs.resolve(db, repo, parse_ref(commit), load=partial(self.store.commit_from, db, repo))
                db.execute("INSERT INTO tags (repo, name, head) VALUES (?, ?, ?)", (repo, name, commit))
            change["new"] = commit
        return TagInfo(name=name, commit=commit)

    def delete_tag(self, name: str) -> None:
        """Delete a tag."""
        change: dict[str, object] = {"do": "delete-tag", "repo": self.name, "tag": name}
        with self.store.changing_refs(change) as db:
            repo = refs.repo_id(db, self.name)
            if (commit := refs.find_tag(db, repo, name)) is None:
                names = [tag.name for tag in refs.tag_rows(db, repo)]
                raise NotFound(f"no tag {name!r}", hint=nearest(name, names, what="tags"))
            db.execute("DELETE FROM tags WHERE repo = ? AND name = ?", (repo, name))
            change["old"] = commit

    # history

    def log(
        self, ref: str, *, key: str | None = None, limit: int | None = None, first_parent: bool = False
    ) -> Iterator[CommitInfo]:
        """Yield commits, newest first."""
        start = self.commit_of(ref).id
        repo = self._number()
        found = commits.history(start, load=partial(self.store.commit, repo), first_parent=first_parent)
        if key is not None:
            found = (info for info in found if self._touches(repo, info, key, first_parent=first_parent))
        with self.store.unless_collected(repo, [start]):
            for _, info in zip(range(limit) if limit is not None else iter(int, 1), found, strict=False):
                yield info

    def _touches(self, repo: int, info: CommitInfo, key: str, *, first_parent: bool) -> bool:
        """Whether a commit changed a key, or something under `key/`: it differs from each parent, as git has it."""
        parents = info.parents[:1] if first_parent else info.parents
        trees = [self.store.commit(repo, parent).info.tree for parent in parents] or [self.store.trees.empty]
        return all(self._differs(tree, info.tree, key) for tree in trees)

    def _differs(self, a: str, b: str, key: str) -> bool:
        exact, prefix = key.rstrip("/"), key.rstrip("/") + "/"
        if not key.endswith("/") and not same_content(self.store.trees.get(a, exact), self.store.trees.get(b, exact)):
            return True
        return next(_content_changes(self.store.trees.diff(a, b, prefix=prefix)), None) is not None

    def _number(self) -> int:
        with self.store.db.read() as db:
            return refs.repo_id(db, self.name)

    def merge_base(self, a: str, b: str) -> CommitInfo | None:
        """Return the best common ancestor."""
        repo = self._number()
        load = partial(self.store.commit, repo)
        left, right = self.commit_of(a).id, self.commit_of(b).id
        with self.store.unless_collected(repo, [left, right]):
            found = commits.merge_base(left, right, load=load)
            return None if found is None else load(found).info

    def diff(self, a: str, b: str, *, prefix: str = "") -> Iterator[Change]:
        """Yield what differs between two commits."""
        left, right = self.commit_of(a), self.commit_of(b)
        with self.store.unless_collected(self._number(), [left.id, right.id]):
            for key, before, after in _content_changes(self.store.trees.diff(left.tree, right.tree, prefix=prefix)):
                yield Change(key=key, before=_info(key, before, left.id), after=_info(key, after, right.id))

    def has_uncommitted(self, branch: str) -> bool:
        """Tell whether the branch has uncommitted changes."""
        with self.store.db.read() as db:
            found = staging.is_dirty(db, self.name, branch)
            if found is None:  # says what is missing
                refs.require_branch(db, refs.repo_id(db, self.name), branch)
            return bool(found)

    def uncommitted(self, branch: str, *, prefix: str = "") -> Iterator[Change]:
        """Yield what differs between the branch and its head."""
        with self.store.db.snapshot() as db:
            row = refs.require_branch(db, refs.repo_id(db, self.name), branch)
            staged = staging.rows(db, row.token, prefix=prefix)
            head = self.store.commit_from(db, row.repo, row.head).info
        with self.store.unless_collected(row.repo, [head.id]):
            for key, after in staged.items():
                before = self.store.trees.get(head.tree, key)
                if not same_content(before, after):
                    yield Change(key=key, before=_info(key, before, head.id), after=_info(key, after, None))

    # new commits

    def commit(self, branch: str, request: CommitRequest) -> CommitInfo:
        """Turn the uncommitted changes of a branch into a commit."""
        _check_request(request)

        def plan(now: Snapshot, drafts: Drafts) -> Plan:
            if now.branch.protected:
                raise Forbidden(f"branch {branch!r} is protected: it takes changes only by merge and revert")
            tree = self.store.trees.apply(now.tree, now.staged, into=drafts)
            if tree == now.tree and not request.allow_empty:
                raise self._nothing_to_commit(now.branch)
            return Plan(tree, (now.branch.head,), takes_staged=True)

        info = advance(self.store, self.name, branch, request, plan)
        self._staged_here.pop(branch, None)
        return info

    def remember_staged(self, branch: BranchRow, edits: Edits) -> None:
        """Remember a key that was staged through this handle, to be able to say which commit took it."""
        if edits and self._staged_here.get(branch.name, ("", ""))[1] != branch.head:
            self._staged_here[branch.name] = (next(iter(edits)), branch.head)

    def _nothing_to_commit(self, branch: BranchRow) -> NothingToCommit:
        key, head = self._staged_here.pop(branch.name, ("", branch.head))
        if key and head != branch.head:
            taker = self._taker(branch, key, head)
            if taker is not None:
                message = (
                    f"nothing to commit on {branch.name!r}: commit {taker.id[:8]} by {taker.author} took your changes"
                )
                return NothingToCommit(
                    message, hint='they are safe; pass empty="skip" if other writers commit on this branch'
                )
        message = f"branch {branch.name!r} of {self.name!r} has no uncommitted changes"
        return NothingToCommit(message, hint='write something first, or pass empty="skip" (or "allow")')

    def _taker(self, branch: BranchRow, key: str, head: str) -> CommitInfo | None:
        """The newest commit on the branch since `head` that changed a key."""
        since = takewhile(lambda info: info.id != head, self.log(branch.head, first_parent=True))
        return next((info for info in since if self._touches(branch.repo, info, key, first_parent=True)), None)

    def conflicts(self, source: str, into: str) -> Sequence[KeyConflict]:
        """Return what a merge would conflict on."""
        theirs, ours = self.commit_of(source), self.commit_of(into)
        base = self.merge_base(theirs.id, ours.id)
        base_tree = base.tree if base else self.store.trees.empty
        merged = self._three_way(base_tree, theirs.tree, ours.tree)
        return _conflict_values(merged, base, theirs, ours)

    def _three_way(
        self,
        base: str,
        source: str,
        dest: str,
        *,
        strategy: Strategy | None = None,
        choose: Mapping[str, Side] | None = None,
    ) -> Merged:
        trees = self.store.trees
        return three_way(trees.diff(base, source), trees.diff(base, dest), strategy=strategy, choose=choose)

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
        """Merge the commit of `source` into a branch."""
        _check_request(request)
        _check_sides(strategy, choose)
        theirs = self.commit_of(source)

        def plan(now: Snapshot, drafts: Drafts) -> Plan:
            _refuse_uncommitted(now)
            base = self.merge_base(theirs.id, now.branch.head)
            if base is not None and base.id == theirs.id and not request.allow_empty:
                message = f"all of {source!r} is in {into!r} already"
                raise NothingToCommit(message, hint="commit something on the source branch first")
            base_tree = base.tree if base else self.store.trees.empty
            merged = self._three_way(base_tree, theirs.tree, now.tree, strategy=strategy, choose=choose)
            if merged.conflicts:
                ours = self.store.commit(now.branch.repo, now.branch.head).info
                raise _merge_conflict(_conflict_values(merged, base, theirs, ours), source, into)
            tree = self.store.trees.apply(now.tree, merged.edits, into=drafts)
            if squash and tree == now.tree and not request.allow_empty:
                raise NothingToCommit(f"all changes of {source!r} are in {into!r} already")
            return Plan(tree, (now.branch.head,) if squash else (now.branch.head, theirs.id))

        return advance(self.store, self.name, into, request, plan, sources=[theirs.id])

    def revert(self, branch: str, commit: str, request: CommitRequest, *, parent: int = 1) -> CommitInfo:
        """Commit the opposite of a commit."""
        undone = self.commit_of(commit)
        return self._replay(
            branch, request, undone, self._parent_of(undone, parent), what=f"the opposite of {undone.id[:8]}"
        )

    def cherry_pick(self, branch: str, commit: str, request: CommitRequest, *, parent: int = 1) -> CommitInfo:
        """Commit the changes of one commit onto a branch."""
        picked = self.commit_of(commit)
        self._refuse_protected(branch)
        return self._replay(branch, request, self._parent_of(picked, parent), picked, what=f"commit {picked.id[:8]}")

    def _refuse_protected(self, branch: str) -> None:
        with self.store.db.snapshot() as db:
            row = refs.require_branch(db, refs.repo_id(db, self.name), branch)
        if row.protected:
            raise Forbidden(f"branch {branch!r} is protected: it takes changes only by merge and revert")

    def _parent_of(self, info: CommitInfo, parent: int) -> CommitInfo | None:
        if not info.parents and parent == 1:
            return None
        if not 1 <= parent <= len(info.parents):
            message = f"commit {info.id[:8]} has no parent {parent}; it has {len(info.parents)}"
            raise ValidationError(message, hint="parent=1 is the branch that it was made on")
        repo = self._number()
        with self.store.unless_collected(repo, [info.id]):
            return self.store.commit(repo, info.parents[parent - 1]).info

    def _replay(
        self, branch: str, request: CommitRequest, before: CommitInfo | None, after: CommitInfo | None, *, what: str
    ) -> CommitInfo:
        """Commit the changes from `before` to `after` onto a branch."""
        _check_request(request)
        old = before.tree if before else self.store.trees.empty
        new = after.tree if after else self.store.trees.empty

        def plan(now: Snapshot, drafts: Drafts) -> Plan:
            _refuse_uncommitted(now)
            merged = self._three_way(old, new, now.tree)
            if merged.conflicts:
                ours = self.store.commit(now.branch.repo, now.branch.head).info
                raise _merge_conflict(_conflict_values(merged, before, after, ours), what, branch)
            tree = self.store.trees.apply(now.tree, merged.edits, into=drafts)
            if tree == now.tree and not request.allow_empty:
                raise NothingToCommit(f"{what} changes nothing on {branch!r}", hint="its changes are there already")
            return Plan(tree, (now.branch.head,))

        sources = [info.id for info in (before, after) if info is not None]
        return advance(self.store, self.name, branch, request, plan, sources=sources)

    # uncommitted changes

    def reset(self, branch: str, *, key: str | None = None, prefix: str | None = None) -> int:
        """Drop uncommitted changes and return how many keys they had."""
        self.store.require_writable()
        self._refuse_protected(branch)
        with self.store.db.write(durable=False) as db:
            row = refs.require_branch(db, refs.repo_id(db, self.name), branch)
            return staging.drop(db, row.token, key=key, prefix=prefix)

    def restore(self, branch: str, key: str, ref: str) -> int:
        """Make an object, or all under `key/`, as it is at `ref`; return how many keys changed."""
        return twice(lambda: self._restore(branch, key, ref))

    def _restore(self, branch: str, key: str, ref: str) -> int:
        view = self.at(branch)
        wanted = self.at(ref).entries(key)
        present = view.entries(key)
        if not wanted and not present:
            raise view.no_such_key(key)
        edits: Edits = {
            name: wanted.get(name)
            for name in {*wanted, *present}
            if not same_content(wanted.get(name), present.get(name))
        }
        if edits:
            view.stage(edits)
        return len(edits)

    # other stores

    def fast_forward(self, branch: str, commit: str, *, head: str) -> BranchInfo:
        """Move a branch from the commit `head` to a descendant of it."""
        return fast_forward(self.store, self.name, branch, self.commit_of(commit).id, head=head)

    def remote(self) -> str | None:
        """Return the URL of the repo that this one exchanges commits with."""
        with self.store.db.snapshot() as db:
            found = db.execute("SELECT url FROM remotes WHERE repo = ?", (refs.repo_id(db, self.name),)).fetchone()
        return None if found is None else str(found[0])

    def set_remote(self, url: str | None) -> None:
        """Remember a URL, or forget it."""
        with self.store.changing_refs({"do": "remote", "repo": self.name, "url": url or ""}) as db:
            repo = refs.repo_id(db, self.name)
            db.execute("DELETE FROM remotes WHERE repo = ?", (repo,))
            if url is not None:
                db.execute("INSERT INTO remotes (repo, url) VALUES (?, ?)", (repo, url))

    def follow_links(self, opener: Opener) -> None:
        """Take what opens the source of a link."""
        self.store.opener = opener

    def check(self, *, deep: bool = True) -> Iterator[Problem]:
        """Yield what is wrong with the repo, from its refs down to the bytes."""
        from datastore.embedded.check import check_store  # longer to load than a store to open

        self._number()
        return check_store(self.store, deep=deep, only=self.name)

    def close(self) -> None:
        """Close the store's index; the next verb opens it again."""
        self.store.close()


def _content_changes(
    rows: Iterable[tuple[str, Entry | None, Entry | None]],
) -> Iterator[tuple[str, Entry | None, Entry | None]]:
    """Leave out rows whose sides differ in nothing but time."""
    return (row for row in rows if not same_content(row[1], row[2]))


def _info(key: str, entry: Entry | None, commit: str | None) -> ObjectInfo | None:
    return None if entry is None else info_of(key, entry, commit=commit)


def _conflict_values(
    merged: Merged, base: CommitInfo | None, source: CommitInfo | None, dest: CommitInfo
) -> list[KeyConflict]:
    ids = [commit.id if commit else None for commit in (base, source, dest)]
    return [
        KeyConflict(
            key=key, base=_info(key, old, ids[0]), source=_info(key, theirs, ids[1]), dest=_info(key, ours, ids[2])
        )
        for key, old, theirs, ours in merged.conflicts
    ]


def _merge_conflict(conflicts: list[KeyConflict], source: str, into: str) -> MergeConflict:
    names = ", ".join(repr(conflict.key) for conflict in conflicts[:5]) + (", …" if len(conflicts) > 5 else "")
    count = f"{len(conflicts)} key{'s' if len(conflicts) > 1 else ''}"
    return MergeConflict(
        f"merging {source!r} into {into!r}: both changed {count}: {names}",
        conflicts=conflicts,
        hint='nothing was changed; look at .conflicts, then say which side to take: choose={key: "source"}, '
        'or strategy="dest-wins"',
    )


def _refuse_uncommitted(now: Snapshot) -> None:
    if now.staged:
        raise uncommitted(now.branch.name, list(now.staged))


def _check_request(request: CommitRequest) -> None:
    if not request.message.strip():
        hint = 'say in a few words what changed: commit("Drop duplicates")'
        raise ValidationError("a commit needs a message", hint=hint)
    if not request.op_id:
        raise ValidationError("a commit needs an op_id", hint="uuid.uuid4().hex, made once for each attempt")
    for name, text in (("message", request.message), ("author", request.author), ("op_id", request.op_id)):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValidationError(f"the {name} {text[:80]!r} has a lone surrogate", hint="texts are UTF-8") from None
    check_metadata(request.metadata)


def _check_sides(strategy: str | None, choose: Mapping[str, str] | None) -> None:
    if strategy not in {None, "source-wins", "dest-wins"}:
        raise ValidationError(f"strategy {strategy!r} is not known", hint="source-wins or dest-wins")
    for key, side in (choose or {}).items():
        if side not in {"source", "dest"}:
            raise ValidationError(f"choose[{key!r}] is {side!r}", hint='"source" or "dest"')
