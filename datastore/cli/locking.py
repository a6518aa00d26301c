"""Commands about the lock file: lock add, remove, update, check, sync."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from datastore.cli.options import Group, command
from datastore.cli.output import Answer, Cell, commit_cell, count_text
from datastore.notebook.markup import short_id, time_text

if TYPE_CHECKING:
    from datastore.locking import Checked
    from datastore.values import CommitInfo

__all__ = ["COMMANDS"]

_STYLES: Final = {"same": "green", "moved": "yellow", "gone": "red"}
_COLUMNS: Final = ["state", "name", "pinned", "now", "url"]
_names: Final = click.argument("names", metavar="[NAME]...", nargs=-1)


@command(
    "add",
    examples=[
        "datastore lock add ds://garments@main/train/ --name train",
        "datastore lock add ./labels.csv -n labels --update",
    ],
)
@click.argument("url")
@click.option("--name", "-n", required=True, metavar="NAME", help="What the pin is called: ds.pinned(NAME) reads it.")
@click.option("--update", is_flag=True, help="Replace a pin of this name.")
def add(url: str, *, name: str, update: bool) -> Answer:
    """Pin what URL leads to now in the lock file.

    That is the nearest datastore.lock from here upwards (or DATASTORE_LOCK); without one it is made. The same pin again
    changes nothing.
    """
    from datastore import api

    pinned = api.pin(url, name=name, update=update)
    return Answer(document={"name": name, "url": str(pinned)}, lines=[str(pinned)])


@command("remove", examples=["datastore lock remove train", "datastore lock remove train labels"])
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def remove(names: Sequence[str]) -> Answer:
    """Take pins out of the lock file; the data stay as they are.

    If one NAME is not in it, nothing is changed.
    """
    from datastore import pinning
    from datastore.namespace import current

    gone = pinning.unpin(current(), names)
    return Answer(
        document=[{"name": name, "url": pin.url, "commit": pin.commit} for name, pin in gone.items()],
        columns=["name", "url"],
        rows=[[name, pin.url] for name, pin in gone.items()],
        below=[f"{count_text(len(gone), 'pin')} removed"],
    )


@command("update", examples=["datastore lock update", "datastore lock update train"])
@_names
def update(names: Sequence[str]) -> Answer:
    """Pin anew what the URLs lead to now; all of them, if no NAME is given.

    Shows which pins have moved, and the commits between that touched their data.
    """
    from datastore import locking
    from datastore.namespace import current

    return _answer(locking.update(current(), names), failing=())


@command("check", examples=["datastore lock check", "datastore lock check train --every-object"])
@_names
@click.option("--every-object", is_flag=True, help="Read a byte of each pinned object, not only of the first.")
def check(names: Sequence[str], *, every_object: bool) -> Answer:
    """Tell which pins have moved, with the commits between, and which are gone.

    A pin has moved if its URL leads to other data by now; commits that touch other data do not count. It is gone if
    what was pinned cannot be read any more. Exits with 1 if one has moved or is gone.
    """
    from datastore import locking
    from datastore.namespace import current

    return _answer(locking.check(current(), names, every_object=every_object), failing=("moved", "gone"))


@command("sync", examples=["datastore lock sync", "datastore lock sync train && DATASTORE_OFFLINE=1 python train.py"])
@_names
def sync(names: Sequence[str]) -> Answer:
    """Bring what is pinned into the cache, and print the paths.

    Afterwards it can be read without a network. The cache may remove it when it needs the room: `datastore cache keep`.
    """
    from datastore import locking
    from datastore.namespace import current

    done = locking.sync(current(), names)
    return Answer(
        document=[{"name": one.name, "url": one.url, "path": str(one.path)} for one in done],
        columns=["name", "path"],
        rows=[[one.name, str(one.path)] for one in done],
        below=[count_text(len(done), "pin")],
    )


def _answer(found: "Sequence[Checked]", *, failing: Sequence[str]) -> Answer:
    counts = {state: sum(one.state == state for one in found) for state in _STYLES}
    return Answer(
        document=found,
        columns=_COLUMNS,
        rows=[_row(one) for one in found],
        lines=[line for one in found for line in _lines(one)],
        below=[f"{count_text(len(found), 'pin')}:  " + "  ".join(f"{n} {state}" for state, n in counts.items() if n)],
        exit_code=1 if any(counts[state] for state in failing) else 0,
    )


def _row(one: "Checked") -> list[Cell | str]:
    now = one.now.commit if one.now is not None else None
    cells = [commit_cell(commit) if commit else "" for commit in (one.pin.commit, now)]
    return [Cell(one.state, None, _STYLES[one.state]), one.name, *cells, one.url]


def _lines(one: "Checked") -> list[str]:
    problem = [f"{one.name}: {one.problem}"] if one.problem else []
    return problem + [f"{one.name}: {_commit_line(info)}" for info in one.commits]


def _commit_line(info: "CommitInfo") -> str:
    first = (info.message.strip().splitlines() or [""])[0]
    return f"{short_id(info.id)}  {time_text(info.time)}  {info.author}  {first}"


locked = Group(
    name="lock", help="What data a project reads: pins in its lock file.", commands=[add, remove, update, check, sync]
)

COMMANDS: Final[Sequence[click.Command]] = (locked,)
"""The commands of this module."""
