"""Commands for the names of commits: branch, tag."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from datastore.cli.failures import Mistake
from datastore.cli.options import command, repo_at
from datastore.cli.output import Answer, Cell, commit_cell
from datastore.values import BranchInfo, TagInfo

if TYPE_CHECKING:
    from datastore.repository import Repo

__all__ = ["COMMANDS"]


@command(
    "branch",
    examples=[
        "datastore branch garments",
        "datastore branch garments exp --base v1",
        "datastore branch garments exp --delete",
    ],
)
@click.argument("repo")
@click.argument("name", required=False)
@click.option("--base", metavar="REF", help="What the new branch begins from; else the default branch.")
@click.option("--exist-ok", is_flag=True, help="Do nothing if the branch is there.")
@click.option("--hidden", is_flag=True, help="Make it hidden; without NAME list hidden ones, too.")
@click.option("--delete", is_flag=True, help="Delete it with its uncommitted changes; --undelete brings both back.")
@click.option("--undelete", is_flag=True, help="Bring back the one that was deleted last under this name.")
@click.option("--protect", is_flag=True, help="Let it take changes only by merge and revert.")
@click.option("--unprotect", is_flag=True, help="Undo --protect.")
def branch(repo: str, name: str | None, *, base: str | None, exist_ok: bool, hidden: bool, **verbs: bool) -> Answer:
    """List, make, delete or protect branches.

    Without NAME the branches of REPO are listed; with a NAME alone that branch is made.
    """
    found = repo_at(repo)
    chosen = [verb for verb, given in verbs.items() if given]
    if len(chosen) > 1 or (chosen and (base is not None or exist_ok or hidden)):
        raise Mistake("these options do not go together", hint=f"pass only --{chosen[0]}")
    if name is None:
        if chosen or base is not None or exist_ok:
            raise Mistake("the name of the branch is missing")
        return _branches(found, hidden=hidden)
    if chosen == ["delete"]:
        found.delete_branch(name)
        back = f"datastore branch {repo} {name} --undelete brings it back"
        return Answer(document={"deleted": name}, below=[f"deleted branch {name}; {back}"])
    if chosen == ["undelete"]:
        found.undelete_branch(name)
    elif chosen:
        found.branch(name).protect(on=chosen == ["protect"])
    else:
        found.create_branch(name, base or found.versioned.default_branch, exist_ok=exist_ok, hidden=hidden)
    return _one_branch(found, name)


def _branches(repo: "Repo", *, hidden: bool) -> Answer:
    infos = repo.versioned.branches(hidden=hidden)
    default = repo.versioned.default_branch
    return Answer(
        document=[_branch_fields(info, default) for info in infos],
        columns=["branch", "commit", "notes"],
        rows=[_branch_row(info, default) for info in infos],
    )


def _one_branch(repo: "Repo", name: str) -> Answer:
    default = repo.versioned.default_branch
    [info] = (info for info in repo.versioned.branches(hidden=True) if info.name == name)
    return Answer(document=_branch_fields(info, default), rows=[_branch_row(info, default)])


def _branch_fields(info: BranchInfo, default: str) -> dict[str, object]:
    flags: dict[str, object] = {"hidden": info.hidden, "protected": info.protected, "default": info.name == default}
    return {"name": info.name, "head": info.head, **flags}


def _branch_row(info: BranchInfo, default: str) -> list[Cell | str]:
    flags = (("default", info.name == default), ("protected", info.protected), ("hidden", info.hidden))
    return [info.name, commit_cell(info.head), ",".join(word for word, holds in flags if holds)]


@command("tag", examples=["datastore tag garments", "datastore tag garments v1", "datastore tag garments v0 main~3"])
@click.argument("repo")
@click.argument("name", required=False)
@click.argument("ref", required=False)
@click.option("--delete", is_flag=True, help="Delete the tag.")
def tag(repo: str, name: str | None, ref: str | None, *, delete: bool) -> Answer:
    """List, make or delete tags.

    Without NAME the tags of REPO are listed. Else the commit of REF, or of the default branch, gets that name for good.
    """
    found = repo_at(repo)
    if delete and (name is None or ref is not None):
        hint = f"datastore tag {repo} NAME --delete"
        raise Mistake("--delete takes the name of one tag", hint=hint)
    if name is None:
        tags = found.tags()
        return Answer(document=list(tags), columns=["tag", "commit"], rows=[_tag_row(info) for info in tags])
    if delete:
        found.delete_tag(name)
        return Answer(document={"deleted": name}, below=[f"deleted tag {name}"])
    made = found.create_tag(name, ref or found.versioned.default_branch)
    return Answer(document=made, rows=[_tag_row(made)])


def _tag_row(info: TagInfo) -> list[Cell | str]:
    return [info.name, commit_cell(info.commit)]


COMMANDS: Final[Sequence[click.Command]] = (branch, tag)
