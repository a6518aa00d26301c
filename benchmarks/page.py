"""The page of results as text: what a run measured takes the place of an earlier run, and nothing else moves."""

import re
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["replaced", "table"]


def replaced(page: str, section: str, tables: Mapping[str, str]) -> str:
    r"""Return the page with these tables between the marks of a section.

    A table has the place of the one with its title; one with a new title comes last. What stands outside of the marks,
    and a table that was not measured now, stays.

    Args:
        page: Text with the lines `<!-- measured: SECTION -->` and, after it, `<!-- end -->`.
        section: Which marks.
        tables: The text under each title.

    Raises:
        ValueError: The page has no such marks.

    >>> print(replaced("a\n<!-- measured: s3 -->\n<!-- end -->\nz", "s3", {"1 GiB": "| x |"}))
    a
    <!-- measured: s3 -->
    <BLANKLINE>
    ### 1 GiB
    <BLANKLINE>
    | x |
    <BLANKLINE>
    <!-- end -->
    z
    """
    begin, end = f"<!-- measured: {section} -->\n", "<!-- end -->"
    before, found, rest = page.partition(begin)
    old, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no lines {begin.strip()!r} and {end!r}")
    present = re.findall(r"^### (.+)\n+((?:(?!### ).*(?:\n|\Z))*)", old, re.MULTILINE)
    merged = {title: text.strip() for title, text in present} | {title: text.strip() for title, text in tables.items()}
    inside = "\n".join(f"\n### {title}\n\n{text}\n" for title, text in merged.items())
    return f"{before}{begin}{inside}\n{end}{after}" if merged else page


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose columns are aligned to the right, but for the first.

    >>> print(table(["client", "s"], [["git", "1.0"]]))
    | client | s |
    |---|---:|
    | git | 1.0 |
    """
    rule = "|---" + "|---:" * (len(header) - 1) + "|"
    return "\n".join([f"| {' | '.join(header)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)])
