"""Removing what nobody needs, a little at a time, each time under the gate after a look at what came to be needed."""

import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from itertools import islice
from typing import TypeVar

from datastore.embedded.blobsweep import BlobSweep
from datastore.embedded.garbage import Row, Tally, Victim, unlink
from datastore.embedded.intents import Work
from datastore.embedded.mark import Mark
from datastore.embedded.opened import OpenStore

__all__ = ["Overtaken", "Sweep"]

_AT_ONCE = 256
_SECONDS = 0.05

T = TypeVar("T")


class Overtaken(Exception):
    """Somebody took this process for dead, and what it knows may be out of date."""


class Sweep:
    """Removes what a `Mark` does not have.

    Args:
        store: The store.
        mark: What is needed; grows.
        work: The session of this run.
        tally: Counts what went.
        blobs: Knows how blobs go.
    """

    def __init__(self, store: OpenStore, mark: Mark, work: Work, tally: Tally, *, blobs: BlobSweep) -> None:
        self._store = store
        self._mark = mark
        self._work = work
        self._tally = tally
        self._blobs = blobs

    def rows(self, rows: Iterable[Row]) -> None:
        """Remove rows of commits, durably: without its row nobody can build on a commit, and its files may go.

        Descendants have to come first, so that a commit with a row has all its ancestors at any moment.
        """
        self._batches(rows, self._remove_row, durable=True)

    def files(self, victims: Iterable[Victim]) -> None:
        """Remove files of commits, nodes and blobs."""
        self._batches(victims, self._remove_file, durable=False)

    def _batches(self, items: Iterable[T], remove: Callable[[sqlite3.Connection, T], None], *, durable: bool) -> None:
        left = iter(items)
        while batch := list(islice(left, _AT_ONCE)):
            while batch:
                self._catch_up()
                with self._store.db.write(durable=durable) as db:
                    self._look(db)
                    until = time.monotonic() + _SECONDS
                    while batch and time.monotonic() < until:
                        remove(db, batch.pop(0))

    def _catch_up(self) -> None:
        """Do most of the next look before the gate is held."""
        with self._store.db.snapshot() as db:
            self._mark.look(db)
        self._mark.follow(self._store.db.read)

    def _look(self, db: sqlite3.Connection) -> None:
        self._mark.look(db)
        self._mark.follow(lambda: nullcontext(db))
        self._work.has_read(db, self._mark.read)
        if not self._work.is_there(db):
            raise Overtaken

    def _remove_row(self, db: sqlite3.Connection, row: Row) -> None:
        _, repo, commit = row
        if commit not in self._mark.commits[repo]:
            db.execute("DELETE FROM commits WHERE repo = ? AND id = ?", (repo, commit))

    def _remove_file(self, db: sqlite3.Connection, victim: Victim) -> None:
        if self._is_needed(db, victim) or not self._tally.has_room(victim.size):
            return
        if victim.kind == "blob":
            freed = self._blobs.remove(db, victim)
        else:
            freed = victim.size if unlink(victim.path) else None
        if freed is not None:
            self._tally.goes(victim.kind, victim.reason, freed)

    def _is_needed(self, db: sqlite3.Connection, victim: Victim) -> bool:
        if victim.kind == "blob":
            return self._blobs.is_needed(victim.name)
        if victim.name in self._mark.held or victim.name in self._mark.nodes:
            return True
        # Two repos may have the same commit, each with a row of its own.
        query = "SELECT 1 FROM repos r JOIN commits c ON c.repo = r.id WHERE c.id = ?"
        return victim.kind == "commit" and db.execute(query, (victim.name,)).fetchone() is not None
