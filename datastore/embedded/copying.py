"""Copying the immutable files of a store into another folder, where they arrive whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from datastore.durable import fsync_directory, fsync_files, reflink
from datastore.processes import scratch_name

__all__ = ["copy_objects"]

_BATCH = 256
_FOLDERS = ("blobs", "packs", "trees", "commits")
"""What never changes once it has its name."""


def copy_objects(source: Path, target: Path) -> tuple[int, int]:
    """Copy what the target has not got, with the same size; return (files, bytes). Durable on return.

    A file that goes away meanwhile was collected, so it is left out.
    """
    files, size = 0, 0
    missing = _missing(source, target)
    while batch := list(islice(missing, _BATCH)):
        for count in _copy(batch, target / "tmp"):
            files, size = files + 1, size + count
    return files, size


def _missing(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    for name in _FOLDERS:
        # packs/ comes with the first pack.
        pending = [(source / name, target / name)] if (source / name).is_dir() else []
        while pending:
            here, there = pending.pop()
            if not there.is_dir():
                there.mkdir()
                fsync_directory(there.parent)
            with os.scandir(there) as entries:
                sizes = {entry.name: entry.stat().st_size for entry in entries}
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_dir():
                        pending.append((here / entry.name, there / entry.name))
                    elif sizes.get(entry.name) != _size(entry):
                        yield here / entry.name, there / entry.name


def _size(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # collected meanwhile, which the copy will notice too
        return -1


def _copy(batch: list[tuple[Path, Path]], scratch: Path) -> Iterator[int]:
    """Bytes first, names after that."""
    drafts: list[tuple[Path, Path]] = []
    try:
        for source, target in batch:
            draft = scratch / scratch_name()
            drafts.append((draft, target))
            try:
                _clone(source, draft)
            except FileNotFoundError:
                draft.unlink(missing_ok=True)
                drafts.pop()
        fsync_files([draft for draft, _ in drafts])
        for draft, target in drafts:
            size = draft.stat().st_size
            draft.replace(target)
            yield size
        for folder in sorted({target.parent for _, target in drafts}):
            fsync_directory(folder)
    finally:
        for draft, _ in drafts:
            draft.unlink(missing_ok=True)


def _clone(source: Path, draft: Path) -> None:
    """Share the disk blocks where the file system can, else copy the bytes; never a link to the same file."""
    with source.open("rb") as reading, draft.open("xb") as writing:
        if not reflink(source, writing.fileno()):
            shutil.copyfileobj(reading, writing, 1 << 20)
    draft.chmod(0o444)
