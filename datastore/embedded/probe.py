"""What `datastore doctor` can see of a store and of the disk that it is on."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from datastore.disks import file_system_of, is_network
from datastore.embedded import refs
from datastore.embedded.journal import Journal
from datastore.embedded.layout import Layout
from datastore.embedded.opened import OpenStore
from datastore.embedded.replay import replay
from datastore.probing import Finding

__all__ = ["findings"]

_RACE_ENDED: Final = (3, 51, 3)
_LITTLE: Final = 2**30
_FEW_INODES: Final = 10_000
_LONG_LOG: Final = 256 << 20
_LEFTOVERS: Final = 100


def findings(layout: Layout, opened: OpenStore | None) -> Iterator[Finding]:
    """Yield what is seen; nothing is changed.

    Args:
        layout: Where the store is.
        opened: The store; None if it cannot be opened.
    """
    yield _sqlite()
    yield _disk(layout.root)
    yield from _room(layout.root)
    yield from _permissions(layout)
    if opened is None:
        return
    config = layout.read()
    features = sorted({*config.read_features, *config.write_features})
    yield Finding(check="format", detail=f"{config.format}, {', '.join(features) or 'no features'}")
    if opened.read_only:
        yield Finding(check="writing", state="warning", detail="the store can only be read")
    yield _log(layout)
    yield _leftovers(layout)
    yield _journal(opened)
    yield from _quarantine(layout)


def _sqlite() -> Finding:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= _RACE_ENDED:
        return Finding(check="SQLite", detail=version)
    # 3.51.3 says of all before: a checkpoint that races a writer can lose a commit.
    detail = f"{version}; its race of checkpoints and writers is harmless here: the writer gate keeps them apart"
    return Finding(check="SQLite", detail=detail)


def _disk(root: Path) -> Finding:
    kind = file_system_of(root)
    if is_network(kind):
        hint = "move the store to a local disk: its locks and SQLite are not safe here"
        return Finding(check="disk", state="failed", detail=f"{kind}, which is not local", hint=hint)
    return Finding(check="disk", detail=f"{kind or 'of an unknown kind'}, local")


def _room(root: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(root).free
    ballast = " and the ballast" if (root / "ballast").exists() else ""
    detail = f"{free / 2**30:.1f} GiB free{ballast}"
    hint = "make room: `datastore collect` removes what nothing needs any more"
    if free < _LITTLE:
        yield Finding(check="room", state="warning", detail=detail, hint=hint)
    else:
        yield Finding(check="room", detail=detail)
    if hasattr(os, "statvfs"):
        disk = os.statvfs(root)
        if disk.f_files:  # some file systems have no fixed number
            few = disk.f_favail < _FEW_INODES
            detail = f"{disk.f_favail:,} more can be made"
            yield Finding(check="files", state="warning" if few else "ok", detail=detail, hint=hint if few else None)


def _permissions(layout: Layout) -> Iterator[Finding]:
    parts = [layout.root, *layout.folders, layout.index, layout.journal, layout.config]
    refused = [part.name for part in parts if part.exists() and not os.access(part, os.R_OK | os.W_OK)]
    if refused:
        hint = "give them back to the user who runs this, or open the store with read_only"
        yield Finding(check="permissions", state="failed", detail=f"no access to {', '.join(refused)}", hint=hint)
    else:
        yield Finding(check="permissions", detail="all of the store can be read and written")


def _log(layout: Layout) -> Finding:
    log = Path(f"{layout.index}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > _LONG_LOG:
        hint = "close programs that have the store open for a long time: they keep the log from being emptied"
        return Finding(check="log", state="warning", detail=f"{size / 2**20:.0f} MiB", hint=hint)
    return Finding(check="log", detail=f"{size / 2**20:.1f} MiB")


def _leftovers(layout: Layout) -> Finding:
    sizes = [entry.stat().st_size for entry in os.scandir(layout.scratch) if entry.is_file()]
    detail = f"{len(sizes)} files in tmp/, {sum(sizes) / 2**20:.1f} MiB"
    if len(sizes) > _LEFTOVERS:
        hint = "`datastore collect` removes those of dead processes"
        return Finding(check="unfinished", state="warning", detail=detail, hint=hint)
    return Finding(check="unfinished", detail=detail)


def _journal(store: OpenStore) -> Finding:
    with store.db.snapshot() as db:
        epoch = refs.current_epoch(db)
    journal = Journal(store.layout.journal)
    if replay(journal.lines()).damaged:
        detail = "lines of refs.journal are not as they were written"
        return Finding(check="journal", state="failed", detail=detail, hint="datastore repair")
    if (last := journal.last_epoch()) < epoch:
        detail = f"it is at change {last} of {epoch}; the next change of a branch or tag makes that good"
        return Finding(check="journal", state="warning", detail=detail, hint="datastore repair does so now")
    return Finding(check="journal", detail=f"in step with the index, at change {epoch}")


def _quarantine(layout: Layout) -> Iterator[Finding]:
    if layout.quarantine.is_dir():
        count = sum(path.is_file() for path in layout.quarantine.rglob("*"))
        hint = "delete it when you need nothing of it any more"
        yield Finding(check="quarantine", detail=f"{count} files that `repair` took out of the way", hint=hint)
