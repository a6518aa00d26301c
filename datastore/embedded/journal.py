"""The journal of refs: one JSON line for every change of a ref, so that refs can be rebuilt if the index is lost."""

import json
import os
from pathlib import Path

from datastore.embedded.durable import fsync_file

__all__ = ["Journal"]

_TAIL = 1 << 14  # the last line is always that of a single change


class Journal:
    """`refs.journal`: appended to after the index has changed and before the gate is let go.

    Each line carries the index's `epoch`; a journal that stopped before the index's epoch lost its last lines in a
    crash, and gets a full snapshot of the refs at the next change. A torn line stays where it is, on a line of its own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, epoch: int, change: dict[str, object], *, snapshot: "dict[str, object] | None") -> None:
        """Write one line durably; with a snapshot, that one goes first."""
        lines = [{"epoch": epoch, **change}]
        if snapshot is not None:
            lines.insert(0, {"epoch": epoch - 1, "snapshot": snapshot})
        text = "".join(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n" for line in lines)
        with self._path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    text = "\n" + text
            file.write(text.encode())
            file.flush()
            fsync_file(file.fileno())

    def last_epoch(self) -> int:
        """Return the epoch of the last whole line, 0 for a new journal, -1 if the end is torn."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(os.fstat(file.fileno()).st_size - _TAIL, 0))
                tail = file.read()
        except FileNotFoundError:
            return 0
        if not tail:
            return 0
        if not tail.endswith(b"\n"):
            return -1
        try:
            return int(json.loads(tail.rstrip(b"\n").rpartition(b"\n")[2])["epoch"])
        except (ValueError, KeyError, TypeError):
            return -1
