"""Rewriting packs of which much is dead, and merging tiny ones: what is live moves to a new pack, the old one goes.

A blob in a pack lives as long as it has its row in `blobs`; what it takes to delete a row is for the collector to say.
The new pack is written without any lock. One transaction under the gate gives it its name and moves the rows that are
still there; the old pack is deleted after that. A reader that looked up a row before looks once more; one that has the
old pack open goes on reading it.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from datastore.embedded.opened import OpenStore
from datastore.embedded.packs import HEADER, PACK_BYTES, PACK_RECORDS, RECORD_BYTES, PackDraft, Place
from datastore.errors import IntegrityError

__all__ = ["Compacted", "PackUse", "compact", "plan_rewrites"]

_TINY: Final = PACK_BYTES // 8
_MANY: Final = 8


class PackUse(Struct, frozen=True):
    """How much of a pack is live.

    Attributes:
        id: Of its row.
        name: Of its file.
        size: Of its file.
        count: Blobs of it that live.
        live: Bytes that these take in a pack, with their headers.
    """

    id: int
    name: str
    size: int
    count: int
    live: int


class Compacted(Struct, frozen=True):
    """What `compact` did, or would do.

    Attributes:
        rewritten: Packs that went, also those of which nothing lived.
        written: New packs.
        freed: Bytes that the folder of packs has less.
        unnamed: Files that no row named, and that went.
    """

    rewritten: int = 0
    written: int = 0
    freed: int = 0
    unnamed: int = 0


def compact(store: OpenStore, *, dead: float = 0.5, dry_run: bool = False) -> Compacted:
    """Rewrite packs of which at least a part of so much is dead, and merge tiny ones if there are many.

    Blobs that are damaged stay where they are, with their pack. Safe beside readers and writers of every process, and a
    death at any step leaves nothing but a file that no row names, which the next call deletes.

    Args:
        store: The store, open for writing.
        dead: From 0 (packs that are live as a whole are rewritten, too) to 1 (only packs without a live blob go).
        dry_run: Change nothing, and tell what would be done.

    Raises:
        Unavailable: The disk is full or fails; what was done until then stays.
    """
    store.require_writable()
    with store.db.snapshot() as db:
        uses = _uses(db)
    total = Compacted()
    for group in plan_rewrites(uses, dead=dead):
        done = _planned(group) if dry_run else _rewrite(store, group)
        total = Compacted(
            rewritten=total.rewritten + done.rewritten,
            written=total.written + done.written,
            freed=total.freed + done.freed,
        )
    if dry_run:
        return total
    return _without_unnamed(store, total)


def plan_rewrites(uses: Iterable[PackUse], *, dead: float = 0.5) -> list[list[PackUse]]:
    """Decide which packs are rewritten, and which of them go into one new pack together.

    >>> whole = PackUse(1, "a", PACK_BYTES, 9, PACK_BYTES)
    >>> third = PackUse(2, "b", PACK_BYTES, 3, PACK_BYTES // 3)
    >>> [[use.id for use in group] for group in plan_rewrites([whole, third, third])]
    [[2, 2]]
    """
    groups: list[list[PackUse]] = []
    doomed: list[PackUse] = []
    tiny: list[PackUse] = []
    for use in uses:
        if use.size - len(HEADER) - use.live >= dead * (use.size - len(HEADER)):
            doomed.append(use)
        elif use.size < _TINY:
            tiny.append(use)
    for use in [*doomed, *(tiny if len(tiny) >= _MANY else ())]:
        last = groups[-1] if groups else []
        live, count = sum(one.live for one in last), sum(one.count for one in last)
        if last and live + use.live <= PACK_BYTES and count + use.count <= PACK_RECORDS:
            last.append(use)
        else:
            groups.append([use])
    return [group for group in groups if len(group) > 1 or group[0] in doomed]


def _uses(db: sqlite3.Connection) -> list[PackUse]:
    query = """
        SELECT p.id, p.name, p.size, COUNT(b.pack), COALESCE(SUM(b.size), 0)
        FROM packs p LEFT JOIN blobs b ON b.pack = p.id GROUP BY p.id ORDER BY p.id
    """
    rows = db.execute(query).fetchall()
    return [PackUse(row[0], row[1], row[2], row[3], row[4] + RECORD_BYTES * row[3]) for row in rows]


def _planned(group: Sequence[PackUse]) -> Compacted:
    live = sum(use.live for use in group)
    freed = sum(use.size for use in group) - (live + len(HEADER) if live else 0)
    return Compacted(rewritten=len(group), written=bool(live), freed=freed)


class _Move(Struct, frozen=True):
    digest: bytes
    pack: int
    offset: int


def _rewrite(store: OpenStore, group: Sequence[PackUse]) -> Compacted:
    """Move what lives in these packs to a new one, and delete them."""
    draft = store.packs.draft()
    try:
        moves: list[_Move] = []
        kept: set[int] = set()
        for use in group:
            try:
                moves += _copied(store, use, draft)
            except IntegrityError:  # `check` tells; what was copied of it until then is dead in the new pack
                kept.add(use.id)
        moves = [move for move in moves if move.pack not in kept]
        gone = [use for use in group if use.id not in kept]
        return _swap(store, gone, moves, draft.finish())
    finally:
        draft.discard()


def _copied(store: OpenStore, use: PackUse, draft: PackDraft) -> Iterator[_Move]:
    """Copy the live blobs of a pack, in the order in which they lie there, each checked."""
    query = "SELECT digest, size, offset FROM blobs WHERE pack = ? ORDER BY offset"
    with store.db.read() as db:
        rows = db.execute(query, (use.id,)).fetchall()
    for digest, size, offset in rows:
        data = _read(store, Place(use.name, offset), digest, size)
        draft.add(digest, data)
        yield _Move(digest, use.id, offset)


def _read(store: OpenStore, place: Place, digest: bytes, size: int) -> memoryview:
    try:
        data = store.packs.read_from(place, digest, size)
    except FileNotFoundError:
        raise IntegrityError(f"pack {place.pack[:16]} is missing") from None
    if hashlib.sha256(data).digest() != digest:
        raise IntegrityError(f"blob {digest.hex()[:16]} is damaged in pack {place.pack[:16]}")
    return data


def _swap(store: OpenStore, gone: Sequence[PackUse], moves: Sequence[_Move], draft: PackDraft) -> Compacted:
    """Name the new pack, move the rows that are still as they were, forget the old packs: all in one transaction.

    It has to survive power loss before an old file goes, or its rows would come back without it.
    """
    places = {digest: offset for digest, offset, _ in draft.rows}
    deleted: list[PackUse] = []

    def unlink() -> None:
        for use in deleted:
            store.packs.remove(use.name)

    with store.db.write(durable=True, then=unlink) as db:
        query = "SELECT 1 FROM blobs WHERE digest = ? AND pack = ? AND offset = ?"
        live = [move for move in moves if db.execute(query, (move.digest, move.pack, move.offset)).fetchone()]
        if live:
            pack = store.name_pack(db, draft)
            query = "UPDATE blobs SET pack = ?, offset = ? WHERE digest = ? AND pack = ?"
            db.executemany(query, [(pack, places[move.digest], move.digest, move.pack) for move in live])
        for use in gone:
            # The rows of a pack become only fewer, unless somebody wrote the very same pack again meanwhile.
            query = "DELETE FROM packs WHERE id = ? AND name = ? AND id NOT IN (SELECT pack FROM blobs WHERE pack = ?)"
            if use.name != draft.name and db.execute(query, (use.id, use.name, use.id)).rowcount:
                deleted.append(use)
    freed = sum(use.size for use in deleted) - (draft.size if live else 0)
    return Compacted(rewritten=len(deleted), written=bool(live), freed=freed)


def _without_unnamed(store: OpenStore, total: Compacted) -> Compacted:
    """Delete the files that a death between two steps left: a pack gets its name in the transaction of its row."""
    if not any(True for _ in store.packs.names()):
        return total
    with store.db.write(durable=False) as db:
        known = {name for (name,) in db.execute("SELECT name FROM packs")}
        unnamed = [name for name in store.packs.names() if name not in known]
        freed = sum(store.packs.path(name).stat().st_size for name in unnamed)
        for name in unnamed:
            store.packs.remove(name)
    return Compacted(rewritten=total.rewritten, written=total.written, freed=total.freed + freed, unnamed=len(unnamed))
