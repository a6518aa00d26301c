"""Copies of a whole store: a backup beside its writers, and a store from a backup."""

import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import Struct

from datastore.disks import require_local
from datastore.durable import disk_errors, fsync_directory, fsync_files, write_new
from datastore.embedded import refs
from datastore.embedded.check import check_store
from datastore.embedded.claiming import BACKUP, alone, begin, write_marker
from datastore.embedded.copying import copy_objects
from datastore.embedded.database import index_errors
from datastore.embedded.journal import read_lines
from datastore.embedded.layout import Layout, StoreConfig
from datastore.embedded.opened import OpenStore
from datastore.errors import AlreadyExists
from datastore.processes import scratch_name
from datastore.values import Backup, Problem

__all__ = ["back_up", "restore"]

_TRIES = 3


class _Copied(Struct):
    """What has been copied, before it is published under the names of a store."""

    index: Path
    journal: Path
    config: Path
    files: int = 0
    size: int = 0
    problems: list[Problem] = []


def back_up(store: OpenStore, target: Path) -> Backup:
    """Copy a living store; only what the last backup in the same folder has not got.

    Args:
        store: The store.
        target: An empty or new folder, or an earlier backup of the same store, be it half done.

    Raises:
        ValidationError: The folder is something else.
    """
    layout = Layout(target)
    marker = begin(layout, "backup", store)
    config = msgspec.structs.replace(store.layout.read(), write_features=[BACKUP])
    with alone(layout):
        copied = _copy(store, layout, config)
        _publish(layout, copied)
        write_marker(layout, msgspec.structs.replace(marker, finished_us=time.time_ns() // 1000))
    return _result(layout, store.id, copied)


def restore(backup: OpenStore, target: Path, *, new_id: bool) -> Backup:
    """Make a store from a backup.

    Args:
        backup: The backup; any other store will do.
        target: An empty or new folder on a local disk, or one where this was begun.
        new_id: Give it an id of its own, because the store that it comes from lives on.

    Raises:
        AlreadyExists: There is a store already.
        ValidationError: The folder is something else.
    """
    require_local(target)
    layout = Layout(target)
    with disk_errors(target):
        is_taken = layout.config.exists() and not layout.backup.exists()
    if is_taken:
        raise AlreadyExists(f"there is a store in {target} already", hint="choose an empty or new folder")
    begin(layout, "restore", backup)
    config = backup.layout.read()
    config = msgspec.structs.replace(
        config,
        store_id=str(uuid.uuid4()) if new_id else config.store_id,
        write_features=[name for name in config.write_features if name != BACKUP],
    )
    with alone(layout):
        if layout.config.exists():  # whole, but for the marker
            config = layout.read()
            copied = _Copied(layout.index, layout.journal, layout.config)
        else:
            copied = _copy(backup, layout, config)
            _publish(layout, copied)
        layout.backup.unlink()
        fsync_directory(layout.root)
    return _result(layout, config.store_id, copied)


def _result(layout: Layout, store_id: str, copied: _Copied) -> Backup:
    return Backup(
        path=str(layout.root), store_id=store_id, files=copied.files, size=copied.size, problems=copied.problems
    )


def _copy(store: OpenStore, layout: Layout, config: StoreConfig) -> _Copied:
    """Copy the index as it is at one moment, then all objects; more objects than the index names do no harm.

    Only `collect` takes objects away. Until its pins keep it from that while this runs, the copy is looked at in the
    end, and made anew from a newer moment if something is missing that the store has no use for any more.
    """
    files, size, tries = 0, 0, 0
    while True:
        copied = _copy_refs(store, layout, config)
        more = copy_objects(store.layout.root, layout.root)
        files, size, tries = files + more[0], size + more[1], tries + 1
        copied.files, copied.size, copied.problems = files, size, _problems(layout, copied)
        if not copied.problems or tries == _TRIES or copied.problems == list(check_store(store, deep=False)):
            return copied


def _copy_refs(store: OpenStore, layout: Layout, config: StoreConfig) -> _Copied:
    stem = layout.scratch / scratch_name()
    copied = _Copied(Path(f"{stem}.db"), Path(f"{stem}.journal"), Path(f"{stem}.json"))
    # No locks: nobody else knows the file, and a backup may lie where there are none.
    uri = f"{copied.index.absolute().as_uri()}?mode=rwc&nolock=1"
    with index_errors(copied.index), closing(sqlite3.connect(uri, uri=True)) as index, store.db.read() as db:
        db.backup(index)
    _without_log(copied.index)
    with index_errors(copied.index), closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as index:
        index.execute("UPDATE store SET store_id = ?", (config.store_id,))
        _forget_work(index)
        epoch = refs.current_epoch(index)
    write_new(copied.journal, _journal_up_to(store.layout.journal, epoch))
    copied.journal.chmod(0o644)
    write_new(copied.config, msgspec.json.format(msgspec.json.encode(config)))
    fsync_files([copied.index])
    return copied


def _forget_work(index: sqlite3.Connection) -> None:
    """Take out what was under way over there; an index of version 1 has no such tables."""
    query = "SELECT name FROM sqlite_master WHERE name IN ('intents', 'sessions')"
    for (table,) in index.execute(query).fetchall():
        index.execute(f"DELETE FROM {table}")  # noqa: S608 - one of two


def _without_log(index: Path) -> None:
    """Say in the file's header that it has no log (WAL), which cannot be opened without locks."""
    with index.open("rb+") as file:
        file.seek(18)  # https://sqlite.org/fileformat.html: write and read version
        file.write(b"\x01\x01")


def _journal_up_to(journal: Path, epoch: int) -> bytes:
    """Return the lines that the copied index knows of; a journal that is not there yet has none."""
    try:
        data = journal.read_bytes()
    except FileNotFoundError:
        return b""
    later = (line.number for line in read_lines(data) if line.change is not None and line.change["epoch"] > epoch)
    number = next(later, None)
    return data if number is None else b"".join(line + b"\n" for line in data.split(b"\n")[: number - 1])


def _problems(layout: Layout, copied: _Copied) -> list[Problem]:
    """Look at a copy that has no names yet."""
    draft = Layout(layout.root)
    draft.index, draft.journal, draft.config = copied.index, copied.journal, copied.config
    opened = OpenStore(draft, read_only=True)
    try:
        return list(check_store(opened, deep=False))
    finally:
        opened.close()


def _publish(layout: Layout, copied: _Copied) -> None:
    """Give the names, in an order in which every state between is a whole one: a journal may be behind its index."""
    copied.index.replace(layout.index)
    fsync_directory(layout.root)
    copied.journal.replace(layout.journal)
    copied.config.replace(layout.config)
    fsync_directory(layout.root)
