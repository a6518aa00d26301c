"""Numbers of bytes as people write them."""

import re
from typing import Final

from datastore.errors import ValidationError

__all__ = ["parse_size", "size_words"]

_UNITS: Final = {
    "": 1,
    **{f"{letter}{unit}": 1000 ** (n + 1) for n, letter in enumerate("kmgt") for unit in ("", "b")},
    **{f"{letter}ib": 1024 ** (n + 1) for n, letter in enumerate("kmgt")},
    "b": 1,
}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)


def parse_size(text: str | float) -> int:
    """Return a number of bytes.

    >>> parse_size("50GB"), parse_size("1.5 MiB"), parse_size(12)
    (50000000000, 1572864, 12)

    Raises:
        ValidationError: It cannot be read as one.
    """
    found = _SIZE.fullmatch(str(text).strip().lower())
    if found is None or found[2] not in _UNITS:
        raise ValidationError(f"{str(text)[:40]!r} is not a size", hint="write 50GB, 500 MB or a number of bytes")
    return round(float(found[1]) * _UNITS[found[2]])


def size_words(size: int) -> str:
    """Return a number of bytes for an error or a table.

    >>> size_words(999), size_words(1_234_567), size_words(50_000_000_000)
    ('999 B', '1.2 MB', '50.0 GB')
    """
    if size < 1000:
        return f"{size} B"
    power = min(len(str(size)) - 1, 12) // 3
    return f"{size / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
