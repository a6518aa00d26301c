"""Uncommitted changes: rows over a branch's head, in the index, visible to every process that opens the store.

Functions over an open connection; the caller decides about transactions.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from msgspec import Struct

from datastore.embedded.nodes import Entry, same_content
from datastore.listing import after_prefix

__all__ = [
    "Edits",
    "Found",
    "count",
    "decide",
    "drop",
    "find",
    "first_keys",
    "forget_committed",
    "is_dirty",
    "latest",
    "move",
    "overlay",
    "row_of",
    "rows",
    "rows_of",
    "stage",
    "unstage",
]

_QUERIED = 500
Edits = dict[str, Entry | None]
_COLUMNS = "digest, size, modified, content_type, metadata, kind, extra"
_FIND: Final = f"""
    SELECT b.head, c.tree, s.seq, {_COLUMNS}
    FROM repos r JOIN branches b ON b.repo = r.id JOIN commits c ON c.repo = r.id AND c.id = b.head
    LEFT JOIN staging s ON s.token = b.token AND s.key = ?
    WHERE r.name = ? AND b.name = ?
"""  # noqa: S608 - a constant
_Values = tuple[bytes | None, int, int, str, str, int, str]


def _entry(values: _Values) -> Entry | None:
    digest, size, modified, content_type, metadata, kind, extra = values
    return None if digest is None else Entry(digest, size, modified, content_type, metadata, kind, extra)


def row_of(db: sqlite3.Connection, token: int, key: str) -> tuple[bool, Entry | None]:
    """Return (whether the key is staged, its entry; None says deleted)."""
    if not _is_unicode(key):
        return False, None
    query = f"SELECT {_COLUMNS} FROM staging WHERE token = ? AND key = ?"  # noqa: S608 - a constant
    found = db.execute(query, (token, key)).fetchone()
    return (False, None) if found is None else (True, _entry(found))


def rows_of(db: sqlite3.Connection, token: int, keys: Sequence[str]) -> Edits:
    """Return those of these keys that are staged."""
    wanted = [key for key in keys if _is_unicode(key)]
    found: Edits = {}
    for at in range(0, len(wanted), _QUERIED):
        some = wanted[at : at + _QUERIED]
        marks = ", ".join("?" * len(some))
        query = f"SELECT key, {_COLUMNS} FROM staging WHERE token = ? AND key IN ({marks})"  # noqa: S608 - question marks
        found |= {row[0]: _entry(row[1:]) for row in db.execute(query, (token, *some))}
    return found


def rows(db: sqlite3.Connection, token: int, *, prefix: str = "", limit: int = -1) -> Edits:
    """Return the staged rows under a prefix, in key order; the first `limit` of them, or all."""
    if not _is_unicode(prefix):
        return {}
    query, values = _range(f"SELECT key, {_COLUMNS} FROM staging", token, prefix)  # noqa: S608 - a constant
    found = db.execute(f"{query} ORDER BY key LIMIT ?", [*values, limit])
    return {row[0]: _entry(row[1:]) for row in found}


class Found(Struct, frozen=True):
    """A key on a branch at one moment: the branch's head with its tree, whether the key is staged, and its entry."""

    head: str
    tree: str
    staged: bool
    entry: Entry | None


def find(db: sqlite3.Connection, repo: str, branch: str, key: str) -> Found | None:
    """Look for a key on a branch in one statement, the most frequent question of all; None without such a branch."""
    if not _is_unicode(key):
        return None
    row = db.execute(_FIND, (key, repo, branch)).fetchone()
    return None if row is None else Found(row[0], row[1], row[2] is not None, _entry(row[3:]) if row[2] else None)


def is_dirty(db: sqlite3.Connection, repo: str, branch: str) -> bool | None:
    """Tell whether anything is staged on a branch, in one statement; None without such a branch."""
    if not _is_unicode(branch):
        return None
    query = """
        SELECT EXISTS (SELECT 1 FROM staging s WHERE s.token = b.token)
        FROM repos r JOIN branches b ON b.repo = r.id WHERE r.name = ? AND b.name = ?
    """
    row = db.execute(query, (repo, branch)).fetchone()
    return None if row is None else bool(row[0])


