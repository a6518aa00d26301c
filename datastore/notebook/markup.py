"""One plain, escaped table as HTML or as text, for everything that this package shows.

The HTML has to survive every place where a notebook is read: untrusted in JupyterLab, on GitHub, exported, dark.
So it is a bare `<table>`: no script, no style sheet, no ids, no colours, nothing that changes from run to run.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from html import escape
from typing import Final, Literal

from msgspec import Struct

__all__ = [
    "MAX_HTML_BYTES",
    "MAX_ROWS",
    "Cell",
    "Table",
    "change_text",
    "commit_cell",
    "key_cell",
    "safe_text",
    "short_id",
    "short_key",
    "shorten",
    "size_text",
    "time_text",
    "value_text",
]

MAX_ROWS: Final = 20
MAX_HTML_BYTES: Final = 16 * 1024
_CELL_WIDTH = 60
_NAME_WIDTH = 24
# JupyterLab's own style sheet sets every cell to the right, so that text has to say left.
_LEFT, _RIGHT = ' style="text-align:left"', ' style="text-align:right"'
_CAPTION_WIDTH = 150
_LINE_WIDTH = 200
_TEXT_WIDTH = 160
# (rows, characters of a cell, characters of a title): the first layout that fits into MAX_HTML_BYTES is taken.
# The last one always fits: twelve columns of two hostile cells.
_LAYOUTS = (
    (MAX_ROWS, _CELL_WIDTH, 8192),
    (MAX_ROWS, _CELL_WIDTH, 1024),
    (MAX_ROWS, _CELL_WIDTH, 256),
    (MAX_ROWS, _CELL_WIDTH, 0),
    (MAX_ROWS, 30, 0),
    (MAX_ROWS, 15, 0),
    (8, 15, 0),
    (2, 15, 0),
)


def safe_text(text: str) -> str:
    r"""Return the text with every control, bidi and other invisible character written out.

    >>> safe_text("a\u202eb\0c")
    'a\\u202eb\\u0000c'
    """
    return text if text.isprintable() else "".join(map(_safe_character, text))


def _safe_character(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def shorten(text: str, limit: int, *, middle: bool = False) -> str:
    """Return `safe_text` of the text, cut to `limit` characters at its end or in its middle, never within an escape.

    >>> shorten("images/winter/coat.png", 12), shorten("images/winter/coat.png", 12, middle=True)
    ('images/wint…', 'images…t.png')
    """
    if len(text) <= limit and len(safe := safe_text(text)) <= limit:
        return safe
    back = (limit - 1) // 2 if middle else 0
    head = _as_many_as_fit(text[:limit], limit - 1 - back)
    tail = _as_many_as_fit(text[::-1][:limit], back)[::-1]
    return "".join([*head, "…", *tail])


def _as_many_as_fit(characters: str, room: int) -> list[str]:
    pieces: list[str] = []
    for character in characters:
        piece = _safe_character(character)
        room -= len(piece)
        if room < 0:
            break
        pieces.append(piece)
    return pieces


def short_key(key: str) -> str:
    """Return the key in at most 60 characters, cut in the middle: both the folder and the name tell keys apart."""
    return shorten(key, _CELL_WIDTH, middle=True)


def short_id(commit: str) -> str:
    """Return the first 8 digits of a commit id."""
    return shorten(commit[:8], 48)


def size_text(size: int, *, signed: bool = False) -> str:
    """Return a number of bytes for a reader; `signed` writes the plus of a difference.

    >>> size_text(1023), size_text(1_258_291), size_text(-2_355, signed=True), size_text(10, signed=True)
    ('1,023 B', '1.2 MiB', '-2.3 KiB', '+10 B')
    """
    sign = "-" if size < 0 else "+" if signed and size else ""
    amount, units = float(abs(size)), ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while round(amount, 1) >= 1024 and len(units) > 1:
        amount /= 1024
        del units[0]
    return f"{sign}{amount:,.0f} B" if units[0] == "B" else f"{sign}{amount:,.1f} {units[0]}"


def time_text(time: datetime) -> str:
    """Return an aware time in UTC to the minute.

    >>> time_text(datetime(2026, 11, 9, 14, 2, tzinfo=UTC))
    '2026-11-09 14:02 UTC'
    """
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def value_text(value: object) -> str:
    """Return the value of a table's cell as a reader expects it; null for None.

    >>> value_text(None), value_text("coat"), value_text(0.1), value_text([1, None])
    ('null', 'coat', '0.1', '[1, None]')
    """
    if value is None:
        return "null"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return str(value) if isinstance(value, str | date) else repr(value)


def change_text(before: object, after: object) -> str:
    """Return `old → new`; where the two would look alike, as literals.

    >>> change_text(0.03, 99.0), change_text("1", 1), change_text("coat", "coat ")
    ('0.03 → 99.0', "'1' → 1", "'coat' → 'coat '")
    """
    old, new = value_text(before), value_text(after)
    if old.split() == new.split():
        old, new = repr(before), repr(after)
    return f"{old} → {new}"


class Cell(Struct, frozen=True):
    """One cell: its raw text, which is escaped and cut where it is shown.

    Attributes:
        text: What to show.
        kind: `text` is cut at its end, `key` in its middle, `code` is a commit id, `number` stands on the right.
        full: What the title shows; without it the text, where that had to be cut.
    """

    text: str
    kind: Literal["text", "key", "code", "number"] = "text"
    full: str = ""

    def shown(self, width: int) -> str:
        """Return the visible text in at most `width` characters."""
        return shorten(self.text, width, middle=self.kind == "key")


def key_cell(key: str) -> Cell:
    """Return a cell for a key."""
    return Cell(key, "key")


def commit_cell(*ids: str) -> Cell:
    """Return a cell for commit ids: 8 digits each, in full in the title."""
    return Cell(", ".join(map(short_id, ids)), "code", ", ".join(ids))


class Table(Struct, frozen=True, kw_only=True):
    """A table with a caption above and lines below.

    Attributes:
        caption: The parts of the first line.
        columns: Their names; at most 12.
        rows: One cell for each column; text stands for a `Cell` of text, an int for one of a number. 20 are shown.
        footer: At most two lines; the last one says what to call next.
        total: How many rows there are, where `rows` is only the beginning.
    """

    caption: Sequence[Cell | str]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Cell | str | int]] = ()
    footer: Sequence[str] = ()
    total: int | None = None

    def text(self) -> str:
        """Return the table as at most 25 lines of text."""
        head, cells, foot = self._parts(MAX_ROWS)
        shown: list[list[str]] = []
        widths: list[int] = []
        for width in (_CELL_WIDTH, 30, 15):
            shown = [self._names(), *([cell.shown(width) for cell in row] for row in cells)] if cells else []
            widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
            if sum(widths) + 2 * len(widths) <= _TEXT_WIDTH:
                break
        right = _number_columns(cells)
        lines = ["  ".join(part.shown(_CAPTION_WIDTH) for part in head)]
        for row in shown:
            padded = (
                text.rjust(width) if i in right else text.ljust(width)
                for i, (text, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append(f"  {'  '.join(padded)}".rstrip())
        return "\n".join([*lines, *(f"  {line}" for line in foot)])

    def html(self) -> str:
        """Return the table as at most 16 KB of HTML; what does not fit is shortened, then left out and counted."""
        html = ""
        for rows, width, title in _LAYOUTS:
            html = self._html(rows, width=width, title=title)
            if len(html.encode()) <= MAX_HTML_BYTES:
                break
        return html

    def _html(self, limit: int, *, width: int, title: int) -> str:
        head, cells, foot = self._parts(limit)
        right = _number_columns(cells)
        caption = " ".join(_inline(part, width=_CAPTION_WIDTH) for part in head)
        lines = [f"<table><caption{_LEFT}>{caption}</caption>"]
        if cells:
            names = "".join(
                f'<th scope="col"{_RIGHT if i in right else _LEFT}>{escape(name)}</th>'
                for i, name in enumerate(self._names())
            )
            lines.append(f"<thead><tr>{names}</tr></thead><tbody>")
            lines += [f"<tr>{''.join(_td(cell, width=width, title=title) for cell in row)}</tr>" for row in cells]
            lines.append("</tbody>")
        span = f' colspan="{len(self.columns)}"' if cells else ""
        notes = [f"<tr><td{span}{_LEFT}>{escape(line)}</td></tr>" for line in foot]
        return "\n".join([*lines, "<tfoot>", *notes, "</tfoot></table>"])

    def _names(self) -> list[str]:
        return [shorten(name, _NAME_WIDTH, middle=True) for name in self.columns]

    def _parts(self, limit: int) -> tuple[list[Cell], list[list[Cell]], list[str]]:
        cells = [[_as_cell(cell) for cell in row] for row in self.rows[:limit]]
        left = (len(self.rows) if self.total is None else self.total) - len(cells)
        more = [f"… {left:,} more row{'s' if left > 1 else ''}"] if left > 0 else []
        foot = [*more, *(shorten(line, _LINE_WIDTH) for line in self.footer)]
        return [_as_cell(part) for part in self.caption], cells, foot


def _as_cell(cell: Cell | str | int) -> Cell:
    if isinstance(cell, Cell):
        return cell
    return Cell(cell) if isinstance(cell, str) else Cell(f"{cell:,}", "number")


def _number_columns(cells: Sequence[Sequence[Cell]]) -> set[int]:
    return {i for i, column in enumerate(zip(*cells, strict=True)) if all(cell.kind == "number" for cell in column)}


def _inline(cell: Cell, *, width: int) -> str:
    text = escape(cell.shown(width))
    return f"<code>{text}</code>" if cell.kind == "code" and text else text


def _td(cell: Cell, *, width: int, title: int) -> str:
    full = shorten(cell.full or cell.text, title) if title else ""
    attribute = f' title="{escape(full)}"' if full and full != cell.shown(width) else ""
    return f"<td{_RIGHT if cell.kind == 'number' else _LEFT}{attribute}>{_inline(cell, width=width)}</td>"
