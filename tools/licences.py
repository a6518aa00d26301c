"""Checks the licences of everything that the core requirements install.

`python -m tools.licences` prints the table and exits with 1 when a licence is refused or unknown.
"""

import re
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = "datastore-sdk"
# Longer licence fields hold a licence's text; that text may well mention other licences.
MAX_DECLARATION = 200

_REFUSED = (
    ("BUSL", re.compile(r"\bBUSL\b|business source", re.IGNORECASE)),
    ("AGPL", re.compile(r"\bAGPL|affero", re.IGNORECASE)),
    # "LGPL" and "Lesser General Public" do not match.
    ("GPL", re.compile(r"\bGPL|\bGNU general public|\bgeneral public license v", re.IGNORECASE)),
)
_LESSER = re.compile(r"lesser general public[^;)]*|library general public[^;)]*", re.IGNORECASE)

Find = Callable[[str], metadata.Distribution]


class Row(NamedTuple):
    """One installed distribution: its name, version, declared licence, why it is refused ("" = it is not)."""

    name: str
    version: str
    licence: str
    refused: str


def declared(distribution: metadata.Distribution) -> str:
    """Return what a distribution says about its licence: an SPDX expression, classifiers, or a short licence field."""
    if expression := _first(distribution, "License-Expression"):
        return expression
    prefix = "License :: "
    classifiers = [c.removeprefix(prefix) for c in _all(distribution, "Classifier") if c.startswith(prefix)]
    # "OSI Approved" alone names no licence.
    if named := [c for c in classifiers if c != "OSI Approved"]:
        return "; ".join(c.removeprefix("OSI Approved :: ") for c in named)
    text = _first(distribution, "License").strip()
    return text if len(text) <= MAX_DECLARATION else ""


def _all(distribution: metadata.Distribution, field: str) -> list[str]:
    return distribution.metadata.get_all(field) or []


def _first(distribution: metadata.Distribution, field: str) -> str:
    return next(iter(_all(distribution, field)), "")


def refusal(licence: str) -> str:
    """Return why a declared licence is refused, or "".

    Of a plain choice (`A OR B`) one good licence is enough; a nested expression has to be good as a whole.

    >>> refusal("MIT"), refusal("LGPL-2.1-or-later"), refusal("MIT OR GPL-2.0-only")
    ('', '', '')
    >>> refusal("AGPL-3.0-only"), refusal("MIT AND GPL-3.0-or-later"), refusal("BUSL-1.1"), refusal("")
    ('AGPL', 'GPL', 'BUSL', 'unknown')
    """
    if not licence or licence.upper() == "UNKNOWN":
        return "unknown"
    choices = [licence] if "(" in licence else licence.split(" OR ")
    verdicts = [_refusal_of_all(choice) for choice in choices]
    return "" if "" in verdicts else verdicts[0]


def _refusal_of_all(licence: str) -> str:
    text = _LESSER.sub("LGPL", licence)
    return next((name for name, pattern in _REFUSED if pattern.search(text)), "")


def closure(root: str = ROOT, *, find: Find = metadata.distribution) -> list[metadata.Distribution]:
    """Return what `root` requires on this machine without its extras, transitively, sorted by name, without `root`."""
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(canonicalize_name(root), "")]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found[name] = find(name)
        for requirement in map(Requirement, found[name].requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                required = canonicalize_name(requirement.name)
                todo += [(required, wanted) for wanted in ("", *requirement.extras)]
    return [found[name] for name in sorted(found) if name != canonicalize_name(root)]


def rows(distributions: Sequence[metadata.Distribution]) -> list[Row]:
    """Judge each distribution."""
    return [Row(d.name, d.version, declared(d), refusal(declared(d))) for d in distributions]


def pins(distributions: Sequence[metadata.Distribution]) -> str:
    """Return `name==version` lines."""
    return "".join(f"{d.name}=={d.version}\n" for d in distributions)


def main() -> int:
    """Print the table; return the exit code."""
    table = rows(closure())
    for row in table:
        print(f"{row.name:<20} {row.version:<14} {row.licence}{f'  <- REFUSED: {row.refused}' if row.refused else ''}")
    refused = [row.name for row in table if row.refused]
    print(f"licences: {len(table)} packages, refused: {', '.join(refused) or 'none'}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