def _is_unicode(text: str) -> bool:
    """Whether SQLite can hold it; nothing is stored under any other key."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _range(query: str, token: int, prefix: str) -> tuple[str, list[int | str]]:
    values: list[int | str] = [token, prefix]
    query += " WHERE token = ? AND key >= ?"
    if (end := after_prefix(prefix)) is not None:
        query += " AND key < ?"
        values.append(end)
    return query, values


def latest(db: sqlite3.Connection) -> int:
    """Return the number of the newest staged row of the store."""
    return int(db.execute("SELECT seq FROM store").fetchone()[0])


def first_keys(db: sqlite3.Connection, token: int, *, limit: int = 10) -> list[str]:
    """Return the first staged keys."""
    query = "SELECT key FROM staging WHERE token = ? ORDER BY key LIMIT ?"
    return [row[0] for row in db.execute(query, (token, limit))]


def decide(
    committed: Entry | None, staged: tuple[bool, Entry | None], wanted: Entry | None
) -> Literal["keep", "unstage", "stage"]:
    """Decide what a put or delete does to the staged rows.

    Content that is there already keeps its old row with its old time, so that writing the same again is no change.

    >>> decide(None, (False, None), None)
    'keep'
    """
    is_staged, entry = staged
    if same_content(wanted, committed):
        return "unstage" if is_staged else "keep"
    if is_staged and same_content(wanted, entry):
        return "keep"
    return "stage"


def stage(db: sqlite3.Connection, token: int, edits: Edits) -> bool:
    """Put rows over what is staged; tell whether a `collect` is running, which has to be told of them."""
    query = "UPDATE store SET seq = seq + 1 RETURNING seq, EXISTS (SELECT 1 FROM sessions WHERE collects > 0)"
    seq, collects = db.execute(query).fetchone()
    query = f"INSERT OR REPLACE INTO staging (token, key, seq, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
    db.executemany(query, ((token, key, seq, *_values(entry)) for key, entry in edits.items()))
    return bool(collects)


def _values(entry: Entry | None) -> _Values:
    if entry is None:
        return None, 0, 0, "", "", 0, ""
    return (
        entry.digest,
        entry.size,
        entry.modified,
        entry.content_type,
        entry.metadata,
        entry.kind,
        entry.extra,
    )


def unstage(db: sqlite3.Connection, token: int, keys: Iterable[str]) -> None:
    """Take rows away. A commit that was prepared with them must not land, so the branch's `gen` moves."""
    db.executemany("DELETE FROM staging WHERE token = ? AND key = ?", ((token, key) for key in keys))
    _touch(db, token)


def drop(db: sqlite3.Connection, token: int, *, key: str | None = None, prefix: str | None = None) -> int:
    """Take away all rows, one key's, or those under a prefix, and return how many."""
    if not _is_unicode(key or prefix or ""):
        return 0
    if key is not None:
        done = db.execute("DELETE FROM staging WHERE token = ? AND key = ?", (token, key))
    else:
        done = db.execute(*_range("DELETE FROM staging", token, prefix or ""))
    _touch(db, token)
    return done.rowcount


def forget_committed(db: sqlite3.Connection, token: int, taken: Edits, *, up_to: int) -> list[Entry | None]:
    """Take away the rows that a commit took; what was staged after its snapshot stays, unless it is the same again.

    Returns:
        What the commit took and was written over since, so that for a while nothing staged had it.
    """
    db.execute("DELETE FROM staging WHERE token = ? AND seq <= ?", (token, up_to))
    later = rows(db, token)
    same = [key for key, entry in later.items() if key in taken and same_content(entry, taken[key])]
    db.executemany("DELETE FROM staging WHERE token = ? AND key = ?", ((token, key) for key in same))
    return [taken[key] for key in later if key in taken]


def count(db: sqlite3.Connection, token: int, *, up_to: int) -> int:
    """Return the number of rows that were staged up to a number."""
    return int(db.execute("SELECT count(*) FROM staging WHERE token = ? AND seq <= ?", (token, up_to)).fetchone()[0])


def move(db: sqlite3.Connection, old: int, new: int) -> None:
    """Hand all rows on to another staging area."""
    db.execute("UPDATE staging SET token = ? WHERE token = ?", (new, old))


def _touch(db: sqlite3.Connection, token: int) -> None:
    db.execute("UPDATE branches SET gen = gen + 1 WHERE token = ?", (token,))


def overlay(
    committed: Iterable[tuple[str, Entry]], staged: Iterable[tuple[str, Entry | None]]
) -> Iterator[tuple[str, Entry]]:
    """Merge committed rows with staged ones, both in key order; the staged one wins, a deleted key is left out.

    >>> list(overlay([], [("a", None)]))
    []
    """
    pending = iter(staged)
    over = next(pending, None)
    for key, entry in committed:
        while over is not None and over[0] < key:
            if over[1] is not None:
                yield over[0], over[1]
            over = next(pending, None)
        if over is not None and over[0] == key:
            if over[1] is not None:
                yield key, over[1]
            over = next(pending, None)
        else:
            yield key, entry
    while over is not None:
        if over[1] is not None:
            yield over[0], over[1]
        over = next(pending, None)
