"""Commands that keep a store safe: repair, backup, restore."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from datastore.cli.options import command
from datastore.cli.output import Answer, count_text
from datastore.cli.stores import store_at
from datastore.errors import UnsupportedOperation
from datastore.values import Backup

__all__ = ["COMMANDS"]


@command(
    "repair",
    examples=["datastore repair --dry-run", "datastore repair", "datastore repair --from /backup/store"],
)
@click.argument("where", metavar="[PATH|MOUNT]", required=False)
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--from", "source", metavar="PATH", help="A backup, or another store, that may have good copies.")
def repair(where: str | None, *, dry_run: bool, source: str | None) -> Answer:
    """Put in order what check finds.

    In the store, or in one at PATH or in a mount. A lost or damaged index is made anew from the files, commits that
    lost their branch get one, damaged files are moved to quarantine/ and replaced where a good copy is known. Nothing
    is ever deleted. Exits with 1 if something is left that could not be put in order.
    """
    from datastore.upkeep import SupportsRepair

    root = store_at(where)
    if not isinstance(root, SupportsRepair):
        raise UnsupportedOperation(f"{where!r} cannot be repaired", hint="only embedded stores can: datastore repair")
    found = root.repair(dry_run=dry_run, source=None if source is None else Path(source))
    left = sum(step.done.startswith("nothing") for step in found)
    return Answer(
        document=found,
        columns=["kind", "id", "problem", "done"],
        rows=[[step.kind, step.id, step.problem, step.done] for step in found],
        below=[
            f"{count_text(len(found), 'problem')} found" + (f", {left} not repaired" if left else ""),
            *(["nothing was changed: this was a dry run"] if dry_run else []),
        ],
        exit_code=1 if left or (dry_run and found) else 0,
    )


@command("backup", examples=["datastore backup /backup/store", "datastore backup /backup/team --of team"])
@click.argument("target", metavar="FOLDER")
@click.option("--of", "where", metavar="PATH|MOUNT", help="Another store than that of the configuration.")
def backup(target: str, *, where: str | None) -> Answer:
    """Copy the store into FOLDER, while it is in use.

    The folder is new, empty, or has an earlier backup of the same store: then only what is new is copied. The copy is
    checked; `datastore check FOLDER` reads all of it. Exits with 1 if something is missing in it, as in the store.
    """
    from datastore.upkeep import SupportsBackup

    root = store_at(where)
    if not isinstance(root, SupportsBackup):
        raise UnsupportedOperation(f"{where!r} cannot be backed up", hint="only embedded stores can, as a whole")
    return _answer(root.backup(Path(target)), "backed up to")


@command("restore-backup", examples=["datastore restore-backup /backup/store /data/store"])
@click.argument("source", metavar="BACKUP")
@click.argument("target", metavar="FOLDER")
@click.option("--new-id", is_flag=True, help="For a second store beside the one that the backup is of.")
def restore(source: str, target: str, *, new_id: bool) -> Answer:
    """Make a new store from a backup.

    In FOLDER, which is new or empty, on a local disk. It has the id of the store that was backed up.
    """
    from datastore.upkeep import SupportsBackup

    root = store_at(str(Path(source).expanduser().absolute()))
    if not isinstance(root, SupportsBackup):
        raise UnsupportedOperation(f"{source!r} cannot be restored")
    answer = _answer(root.restore(Path(target), new_id=new_id), "restored to")
    hint = f"next: DATASTORE_STORE={target}, or store.path in the configuration"
    return Answer(document=answer.document, rows=answer.rows, below=[*answer.below, hint], exit_code=answer.exit_code)


def _answer(made: Backup, what: str) -> Answer:
    return Answer(
        document=made,
        columns=["kind", "id", "problem", "needed by"],
        rows=[[problem.kind, problem.id, problem.problem, problem.referenced_by] for problem in made.problems],
        below=[
            f"{what} {made.path}: {count_text(made.files, 'file')}, {made.size:,} bytes copied",
            *([f"{count_text(len(made.problems), 'problem')}, as in the original"] if made.problems else []),
        ],
        exit_code=1 if made.problems else 0,
    )


COMMANDS: Final[Sequence[click.Command]] = (repair, backup, restore)
"""The commands of this module."""
