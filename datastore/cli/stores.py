"""Commands for what holds data: mounts, repo, check."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click

from datastore.cli.options import Group, command, confirm, yes_option
from datastore.cli.output import Answer, Cell, count_text
from datastore.errors import UnsupportedOperation
from datastore.values import Problem

__all__ = ["COMMANDS", "store_at"]


@command("mounts", examples=["datastore mounts", "datastore mounts --json"])
def mounts() -> Answer:
    """Show where the repos live, and what else is mounted.

    Options of the mounts are shown without secrets.

    """
    from datastore.namespace import current

    config, found = current().config, current().mounts()
    rows: list[list[Cell | str]] = [
        [Cell("(store)", style="dim"), "embedded", "versioned", "default", f"path={config.store}"]
    ]
    for mount in found:
        kind = {True: "versioned", False: "plain", None: "cannot be opened"}[mount.versioned]
        options = " ".join(f"{name}={value}" for name, value in mount.options.items())
        rows.append([mount.name, mount.provider, kind, mount.source, options])
    return Answer(
        document={
            "store": str(config.store),
            "file": None if config.file is None else str(config.file),
            "mounts": found,
        },
        columns=["mount", "provider", "kind", "source", "options"],
        rows=rows,
        below=[f"configuration: {config.file or 'none'}"],
    )


@command("list", examples=["datastore repo list"])
def repo_list() -> Answer:
    """List the repos of the store."""
    from datastore.api import repos

    names = [repo.name for repo in repos()]
    return Answer(
        document=[_repo(name) for name in names],
        rows=[[name] for name in names],
        below=[] if names else ["no repos; datastore repo create NAME makes one"],
    )


@command("create", examples=["datastore repo create garments", "datastore repo create garments --exist-ok"])
@click.argument("name")
@click.option("--exist-ok", is_flag=True, help="Do nothing if the repo is there.")
def repo_create(name: str, *, exist_ok: bool) -> Answer:
    """Make a repo with an empty branch main, and the store with it if it is the first."""
    from datastore.api import create_repo

    made = create_repo(name, exist_ok=exist_ok)
    next_step = f"datastore cp FILE {made.url()}, or datastore import FOLDER {made.url()}"
    return Answer(document=_repo(made.name), rows=[[made.name]], below=[f"next: {next_step}"])


@command("delete", examples=["datastore repo delete garments"])
@click.argument("name")
@yes_option
def repo_delete(name: str, *, yes: bool) -> Answer:
    """Delete a repo with all its branches, tags and uncommitted changes. This cannot be undone."""
    from datastore.api import delete_repo
    from datastore.namespace import current

    store, inner = current().store_of(name)
    store.repo(inner)  # a typo is told before the question
    confirm(f"this deletes the repo {name} with all its branches, tags and uncommitted changes, for good", yes=yes)
    delete_repo(name)
    return Answer(document={"deleted": name}, below=[f"deleted repo {name}"])


@command("rename", examples=["datastore repo rename garments clothes"])
@click.argument("name")
@click.argument("new_name")
def repo_rename(name: str, new_name: str) -> Answer:
    """Give a repo another name. URLs with the old one stop working."""
    from datastore.repository import Repo

    renamed = Repo(name).rename(new_name)
    return Answer(document=_repo(renamed.name), rows=[[renamed.name]])


def _repo(name: str) -> dict[str, str]:
    return {"name": name, "url": f"ds://{name}/"}


@command("check", examples=["datastore check", "datastore check --quick --json", "datastore check /backup/store"])
@click.argument("where", metavar="[PATH|MOUNT]", required=False)
@click.option("--quick", is_flag=True, help="Compare sizes only; else all content is read and hashed.")
def check(where: str | None, *, quick: bool) -> Answer:
    """Look for damage in the store.

    Or in a store at PATH, or in a mount; from the refs down to the bytes. Prints one line for each problem, and
    exits with 1 if there are any. Nothing is changed.
    """
    problems = list(_problems(where, deep=not quick))
    return Answer(
        document=problems,
        columns=["kind", "id", "problem", "needed by"],
        rows=[[problem.kind, problem.id, problem.problem, problem.referenced_by] for problem in problems],
        below=[f"{count_text(len(problems), 'problem')} found"],
        exit_code=1 if problems else 0,
    )


def _problems(where: str | None, *, deep: bool) -> Iterable[Problem]:
    from datastore.provider import SupportsCheck

    root = store_at(where)
    if not isinstance(root, SupportsCheck):
        raise UnsupportedOperation(f"{where!r} cannot be checked", hint="only embedded stores can: datastore check")
    return root.check(deep=deep)


def store_at(where: str | None) -> object:
    """Return the store at a path or mount; without one, that of the configuration."""
    from datastore import registry
    from datastore.namespace import current

    if where is None:
        return current().store
    if any(mark in where for mark in "/\\.~"):  # which no mount has in its name
        path = str(Path(where).expanduser().absolute())
        return registry.open_provider("embedded", {"path": path}, where=f"the store at {path}")
    return current().root(where)


repo = Group(
    name="repo", help="List, make, delete or rename repos.", commands=[repo_list, repo_create, repo_delete, repo_rename]
)

COMMANDS: Final[Sequence[click.Command]] = (mounts, repo, check)
