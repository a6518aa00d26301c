"""A repo of plain dictionaries: what every verb has to come to, whatever the store."""

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from datastore.errors import (
    AlreadyExists,
    Forbidden,
    MergeConflict,
    NotFound,
    NothingToCommit,
    UncommittedChanges,
)
from datastore.values import KeyConflict

__all__ = ["RepoModel", "Tree", "difference", "edited", "three_way"]

Tree = dict[str, bytes]


def difference(a: Mapping[str, object], b: Mapping[str, object]) -> dict[str, str]:
    """Return the kind of each change that leads from one tree to another, by key.

    >>> difference({"a": b"1", "b": b"1"}, {"b": b"2", "c": b"3"})
    {'a': 'removed', 'b': 'changed', 'c': 'added'}
    """
    kinds = {key: "added" if key not in a else "removed" if key not in b else "changed" for key in sorted({*a, *b})}
    return {key: kind for key, kind in kinds.items() if a.get(key) != b.get(key)}


def three_way(base: Tree, source: Tree, dest: Tree) -> tuple[dict[str, bytes | None], list[str]]:
    """Return what a merge does to dest, and the keys on which it has to give up."""
    edits: dict[str, bytes | None] = {}
    conflicts: list[str] = []
    for key in sorted({*base, *source, *dest}):
        old, theirs, ours = base.get(key), source.get(key), dest.get(key)
        if theirs in {old, ours}:
            continue
        if ours == old:
            edits[key] = theirs
        else:
            conflicts.append(key)
    return edits, conflicts


def edited(tree: Tree, edits: Mapping[str, bytes | None]) -> Tree:
    """Return a tree with some keys put (None: deleted)."""
    merged = {**tree, **edits}
    return {key: data for key, data in merged.items() if data is not None}


def _without_sides(keys: list[str]) -> list[KeyConflict]:
    return [KeyConflict(key=key, base=None, source=None, dest=None) for key in keys]


class _Commit(Struct, frozen=True):
    tree: Tree
    parents: tuple[str, ...]


class _Branch(Struct):
    head: str
    view: Tree
    hidden: bool = False


class _Deleted(Struct, frozen=True):
    name: str
    branch: _Branch


class Landing(Struct, frozen=True):
    """A commit that is to be made: its tree and its parents."""

    tree: Tree
    parents: tuple[str, ...]


