"""What repos, branches, commits, logs and diffs look like in a notebook and in a terminal.

Pure functions from values to a `Table`: they show what the caller already holds and fetch nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Final

from datastore.notebook.markup import (
    MAX_ROWS,
    Cell,
    Table,
    change_text,
    commit_cell,
    key_cell,
    shorten,
    size_text,
    time_text,
    value_text,
)
from datastore.tables import RowChange, TableDiff, is_table
from datastore.values import BranchInfo, Change, ChangeKind, CommitInfo, TagInfo

__all__ = [
    "branch_table",
    "change_counts",
    "commit_table",
    "diff_table",
    "handle_table",
    "log_table",
    "plan_table",
    "repo_table",
    "table_diff_headline",
    "table_diff_table",
]

_SIGNS: Final[Mapping[ChangeKind, str]] = {"added": "+", "removed": "-", "changed": "~"}
_MAX_PREFIXES = 6
_MAX_COLUMNS = 12
_MAX_KEY_COLUMNS = 6


def repo_table(
    name: str,
    place: str,
    *,
    branches: Sequence[BranchInfo] | None = None,
    tags: Sequence[TagInfo] | None = None,
    default_branch: str = "",
) -> Table:
    """Show a repo.

    Args:
        name: Of the repo.
        place: Where it lives, for a reader; without credentials.
        branches: None where they have not been fetched.
        tags: None where they have not been fetched.
        default_branch: Is marked as such.

    >>> print(repo_table("garments", "embedded ~/store").text())
    Repo garments  embedded ~/store
      branches and tags: not fetched
      Next: repo.branches(), repo.tags(), repo.log()
    """
    rows = [_branch_row("branch", branch, default=default_branch) for branch in branches or ()]
    rows += [[Cell("tag"), Cell(tag.name), commit_cell(tag.commit), Cell("")] for tag in tags or ()]
    fetched = [
        f"{len(items):,} {word}{'' if len(items) == 1 else suffix}"
        for items, word, suffix in ((branches, "branch", "es"), (tags, "tag", "s"))
        if items is not None
    ]
    missing = [word for items, word in ((branches, "branches"), (tags, "tags")) if items is None]
    state = [", ".join(fetched), f"{' and '.join(missing)}: not fetched" if missing else ""]
    calls = [*(f"repo.{word}()" for word in missing), "repo.log()"]
    return Table(
        caption=[f"Repo {name}", place],
        columns=["kind", "name", "commit", "notes"],
        rows=rows,
        footer=["; ".join(filter(None, state)), f"Next: {', '.join(calls)}"],
    )


def branch_table(
    name: str,
    branches: Sequence[BranchInfo],
    *,
    default_branch: str = "",
    commits: Mapping[str, CommitInfo] | None = None,
) -> Table:
    """Show the branches of a repo, with their last commits where `commits` (by id) has them."""
    known = commits or {}
    rows = [
        [*_branch_row("", branch, default=default_branch)[1:], *(_summary(known.get(branch.head)) if known else ())]
        for branch in branches
    ]
    last = ["time", "author", "message"] if known else []
    names = [branch.name for branch in branches]
    other = next(
        (f", repo.diff({default_branch!r}, {name!r})" for name in names if default_branch and name != default_branch),
        "",
    )
    return Table(
        caption=[f"Branches of {name}", f"{len(branches):,}"],
        columns=["branch", "commit", "notes", *last],
        rows=rows,
        footer=[f"Next: repo.branch({names[0]!r}){other}" if names else "Next: repo.create_branch(name)"],
    )


def _branch_row(kind: str, branch: BranchInfo, *, default: str) -> list[Cell]:
    flags = (("default", branch.name == default), ("protected", branch.protected), ("hidden", branch.hidden))
    notes = ", ".join(word for word, holds in flags if holds)
    return [Cell(kind), Cell(branch.name), commit_cell(branch.head), Cell(notes)]


def handle_table(repo: str, branch: str) -> Table:
    """Show a branch of which nothing has been fetched.

    >>> print(handle_table("garments", "main").text())
    Branch main  of garments  ds://garments@main/
      head and uncommitted changes: not fetched
      Next: branch.head, branch.uncommitted(), branch.log()
    """
    return Table(
        caption=[f"Branch {branch}", f"of {repo}", f"ds://{repo}@{branch}/"],
        footer=["head and uncommitted changes: not fetched", "Next: branch.head, branch.uncommitted(), branch.log()"],
    )


def log_table(commits: Sequence[CommitInfo], *, title: str = "") -> Table:
    """Show commits in the order in which they are given; `title` says of what they are the log."""
    rows = [[commit_cell(commit.id), *_summary(commit)] for commit in commits[:MAX_ROWS]]
    new, old = ([repr(commit.id[:8]) for commit in commits[:2]] + ["", ""])[:2]
    following = f"repo.at({new}), repo.diff({old}, {new})" if old else f"repo.at({new})" if new else "repo.branches()"
    return Table(
        caption=[f"Log {title}".rstrip(), f"{len(commits):,} commit{'' if len(commits) == 1 else 's'}"],
        columns=["commit", "time", "author", "message"],
        rows=rows,
        footer=[f"Next: {following}"],
        total=len(commits),
    )


def _summary(commit: CommitInfo | None) -> list[Cell]:
    if commit is None:
        return [Cell("not fetched"), Cell(""), Cell("")]
    first, *rest = commit.message.strip().splitlines() or [""]
    return [Cell(time_text(commit.time)), Cell(commit.author), Cell(f"{first} …" if rest else first)]


def commit_table(commit: CommitInfo, *, counts: Mapping[ChangeKind, int] | None = None) -> Table:
    """Show one commit with its message and metadata; `counts` says what it changed, where that is known."""
    this, old = commit.id[:8], [parent[:8] for parent in commit.parents[:1]]
    parents = [f"parent{'s' if len(commit.parents) > 1 else ''}", commit_cell(*commit.parents)]
    following = [*(f"repo.diff({parent!r}, {this!r})" for parent in old), f"repo.at({this!r})"]
    return Table(
        caption=[
            "Commit",
            commit_cell(commit.id),
            commit.author,
            time_text(commit.time),
            *(parents if commit.parents else ["first commit"]),
            *([change_counts(counts)] if counts is not None else []),
        ],
        columns=["field", "value"],
        rows=[*_message_rows(commit.message), *sorted(commit.metadata.items())],
        footer=[f"Next: {', '.join(following)}"],
    )


def _message_rows(message: str) -> list[tuple[str, str]]:
    lines = [piece for line in message.splitlines() for piece in wrap(line, 60)] or [""]
    if len(lines) > MAX_ROWS // 2:
        left = len(lines) - MAX_ROWS // 2 + 1
        lines = [*lines[:-left], f"… {left:,} more lines: commit.message"]
    return [("" if i else "message", line) for i, line in enumerate(lines)]


def change_counts(counts: Mapping[ChangeKind, int]) -> str:
    """Return counts with sign and word.

    >>> change_counts({"added": 12_000, "changed": 37})
    '+12,000 added  -0 removed  ~37 changed'
    """
    return "  ".join(f"{sign}{counts.get(kind, 0):,} {kind}" for kind, sign in _SIGNS.items())


def diff_table(title: str, changes: Sequence[Change], *, counts: Mapping[ChangeKind, int] | None = None) -> Table:
    """Show what differs between two states: counts for each prefix first, then the first keys.

    Args:
        title: Names the two sides: `main..exp`.
        changes: In key order.
        counts: Totals, where `changes` is only the beginning; there are no counts for prefixes then.
    """
    totals: Mapping[ChangeKind, int] = counts if counts is not None else Counter(change.kind for change in changes)
    total = sum(totals.values())
    following = f"Next: diff.table({_example(changes)}, key=…)" if _example(changes) else "Next: diff.to_pandas()"
    prefixes = _prefix_rows(changes) if counts is None else []
    room = MAX_ROWS - len(prefixes)
    whole = [size_text(sum(map(_growth, changes)), signed=True)] if counts is None else []
    return Table(
        caption=[f"Diff {title}", change_counts(totals), *whole],
        columns=["change", "key", "size"],
        rows=[*prefixes, *(_change_row(change) for change in changes[:room])],
        footer=[following if total else "No differences"],
        total=len(prefixes) + total,
    )


def plan_table(
    title: str, changes: Sequence[Change], *, done: bool, skipped: tuple[int, int], blocked: int = 0
) -> Table:
    """Show what a transfer does to its dest, or has done.

    >>> print(plan_table("./data → ds://garments@main/raw/", [], done=True, skipped=(2, 2048)).text())
    Transfer ./data → ds://garments@main/raw/  copied 0 (0 B)  deleted 0  2 there already (2.0 KiB)
      Nothing to do

    Args:
        title: Source and dest.
        changes: In the order of names.
        done: Whether it was done.
        skipped: How many objects the dest has already, and their bytes.
        blocked: How many files differ and are not to be replaced.
    """
    copies = [change.after for change in changes if change.after]
    verbs = ("copied", "deleted") if done else ("to copy", "to delete")
    prefixes = _prefix_rows(changes)
    rows = [_plan_row(change) for change in changes[: MAX_ROWS - len(prefixes)]]
    notes = [f"{blocked:,} of them replace{'s' if blocked == 1 else ''} a file that differs"] if blocked else []
    following = ["pass overwrite=True"] if blocked else [] if done or not changes else ["the same without dry_run=True"]
    return Table(
        caption=[
            f"{'Transfer' if done else 'Plan'} {title}",
            f"{verbs[0]} {len(copies):,} ({size_text(sum(info.size for info in copies))})",
            f"{verbs[1]} {len(changes) - len(copies):,}",
            f"{skipped[0]:,} there already ({size_text(skipped[1])})",
        ],
        columns=["change", "name", "size"],
        rows=[*prefixes, *rows],
        footer=[*notes, *(f"Next: {text}" for text in following), *([] if changes else ["Nothing to do"])],
        total=len(prefixes) + len(changes),
    )


def _plan_row(change: Change) -> list[Cell]:
    size = change.after.size if change.after else change.before.size if change.before else 0
    return [Cell(f"{_SIGNS[change.kind]} {change.kind}"), key_cell(change.key), Cell(size_text(size), "number")]


def _example(changes: Sequence[Change]) -> str:
    return next((repr(c.key) for c in changes[:MAX_ROWS] if c.kind == "changed" and is_table(c.key)), "")


def _prefix_rows(changes: Sequence[Change]) -> list[list[Cell]]:
    """Count changes by the first folder in which keys differ; nothing where that would say no more than the keys do."""
    start = _shared_folder([changes[0].key, changes[-1].key]) if changes else 0  # in key order the ends tell
    found: dict[str, list[Change]] = {}
    for change in changes:
        folder, slash, _ = change.key[start:].partition("/")
        if slash:
            found.setdefault(change.key[:start] + folder + "/", []).append(change)
    if sum(map(len, found.values())) <= len(found):
        return []
    largest = sorted(found, key=lambda prefix: (-len(found[prefix]), prefix))[:_MAX_PREFIXES]
    return [_prefix_row(prefix, found[prefix]) for prefix in sorted(largest)]


def _shared_folder(keys: Sequence[str]) -> int:
    """Return the length of the folder that all keys have in common, with its slash."""
    same = 0
    for characters in zip(*keys, strict=False):
        if len(set(characters)) > 1:
            break
        same += 1
    return keys[0].rfind("/", 0, same) + 1


def _prefix_row(prefix: str, changes: Sequence[Change]) -> list[Cell]:
    kinds = Counter(change.kind for change in changes)
    words = "  ".join(f"{sign}{kinds[kind]:,} {kind}" for kind, sign in _SIGNS.items() if kinds[kind])
    return [Cell(words), key_cell(prefix), Cell(size_text(sum(map(_growth, changes)), signed=True), "number")]


def _change_row(change: Change) -> list[Cell]:
    word = f"{_SIGNS[change.kind]} {change.kind}"
    if change.before and change.after and change.before.digest and change.before.digest == change.after.digest:
        word += " attributes"  # the bytes are the same: content type or metadata differ
    return [Cell(word), key_cell(change.key), Cell(size_text(_growth(change), signed=True), "number")]


def _growth(change: Change) -> int:
    return (change.after.size if change.after else 0) - (change.before.size if change.before else 0)


def table_diff_headline(diff: TableDiff) -> str:
    """Return a row diff in one line."""
    return "  ".join(_headline(diff))


def _headline(diff: TableDiff) -> list[str]:
    title = shorten(f"TableDiff {diff.title}".rstrip(), 120, middle=True)
    return [title, shorten(f"key={','.join(diff.key)}", 60), f" {change_counts(diff.counts)}"]


def table_diff_table(diff: TableDiff) -> Table:
    """Show a row diff: sign first, `old → new` inside the cell; of each kind of change as many rows as fit."""
    rows = _fair_share(diff.rows)
    others = [
        name
        for name in diff.columns
        if any(name in cells for row in rows for cells in (row.before, row.after) if cells)
    ]
    keys = diff.key[:_MAX_KEY_COLUMNS]
    shown = others[: _MAX_COLUMNS - 1 - len(keys)]
    hidden = len(others) - len(shown)
    footer = [f"{diff.unchanged:,} row{'' if diff.unchanged == 1 else 's'} unchanged"]
    footer += [f"… {hidden:,} more column{'s' if hidden > 1 else ''}"] if hidden else []
    footer += _column_changes(diff)
    total = sum(diff.counts.values())
    following = "Next: diff.to_pandas()" if rows else "Next: pass limit=20" if total else "No rows differ"
    return Table(
        caption=_headline(diff),
        columns=["change", *keys, *shown],
        rows=[_row_cells(row, keys, shown) for row in rows],
        footer=["; ".join(footer), following],
        total=total,
    )


def _fair_share(rows: Sequence[RowChange]) -> list[RowChange]:
    """Take 20 rows so that no kind crowds out another one, in the order in which they come."""
    of_kind = {kind: [i for i, row in enumerate(rows) if row.kind == kind] for kind in _SIGNS}
    turns = sorted((turn, i) for indices in of_kind.values() for turn, i in enumerate(indices))
    return [rows[i] for i in sorted(i for _, i in turns[:MAX_ROWS])]


def _column_changes(diff: TableDiff) -> list[str]:
    words = [f"+{name} added" for name in diff.columns_added]
    words += [f"-{name} removed" for name in diff.columns_removed]
    words += [f"~{column.name} {column.old} → {column.new}" for column in diff.columns_retyped]
    more = [f"… {len(words) - 4:,} more"] if len(words) > 4 else []
    return [f"columns {', '.join([*(shorten(word, 30, middle=True) for word in words[:4]), *more])}"] if words else []


def _row_cells(row: RowChange, keys: Sequence[str], columns: Sequence[str]) -> list[Cell]:
    cells = [Cell(f"{_SIGNS[row.kind]} {row.kind}"), *(_value_cell(row.key[name]) for name in keys)]
    for name in columns:
        if row.before is not None and row.after is not None:
            text = change_text(row.before[name], row.after[name]) if name in row.before else ""
            cells.append(Cell(text, "key"))
        else:
            values = row.after if row.before is None else row.before
            cells.append(_value_cell(values[name]) if values and name in values else Cell(""))
    return cells


def _value_cell(value: object) -> Cell:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(value_text(value), "number" if number else "text")
