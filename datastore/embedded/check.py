"""Checking a store from the refs down to the bytes; finds, names, changes nothing."""

from collections.abc import Iterator

import msgspec

from datastore.embedded import commits, links, refs, staging
from datastore.embedded.commits import Commit
from datastore.embedded.content import chunks_of
from datastore.embedded.diagnosis import config_problems, index_problems, journal_problems, refs_problems
from datastore.embedded.nodes import EXTERNAL, Entry
from datastore.embedded.opened import OpenStore
from datastore.embedded.quarantine import damaged_files
from datastore.errors import DatastoreError, IntegrityError
from datastore.values import Problem

__all__ = ["check_store"]


def check_store(store: OpenStore, *, deep: bool, only: str | None = None) -> Iterator[Problem]:
    """Yield every problem of a store, or of one repo of it.

    Every commit that a ref reaches is compared with its file; of its tree, every node is hashed; of every entry that it
    added to its parent's, the blobs are looked at. So each node, entry and blob is looked at once, however many commits
    share it.

    Args:
        store: The store.
        deep: Read and hash every blob; otherwise compare sizes.
        only: The name of the repo.
    """
    try:
        with store.db.snapshot() as db:
            findings = list(index_problems(db, store_id=store.id))
            repos = db.execute("SELECT id, name FROM repos ORDER BY name").fetchall()
            findings += [
                *config_problems(store.layout),
                *journal_problems(store.layout),
                *refs_problems(store.layout, db, epoch_now=store.epoch),
            ]
            packs = [name for (name,) in db.execute("SELECT name FROM packs ORDER BY name").fetchall()]
        damaged = [name for name in packs if not store.packs.has_header(name)]
        findings += [Problem(kind="pack", id=name, problem="does not begin as a pack does") for name in damaged]
        yield from findings if only is None else ()
        checker = _Checker(store, deep=deep)
        for number, name in repos:
            if only in {None, name}:
                yield from checker.repo(number, name)
        if deep and only is None:
            yield from checker.rest()
    except (IntegrityError, msgspec.ValidationError) as error:  # of SQLite: without its index, nothing more is seen
        text = error.message if isinstance(error, IntegrityError) else str(error)
        yield Problem(kind="store", id="meta.db", problem=text)


