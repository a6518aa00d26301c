"""An index that an older version of this program wrote, brought up to date: forward only, in one transaction.

The index as it was is kept in `backups/`. Where nothing may be written, the older index is only looked at as if it were
a current one.
"""

import re
import shutil
import sqlite3
from pathlib import Path

from datastore.durable import disk_errors, fsync_directory, fsync_file
from datastore.embedded.schema import ADDED_COLUMNS, INDEXES, SCHEMA, SCHEMA_VERSION
from datastore.errors import Unavailable

__all__ = ["seen_as_current", "upgrade", "version_of"]


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the index that a connection is to."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Bring an index up to date; harmless if another process has done so meanwhile. The caller holds the gate.

    Args:
        connection: To the index, outside of a transaction.
        path: The file of the index.

    Raises:
        Unavailable: The disk has no room for a copy of the index; nothing was changed.
    """
    version = version_of(connection)
    if version >= SCHEMA_VERSION:
        return
    if connection.execute("SELECT 1 FROM repos LIMIT 1").fetchone():
        _back_up(connection, path, path.parent / "backups" / f"{path.stem}-{version}{path.suffix}")
    columns = "".join(f"ALTER TABLE {table} ADD COLUMN {column};" for table, column in _new_columns(version))
    connection.execute("PRAGMA synchronous=FULL")
    connection.executescript(
        f"BEGIN IMMEDIATE; {SCHEMA} {columns} {INDEXES} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
    )


def _new_columns(version: int) -> list[tuple[str, str]]:
    added = [column for since, columns in ADDED_COLUMNS.items() if since > version for column in columns]
    return [(table, column) for table, _, column in (name.partition(".") for name in added)]


def _back_up(connection: sqlite3.Connection, path: Path, copy: Path) -> None:
    size = path.stat().st_size
    free = shutil.disk_usage(path.parent).free
    if free < 2 * size:
        raise Unavailable(
            f"the index of the store {path.parent} has to be upgraded, and its disk has {free} bytes left",
            hint=f"free {2 * size - free} bytes for a copy of the index; nothing was changed",
        )
    with disk_errors(path.parent):
        copy.parent.mkdir(exist_ok=True)
        draft = copy.with_suffix(".part")
        draft.unlink(missing_ok=True)  # of an upgrade that was interrupted
        connection.execute("VACUUM INTO ?", (str(draft),))
        with draft.open("rb+") as file:
            fsync_file(file.fileno())
        draft.replace(copy)
        fsync_directory(copy.parent)
        fsync_directory(path.parent)


def seen_as_current(connection: sqlite3.Connection) -> None:
    """Let a connection that may not write see an older index as a current one: what is missing is empty, in memory."""
    version = version_of(connection)
    if version == SCHEMA_VERSION:
        return
    there = {name for (name,) in connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")}
    added: dict[str, list[str]] = {}
    for table, column in _new_columns(version):
        added.setdefault(table, []).append(column.split()[0])
    for table, statement in re.findall(r"(?s)CREATE TABLE IF NOT EXISTS (\w+) (.*?;)\n", SCHEMA):
        if table not in there:
            connection.execute(f"CREATE TEMP TABLE {table} {statement}")
        elif table in added:
            columns = "".join(f", NULL AS {column}" for column in added[table])
            connection.execute(f"CREATE TEMP VIEW {table} AS SELECT *{columns} FROM main.{table}")  # noqa: S608 - our names
