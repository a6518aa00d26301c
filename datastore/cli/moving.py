"""Commands that bring data from one place to another: mv, link, materialize."""

from collections.abc import Sequence
from typing import Final

import click

from datastore.cli.options import branch_at, command, place_at
from datastore.cli.output import Answer, change_row, count_text

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


COMMANDS: Final[Sequence[click.Command]] = (mv, link, materialize)
