"""Commands that bring data from one place to another: mv, sync, link, materialize."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from datastore.cli.copying import side_of
from datastore.cli.options import branch_at, command, confirm, place_at, yes_option
from datastore.cli.output import Answer, change_row, count_text

if TYPE_CHECKING:
    from datastore.history import Diff

__all__ = ["COMMANDS"]


@command(
    "mv",
    examples=[
        "datastore mv ds://garments@main/a.csv ds://garments@main/old/a.csv",
        "datastore mv -r ds://a/x/ ds://b/x/",
    ],
)
@click.argument("source")
@click.argument("target")
@click.option("--recursive", "-r", is_flag=True, help="Move all that is under SOURCE.")
def mv(source: str, target: str, *, recursive: bool) -> Answer:
    """Move objects, within a mount or between two.

    Everything is copied before anything is deleted. On a branch the changes are uncommitted.
    """
    from datastore.api import filesystem
    from datastore.urls import strip_scheme, to_url

    filesystem().mv(strip_scheme(to_url(source)), strip_scheme(to_url(target)), recursive=recursive)
    return Answer(document={"source": source, "target": target}, below=[f"moved to {target}"])


@command(
    "sync",
    examples=[
        "datastore sync data/ ds://garments@main/raw/",
        "datastore sync ds://s3/acme/raw/ ds://r2/acme/ --delete",
    ],
)
@click.argument("source")
@click.argument("dest")
@click.option("--delete", is_flag=True, help="Delete what only DEST has, at the end.")
@click.option("--dry-run", is_flag=True, help="Only show what there is to do.")
@yes_option
def sync(source: str, dest: str, *, delete: bool, dry_run: bool, yes: bool) -> Answer:
    """Make a folder as another one is.

    SOURCE and DEST are ds:// URLs or local folders, in any combination. Copies what is missing or different; prints
    what was done, or is to be done. After an interruption the same command goes on.
    """
    from datastore import api

    here, there = _side(source), _side(dest)
    if delete and not dry_run:
        doomed = api.sync(here, there, delete=True, dry_run=True).removed
        if doomed:
            confirm(f"this deletes {count_text(len(doomed), 'object')} in {dest}", yes=yes)
    return _answer(api.sync(here, there, delete=delete, dry_run=dry_run), to_do=dry_run)


def _side(text: str) -> "str | Path":
    from datastore.urls import DatasetURL

    side = side_of(text)
    return side if isinstance(side, DatasetURL) else Path(side)


def _answer(found: "Diff", *, to_do: bool) -> Answer:
    copied, deleted = len(found) - len(found.removed), len(found.removed)
    verbs = ("to copy", "to delete") if to_do else ("copied", "deleted")
    return Answer(
        document=list(found),
        rows=[change_row(change) for change in found],
        below=[f"{copied:,} {verbs[0]}, {deleted:,} {verbs[1]}"],
    )


@command("link", examples=["datastore link ds://r2/acme/2026/ ds://garments@main/raw/"])
@click.argument("source")
@click.argument("url")
def link(source: str, url: str) -> Answer:
    """Put data on a branch that stays where it is.

    All objects at SOURCE get entries under URL, pinned to what is there now: reading one that has changed since is an
    error. No bytes move; `datastore materialize` brings them in.
    """
    place = place_at(url)
    changes = place.repo.branch(place.ref).link(source, place.key)
    rows = [change_row(change) for change in changes]
    return Answer(document=list(changes), rows=rows, below=[count_text(len(changes), "uncommitted change")])


@command("materialize", examples=["datastore materialize garments", "datastore materialize garments@main raw/"])
@click.argument("where", metavar="REPO[@BRANCH]")
@click.argument("prefix", default="")
def materialize(where: str, prefix: str) -> Answer:
    """Bring in the bytes of linked objects.

    Of those whose keys begin with PREFIX. What is brought in is an uncommitted change.
    """
    changes = branch_at(where).materialize(prefix)
    rows = [change_row(change) for change in changes]
    return Answer(document=list(changes), rows=rows, below=[count_text(len(changes), "uncommitted change")])


COMMANDS: Final[Sequence[click.Command]] = (mv, sync, link, materialize)
