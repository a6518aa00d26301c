"""Commands between two repos: clone, push, pull, fetch."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from datastore.cli.failures import Mistake
from datastore.cli.history import commit_row
from datastore.cli.options import command, place_at
from datastore.cli.output import Answer

if TYPE_CHECKING:
    from datastore.pushing import Exchange
    from datastore.repository import Repo

__all__ = ["COMMANDS"]

_url_argument = click.argument("url", required=False)
_tags_option = click.option("--tags", is_flag=True, help="Take the tags of its commits along.")


@command("clone", examples=["datastore clone ds://lakefs/garments garments", "datastore clone ds://team@exp mine"])
@click.argument("url")
@click.argument("name")
@_tags_option
def clone(url: str, name: str, *, tags: bool) -> Answer:
    """Make a repo of a branch of another one, with its history.

    The new repo remembers where it is from, so that push and pull need no URL. The same command again goes on after
    an interruption.
    """
    from datastore import api

    made = api.clone(url, name, tags=tags)
    head = made.branch().head
    document = {"name": made.name, "url": made.url(), "remote": made.remote, "head": head.info}
    return Answer(document=document, rows=[commit_row(head)], below=[f"cloned {made.remote} as {made.name}"])


def _takes_remote(function: Callable[..., Answer]) -> Callable[..., Answer]:
    return click.argument("where", metavar="REPO[@BRANCH]")(_url_argument(function))


@command("push", examples=["datastore push garments ds://lakefs/garments", "datastore push garments@exp --tags"])
@_takes_remote
@_tags_option
def push(where: str, url: str | None, *, tags: bool) -> Answer:
    """Bring a branch of another repo up to the one here.

    Commits go along with what is missing there; nothing of the other side is ever replaced. URL names the other repo,
    and with a ref its branch; without one it is that of the first time.
    """
    repo, branch = _branch_of(where)
    return _exchange_answer(repo.push(url, branch=branch, tags=tags))


@command("pull", examples=["datastore pull garments", "datastore pull garments@exp ds://lakefs/garments"])
@_takes_remote
@_tags_option
def pull(where: str, url: str | None, *, tags: bool) -> Answer:
    """Bring a branch here up to the one of another repo."""
    repo, branch = _branch_of(where)
    return _exchange_answer(repo.pull(url, branch=branch, tags=tags))


@command("fetch", examples=["datastore fetch garments", "datastore diff garments main origin--main --merge-base"])
@_takes_remote
def fetch(where: str, url: str | None) -> Answer:
    """Bring a branch of another repo here as a hidden branch.

    It is called origin--BRANCH; no other branch is touched. Look at it, then merge it.
    """
    repo, branch = _branch_of(where)
    fetched = repo.fetch(url, branch=branch)
    head = fetched.head
    return Answer(
        document={"branch": fetched.name, "head": head.info},
        rows=[[fetched.name, *commit_row(head)]],
        below=[f"next: datastore merge {repo.name} {fetched.name}"],
    )


def _branch_of(where: str) -> "tuple[Repo, str | None]":
    """Return the repo, and the branch if one is written: it need not be there yet."""
    place = place_at(where)
    if place.key:
        raise Mistake(f"{where!r} names an object or prefix", hint=f"write {place.repo.name}@{place.ref}")
    return place.repo, place.ref if "@" in where else None


def _exchange_answer(done: "Exchange") -> Answer:
    rows: list[list[Any]] = [[commit] for commit in done.commits]
    return Answer(document=done, rows=rows, below=[repr(done)])


COMMANDS: Final[Sequence[click.Command]] = (clone, push, pull, fetch)
