"""Connections to the store's SQLite index: one at a time per user, write transactions under the gate, safe across fork."""

import atexit
import os
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from datastore.embedded import forking
from datastore.embedded.gate import Gate
from datastore.embedded.schema import APPLICATION_ID, SCHEMA, SCHEMA_VERSION
from datastore.errors import ConfigError, DatastoreError, IntegrityError, Unavailable

__all__ = ["Database"]

_CHECKPOINT_BYTES = 16 << 20
_BUSY_SECONDS = 60.0
_SETTINGS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA mmap_size=0",
    "PRAGMA cell_size_check=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA temp_store=MEMORY",
)
_FULL_FSYNC = ("PRAGMA fullfsync=1", "PRAGMA checkpoint_fullfsync=1")


class Database:
    """The index of one store.

    Connections come from a pool and go back to it, so that threads never share one at a time and a dead thread's connection
    is not closed by the garbage collector outside of the gate.

    Args:
        path: The file `meta.db`.
        gate: Held around every write transaction, checkpoint and close.
        read_only: Open for reading; nothing is written, also no lock.
    """

    def __init__(self, path: Path, *, gate: Gate, read_only: bool = False) -> None:
        self._path = path
        self._gate = gate
        self._read_only = read_only
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        _open.add(self)

    @staticmethod
    def create(path: Path, *, store_id: str) -> None:
        """Make the tables, in one transaction; harmless where they exist. The caller holds the gate."""
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}; {SCHEMA}"
                f"INSERT OR IGNORE INTO store (one, store_id) VALUES (1, '{store_id}'); COMMIT;"  # noqa: S608 - a uuid of ours
            )
        finally:
            connection.close()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for single statements, each its own snapshot; fetch everything before leaving the block."""
        with self._lent() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection on which all statements see one state; fetch everything before leaving the block."""
        with self._lent() as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def write(self, *, durable: bool, then: Callable[[], None] | None = None) -> Iterator[sqlite3.Connection]:
        """Run a write transaction under the gate; committed on leaving the block, rolled back on any exception.

        Args:
            durable: Whether it has to survive power loss on return, with all that was committed before; otherwise it
                survives the death of the process.
            then: Called after the commit, still under the gate.
        """
        with self._gate.held():
            with self._lent() as connection:
                connection.execute("PRAGMA synchronous=FULL" if durable else "PRAGMA synchronous=NORMAL")
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            if then is not None:
                then()
            if self._wal_size() > _CHECKPOINT_BYTES:
                self._checkpoint()

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        owner = os.getpid()
        forking.enter()
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                if os.getpid() != owner:  # forked inside the block: the connection is the parent's
                    _park(connection)
                else:
                    self._give_back(connection)
        except sqlite3.Error as error:
            raise self._translated(error) from error
        finally:
            forking.leave()

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with self._lock:
            self._idle.append(connection)

    def _connect(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise IntegrityError(
                f"the store {self._path.parent} has lost its index {self._path.name}",
                hint="put the file back from a backup; blobs, trees, commits and refs.journal are still there",
            )
        mode = "ro" if self._read_only else "rw"
        if self._read_only and _on_read_only_media(self._path):
            if self._wal_size() > 0:
                raise Unavailable(
                    f"the store {self._path.parent} is on read-only media and was not closed before it was copied there",
                    hint="open it once on a writable disk, then copy it again",
                )
            mode = "ro&immutable=1"
        uri = f"{self._path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        settings = _SETTINGS[1:] if self._read_only else _SETTINGS
        for statement in (*settings, *(_FULL_FSYNC if sys.platform == "darwin" else ())):
            connection.execute(statement)
        self._check_version(connection)
        return connection

    def _check_version(self, connection: sqlite3.Connection) -> None:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application == APPLICATION_ID and version == SCHEMA_VERSION:
            return
        connection.close()
        if application == APPLICATION_ID and version > SCHEMA_VERSION:
            message = f"the store {self._path.parent} has index version {version}; this program knows {SCHEMA_VERSION}"
            raise ConfigError(message, hint="upgrade: pip install -U datastore-sdk")
        raise IntegrityError(f"{self._path} is not the index of a store", hint="put it back from a backup")

    def _wal_size(self) -> int:
        try:
            return os.stat(f"{self._path}-wal").st_size  # noqa: PTH116 - once per write transaction
        except FileNotFoundError:
            return 0

    def _checkpoint(self) -> None:
        with self._lent() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _translated(self, error: sqlite3.Error) -> DatastoreError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return IntegrityError(f"the index of the store {self._path.parent} is damaged: {error}", hint="run `datastore check`")
        if name.startswith("SQLITE_FULL"):
            return Unavailable(f"the disk of the store {self._path.parent} is full", hint="free some space; nothing was changed")
        return Unavailable(f"the index of the store {self._path.parent} cannot be used now: {error} ({name})")

    def close(self) -> None:
        """Close the idle connections, under the gate: the last close writes the log back into the file."""
        with self._lock:
            idle, self._idle = self._idle, []
        if not idle:
            return
        if self._read_only:
            for connection in idle:
                connection.close()
        else:
            with self._gate.held():
                for connection in idle:
                    connection.close()
            self._gate.close()

    def forget(self) -> None:
        """In a forked child: leave the parent's connections and locks alone for good."""
        self._lock = threading.Lock()
        idle, self._idle = self._idle, []
        for connection in idle:
            _park(connection)
        self._gate.forget()


_open: "weakref.WeakSet[Database]" = weakref.WeakSet()
_parked: list[sqlite3.Connection] = []


def _park(connection: sqlite3.Connection) -> None:
    """Keep an inherited connection from ever being closed here: closing it would act on the parent's locks and log."""
    import ctypes

    _parked.append(connection)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))  # also past the end of the interpreter


def _on_read_only_media(path: Path) -> bool:
    return hasattr(os, "statvfs") and bool(os.statvfs(path).f_flag & getattr(os, "ST_RDONLY", 1))


def _forget_all() -> None:
    for database in list(_open):
        database.forget()


def _close_all() -> None:
    for database in list(_open):
        database.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
