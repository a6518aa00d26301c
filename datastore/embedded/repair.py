"""Putting a damaged store in order: from what it still has, and from another store."""

from collections.abc import Iterator

from datastore.disks import require_local
from datastore.durable import disk_errors, is_unreadable
from datastore.embedded import refs
from datastore.embedded.check import check_store
from datastore.embedded.fetching import fetch
from datastore.embedded.foundation import Foundation
from datastore.embedded.gate import Gate
from datastore.embedded.layout import Layout
from datastore.embedded.opened import OpenStore
from datastore.embedded.quarantine import DamagedFile, damaged_files, set_aside
from datastore.embedded.replay import replay
from datastore.errors import Forbidden, NotFound
from datastore.values import Problem, Repaired

__all__ = ["repair_store"]

_LEFT = "left as it is: its bytes may be right; if the disk goes on to refuse them, move the file away and repair again"
_FOLDERS = {"blob": "blobs", "tree": "trees", "commit": "commits"}


def repair_store(layout: Layout, *, dry_run: bool, other: OpenStore | None) -> Iterator[Repaired]:
    """Yield what was wrong and what was done about it, as it is done; nothing is ever deleted.

    Each step leaves the store no worse than before and may be interrupted: the next run goes on.

    Args:
        layout: Where the store is.
        dry_run: Change nothing, only tell.
        other: A store that may have good copies of what is lost.
    """
    if not layout.exists():
        raise NotFound(f"no store at {layout.root}", hint="ds.create_repo(name) makes one; a backup is restored")
    with disk_errors(layout.root):
        is_backup = layout.backup.exists()
    if is_backup:
        message = f"{layout.root} is a backup, or half of one, which only `backup` and `restore` may change"
        raise Forbidden(message, hint="back the store up again, or restore the backup and repair that")
    foundation = Foundation(layout, dry_run=dry_run)
    if not dry_run:
        require_local(layout.root)
        with disk_errors(layout.root):
            _make_way_for_gate(layout)
    gate = Gate(layout.gate)
    try:
        with disk_errors(layout.root):
            if dry_run:
                yield from foundation.repair()
            else:
                with gate.held():
                    found = list(foundation.repair())
                yield from found
    finally:
        gate.close()
    if not dry_run or foundation.is_sound:
        store = OpenStore(layout, read_only=dry_run)
        try:
            with disk_errors(layout.root):
                yield from _look(store) if dry_run else _mend(store, other)
        finally:
            store.close()


def _make_way_for_gate(layout: Layout) -> None:
    folder = layout.gate.parent
    if folder.exists() and not folder.is_dir():
        set_aside(folder, layout.quarantine)
    folder.mkdir(exist_ok=True)


def _look(store: OpenStore) -> Iterator[Repaired]:
    """Tell what `_mend` would do, as far as that can be seen beforehand."""
    for file in damaged_files(store.layout):
        done = _LEFT if is_unreadable(file.problem) else "would be moved to quarantine/"
        yield Repaired(kind=file.kind, id=file.id, problem=file.problem, done=done)
    for digest, problem in _damaged_in_packs(store):
        done = _LEFT if is_unreadable(problem) else "would count as missing"
        yield Repaired(kind="blob", id=digest.hex(), problem=problem, done=done)
    for problem in check_store(store, deep=False):
        yield _of(problem, "would be taken from another store, if one is named that has it")
    with store.db.snapshot() as db:
        if problem := _journal_problem(store, refs.current_epoch(db)):
            yield Repaired(kind="journal", id="refs.journal", problem=problem, done="would get a snapshot of all refs")


def _mend(store: OpenStore, other: OpenStore | None) -> Iterator[Repaired]:
    for file in damaged_files(store.layout):
        if (done := _set_aside(store, file)) is not None:
            yield Repaired(kind=file.kind, id=file.id, problem=file.problem, done=done)
    for digest, problem in _damaged_in_packs(store):
        done = _LEFT
        if not is_unreadable(problem):
            with store.db.write(durable=True) as db:
                db.execute("DELETE FROM blobs WHERE digest = ?", (digest,))
            done = "counts as missing; its pack stays"
        yield Repaired(kind="blob", id=digest.hex(), problem=problem, done=done)
    yield from _fetch_all(store, other)
    with store.db.write(durable=True) as db:
        epoch = refs.current_epoch(db)
        problem = _journal_problem(store, epoch)
        if problem:
            store.journal.append_snapshot(epoch, refs.snapshot(db), store_id=store.id)
    if problem:
        yield Repaired(kind="journal", id="refs.journal", problem=problem, done="got a snapshot of all refs")


def _damaged_in_packs(store: OpenStore) -> Iterator[tuple[bytes, str]]:
    """Hash every blob that is in a pack, and yield (digest, what is wrong) of those that are not as they were."""
    with store.db.read() as db:
        rows = db.execute("SELECT digest, size FROM blobs WHERE pack IS NOT NULL").fetchall()
    for digest, size in rows:
        try:
            problem = store.packs.problem(digest, size, deep=True)
        except KeyError:  # put anew or collected meanwhile
            continue
        if problem is not None:
            yield digest, problem


def _of(problem: Problem, done: str) -> Repaired:
    return Repaired(kind=problem.kind, id=problem.id, problem=problem.problem, done=done)


def _set_aside(store: OpenStore, file: DamagedFile) -> str | None:
    """Move a file away in a transaction that puts are ordered against: they write it anew from now on."""
    if is_unreadable(file.problem):
        return _LEFT
    with store.db.write(durable=True) as db:
        if not file.is_there():
            return None
        if file.kind == "blob":
            db.execute("UPDATE blobs SET durable = 0, boot = '' WHERE digest = ?", (bytes.fromhex(file.id),))
        moved = set_aside(file.path, store.layout.quarantine, under=_FOLDERS[file.kind])
    return f"moved to {moved.relative_to(store.layout.root)}"


def _fetch_all(store: OpenStore, other: OpenStore | None) -> Iterator[Repaired]:
    """Fetch what is missing; what is found below that may be missing too, so it goes on until nothing is new."""
    tried: set[tuple[str, str]] = set()
    found = True
    while found:
        found = False
        for problem in list(check_store(store, deep=False)):
            if (problem.kind, problem.id) in tried or problem.kind == "journal":
                continue
            tried.add((problem.kind, problem.id))
            source = fetch(store, problem, other)
            found = found or source is not None
            hint = "; --from names another store, or a backup" if other is None else ""
            yield _of(problem, f"put back from {source}" if source else f"nothing: there is no good copy{hint}")


def _journal_problem(store: OpenStore, epoch: int) -> str:
    if damaged := replay(store.journal.lines()).damaged:
        return f"{len(damaged)} lines are not as they were written"
    return "" if store.journal.last_epoch() == epoch else "its end is not that of the index"
