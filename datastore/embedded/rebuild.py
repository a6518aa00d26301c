"""A new index from the files of a store."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from datastore.durable import fsync_file
from datastore.embedded import refs
from datastore.embedded.database import Database, index_errors
from datastore.embedded.gather import Gathered, object_ids
from datastore.embedded.layout import Layout
from datastore.embedded.packs import scan
from datastore.embedded.replay import RepoRefs

__all__ = ["blob_sizes", "write_index"]


def blob_sizes(layout: Layout) -> dict[bytes, int]:
    """Return the bytes of every blob that is there, by digest."""
    sizes = {record.digest: record.size for path in _packs(layout) for record in scan(path)}
    return sizes | dict(_blob_files(layout))


def _packs(layout: Layout) -> list[Path]:
    return sorted(layout.packs.glob("*.pack"))


def _blob_files(layout: Layout) -> Iterator[tuple[bytes, int]]:
    """Yield (digest, bytes) of every blob with a file. Sizes only: `repair` hashes them when the index stands."""
    for shelf in sorted(layout.blobs.iterdir()) if layout.blobs.is_dir() else ():
        for name in object_ids(shelf):
            yield bytes.fromhex(name), (shelf / name).stat().st_size


def write_index(path: Path, gathered: Gathered, layout: Layout, *, store_id: str, first_token: int) -> None:
    """Make a durable index file; its epoch is one more than the journal's.

    Args:
        path: A new file.
        gathered: What it holds.
        layout: Where the blobs are.
        store_id: Of the store.
        first_token: No staging area had this number before, so that what was prepared over the lost index cannot land.
    """
    Database.create(path, store_id=store_id)
    with index_errors(path), closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE store SET epoch = ?, token = ?", (gathered.epoch + 1, first_token))
        for name, repo in gathered.repos.items():
            _write_repo(db, name, repo, gathered)
        # Nobody knows which of them were synced: a put writes them anew, a commit reads them before it relies on them.
        query = "INSERT INTO blobs (digest, size, durable, boot) VALUES (?, ?, 0, '')"
        db.executemany(query, _blob_files(layout))
        _write_packs(db, layout)
        db.execute("COMMIT")
    with index_errors(path), path.open("rb+") as file:
        fsync_file(file.fileno())


def _write_packs(db: sqlite3.Connection, layout: Layout) -> None:
    """Index what a scan of the packs finds; a blob that has a file of its own is read from there."""
    for path in _packs(layout):
        query = "INSERT INTO packs (name, size) VALUES (?, ?) RETURNING id"
        pack = int(db.execute(query, (path.stem, path.stat().st_size)).fetchone()[0])
        rows = ((record.digest, record.size, pack, record.offset) for record in scan(path))
        query = "INSERT OR IGNORE INTO blobs (digest, size, durable, boot, pack, offset) VALUES (?, ?, 1, '', ?, ?)"
        db.executemany(query, rows)


def _write_repo(db: sqlite3.Connection, name: str, repo: RepoRefs, gathered: Gathered) -> None:
    query = "INSERT INTO repos (name, default_branch) VALUES (?, ?) RETURNING id"
    number = int(db.execute(query, (name, repo.default)).fetchone()[0])
    if repo.remote:
        db.execute("INSERT INTO remotes (repo, url) VALUES (?, ?)", (number, repo.remote))
    for branch, head in repo.branches.items():
        query = "INSERT INTO branches (repo, name, head, token, hidden, protected) VALUES (?, ?, ?, ?, ?, ?)"
        flags = (branch in repo.hidden, branch in repo.protected)
        db.execute(query, (number, branch, head, refs.new_token(db), *flags))
    for branch, head, deleted_us in repo.deleted:
        query = "INSERT INTO deleted_branches (repo, name, head, token, deleted_us) VALUES (?, ?, ?, ?, ?)"
        db.execute(query, (number, branch, head, refs.new_token(db), deleted_us))
    db.executemany(
        "INSERT INTO tags (repo, name, head) VALUES (?, ?, ?)", ((number, *row) for row in repo.tags.items())
    )
    rows = (commit for commit in gathered.commits.values() if commit.repo == name)
    query = "INSERT INTO commits (repo, id, tree, generation, op_id, body) VALUES (?, ?, ?, ?, ?, ?)"
    db.executemany(query, ((number, c.info.id, c.info.tree, c.generation, c.op_id, c.body) for c in rows))
