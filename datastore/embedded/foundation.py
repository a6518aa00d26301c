"""What a store needs before it can be opened: its folders, `config.json`, the index."""

import os
import sqlite3
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from datastore.durable import fsync_directory, fsync_files, write_new
from datastore.embedded import refs, salvage
from datastore.embedded.database import Database
from datastore.embedded.diagnosis import index_problems, refs_problems
from datastore.embedded.gate import Gate
from datastore.embedded.gather import gather
from datastore.embedded.journal import Journal
from datastore.embedded.layout import FORMAT, Layout, StoreConfig, fields_missing
from datastore.embedded.quarantine import set_aside
from datastore.embedded.rebuild import blob_sizes, write_index
from datastore.embedded.replay import replay
from datastore.errors import DatastoreError, IntegrityError
from datastore.processes import scratch_name
from datastore.values import Repaired

__all__ = ["Foundation"]

_INDEX_FILES = ("meta.db", "meta.db-wal", "meta.db-shm", "meta.db-journal")


class Foundation:
    """Repairs it, under the gate, which the caller holds.

    Args:
        layout: Where the store is.
        dry_run: Change nothing, only tell.

    Attributes:
        is_sound: Whether nothing was found, so far.
    """

    def __init__(self, layout: Layout, *, dry_run: bool) -> None:
        self._layout = layout
        self._dry_run = dry_run
        self.is_sound = True

    def repair(self) -> Iterator[Repaired]:
        """Yield what was wrong and what was done about it."""
        _refuse_newer(self._layout)
        for folder in self._layout.folders:
            if not folder.is_dir():
                yield from self._folder(folder)
        store_id = yield from self._config()
        if problems := self._index_problems(store_id):
            yield from self._index(store_id, problems)

    def _told(self, name: str, problem: str, done: str) -> Repaired:
        self.is_sound = False
        return Repaired(kind="store", id=name, problem=problem, done=f"{'would be ' * self._dry_run}{done}")

    def _folder(self, folder: Path) -> Iterator[Repaired]:
        in_the_way = os.path.lexists(folder)
        if not self._dry_run:
            if in_the_way:
                set_aside(folder, self._layout.quarantine)
            folder.mkdir()
            fsync_directory(folder.parent)
        yield self._told(folder.name, "is no folder" if in_the_way else "is missing", "made anew, empty")

    def _config(self) -> Generator[Repaired, None, str]:
        layout = self._layout
        try:
            config = msgspec.json.decode(layout.config.read_bytes(), type=StoreConfig)
        except FileNotFoundError:
            problem = "is missing"
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
            problem = f"cannot be read: {error}"
        else:
            store_id = self._agreed_id(config.store_id)
            missing = fields_missing(layout.config.read_bytes())
            if store_id == config.store_id and not missing:
                return store_id
            problem = f"lacks {missing[0]}" if missing else f"says {config.store_id}, others {store_id}"
        store_id = self._agreed_id("")
        if not self._dry_run:
            if os.path.lexists(layout.config):
                set_aside(layout.config, layout.quarantine)
            # Format 1 has no features, so there are none to lose.
            draft = self._draft()
            write_new(draft, msgspec.json.format(msgspec.json.encode(StoreConfig(format=FORMAT, store_id=store_id))))
            draft.replace(layout.config)
            fsync_directory(layout.root)
        yield self._told("config.json", problem, f"written anew for store {store_id}")
        return store_id

    def _agreed_id(self, configured: str) -> str:
        """What two of index, config and journal say; else the first that says something."""
        told = [self._id_of_index(), configured, replay(Journal(self._layout.journal).lines()).store_id]
        known = [store_id for store_id in told if store_id]
        return max(known, key=known.count) if known else str(uuid.uuid4())

    def _id_of_index(self) -> str:
        try:
            with self._reading() as db:
                return str(uuid.UUID(db.execute("SELECT store_id FROM store").fetchone()[0]))
        except (DatastoreError, TypeError, ValueError, AttributeError):
            return ""

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        database = Database(self._layout.index, gate=Gate(self._layout.gate), read_only=self._dry_run)
        try:
            with database.snapshot() as db:
                yield db
        finally:
            database.rest()  # the gate is held already

    def _index_problems(self, store_id: str) -> list[str]:
        if not self._layout.index.is_file():
            return ["is missing"]
        try:
            with self._reading() as db:
                problems = list(index_problems(db, store_id=store_id))
                if not problems:
                    epoch = refs.current_epoch(db)
                    problems = list(refs_problems(self._layout, db, epoch_now=lambda: epoch))
        except IntegrityError as error:
            return [error.message]
        return [f"{problem.id}: {problem.problem}" for problem in problems]

    def _index(self, store_id: str, problems: list[str]) -> Iterator[Repaired]:
        layout = self._layout
        gathered = gather(layout)
        done = f"made anew from the files, with {len(gathered.repos)} repos and {len(gathered.commits)} commits"
        if not self._dry_run:
            uncommitted = salvage.uncommitted_of(layout.index, self._draft(), sizes=blob_sizes(layout))
            draft = self._draft()
            # Larger than every number of a staging area before: there was not one in each microsecond.
            write_index(draft, gathered, layout, store_id=store_id, first_token=time.time_ns() // 1000)
            kept = salvage.put_back(draft, uncommitted)
            fsync_files([draft])
            # The log goes before the new file comes: SQLite would take it for the log of that one.
            for name in _INDEX_FILES:
                if os.path.lexists(layout.root / name):
                    set_aside(layout.root / name, layout.quarantine)
            draft.replace(layout.index)
            fsync_directory(layout.root)
            done += f"; uncommitted changes that could still be read: {kept}; all others are lost"
        yield self._told("meta.db", "; ".join(problems), done)
        for ref, commit_id in gathered.reattached:
            done = f"{'would be ' * self._dry_run}reattached"
            yield Repaired(kind="ref", id=ref, problem=f"no ref led to commit {commit_id}", done=done)

    def _draft(self) -> Path:
        return self._layout.scratch / scratch_name()


def _refuse_newer(layout: Layout) -> None:
    with suppress(IntegrityError):  # what is missing or cannot be read is made good
        layout.read()
