"""Connections to the store's SQLite index: lent to one user at a time, writing under the gate, none across a fork."""

import atexit
import contextlib
import os
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from datastore.durable import disk_error, is_full
from datastore.embedded import forking
from datastore.embedded.gate import Gate
from datastore.embedded.readonly import Mode, reading, stamp_of, writing
from datastore.embedded.schema import APPLICATION_ID, INDEXES, SCHEMA, SCHEMA_VERSION
from datastore.embedded.upgrade import seen_as_current, upgrade, version_of
from datastore.errors import ConfigError, DatastoreError, Forbidden, IntegrityError, NotFound, Unavailable

__all__ = ["Database", "index_errors"]

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
_FOR_WRITING = "DELETE FROM store WHERE 0"
"""Fails on a connection that can only read, where `BEGIN IMMEDIATE` alone begins to read instead."""
_FULL_FSYNC = ("PRAGMA fullfsync=1", "PRAGMA checkpoint_fullfsync=1")


class Database:
    """The index of one store.

    Connections come from a pool and go back to it, so that threads never share one at a time and a dead thread's
    connection is not closed by the garbage collector outside of the gate.

    Before a fork they are closed. SQLite remembers in the process' memory which locks it has; a child that inherits
    that memory believes in locks which only its parent has, and would go on writing to a log that the parent deleted.

    Args:
        path: The file `meta.db`.
        gate: Held around every write transaction, checkpoint and close.
        read_only: Open for reading; nothing is written, also no lock.
    """

    _orphans: ClassVar[list[sqlite3.Connection]] = []
    """Of databases that were dropped without a close: the garbage collector may come at any moment, also in a fork."""

    def __init__(self, path: Path, *, gate: Gate, read_only: bool = False) -> None:
        self._path = path
        self._gate = gate
        self._read_only = read_only
        self._lock = threading.Lock()
        self._idle: list[tuple[Mode, sqlite3.Connection]] = []
        self._lent_now = 0
        self._is_current = read_only
        _open.add(self)

    @staticmethod
    def create(path: Path, *, store_id: str) -> None:
        """Make the tables, in one transaction; harmless where they exist. The caller holds the gate."""
        with index_errors(path), forking.kept_away():
            connection = sqlite3.connect(path, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} {INDEXES}")
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
                connection.execute("INSERT OR IGNORE INTO store (one, store_id) VALUES (1, ?)", (store_id,))
                connection.execute("COMMIT")
            finally:
                connection.close()

    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """Lend a connection for single statements, each its own snapshot; fetch everything before leaving the block."""
        self._bring_up_to_date()
        return self._lent()

    def snapshot(self) -> AbstractContextManager[sqlite3.Connection]:
        """Lend a connection on which all statements see one state; fetch everything before leaving the block."""
        self._bring_up_to_date()
        return self._lent("BEGIN")

    @contextmanager
    def write(self, *, durable: bool, then: Callable[[], None] | None = None) -> Generator[sqlite3.Connection]:
        """Run a write transaction under the gate; committed on leaving the block, rolled back on any exception.

        Args:
            durable: Whether it has to survive power loss on return, with all that was committed before; otherwise it
                survives the death of the process.
            then: Called after the commit, still under the gate.
        """
        self._bring_up_to_date()
        owner = os.getpid()
        with self._gate.held():
            level = "PRAGMA synchronous=FULL" if durable else "PRAGMA synchronous=NORMAL"
            with self._lent(level, "BEGIN IMMEDIATE", _FOR_WRITING) as connection:
                yield connection
                if os.getpid() != owner:  # forked inside the block: it is the parent's transaction
                    return
                connection.execute("COMMIT")
            if then is not None:
                then()
            # The transaction has landed: a checkpoint that fails now is made up for by the next one.
            with contextlib.suppress(DatastoreError, OSError):
                if self._wal_size() > _CHECKPOINT_BYTES:
                    self._checkpoint()

    def _bring_up_to_date(self) -> None:
        """Upgrade an index that an older version of this program wrote, before anything else is done with it."""
        if self._is_current:
            return
        with self._lent() as connection:
            version = version_of(connection)
        if version < SCHEMA_VERSION:
            with self._gate.held(), self._lent() as connection:
                upgrade(connection, self._path)
        self._is_current = True

    def _lent(self, *begin: str) -> "_Loan":
        return _Loan(self, begin)

    def lend(self, begin: tuple[str, ...], *, owner: int) -> tuple[Mode, sqlite3.Connection]:
        """Take a connection out of the pool, or make one, and begin a transaction with these statements."""
        mode, connection = self._take()
        try:
            connection = self._begun(mode, connection, begin)
        except BaseException:
            self.take_back(mode, connection, owner=owner)
            raise
        return mode, connection

    def take_back(self, mode: Mode, connection: sqlite3.Connection, *, owner: int) -> None:
        """Put a connection back that was lent to the process `owner`."""
        if os.getpid() != owner:  # forked inside the block: the connection is the parent's
            _park(connection)
        else:
            self._give_back(mode, connection)

    def require_unchanged(self, mode: Mode) -> None:
        """Raise `Unavailable` if what was read without locks was changed meanwhile."""
        if mode.stamp is not None and mode.stamp != stamp_of(self._path):
            message = f"the store {self._path.parent} was changed while it was read without locks"
            raise Unavailable(message, hint="try again; open it without read_only if that happens often")

    def raise_told(self, error: BaseException | None) -> None:
        """Raise in our words what SQLite, or the disk under it, refused; do nothing about all other errors."""
        if isinstance(error, sqlite3.Error | OSError) and not isinstance(error, DatastoreError):
            raise _translated(self._path, error) from error

    def _take(self) -> tuple[Mode, sqlite3.Connection]:
        _refuse_inherited(self._path)
        mode = self._mode()
        with self._lock:
            fitting = [pair for pair in self._idle if pair[0] == mode]
            others = [pair for pair in self._idle if pair[0] != mode]
            found = fitting.pop() if fitting else None
            self._idle = fitting
            self._lent_now += 1
        try:
            for _, outdated in others:
                outdated.close()
            return found or (mode, self._connect(mode))
        except BaseException:
            with self._lock:
                self._lent_now -= 1
            raise

    def _mode(self) -> Mode:
        try:
            return reading(self._path) if self._read_only else writing(self._path)
        except FileNotFoundError:
            raise self._lost() from None

    def _lost(self) -> DatastoreError:
        if not self._path.parent.exists():
            message = f"the store {self._path.parent} is not there any more"
            return NotFound(message, hint="put the folder back, or make a repo: that makes a new store")
        return IntegrityError(
            f"the store {self._path.parent} has lost its index {self._path.name}",
            hint="run `datastore repair`: it makes a new one from blobs, trees, commits and refs.journal",
        )

    def _begun(self, mode: Mode, connection: sqlite3.Connection, begin: tuple[str, ...]) -> sqlite3.Connection:
        """Run what a transaction begins with.

        Where the file could not be opened for writing, be it for a moment, SQLite has opened it for reading without a
        word; then a new connection is made, which takes the place of the old one.
        """
        try:
            for statement in begin:
                connection.execute(statement)
        except sqlite3.OperationalError as error:
            if self._read_only or not _is_read_only(error):
                raise
            old, connection = connection, self._connect(mode)
            old.close()
            for statement in begin:
                connection.execute(statement)
        return connection

    def _give_back(self, mode: Mode, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        finally:
            with self._lock:
                self._lent_now -= 1
                self._idle.append((mode, connection))

    def _connect(self, mode: Mode) -> sqlite3.Connection:
        Database.close_orphans()
        if not self._path.is_file():
            raise self._lost()
        uri = f"{self._path.absolute().as_uri()}?{mode.query}"
        connection = sqlite3.connect(
            uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._check_version(connection)
            settings = _SETTINGS[1:] if self._read_only else _SETTINGS
            for statement in (*settings, *(_FULL_FSYNC if sys.platform == "darwin" else ())):
                connection.execute(statement)
            if self._read_only:
                seen_as_current(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_version(self, connection: sqlite3.Connection) -> None:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = version_of(connection)
        if application == APPLICATION_ID and 1 <= version <= SCHEMA_VERSION:
            return
        if application == APPLICATION_ID and version > SCHEMA_VERSION:
            message = f"the store {self._path.parent} has index version {version}; this program knows {SCHEMA_VERSION}"
            raise ConfigError(message, hint="upgrade: pip install -U datastore-sdk")
        raise IntegrityError(f"{self._path} is not the index of a store", hint="run `datastore repair`")

    def _wal_size(self) -> int:
        try:
            return os.stat(f"{self._path}-wal").st_size  # noqa: PTH116 - once per write transaction
        except FileNotFoundError:
            return 0

    def _checkpoint(self) -> None:
        with self._lent() as connection:
            # Nobody waits, with the gate held, for a reader that may be suspended: the next one comes soon enough.
            connection.execute("PRAGMA busy_timeout=0")
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                connection.execute(f"PRAGMA busy_timeout={int(_BUSY_SECONDS * 1000)}")

    def shorten_log(self) -> None:
        """Write the log back into the file and give its space back, as far as readers allow."""
        with self._gate.held():
            self._checkpoint()

    def close(self) -> None:
        """Close the idle connections, under the gate: the last close writes the log back into the file."""
        with index_errors(self._path):
            if self._read_only:
                with forking.kept_away():
                    self.rest()
            elif self._idle:
                with self._gate.held(), forking.kept_away():
                    self.rest()
                self._gate.close()

    def __del__(self) -> None:
        # By way of the class: at the end of the interpreter the module's own names are gone.
        self._orphans.extend(connection for _, connection in self._idle)

    @classmethod
    def close_orphans(cls) -> None:
        """Close the connections that dropped databases left behind."""
        while cls._orphans:
            with contextlib.suppress(IndexError):  # another thread took the last one
                cls._orphans.pop().close()

    def rest(self) -> None:
        """Close the idle connections without the gate.

        Before a fork, the holder of the gate may be a thread that waits for the fork to end. A last close writes the
        log back only if it gets SQLite's exclusive lock, and then nobody else has the file open.
        """
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def forget(self) -> None:
        """In a forked child: leave the parent's connections and locks alone for good."""
        self._lock = threading.Lock()
        idle, self._idle = self._idle, []
        for _, connection in idle:
            _park(connection)
        if idle or self._lent_now:
            with contextlib.suppress(OSError):  # the store is gone
                _inherited.add(_file_of(self._path))
        self._lent_now = 0
        self._gate.forget()


class _Loan:
    """A connection for the length of a block. A generator would take longer than most statements in such a block."""

    __slots__ = ("_begin", "_connection", "_database", "_mode", "_owner")

    def __init__(self, database: Database, begin: tuple[str, ...]) -> None:
        self._database = database
        self._begin = begin
        self._owner = os.getpid()
        self._mode: Mode
        self._connection: sqlite3.Connection

    def __enter__(self) -> sqlite3.Connection:
        away = forking.kept_away()
        away.__enter__()
        try:
            self._mode, self._connection = self._database.lend(self._begin, owner=self._owner)
        except BaseException as error:
            away.__exit__(None, None, None)
            self._database.raise_told(error)
            raise
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._database.take_back(self._mode, self._connection, owner=self._owner)
            if error is None:
                self._database.require_unchanged(self._mode)
        except BaseException as failure:
            self._database.raise_told(failure)
            raise
        finally:
            forking.kept_away().__exit__(None, None, None)
        self._database.raise_told(error)


@contextmanager
def index_errors(path: Path) -> Generator[None]:
    """Say in our words what SQLite, or the disk under it, refuses inside the block."""
    try:
        yield
    except DatastoreError:
        raise
    except (sqlite3.Error, OSError) as error:
        raise _translated(path, error) from error


def _is_read_only(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_READONLY")


def _translated(path: Path, error: sqlite3.Error | OSError) -> DatastoreError:
    if isinstance(error, OSError):
        return disk_error(path.parent, error)
    name = getattr(error, "sqlite_errorname", "")
    where = f"the index of the store {path.parent}"
    lacking = name == "SQLITE_ERROR" and str(error).startswith("no such ")  # a table or column that all indexes have
    if lacking or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return IntegrityError(f"{where} is damaged: {error}", hint="run `datastore repair`")
    if is_full(error):
        message = f"the disk of the store {path.parent} is full"
        return Unavailable(message, hint="free some space, or try `datastore collect`; nothing was changed")
    if _is_read_only(error):
        return Forbidden(f"{where} cannot be written to: {error}", hint="check the file's owner and permissions")
    return Unavailable(f"{where} cannot be used now: {error} ({name})")


_open: "weakref.WeakSet[Database]" = weakref.WeakSet()
_parked: list[sqlite3.Connection] = []
_inherited: set[tuple[int, int]] = set()
"""Files that were in use at the moment of the fork, so that SQLite's memory of their locks is wrong in this process."""


def _park(connection: sqlite3.Connection) -> None:
    """Keep an inherited connection from ever being closed here: closing it would act on the parent's locks and log."""
    import ctypes

    _parked.append(connection)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))  # also past the end of the interpreter


def _file_of(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _refuse_inherited(path: Path) -> None:
    if _inherited and _file_of(path) in _inherited:
        message = f"this process was forked while its parent was in the middle of using the store {path.parent}"
        raise Unavailable(message, hint='fork outside of its calls, or start processes with "spawn"')


def _rest_all() -> None:
    for database in list(_open):
        database.rest()
    Database.close_orphans()


def _forget_all() -> None:
    for database in list(_open):
        database.forget()


def _close_all() -> None:
    for database in list(_open):
        # At exit there is nobody to tell; a store whose folder was deleted needs no closing.
        with contextlib.suppress(DatastoreError, OSError):
            database.close()
    Database.close_orphans()


forking.before_fork(_rest_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
atexit.register(_close_all)
