"""What of a store is needed: everything that its refs, uncommitted changes and intents lead to."""

import sqlite3
import sys
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from datastore.embedded import refs
from datastore.embedded.content import chunks_of
from datastore.embedded.nodes import BLOB, DamagedNode, Entry, references
from datastore.embedded.opened import OpenStore
from datastore.embedded.trees import EMPTY

__all__ = ["Mark"]

Lend = Callable[[], AbstractContextManager[sqlite3.Connection]]

_COMMITS_AT_ONCE = 256
_ROWS_AT_ONCE = 10_000


class _Digests:
    """A set of digests that keeps 8 bytes of each: one in 10**13 stores of a million blobs keeps one blob too many."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def add(self, joined: bytes) -> None:
        """Add digests of 32 bytes each, joined."""
        self._seen.update(array("Q", joined)[::4])

    def __contains__(self, digest: bytes) -> bool:
        return int.from_bytes(digest[:8], sys.byteorder) in self._seen


class Mark:
    """Grows by `look`, which takes the roots that are new, and `follow`, which goes where they lead.

    What it has seen once it keeps, also if nothing leads there any more. After an error it is of no use: it may have
    marked a node and not what is below.

    Args:
        store: The store.

    Attributes:
        commits: Ids of commits with a row, by repo.
        nodes: Ids of nodes.
        blobs: Digests of blobs.
        held: Ids of nodes and commits that somebody may be writing, or be about to name.
        read: Number of the newest intent that was looked at.
    """

    def __init__(self, store: OpenStore) -> None:
        self._store = store
        self._epoch = -1
        self._pending: list[tuple[int, str]] = []
        self._trees: list[str] = []
        self.commits: defaultdict[int, set[str]] = defaultdict(set)
        self.nodes: set[str] = set()
        self.blobs = _Digests()
        self.held: set[str] = set()
        self.read = 0

    def look(self, db: sqlite3.Connection, *, deleted_until_us: int = -1, ignoring: Collection[str] = ()) -> None:
        """Take the roots that came since the last look; `follow` has to come after it.

        Args:
            db: Sees one moment.
            deleted_until_us: Branches that were deleted by then are none.
            ignoring: Sessions of the dead.
        """
        epoch = refs.current_epoch(db)
        if epoch != self._epoch:
            query = """
                SELECT repo, head FROM branches UNION SELECT repo, head FROM tags
                UNION SELECT repo, head FROM deleted_branches WHERE deleted_us > ?
            """
            self._pending += db.execute(query, (deleted_until_us,)).fetchall()
            self._epoch = epoch
        query = "SELECT number, session, kind, repo, ids FROM intents WHERE number > ? ORDER BY number"
        for number, session, kind, repo, ids in db.execute(query, (self.read,)).fetchall():
            self.read = number
            if session not in ignoring:
                self._take_intent(db, kind, repo, ids)

    def _take_intent(self, db: sqlite3.Connection, kind: str, repo: int, ids: bytes) -> None:
        if kind == "blob":
            self.blobs.add(ids)
            return
        names = [ids[at : at + 32].hex() for at in range(0, len(ids), 32)]
        if kind == "base":  # of a repo that was deleted meanwhile, nothing is left
            query = "SELECT repo, id FROM commits WHERE repo = ? AND id = ?"
            self._pending += [row for name in names for row in db.execute(query, (repo, name)).fetchall()]
        else:
            self.held.update(names)

    def look_at_uncommitted(self, db: sqlite3.Connection, *, without: Collection[int] = ()) -> None:
        """Take the uncommitted changes of all branches; those of the staging areas `without` are none."""
        found = db.execute("SELECT token, digest, size, kind, extra FROM staging WHERE digest IS NOT NULL")
        while rows := found.fetchmany(_ROWS_AT_ONCE):
            kept = [row for row in rows if row[0] not in without] if without else rows
            self.blobs.add(b"".join([row[1] for row in kept if row[3] == BLOB]))
            for _, digest, size, kind, extra in (row for row in kept if row[3] != BLOB):
                self._take_content(Entry(digest, size, 0, "", "", kind, extra))

    def _take_content(self, entry: Entry) -> None:
        self.blobs.add(b"".join([digest for digest, _ in chunks_of(entry)]))

    def also(self, repo: int, commit: str) -> None:
        """Take one more root, a commit with a row."""
        self._pending.append((repo, commit))

    def follow(self, lend: Lend) -> None:
        """Mark everything that the roots lead to.

        Args:
            lend: Lends a connection. If that is not of a write transaction, another `collect` may be removing what lost
                its refs meanwhile, and this raises `IntegrityError` as for damage.
        """
        while self._pending:
            with lend() as db:
                for _ in range(min(_COMMITS_AT_ONCE, len(self._pending))):
                    self._take_commit(db, *self._pending.pop())
            self._follow_trees()

    def _take_commit(self, db: sqlite3.Connection, repo: int, commit_id: str) -> None:
        if commit_id in self.commits[repo]:
            return
        info = self._store.commit_from(db, repo, commit_id).info
        self.commits[repo].add(commit_id)
        self._trees.append(info.tree)
        self._pending += [(repo, parent) for parent in info.parents]

    def _follow_trees(self) -> None:
        while self._trees:
            node_id = self._trees.pop()
            if node_id == EMPTY or node_id in self.nodes:
                continue
            try:
                data = self._store.node_files.get(node_id)
            except KeyError:
                raise DamagedNode(node_id, "it is missing") from None
            level, digests, rows = references(node_id, data)
            self.nodes.add(node_id)
            if level:
                self._trees += [digests[at : at + 32].hex() for at in range(0, len(digests), 32)]
            elif rows is None:
                self.blobs.add(digests)
            else:
                for _, entry in rows.entries(0, len(rows)):
                    self._take_content(entry)