class RepoModel(Struct):
    """A repo. Verbs raise what the store has to raise, and change nothing then.

    What makes a commit comes in two parts: the model says what the commit is to be, and is told its id.

    Attributes:
        commits: All that something may still reach.
        branches: By name.
        tags: Commit by name.
        deleted: Branches that can be brought back, the latest last.
        op_ids: Which commit an attempt has led to.
    """

    commits: dict[str, _Commit]
    branches: dict[str, _Branch]
    tags: dict[str, str] = field(default_factory=dict[str, str])
    deleted: list[_Deleted] = field(default_factory=list[_Deleted])
    op_ids: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def new(cls, root: str) -> "RepoModel":
        """A repo with its first commit."""
        return cls(commits={root: _Commit({}, ())}, branches={"main": _Branch(root, {})})

    def tree(self, branch: str) -> Tree:
        """What is committed on a branch."""
        return self.commits[self.branches[branch].head].tree

    def pending(self, branch: str) -> dict[str, str]:
        """The uncommitted changes of a branch."""
        return difference(self.tree(branch), self.branches[branch].view)

    def commit_of(self, ref: str) -> str:
        """The commit of a branch, a tag or an id."""
        return self.branches[ref].head if ref in self.branches else self.tags.get(ref, ref)

    def ancestors(self, start: str) -> set[str]:
        """A commit and all before it."""
        found, pending = {start}, [start]
        while pending:
            new = [parent for parent in self.commits[pending.pop()].parents if parent not in found]
            found.update(new)
            pending += new
        return found

    def main_line(self, start: str) -> Iterator[str]:
        """A commit, its first parent, and so on."""
        yield start
        while self.commits[start].parents:
            start = self.commits[start].parents[0]
            yield start

    def bases(self, a: str, b: str) -> set[str]:
        """The best common ancestors of two commits."""
        common = self.ancestors(a) & self.ancestors(b)
        return {one for one in common if not any(one in self.ancestors(other) for other in common - {one})}

    def reachable(self) -> set[str]:
        """Every commit that a branch, a tag or a deleted branch leads to."""
        heads = [branch.head for branch in self.branches.values()] + [gone.branch.head for gone in self.deleted]
        return {found for head in {*heads, *self.tags.values()} for found in self.ancestors(head)}

    def forget_unreachable(self) -> None:
        """What a collection does."""
        kept = self.reachable()
        self.commits = {name: commit for name, commit in self.commits.items() if name in kept}
        self.op_ids = {op_id: name for op_id, name in self.op_ids.items() if name in kept}

    # verbs

    def put(self, branch: str, edits: Mapping[str, bytes | None]) -> None:
        """Change uncommitted keys."""
        self.branches[branch].view = edited(self.branches[branch].view, edits)

    def reset(self, branch: str, prefix: str = "") -> int:
        """Drop uncommitted changes under a prefix; return how many."""
        dropped = [key for key in self.pending(branch) if key.startswith(prefix)]
        self.put(branch, {key: self.tree(branch).get(key) for key in dropped})
        return len(dropped)

    def restore(self, branch: str, key: str, commit: str) -> int:
        """Take a key, or all under `key/`, from a commit; return how many changed."""
        below = key.endswith("/")
        wanted = {k: v for k, v in self.commits[commit].tree.items() if k == key or (below and k.startswith(key))}
        present = {k: v for k, v in self.branches[branch].view.items() if k == key or (below and k.startswith(key))}
        if not wanted and not present:
            raise NotFound(key)
        changes = difference(present, wanted)
        self.put(branch, {name: wanted.get(name) for name in changes})
        return len(changes)

    def create_branch(self, name: str, base: str, *, hidden: bool = False) -> None:
        """Make a branch at the commit of a ref."""
        self._refuse_taken(name)
        head = self.commit_of(base)
        self.branches[name] = _Branch(head, dict(self.commits[head].tree), hidden)

    def delete_branch(self, name: str) -> None:
        """Delete a branch, to be brought back unless it is hidden."""
        if name == "main":
            raise Forbidden(name)
        gone = self.branches.pop(name)
        if not gone.hidden:
            self.deleted.append(_Deleted(name, gone))

    def undelete_branch(self, name: str) -> None:
        """Bring back the latest of a name."""
        self._refuse_taken(name)
        found = next((gone for gone in reversed(self.deleted) if gone.name == name), None)
        if found is None:
            raise NotFound(name)
        self.deleted.remove(found)
        self.branches[name] = found.branch

    def create_tag(self, name: str, ref: str) -> None:
        """Name a commit for good."""
        if self.tags.get(name) != self.commit_of(ref):
            self._refuse_taken(name)
        self.tags[name] = self.commit_of(ref)

    def _refuse_taken(self, name: str) -> None:
        if name in self.branches or name in self.tags:
            raise AlreadyExists(name)

    # commits

    def commit(self, branch: str) -> Landing:
        """What a commit of the uncommitted changes is to be."""
        now = self.branches[branch]
        if now.view == self.tree(branch):
            raise NothingToCommit(branch)
        return Landing(now.view, (now.head,))

    def merge(self, source: str, into: str, base: str, *, strategy: str | None = None, squash: bool = False) -> Landing:
        """What a merge of a commit is to be, given the common ancestor that the store takes."""
        self._refuse_uncommitted(into)
        ours = self.branches[into].head
        if base == source:
            raise NothingToCommit(source)
        edits, conflicts = three_way(self.commits[base].tree, self.commits[source].tree, self.tree(into))
        if conflicts and strategy is None:
            raise MergeConflict(into, conflicts=_without_sides(conflicts))
        if strategy == "source-wins":
            edits |= {key: self.commits[source].tree.get(key) for key in conflicts}
        tree = edited(self.tree(into), edits)
        if squash and tree == self.tree(into):
            raise NothingToCommit(source)
        return Landing(tree, (ours,) if squash else (ours, source))

    def replay(self, branch: str, commit: str, *, backwards: bool) -> Landing:
        """What a cherry-pick, or a revert, of a commit is to be."""
        self._refuse_uncommitted(branch)
        parents = self.commits[commit].parents
        before, after = self.commits[parents[0]].tree if parents else {}, self.commits[commit].tree
        if backwards:
            before, after = after, before
        edits, conflicts = three_way(before, after, self.tree(branch))
        if conflicts:
            raise MergeConflict(branch, conflicts=_without_sides(conflicts))
        tree = edited(self.tree(branch), edits)
        if tree == self.tree(branch):
            raise NothingToCommit(branch)
        return Landing(tree, (self.branches[branch].head,))

    def _refuse_uncommitted(self, branch: str) -> None:
        if self.pending(branch):
            raise UncommittedChanges(branch, keys=list(self.pending(branch)))

    def landed(self, branch: str, commit: str, landing: Landing, *, op_id: str) -> None:
        """Take note of the commit that was made."""
        self.commits[commit] = _Commit(dict(landing.tree), landing.parents)
        self.branches[branch].head, self.branches[branch].view = commit, dict(landing.tree)
        self.op_ids[op_id] = commit