class _Checker:
    """What has been looked at already, across the repos of a store."""

    def __init__(self, store: OpenStore, *, deep: bool) -> None:
        self._store = store
        self._deep = deep
        self._nodes: set[str] = set()
        self._blobs: set[bytes] = set()
        self._commits: set[str] = set()

    def rest(self) -> Iterator[Problem]:
        """Read what no ref leads to: a put of the same bytes would rely on it."""
        seen = {*self._nodes, *self._commits, *(digest.hex() for digest in self._blobs)}
        for file in damaged_files(self._store.layout, but=seen):
            yield Problem(kind=file.kind, id=file.id, problem=f"{file.problem} (nothing needs it)")

    def repo(self, number: int, name: str) -> Iterator[Problem]:
        """Check one repo."""
        with self._store.db.snapshot() as db:
            heads = [(f"{name}@{row.name}", row.head, row.token) for row in refs.branch_rows(db, number)]
            tags = [(f"{name}@{tag.name}", tag.commit, 0) for tag in refs.tag_rows(db, number)]
            query = "SELECT name, head, token FROM deleted_branches WHERE repo = ?"
            deleted = [(f"{name}@{row[0]} (deleted)", row[1], row[2]) for row in db.execute(query, (number,))]
        seen: set[str] = set()
        for ref, head, token in (*heads, *tags, *deleted):
            yield from self._history(number, ref, head, seen)
            if token:
                yield from self._staged(ref, token)

    def _history(self, repo: int, ref: str, head: str, seen: set[str]) -> Iterator[Problem]:
        pending = [head]
        while pending:
            commit_id = pending.pop()
            if commit_id in seen:
                continue
            seen.add(commit_id)
            self._commits.add(commit_id)
            try:
                commit = self._load(repo, commit_id)
            except DatastoreError as error:
                kind = "ref" if commit_id == head else "commit"
                yield Problem(kind=kind, id=commit_id, problem=error.message, referenced_by=ref)
                continue
            yield from self._file(commit_id, ref)
            yield from self._row(repo, commit, ref)
            yield from self._tree(commit, self._parent_tree(repo, commit), ref)
            pending.extend(commit.info.parents)

    def _load(self, repo: int, commit_id: str) -> Commit:
        with self._store.db.read() as db:
            return self._store.commit_from(db, repo, commit_id)

    def _parent_tree(self, repo: int, commit: Commit) -> str:
        """The tree that was checked, or will be; without it, everything of the commit is looked at."""
        if not commit.info.parents:
            return self._store.trees.empty
        try:
            return self._load(repo, commit.info.parents[0]).info.tree
        except DatastoreError:  # named when its turn comes
            return self._store.trees.empty

    def _file(self, commit_id: str, ref: str) -> Iterator[Problem]:
        try:
            commits.decode(commit_id, self._store.commit_files.get(commit_id))
        except KeyError:
            yield Problem(kind="commit", id=commit_id, problem="its file is missing", referenced_by=ref)
        except DatastoreError as error:
            yield Problem(kind="commit", id=commit_id, problem=error.message, referenced_by=ref)

    def _row(self, repo: int, commit: Commit, ref: str) -> Iterator[Problem]:
        """What the index says of a commit beside its bytes."""
        with self._store.db.read() as db:
            query = "SELECT tree, op_id, generation, body FROM commits WHERE repo = ? AND id = ?"
            *told, body = db.execute(query, (repo, commit.info.id)).fetchone()
        try:
            above = [self._load(repo, parent).generation for parent in commit.info.parents]
        except DatastoreError:  # named when its turn comes
            above = [commit.generation - 1]
        op_id = msgspec.json.decode(body)["op_id"]
        if told != [commit.info.tree, op_id, 1 + max(above, default=0)]:
            text = "the index says something else of it than its bytes"
            yield Problem(kind="commit", id=commit.info.id, problem=text, referenced_by=ref)

    def _tree(self, commit: Commit, parent_tree: str, ref: str) -> Iterator[Problem]:
        where = f"{ref}, commit {commit.info.id[:8]}"
        for node, problem in self._store.trees.verify(commit.info.tree, seen=self._nodes):
            yield Problem(kind="tree", id=node, problem=problem, referenced_by=where)
        try:
            for key, _, entry in self._store.trees.diff(parent_tree, commit.info.tree):
                if entry is not None:
                    yield from self._content(entry, f"{ref.partition('@')[0]}@{commit.info.id[:8]}/{key}")
        except DatastoreError as error:
            yield Problem(kind="tree", id=commit.info.tree, problem=error.message, referenced_by=where)

    def _staged(self, ref: str, token: int) -> Iterator[Problem]:
        with self._store.db.read() as db:
            staged = staging.rows(db, token)
        for key, entry in staged.items():
            if entry is not None:
                yield from self._content(entry, f"{ref}/{key} (uncommitted)")

    def _content(self, entry: Entry, where: str) -> Iterator[Problem]:
        try:
            chunks = chunks_of(entry)
            if entry.kind == EXTERNAL:  # its bytes are not this store's to check
                links.source_of(entry)
        except IntegrityError as error:
            yield Problem(kind="tree", id=entry.digest.hex(), problem=error.message, referenced_by=where)
            return
        for digest, size in chunks:
            if digest in self._blobs:
                continue
            self._blobs.add(digest)
            if problem := self._store.blobs.problem(digest, size, deep=self._deep):
                yield Problem(kind="blob", id=digest.hex(), problem=problem, referenced_by=where)
