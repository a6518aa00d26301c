"""Commands for what holds data: mounts, repo, check, collect."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click

from datastore.cli.options import Group, command, confirm, duration, yes_option
from datastore.cli.output import Answer, Cell, count_text, size_cell
from datastore.errors import UnsupportedOperation
from datastore.notebook.markup import size_text
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


@command("collect", examples=["datastore collect --dry-run", "datastore collect --grace 0", "datastore collect team"])
@click.argument("where", metavar="[PATH|MOUNT]", required=False)
@click.option("--dry-run", is_flag=True, help="Only tell what would go; nothing is written.")
@click.option("--grace", default="24h", show_default=True, help="What is younger stays: 30m, 24h, 7d, or 0.")
@click.option("--keep-deleted", default="30d", show_default=True, help="How long a deleted branch can be brought back.")
@click.option("--max-bytes", type=click.IntRange(min=0), help="Stop before more than this is removed.")
def collect(where: str | None, *, dry_run: bool, grace: str, keep_deleted: str, max_bytes: int | None) -> Answer:
    """Remove what nothing needs any more.

    That is what no branch, tag or uncommitted change leads to, in the store, in one at PATH, or in a mount. Others may
    read and write meanwhile, and it may be stopped at any moment. Prints one line for each kind of thing that went:
    how many, their bytes, why.
    """
    from datastore.upkeep import SupportsCollect

    root = store_at(where)
    if not isinstance(root, SupportsCollect):
        hint = "only embedded stores have something to collect: datastore collect"
        raise UnsupportedOperation(f"{where!r} cannot be collected", hint=hint)
    found = root.collect(
        grace=duration(grace, option="--grace"),
        keep_deleted=duration(keep_deleted, option="--keep-deleted"),
        dry_run=dry_run,
        max_bytes=max_bytes,
    )
    went = "would be freed" if dry_run else "freed"
    young = sum(garbage.bytes for garbage in found.young)
    return Answer(
        document=found,
        columns=["kind", "count", "bytes", "why"],
        rows=[
            [garbage.kind, Cell(str(garbage.count), right=True), size_cell(garbage.bytes), garbage.reason]
            for garbage in found.removed
        ],
        below=[
            f"{size_text(found.bytes)} {went}",
            *([f"{size_text(young)} more that nothing needs is younger than {grace}"] if young else []),
            *([] if found.complete else ["more is left for the next time: --max-bytes"]),
        ],
    )


def _problems(where: str | None, *, deep: bool) -> Iterable[Problem]:
    from datastore.upkeep import SupportsCheck

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

COMMANDS: Final[Sequence[click.Command]] = (mounts, repo, check, collect)
