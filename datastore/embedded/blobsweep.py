"""The one place that knows how a blob is found to be needed by nobody, and how it goes."""

import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from itertools import zip_longest

from datastore.embedded.garbage import LEFT_OVER, UNUSED, Tally, Victim, if_old, listing, size_and_age, unlink
from datastore.embedded.mark import Mark
from datastore.embedded.opened import OpenStore

__all__ = ["BlobSweep"]

_IN_PACK = f"{UNUSED['blob']}; its pack goes when half of it is dead"


class BlobSweep:
    """Blobs that nobody needs.

    Args:
        store: The store.
        mark: What is needed.
        tally: Counts what is too young.
    """

    def __init__(self, store: OpenStore, mark: Mark, tally: Tally) -> None:
        self._store = store
        self._mark = mark
        self._tally = tally

    def victims(self, *, grace: timedelta, now: float) -> Iterator[Victim]:
        """Yield them, files and rows, a folder's worth at a time."""
        names = [name for name in os.listdir(self._store.layout.blobs) if re.fullmatch("[0-9a-f]{2}", name)]
        starts = sorted({"00", *names})
        for low, high in zip_longest(starts, starts[1:], fillvalue="ff" * 33):  # rows of missing folders fall between
            with self._store.db.read() as db:
                query = """
                    SELECT b.digest, p.name FROM blobs b LEFT JOIN packs p ON p.id = b.pack
                    WHERE b.digest >= ? AND b.digest < ?
                """
                found = db.execute(query, (bytes.fromhex(low), bytes.fromhex(high))).fetchall()
            rows: dict[str, str | None] = {digest.hex(): pack for digest, pack in found}
            folder = self._store.layout.blobs / low
            files = dict(listing(folder)) if folder.is_dir() else {}
            for name in sorted(rows | files.keys()):
                if self.is_needed(name):
                    continue
                if (pack := rows.get(name)) is not None:
                    yield from self._in_pack(name, pack, grace=grace, now=now)
                elif (entry := files.get(name)) is None:
                    yield Victim("blob", name, self._store.blobs.path(bytes.fromhex(name)), 0, LEFT_OVER)
                else:
                    reason = UNUSED["blob"] if name in rows else LEFT_OVER
                    yield from if_old("blob", name, entry, reason, self._tally, grace=grace, now=now)

    def _in_pack(self, name: str, pack: str, *, grace: timedelta, now: float) -> Iterator[Victim]:
        """Yield a blob of a pack, of which only the row goes: the bytes go when the pack is rewritten."""
        found = size_and_age(self._store.packs.path(pack), now)
        if found is not None and found[1] < grace:
            self._tally.stays("blob", _IN_PACK, 0)
        else:
            yield Victim("blob", name, self._store.blobs.path(bytes.fromhex(name)), 0, _IN_PACK)

    def is_needed(self, name: str) -> bool:
        """Tell whether somebody needs it, as far as the mark has seen."""
        return bytes.fromhex(name) in self._mark.blobs

    @staticmethod
    def remove(db: sqlite3.Connection, victim: Victim) -> int | None:
        """Remove a blob within a write transaction; return the bytes that this freed, or None if there was nothing.

        The file goes first. After a crash between the two, a row is left that says nothing: whoever wants to rely on a
        blob asks for both.
        """
        unlinked = unlink(victim.path)
        if not unlinked and victim.path.exists():
            return None
        row = db.execute("DELETE FROM blobs WHERE digest = ?", (bytes.fromhex(victim.name),)).rowcount
        return victim.size if unlinked else 0 if row else None
