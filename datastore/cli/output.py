"""What a command answers, printed for programs or for people.

Into a pipe or file go rows alone: one line each, columns separated by tabs, nothing cut, no colour. A terminal gets
aligned columns in colour, with a few words around them. With `--json` it is one document, in ASCII. Text that comes
from data never reaches a terminal unescaped.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import zip_longest
from typing import Final, Literal, TextIO, cast

from msgspec import Struct

from datastore.notebook.markup import safe_text, short_id, size_text, time_text
from datastore.values import Change, ChangeKind

__all__ = [
    "Answer",
    "Cell",
    "change_row",
    "commit_cell",
    "count_text",
    "plain",
    "say",
    "show",
    "size_cell",
    "time_cell",
]

_SIGNS: Final[Mapping[ChangeKind, tuple[str, str]]] = {
    "added": ("+", "green"),
    "removed": ("-", "red"),
    "changed": ("~", "yellow"),
}
_MICROS = "_us"


class Cell(Struct, frozen=True):
    """One value of a row.

    Attributes:
        text: As a program gets it.
        shown: As a person gets it; the text itself if None.
        style: Its colour on a terminal, in rich's words.
        right: Whether it stands on the right of its column.
    """

    text: str
    shown: str | None = None
    style: str = ""
    right: bool = False


class Answer(Struct, frozen=True, kw_only=True):
    """What a command has to say.

    Attributes:
        document: All of it, for `--json`: values, mappings, sequences.
        rows: Its rows, for everybody.
        columns: Their names; terminals only.
        above: Lines before the rows; terminals only.
        below: Lines after them; terminals only.
        lines: Facts that are no rows, for everybody.
        exit_code: 0, or 1 where the answer is bad news.
    """

    document: object
    rows: Sequence[Sequence[Cell | str]] = ()
    columns: Sequence[str] = ()
    above: Sequence[str] = ()
    below: Sequence[str] = ()
    lines: Sequence[str] = ()
    exit_code: Literal[0, 1] = 0


def show(answer: Answer, *, as_json: bool) -> None:
    """Print an answer to stdout."""
    if as_json:
        sys.stdout.write(json.dumps(plain(answer.document), indent=2) + "\n")
    elif sys.stdout.isatty():
        _show_people(answer)
    else:
        for row in answer.rows:
            sys.stdout.write("\t".join(safe_text(_cell(cell).text) for cell in row) + "\n")
        for line in answer.lines:
            sys.stdout.write(safe_text(line) + "\n")
    sys.stdout.flush()  # here a broken pipe still finds somebody who understands it


def say(line: str, *, style: str = "", err: bool = False) -> None:
    """Print a line; `style` colours what stands before its first colon, on a terminal."""
    stream = sys.stderr if err else sys.stdout
    text = safe_text(line)
    if style and stream.isatty():
        head, colon, rest = text.partition(":")
        _print_styled([(head + colon, style), (rest, "")], stream)
    else:
        stream.write(text + "\n")


def plain(value: object) -> object:
    """Return a value as JSON has it: structs by their fields, times in ISO 8601 and UTC, NaN and infinities as null.

    >>> from datastore.values import TagInfo
    >>> plain([TagInfo(name="v1", commit="4f2a"), datetime(2026, 11, 9, tzinfo=UTC), math.nan])
    [{'name': 'v1', 'commit': '4f2a'}, '2026-11-09T00:00:00Z', None]
    """
    if isinstance(value, Struct):
        return plain(_fields(value))
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("Sequence[object]", value)]
    return _scalar(value)


def _fields(value: Struct) -> dict[str, object]:
    names = [name.removesuffix(_MICROS) for name in value.__struct_fields__]
    fields: dict[str, object] = {name: getattr(value, name) for name in names}
    return fields | {"kind": value.kind} if isinstance(value, Change) else fields


def _scalar(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return _time(value) if isinstance(value, date) else str(value)


def commit_cell(commit: str) -> Cell:
    """Return a commit id: whole for programs, 8 digits for people."""
    return Cell(commit, short_id(commit), "yellow")


def time_cell(time: datetime) -> Cell:
    """Return a time: ISO 8601 for programs, to the minute for people."""
    return Cell(_time(time), time_text(time), "dim")


def size_cell(size: int, *, signed: bool = False) -> Cell:
    """Return a number of bytes."""
    return Cell(str(size), size_text(size, signed=signed), "", right=True)


def change_row(change: Change) -> list[Cell | str]:
    """Return a change as kind, growth in bytes, key."""
    sign, style = _SIGNS[change.kind]
    growth = (change.after.size if change.after else 0) - (change.before.size if change.before else 0)
    return [Cell(change.kind, f"{sign} {change.kind}", style), size_cell(growth, signed=True), change.key]


def count_text(number: int, thing: str) -> str:
    """Return how many there are.

    >>> count_text(1, "commit"), count_text(1000, "commit")
    ('1 commit', '1,000 commits')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _time(time: date) -> str:
    if isinstance(time, datetime) and time.tzinfo is not None:
        return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return time.isoformat()


def _cell(cell: Cell | str) -> Cell:
    return cell if isinstance(cell, Cell) else Cell(cell)


def _show_people(answer: Answer) -> None:
    from rich.cells import cell_len

    table = [[_cell(cell) for cell in row] for row in answer.rows]
    if answer.columns and table:
        right = [all(row[i].right for row in table) for i in range(len(answer.columns))]
        table.insert(0, [Cell(name, None, "dim", right=at) for name, at in zip(answer.columns, right, strict=True)])
    texts = [[safe_text(cell.text if cell.shown is None else cell.shown) for cell in row] for row in table]
    widths = [max(map(cell_len, column)) for column in zip_longest(*texts, fillvalue="")]
    for line in answer.above:
        say(line)
    for cells, row in zip(table, texts, strict=True):
        parts: list[tuple[str, str]] = []
        for i, (cell, text) in enumerate(zip(cells, row, strict=True)):
            padding = " " * (widths[i] - cell_len(text))
            last = i == len(row) - 1
            parts += [
                (padding * cell.right, ""),
                (text, cell.style),
                ("" if last else padding * (not cell.right) + "  ", ""),
            ]
        _print_styled(parts, sys.stdout)
    for line in (*answer.lines, *answer.below):
        say(line)


def _print_styled(parts: Sequence[tuple[str, str]], stream: TextIO) -> None:
    from rich.console import Console
    from rich.text import Text

    # Of rich only the colours are used: it would cut long lines, and keys are not to be cut.
    Console(file=stream, highlight=False).print(Text.assemble(*parts), soft_wrap=True)
