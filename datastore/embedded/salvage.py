"""Uncommitted changes that can still be read from a damaged index."""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from datastore.embedded import staging
from datastore.embedded.content import chunks_of
from datastore.embedded.database import index_errors
from datastore.embedded.nodes import Entry, check_row
from datastore.embedded.staging import Edits
from datastore.errors import DatastoreError

__all__ = ["put_back", "uncommitted_of"]

_Columns = tuple[bytes, int, int, str, str, int, str]
_QUERY = """
    SELECT r.name, b.name, s.key,
        s.digest, s.size, s.modified, s.content_type, s.metadata, s.kind, s.extra
    FROM repos r JOIN branches b ON b.repo = r.id JOIN staging s ON s.token = b.token
"""


def uncommitted_of(index: Path, draft: Path, *, sizes: Mapping[bytes, int]) -> dict[tuple[str, str], Edits]:
    """Return the staged rows by (repo, branch), those of them that are whole: a wrong one is left out.

    Args:
        index: The damaged file; it is not touched.
        draft: New name for a copy of it, because SQLite writes to what it opens.
        sizes: Of the blobs that are there, by digest.
    """
    copies = {Path(f"{index}{end}"): Path(f"{draft}{end}") for end in ("", "-wal")}
    found: dict[tuple[str, str], Edits] = {}
    try:
        for source, copy in copies.items():
            if source.is_file():
                shutil.copyfile(source, copy)
        for repo, branch, key, entry in _rows(draft):
            if _is_whole(key, entry, sizes):
                found.setdefault((repo, branch), {})[key] = entry
    finally:
        for end in ("", "-wal", "-shm", "-journal"):
            Path(f"{draft}{end}").unlink(missing_ok=True)
    return found


def _rows(path: Path) -> Iterator[tuple[str, str, str, Entry | None]]:
    """Yield rows until SQLite cannot go on."""
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for row in db.execute(_QUERY):
                try:
                    repo, branch, key, digest, *rest = row
                    entry = None if digest is None else msgspec.convert([digest, *rest], _Columns)
                    yield *msgspec.convert([repo, branch, key], tuple[str, str, str]), entry and Entry(*entry)
                except msgspec.ValidationError:  # a column of another type
                    continue
    except (sqlite3.Error, UnicodeDecodeError):
        return


def _is_whole(key: str, entry: Entry | None, sizes: Mapping[bytes, int]) -> bool:
    if entry is None:
        return True
    try:
        check_row(key, entry)
        return all(sizes.get(digest) == size for digest, size in chunks_of(entry))
    except DatastoreError:
        return False


def put_back(index: Path, found: dict[tuple[str, str], Edits]) -> int:
    """Stage the rows in a new index, on the branches that it has, and return how many there were."""
    count = 0
    with index_errors(index), closing(sqlite3.connect(index, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        for (repo, branch), edits in found.items():
            query = "SELECT token FROM branches JOIN repos ON id = repo WHERE repos.name = ? AND branches.name = ?"
            row = db.execute(query, (repo, branch)).fetchone()
            if row is not None:
                staging.stage(db, row[0], edits)
                count += len(edits)
        db.execute("COMMIT")
    return count
