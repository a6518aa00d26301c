"""The journal of refs: one JSON line for every change of a ref, so that refs can be rebuilt if the index is lost."""

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from msgspec import Struct

from datastore.durable import fsync_file

__all__ = ["Journal", "Line", "read_lines"]

_TAIL = 1 << 14  # the last line is always that of a single change
_FIRST_FIELDS = {"epoch", "do", "repo", "branch", "tag", "old", "new", "snapshot"}
"""What lines had that were written before they had a `sum`."""


class Line(Struct, frozen=True):
    """One line of a journal.

    Attributes:
        number: Counts from 1.
        change: What it says; None if it cannot be read, or is not what was written.
        torn: Whether that is what a crash leaves: the beginning of a line.
    """

    number: int
    change: dict[str, Any] | None
    torn: bool = False


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
        self._write(lines)

    def append_snapshot(self, epoch: int, snapshot: dict[str, object], *, store_id: str) -> None:
        """Write all refs as they are at an epoch, durably."""
        self._write([{"epoch": epoch, "snapshot": snapshot, "store": store_id}])

    def _write(self, lines: list[dict[str, object]]) -> None:
        text = "".join(_text({**line, "sum": _sum(line)}) + "\n" for line in lines)
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
        last = tail[:-1].rpartition(b"\n")[2]
        if (change := _parsed(last, summed=False)) is None:
            # Only a snapshot is longer than the tail. `repair` writes one at the end.
            change = self._last_snapshot() if len(last) >= _TAIL - 1 else None
        return -1 if change is None else int(change["epoch"])

    def _last_snapshot(self) -> dict[str, Any] | None:
        return _parsed(self._path.read_bytes()[:-1].rpartition(b"\n")[2], summed=False)

    def lines(self) -> Iterator[Line]:
        """Yield all lines."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        yield from read_lines(data)


def read_lines(data: bytes) -> Iterator[Line]:
    """Yield the lines of a journal with these bytes.

    >>> [line.torn for line in read_lines(b'{"epo')]
    [True]
    """
    *whole, rest = data.split(b"\n")
    summed = False
    for number, text in enumerate(whole, 1):
        change = _parsed(text, summed=summed)
        if change is not None:
            summed = summed or "sum" in change
            yield Line(number, change)
        elif text:  # a crash cuts off the newline too, so that one comes with the line after
            yield Line(number, None, torn=_is_beginning(text) and (number < len(whole) or bool(rest)))
    if rest:
        change = _parsed(rest, summed=summed)  # whole but for its newline
        yield Line(len(whole) + 1, change, torn=change is None and _is_beginning(rest))


def _is_beginning(text: bytes) -> bool:
    """Whether this may be the beginning of a line: whole JSON with something behind it is none.

    What a crash has not written reads as zeros where the file had grown already.
    """
    decoded = text.rstrip(b"\0").decode(errors="replace")
    try:
        json.JSONDecoder().raw_decode(decoded)
    except ValueError:
        return True
    return False


def _parsed(text: bytes, *, summed: bool) -> dict[str, Any] | None:
    """Return what a line says, or None if it is not as it was written.

    Args:
        text: Without the newline.
        summed: Whether lines have a `sum` by now; the first programs wrote none.
    """
    try:
        decoded = json.loads(text)
    except ValueError:
        return None
    if not isinstance(decoded, dict) or not _has_shape(line := cast("dict[str, Any]", decoded)):
        return None
    if "sum" not in line:
        return None if summed or not line.keys() <= _FIRST_FIELDS or _text(line).encode() != text else line
    body = {name: value for name, value in line.items() if name != "sum"}
    return line if line["sum"] == _sum(body) and _text(line).encode() == text else None


def _has_shape(line: dict[str, Any]) -> bool:
    if not isinstance(line.get("epoch"), int):
        return False
    if "snapshot" in line:
        return isinstance(line["snapshot"], dict)
    return isinstance(line.get("do"), str) and isinstance(line.get("repo"), str)


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line, sort_keys=True, separators=(",", ":"))


def _sum(line: dict[str, Any]) -> str:
    return f"{zlib.crc32(_text(line).encode()):08x}"
