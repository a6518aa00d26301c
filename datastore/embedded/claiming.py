"""The folder that a backup or a restored store is made in: whose it is, and that one process at a time works there."""

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from datastore.durable import disk_errors, fsync_directory, write_new
from datastore.embedded.gate import Gate
from datastore.embedded.layout import Layout
from datastore.embedded.opened import OpenStore
from datastore.errors import ValidationError

__all__ = ["BACKUP", "Marker", "alone", "begin", "write_marker"]

BACKUP = "backup"
"""Write feature of a backup's `config.json`: every program opens it for reading only."""
_GATE_SECONDS = 10.0
_DRAFT = "backup.json."


class Marker(Struct, frozen=True, kw_only=True):
    """The content of `backup.json`.

    Attributes:
        kind: What the folder is, or is to become; a restored store loses the file when it is whole.
        store_id: Of the store that it comes from.
        finished_us: When the last copy was whole, microseconds since the epoch; 0 for never.
    """

    kind: Literal["backup", "restore"]
    store_id: str
    finished_us: int = 0


def begin(layout: Layout, kind: Literal["backup", "restore"], store: OpenStore) -> Marker:
    """See that the folder may be written to, and mark it."""
    with disk_errors(layout.root):
        return _begun(layout, kind, store)


def _begun(layout: Layout, kind: Literal["backup", "restore"], store: OpenStore) -> Marker:
    root = layout.root
    if root.is_relative_to(store.layout.root) or store.layout.root.is_relative_to(root):
        message = f"{root} and the store {store.layout.root} are not apart"
        raise ValidationError(message, hint="choose a folder elsewhere, best on another disk")
    try:
        marker = msgspec.json.decode(layout.backup.read_bytes(), type=Marker)
    except (FileNotFoundError, NotADirectoryError):
        marker = None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValidationError(f"{layout.backup} cannot be read", hint="choose an empty or new folder") from None
    if marker is None:
        _refuse_taken(root)
        marker = Marker(kind=kind, store_id=store.id)
        root.mkdir(parents=True, exist_ok=True)
        write_marker(layout, marker)
    if (marker.kind, marker.store_id) != (kind, store.id):
        message = f"{root} is a {marker.kind} of store {marker.store_id}, this is a {kind} of {store.id}"
        raise ValidationError(message, hint="choose another folder; nothing was changed")
    if kind == "backup" and layout.config.exists() and BACKUP not in layout.read().write_features:
        raise ValidationError(f"{root} is a store that is in use, no backup", hint="choose another folder")
    return marker


def _refuse_taken(root: Path) -> None:
    there = next((folder for folder in (root, *root.parents) if folder.exists()), root)
    if not there.is_dir():
        raise ValidationError(f"{there} is a file, no folder", hint="choose an empty or new folder")
    foreign = sorted(name for name in os.listdir(root) if not name.startswith(_DRAFT)) if there == root else []
    if foreign:
        message = f"{root} is no backup of this store, and it is not empty: it has {foreign[0]!r}"
        raise ValidationError(message, hint="choose an empty or new folder; nothing was changed")


def write_marker(layout: Layout, marker: Marker) -> None:
    """Write `backup.json`."""
    draft = layout.root / f"{_DRAFT}{os.getpid()}-{secrets.token_hex(4)}"
    write_new(draft, msgspec.json.format(msgspec.json.encode(marker)))
    draft.replace(layout.backup)
    fsync_directory(layout.root)


@contextmanager
def alone(layout: Layout) -> Generator[None]:
    """Keep another backup into the same folder out."""
    with disk_errors(layout.root):
        for folder in layout.folders:
            folder.mkdir(exist_ok=True)
        gate = Gate(layout.gate, timeout=_GATE_SECONDS)
        try:
            with gate.held():
                _sweep(layout)
                yield
        finally:
            gate.close()


def _sweep(layout: Layout) -> None:
    """Remove what an interrupted run left: nobody else is here."""
    for left in (*layout.scratch.iterdir(), *layout.root.glob(f"{_DRAFT}*")):
        left.unlink()
