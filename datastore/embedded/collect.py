"""Removing what no ref, no uncommitted change and no work under way needs any more, beside readers and writers.

The protocol, and why nothing is lost: docs/decisions/012-collect.md.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import chain

from msgspec import Struct

from datastore.durable import disk_errors, is_full
from datastore.embedded import intents, staging
from datastore.embedded.blobsweep import BlobSweep
from datastore.embedded.compact import compact
from datastore.embedded.garbage import (
    Row,
    Tally,
    Victim,
    commit_rows,
    file_victims,
    scratch_victims,
    size_and_age,
    unlink,
)
from datastore.embedded.intents import Work
from datastore.embedded.mark import Mark
from datastore.embedded.opened import OpenStore
from datastore.embedded.sweep import Overtaken, Sweep
from datastore.errors import IntegrityError, Unavailable
from datastore.values import Collected

__all__ = ["Terms", "collect_store"]

_TRIES = 5


class Terms(Struct, frozen=True, kw_only=True):
    """What may go.

    Attributes:
        grace: What is younger stays.
        keep_deleted: How long a deleted branch can be brought back.
        max_bytes: Stop before more than this is removed.
    """

    grace: timedelta
    keep_deleted: timedelta
    max_bytes: int | None = None


def collect_store(store: OpenStore, terms: Terms, *, dry_run: bool) -> Collected:
    """Collect, or tell what this would do.

    Raises:
        IntegrityError: Something that is needed cannot be read, so that nobody knows what it needs. Nothing went, or
            nothing more.
        Unavailable: The disk is full, and the ballast was not enough.
    """
    tally = Tally(terms.max_bytes)
    with disk_errors(store.layout.root):
        act = _tell if dry_run else _remove
        act(store, terms, tally)
    return Collected(
        dry_run=dry_run, removed=tuple(tally.removed()), young=tuple(tally.young()), complete=tally.complete
    )


def _tell(store: OpenStore, terms: Terms, tally: Tally) -> None:
    _persist(lambda: _Run(store, terms, tally).tell())


def _remove(store: OpenStore, terms: Terms, tally: Tally) -> None:
    store.require_writable()
    for victim in scratch_victims(store):
        if tally.has_room(victim.size) and unlink(victim.path):
            tally.goes(victim.kind, victim.reason, victim.size)
    _with_room(store, lambda: _persist(lambda: _Run(store, terms, tally).remove()))
    with contextlib.suppress(Unavailable):  # for a rewritten pack there may be no room yet
        done = compact(store)
        if done.freed:
            count = done.rewritten + done.unnamed
            tally.goes("pack", "half of it was dead, or nothing named it", done.freed, count=count)
    with contextlib.suppress(Unavailable):  # the log, which may be larger than what was freed, can wait
        store.db.shorten_log()
    store.layout.ballast.make()


def _with_room(store: OpenStore, act: Callable[[], None]) -> None:
    """On a full disk SQLite cannot even delete: give it the ballast then, and begin anew."""
    try:
        act()
    except Unavailable as error:
        if not (is_full(error) and store.layout.ballast.drop()):
            raise
        act()


def _persist(act: Callable[[], None]) -> None:
    """Begin anew if another `collect` got in the way: what lost its refs may be gone before it was read."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(Overtaken, IntegrityError):
            return act()
    try:
        act()
    except Overtaken:
        message = "collect was taken for dead by another one, again and again"
        raise Unavailable(message, hint="run it where the other one runs; nothing is lost") from None
    except IntegrityError as error:
        message = f"collect stops here, because something that is needed cannot be read: {error.message}"
        hint = "run `datastore check` and mend what it names, then collect; what cannot be read may need the rest"
        raise IntegrityError(message, hint=hint) from error
    return None


class _Run:
    """One try, with a mark of its own."""

    def __init__(self, store: OpenStore, terms: Terms, tally: Tally) -> None:
        self._store = store
        self._terms = terms
        self._tally = tally
        self._mark = Mark(store)
        self._blobs = BlobSweep(store, self._mark, tally)
        self._now_us = store.clock()

    def tell(self) -> None:
        """Count what would go."""
        self._tally.begin_anew(nothing_went=True)
        with self._store.db.snapshot() as db:
            expired = self._expired(db)
            self._mark.look(db, deleted_until_us=self._deleted_until_us, ignoring=intents.sessions(db)[1])
            self._mark.look_at_uncommitted(db, without={token for _, token in expired})
        self._mark.follow(self._store.db.read)
        self._count_branches(len(expired))
        for victim in chain(scratch_victims(self._store), self._victims(self._old_rows())):
            if self._tally.has_room(victim.size):
                self._tally.goes(victim.kind, victim.reason, victim.size)

    def remove(self) -> None:
        """Remove it."""
        self._tally.begin_anew(nothing_went=False)
        work = Work()
        try:
            self._begin(work)
            with self._store.db.snapshot() as db:
                self._mark.look(db)
                self._mark.look_at_uncommitted(db)
            self._mark.follow(self._store.db.read)
            # What has lost its refs by now must not get them back by a power cut, after its files are gone.
            with self._store.db.write(durable=True) as db:
                if not work.removes(db):
                    raise Overtaken
            rows = self._old_rows()
            sweep = Sweep(self._store, self._mark, work, self._tally, blobs=self._blobs)
            sweep.rows(rows)
            sweep.files(self._victims(rows))
        finally:
            work.give_up(self._store.db)

    def _begin(self, work: Work) -> None:
        """From here on, writers tell this run of what comes to be needed."""
        with self._store.db.write(durable=True) as db:
            intents.forget_the_dead(db)
            work.begin(db, collects=True)
            expired = self._expired(db)
            for number, token in expired:
                staging.drop(db, token)
                db.execute("DELETE FROM deleted_branches WHERE id = ?", (number,))
        self._count_branches(len(expired))

    @property
    def _deleted_until_us(self) -> int:
        return self._now_us - self._terms.keep_deleted // timedelta(microseconds=1)

    def _expired(self, db: sqlite3.Connection) -> list[tuple[int, int]]:
        query = "SELECT id, token FROM deleted_branches WHERE deleted_us <= ?"
        return db.execute(query, (self._deleted_until_us,)).fetchall()

    def _count_branches(self, count: int) -> None:
        if count:
            self._tally.goes("branch", "it was deleted, and nobody brought it back in time", 0, count=count)

    def _old_rows(self) -> list[Row]:
        """Return the rows of commits that are to go. Young ones count as needed, with all that they need."""
        rows = commit_rows(self._store, self._mark)
        if not self._terms.grace:
            return rows
        for _, repo, commit in rows:
            found = size_and_age(self._store.commit_files.path(commit), self._now_us / 1e6)
            if found is not None and found[1] < self._terms.grace:
                self._mark.also(repo, commit)
        self._mark.follow(self._store.db.read)
        return [row for row in rows if row[2] not in self._mark.commits[row[1]]]

    def _victims(self, rows: list[Row]) -> Iterator[Victim]:
        grace, now = self._terms.grace, self._now_us / 1e6
        yield from file_victims(self._store, self._mark, self._tally, rows=rows, grace=grace, now=now)
        yield from self._blobs.victims(grace=grace, now=now)
