"""Commands that look at history: status, diff, log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from datastore.cli.failures import Mistake
from datastore.cli.options import command, place_at, repo_at
from datastore.cli.output import Answer, Cell, change_row, commit_cell, count_text, time_cell
from datastore.notebook.markup import short_id, time_text

if TYPE_CHECKING:
    from datastore.history import Commit, Diff

__all__ = ["COMMANDS", "commit_answer", "commit_row"]

_COLUMNS: Final = ["commit", "time", "author", "message"]


def commit_row(commit: "Commit") -> list[Cell | str]:
    """Return a commit as id, time, author and first line of its message."""
    first, *rest = commit.message.strip().splitlines() or [""]
    return [commit_cell(commit.id), time_cell(commit.time), commit.author, f"{first} …" if rest else first]


def commit_answer(commit: "Commit") -> Answer:
    """Return the answer of a command that made a commit."""
    return Answer(document=commit.info, rows=[commit_row(commit)])


@command("status", examples=["datastore status garments", "datastore status ds://garments@exp/images/ --json"])
@click.argument("where", metavar="URL|REPO[@BRANCH]")
def status(where: str) -> Answer:
    """Show the uncommitted changes of a branch, and its head.

    Of a URL with a key, those of the keys that begin with it.
    """
    place = place_at(where)
    branch = place.repo.branch(place.ref)
    changes, head = branch.uncommitted(place.key), branch.head
    name = f"{place.repo.name}@{branch.name}"
    first = commit_row(head)[-1]
    return Answer(
        document={"repo": place.repo.name, "branch": branch.name, "head": head.info, "uncommitted": list(changes)},
        above=[f"{name}  head {short_id(head.id)}  {time_text(head.time)}  {first}"],
        rows=[change_row(change) for change in changes],
        below=[_counts(changes, "uncommitted change")]
        + [f"next: datastore commit {name} -m '…', or datastore reset {name}"] * bool(changes),
    )


@command(
    "diff",
    examples=[
        "datastore diff garments v1 main",
        "datastore diff ds://garments@v1/images/ ds://garments@main/images/",
        "datastore diff garments main exp --merge-base --table train.parquet --key sku",
    ],
)
@click.argument("sides", metavar="URL_A URL_B | REPO A B", nargs=-1, required=True)
@click.option("--merge-base", is_flag=True, help="Only what B did since it parted from A; with REPO A B.")
@click.option("--table", metavar="NAME", help="Compare the rows of this table.")
@click.option(
    "--key", "columns", multiple=True, metavar="COLUMN", help="Column that tells its rows apart; may be repeated."
)
@click.option("--limit", default=20, show_default=True, help="Rows of each kind of change to show.")
def diff(sides: Sequence[str], *, merge_base: bool, table: str | None, columns: Sequence[str], limit: int) -> Answer:
    """Show what differs between refs or URLs.

    REPO A B compares the commits of two refs. Two URLs of one repo do so, too; other URLs are listed and compared key
    by key.
    """
    found = _diff(sides, merge_base=merge_base)
    if table is not None:
        return _table_answer(found, table, columns, limit=limit)
    if columns:
        raise Mistake("--key names a column of a table", hint="pass --table NAME with it")
    rows = [change_row(change) for change in found]
    return Answer(document=list(found), above=[found.title], rows=rows, below=[_counts(found, "change")])


def _diff(sides: Sequence[str], *, merge_base: bool) -> "Diff":
    from datastore import api

    if len(sides) == 3:
        return repo_at(sides[0]).diff(sides[1], sides[2], merge_base=merge_base)
    if len(sides) != 2:
        hint = "write two URLs, or a repo and two refs: datastore diff garments v1 main"
        raise Mistake(f"diff takes two sides, not {' '.join(sides)}", hint=hint)
    if merge_base:
        hint = "write datastore diff REPO A B --merge-base"
        raise Mistake("--merge-base needs a repo and two refs", hint=hint)
    return api.diff(*sides)


def _table_answer(found: "Diff", name: str, columns: Sequence[str], *, limit: int) -> Answer:
    rows = found.table(name, key=list(columns) or None, limit=limit)
    # The last line of the table says what to call next, in Python.
    return Answer(document=rows, lines=str(rows).splitlines()[:-1])


def _counts(changes: "Diff", what: str) -> str:
    numbers = f"+{len(changes.added):,} added  -{len(changes.removed):,} removed  ~{len(changes.changed):,} changed"
    return count_text(len(changes), what) + (f":  {numbers}" if changes else "")


@command("log", examples=["datastore log garments", "datastore log garments@v1 --key train.parquet -n 3"])
@click.argument("where", metavar="REPO[@REF]")
@click.option("--key", metavar="K", help="Only commits that changed this object, or something under K/.")
@click.option("--limit", "-n", type=click.IntRange(min=0), metavar="N", help="At most so many.")
@click.option("--first-parent", is_flag=True, help="Leave out what came in by merges.")
def log(where: str, *, key: str | None, limit: int | None, first_parent: bool) -> Answer:
    """Show commits, newest first. A URL shows those of its object or prefix."""
    place = place_at(where)
    if key is not None and place.key:
        raise Mistake("the key is given twice", hint=f"leave out --key {key}")
    commits = place.repo.log(
        place.ref, key=key or place.key.rstrip("/") or None, limit=limit, first_parent=first_parent
    )
    return Answer(
        document=[commit.info for commit in commits], columns=_COLUMNS, rows=[commit_row(commit) for commit in commits]
    )


COMMANDS: Final[Sequence[click.Command]] = (status, diff, log)
