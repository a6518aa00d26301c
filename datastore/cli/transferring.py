"""Commands for folders that go from one place to another: upload, download, sync."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from datastore.cli.copying import progress, side_of
from datastore.cli.options import command, confirm, yes_option
from datastore.cli.output import Answer, change_row, count_text
from datastore.notebook.markup import size_text

if TYPE_CHECKING:
    from datastore.transfers.plans import Plan

__all__ = ["COMMANDS"]

_Patterns = Sequence[str]


def _chooses(*, ignoring: bool = True) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Add the options that choose names and tell how they are judged."""

    def decorate(function: Callable[..., Answer]) -> Callable[..., Answer]:
        decorated: Callable[..., Answer] = click.option(
            "--dry-run", is_flag=True, help="Only show what there is to do."
        )(
            click.option(
                "--compare",
                type=click.Choice(["content", "time"]),
                default="content",
                help="What tells that an object is there already: its bytes, or a later time, too.",
            )(function)
        )
        if ignoring:
            decorated = click.option("--ignore", multiple=True, metavar="GLOB", help="Leave out what matches.")(
                decorated
            )
        return click.option("--allow", multiple=True, metavar="GLOB", help="Only what matches one of these.")(decorated)

    return decorate


_message_option = click.option("--message", "-m", help="Commit the branch at the end, with this message.")


@command(
    "upload",
    examples=[
        "datastore upload data/ ds://garments@main/raw/ --dry-run",
        "datastore upload data/ ds://garments@main/raw/ --ignore '*.tmp' -m 'Raw data'",
        "datastore upload model.onnx ds://r2/acme/models/",
    ],
)
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("url")
@click.option("--ignore", multiple=True, metavar="PATTERN", help="Leave out what matches, as in .gitignore.")
@_chooses(ignoring=False)
@_message_option
def upload(
    source: Path, url: str, *, ignore: _Patterns, allow: _Patterns, compare: Any, dry_run: bool, message: str | None
) -> Answer:
    """Put a local file, or a folder's files, under a URL.

    What is there already is not sent again; after an interruption the same command goes on. A file .datastoreignore in
    the folder works as .gitignore does. On a branch the changes are uncommitted, unless a message is given.
    """
    from datastore import api

    with progress("uploading") as shown:
        done = api.upload(
            source,
            url,
            ignore=ignore,
            allow_patterns=allow or None,
            dry_run=dry_run,
            compare=compare,
            message=message,
            callback=shown.callback,
        )
    return _answer(done)


@command(
    "download",
    examples=[
        "datastore download ds://garments@v4/images/ images/",
        "datastore download ds://garments@v4/images/ images/ --overwrite --dry-run",
    ],
)
@click.argument("url")
@click.argument("dest", type=click.Path())
@click.option("--overwrite", is_flag=True, help="Replace files that differ.")
@_chooses()
def download(
    url: str, dest: str, *, overwrite: bool, ignore: _Patterns, allow: _Patterns, compare: Any, dry_run: bool
) -> Answer:
    """Write an object, or a prefix, into local files.

    Files that are right already are left alone; if one differs, nothing is written, unless --overwrite is given. After
    an interruption the same command goes on.
    """
    from datastore import api

    with progress("downloading") as shown:
        done = api.download(
            url,
            dest,
            overwrite=overwrite,
            allow_patterns=allow or None,
            ignore_patterns=ignore or None,
            dry_run=dry_run,
            compare=compare,
            callback=shown.callback,
        )
    return _answer(done)


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
@_chooses()
@_message_option
@yes_option
def sync(
    source: str,
    dest: str,
    *,
    delete: bool,
    ignore: _Patterns,
    allow: _Patterns,
    compare: Any,
    dry_run: bool,
    message: str | None,
    yes: bool,
) -> Answer:
    """Make a folder as another one is.

    SOURCE and DEST are ds:// URLs or local folders, in any combination. Copies what is missing or different; prints
    what was done, or is to be done. After an interruption the same command goes on.
    """
    from datastore import api

    def work(*, dry_run: bool, callback: Any = None) -> "Plan":
        return api.sync(
            _side(source),
            _side(dest),
            delete=delete,
            dry_run=dry_run,
            allow_patterns=allow or None,
            ignore_patterns=ignore or None,
            compare=compare,
            message=message,
            callback=callback,
        )

    if delete and not dry_run:
        doomed = work(dry_run=True).deleted
        if doomed:
            confirm(f"this deletes {count_text(len(doomed), 'object')} in {dest}", yes=yes)
    with progress("syncing") as shown:
        return _answer(work(dry_run=dry_run, callback=shown.callback))


def _side(text: str) -> "str | Path":
    from datastore.urls import DatasetURL

    side = side_of(text)
    return side if isinstance(side, DatasetURL) else Path(side)


def _answer(plan: "Plan") -> Answer:
    verbs = ("to copy", "to delete") if plan.dry_run else ("copied", "deleted")
    words = [
        f"{len(plan.copied):,} {verbs[0]} ({size_text(plan.bytes)})",
        f"{len(plan.deleted):,} {verbs[1]}",
        f"{plan.skipped:,} there already",
    ]
    words += [f"{len(plan.blocked):,} of them differ; --overwrite replaces them"] if plan.blocked else []
    words += [f"commit {plan.commit.id[:8]}"] if plan.commit else []
    return Answer(document=list(plan), rows=[change_row(change) for change in plan], below=[", ".join(words)])


COMMANDS: Final[Sequence[click.Command]] = (upload, download, sync)
