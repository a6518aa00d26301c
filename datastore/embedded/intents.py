"""What work that is under way is about to need, so that `collect` leaves it alone.

A session is one such piece of work: a commit in the making, an import, or a run of `collect` itself. Its intents name
objects by id, many in a row. Both are gone when the work is done; those of processes that died are removed by the next
`collect`. Why this is enough: docs/decisions/012-collect.md.
"""

import contextlib
import sqlite3
import time
import uuid
from collections.abc import Iterable
from typing import Literal

from datastore.embedded.database import Database
from datastore.errors import DatastoreError
from datastore.processes import Process, is_gone, this_process

__all__ = ["Kind", "Work", "forget_the_dead", "note", "sessions"]

Kind = Literal["base", "blob", "commit", "node"]
"""A commit with a row and all that it leads to; a file in `blobs/`, `commits/` or `trees/`, which need not exist."""


class Work:
    """A piece of work under way.

    Every call but `give_up` is part of the caller's write transaction. If that rolls back, so does what was said here.
    """

    def __init__(self) -> None:
        self._id = ""

    def begin(self, db: sqlite3.Connection, *, collects: bool = False) -> None:
        """Start anew: what was said before is forgotten."""
        self.end(db)
        self._id = uuid.uuid4().hex
        me = this_process()
        query = "INSERT INTO sessions (id, boot, space, pid, ticks, began_us, collects) VALUES (?, ?, ?, ?, ?, ?, ?)"
        db.execute(query, (self._id, me.boot, me.space, me.pid, me.ticks, time.time_ns() // 1000, collects))

    def needs(self, db: sqlite3.Connection, kind: Kind, ids: Iterable[bytes], *, repo: int = 0) -> None:
        """Name objects; `repo` is where commits of kind `base` are."""
        if joined := b"".join(ids):
            query = "INSERT INTO intents (session, kind, repo, ids) VALUES (?, ?, ?, ?)"
            db.execute(query, (self._id, kind, repo, joined))

    def end(self, db: sqlite3.Connection) -> bool:
        """Forget everything that was said; return False if somebody took this process for dead and did so before."""
        return db.execute("DELETE FROM sessions WHERE id = ?", (self._id,)).rowcount == 1

    def removes(self, db: sqlite3.Connection) -> bool:
        """Say that a `collect` has seen what is needed and begins to remove; False as with `end`."""
        return db.execute("UPDATE sessions SET collects = 2 WHERE id = ?", (self._id,)).rowcount == 1

    def has_read(self, db: sqlite3.Connection, number: int) -> None:
        """Forget the notes up to this number."""
        db.execute("DELETE FROM intents WHERE session = ? AND number <= ?", (self._id, number))

    def is_there(self, db: sqlite3.Connection) -> bool:
        """Tell whether it has begun, and nobody took this process for dead since."""
        return db.execute("SELECT 1 FROM sessions WHERE id = ?", (self._id,)).fetchone() is not None

    def is_done(self) -> None:
        """Know that the transaction with `end` in it was committed."""
        self._id = ""

    def give_up(self, database: Database) -> None:
        """Forget everything that was said, if there is anything; harmless when all is done."""
        if not self._id:
            return
        # What cannot be forgotten now, on a full disk, keeps a little rubbish alive until this process ends.
        with contextlib.suppress(DatastoreError), database.write(durable=False) as db:
            self.end(db)
        self._id = ""


def note(db: sqlite3.Connection, kind: Kind, ids: Iterable[bytes], *, repo: int = 0) -> None:
    """Tell every `collect` that is running of something that just came to be needed.

    It may be needed no longer when that one looks next, and yet have been seen by others: of a commit that landed and
    whose branch was deleted at once the row is there, and the row promises the rest.
    """
    if joined := b"".join(ids):
        query = "INSERT INTO intents (session, kind, repo, ids) VALUES (?, ?, ?, ?)"
        db.executemany(query, [(session, kind, repo, joined) for session in forget_the_dead(db, collects=True)])


def forget_the_dead(db: sqlite3.Connection, *, collects: bool = False) -> list[str]:
    """Remove the sessions of processes that have ended and return the others; `collects`: look at runs of it alone."""
    living, dead = sessions(db, collects=collects)
    db.executemany("DELETE FROM sessions WHERE id = ?", [(session,) for session in dead])
    return living


def sessions(db: sqlite3.Connection, *, collects: bool = False) -> tuple[list[str], list[str]]:
    """Return the ids of sessions, and those whose processes have ended apart from them."""
    query = "SELECT id, boot, space, pid, ticks, began_us FROM sessions WHERE collects >= ?"
    found: tuple[list[str], list[str]] = ([], [])
    for row in db.execute(query, (collects,)).fetchall():
        found[is_gone(Process(*row[1:5]), age=time.time() - row[5] / 1e6)].append(row[0])
    return found
