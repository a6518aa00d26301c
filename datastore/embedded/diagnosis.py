"""Whether the index, `config.json` and the journal agree with each other."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec

from datastore.embedded import refs
from datastore.embedded.journal import Journal
from datastore.embedded.layout import Layout, fields_missing
from datastore.embedded.replay import RepoRefs, differences, replay
from datastore.embedded.schema import SCHEMA
from datastore.values import Problem

__all__ = ["config_problems", "index_problems", "journal_problems", "refs_problems"]

_REPORTED = 20
_NEEDED = ("store", "repos", "remotes", "branches", "deleted_branches", "tags", "commits", "staging", "blobs")
"""Tables of the first index; others came later, and a store that was not written to since has not got them."""


def index_problems(db: sqlite3.Connection, *, store_id: str) -> Iterator[Problem]:
    """Yield what is wrong with the index as a database, in a transaction that reads.

    Args:
        db: The index.
        store_id: As `config.json` has it.
    """
    found = [text for (text,) in db.execute(f"PRAGMA integrity_check({_REPORTED})") if text != "ok"]
    found += _schema_problems(db)
    if not found:
        row = db.execute("SELECT count(*), min(store_id) FROM store").fetchone()
        if row != (1, store_id):
            found.append(f"it is of store {row[1]}, config.json of {store_id}")
    yield from (Problem(kind="store", id="meta.db", problem=text) for text in found)


def _schema_problems(db: sqlite3.Connection) -> Iterator[str]:
    """Tables and columns may be more than these, in a store that a later program has written to."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(SCHEMA)
        for table in _NEEDED:
            missing = sorted(_columns(fresh, table) - _columns(db, table))
            if missing:
                yield f"its table {table} lacks {', '.join(missing)}"


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def config_problems(layout: Layout) -> Iterator[Problem]:
    """Yield what a `config.json` that can be read lacks all the same."""
    for name in fields_missing(layout.config.read_bytes()):
        yield Problem(kind="store", id="config.json", problem=f"lacks {name}")


def journal_problems(layout: Layout) -> Iterator[Problem]:
    """Yield the lines of the journal that were changed after they were written, unless a later snapshot makes up."""
    for number in replay(Journal(layout.journal).lines()).damaged:
        yield Problem(kind="journal", id=f"refs.journal:{number}", problem="the line is not as it was written")


def refs_problems(layout: Layout, db: sqlite3.Connection, *, epoch_now: Callable[[], int]) -> Iterator[Problem]:
    """Yield where index and journal disagree about a ref.

    A journal that is behind the index is no problem: a crash does that, and the next change of a ref makes it good.

    Args:
        layout: Where the journal is.
        db: The index, in a transaction that reads.
        epoch_now: Asks the index anew, outside of that transaction.
    """
    epoch = refs.current_epoch(db)
    index = msgspec.convert(refs.snapshot(db), dict[str, RepoRefs])
    journal = replay(Journal(layout.journal).lines())
    if journal.epoch == epoch and not journal.damaged:
        for ref, text in differences(journal, index):
            yield Problem(kind="ref", id=ref, problem=text)
    # A writer may have appended since this transaction began, but never what the index does not have.
    elif journal.epoch > epoch and journal.epoch > (now := epoch_now()):
        yield Problem(kind="store", id="meta.db", problem=f"it is older than refs.journal: {now} of {journal.epoch}")
