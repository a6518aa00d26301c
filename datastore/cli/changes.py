"""Commands that change a branch: commit, merge, reset, restore, revert, cherry-pick."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

import click

from datastore.cli.failures import Mistake
from datastore.cli.history import commit_answer
from datastore.cli.options import branch_at, command, confirm, metadata_option, pairs, place_at, repo_at, yes_option
from datastore.cli.output import Answer, count_text

if TYPE_CHECKING:
    from datastore.repository import Empty
    from datastore.values import Side, Strategy

__all__ = ["COMMANDS"]

_CHANGE: Final = "uncommitted change"
_message_option = click.option("--message", "-m", metavar="MESSAGE", help="What to say instead of the usual.")
_parent_option = click.option(
    "--parent", default=1, metavar="N", help="Which side of a merge to compare with; 1 is its branch."
)
_empty_option = click.option(
    "--empty",
    type=click.Choice(["raise", "skip", "allow"]),
    default="raise",
    help="If there is nothing to commit: fail (raise), answer with the head (skip), or make an empty commit (allow).",
)


@command(
    "commit",
    examples=[
        "datastore commit garments -m 'Drop duplicates'",
        "datastore commit garments@exp -m 'Try' --meta lr=3e-4 --empty skip",
    ],
)
@click.argument("where", metavar="REPO[@BRANCH]")
@click.option("--message", "-m", required=True, metavar="MESSAGE", help="What changed, in a few words.")
@metadata_option
@_empty_option
def commit(where: str, *, message: str, metadata: Sequence[str], empty: str) -> Answer:
    """Turn the uncommitted changes of a branch into a commit.

    All of them, whoever made them.
    """
    pairs_given = pairs(metadata, option="--meta")
    return commit_answer(branch_at(where).commit(message, metadata=pairs_given, empty=cast("Empty", empty)))


@command(
    "merge",
    examples=["datastore merge garments exp", "datastore merge garments exp main --choose train.csv=source --squash"],
)
@click.argument("repo")
@click.argument("source")
@click.argument("into", required=False)
@_message_option
@metadata_option
@click.option("--strategy", type=click.Choice(["source-wins", "dest-wins"]), help="The side that wins every conflict.")
@click.option("--choose", multiple=True, metavar="KEY=source|dest", help="The side that wins the conflict of one key.")
@click.option("--squash", is_flag=True, help="Leave the commits of SOURCE out of the history.")
@_empty_option
def merge(
    repo: str,
    source: str,
    into: str | None,
    *,
    message: str | None,
    metadata: Sequence[str],
    strategy: str | None,
    choose: Sequence[str],
    squash: bool,
    empty: str,
) -> Answer:
    """Merge a commit into a branch.

    That of SOURCE into INTO, or else into the default branch. A conflict changes nothing; the error names the keys.
    """
    found = repo_at(repo)
    made = found.merge(
        source,
        into or found.versioned.default_branch,
        message=message,
        metadata=pairs(metadata, option="--meta"),
        strategy=cast("Strategy | None", strategy),
        choose=cast("dict[str, Side]", pairs(choose, option="--choose", last=True)),
        squash=squash,
        empty=cast("Empty", empty),
    )
    return commit_answer(made)


@command("reset", examples=["datastore reset garments@exp", "datastore reset garments@exp images/ --yes"])
@click.argument("where", metavar="REPO[@BRANCH]")
@click.argument("prefix", required=False)
@click.option("--key", metavar="K", help="Only the change of this object.")
@yes_option
def reset(where: str, prefix: str | None, *, key: str | None, yes: bool) -> Answer:
    """Drop uncommitted changes, for good.

    All of the branch, those of the keys that begin with PREFIX, or that of one key.
    """
    if prefix is not None and key is not None:
        raise Mistake("a prefix and --key do not go together", hint="pass one of them")
    branch = branch_at(where)
    changes = [change for change in branch.uncommitted(key or prefix or "") if key in {None, change.key}]
    if changes:
        confirm(f"this drops {count_text(len(changes), _CHANGE)} of {branch.repo.name}@{branch.name}", yes=yes)
    dropped = branch.reset(prefix, key=key)
    return Answer(document={"dropped": dropped}, lines=[f"dropped {count_text(dropped, _CHANGE)}"])


@command(
    "restore",
    examples=[
        "datastore restore ds://garments@main/train.csv --from v1",
        "datastore restore ds://garments@main/images/",
    ],
)
@click.argument("url")
@click.option("--from", "ref", metavar="REF", help="Where to take it from; else the head of its branch.")
def restore(url: str, *, ref: str | None) -> Answer:
    """Make an object as it is at a ref.

    So with all objects under URL if it ends in /. What changes is uncommitted.
    """
    place = place_at(url)
    changed = place.repo.branch(place.ref).restore(place.key, ref)
    return Answer(
        document={"changed": changed}, lines=[f"{count_text(changed, 'object')} changed"], below=["not committed yet"]
    )


@command("revert", examples=["datastore revert garments 4f2a91c0", "datastore revert garments@exp main~1 -m 'Not yet'"])
@click.argument("where", metavar="REPO[@BRANCH]")
@click.argument("commit")
@_message_option
@_parent_option
def revert(where: str, commit: str, *, message: str | None, parent: int) -> Answer:
    """Commit the opposite of a commit."""
    return commit_answer(branch_at(where).revert(commit, parent=parent, message=message))


@command(
    "cherry-pick", examples=["datastore cherry-pick garments exp~1", "datastore cherry-pick garments@fix 4f2a91c0"]
)
@click.argument("where", metavar="REPO[@BRANCH]")
@click.argument("commit")
@_message_option
@_parent_option
def cherry_pick(where: str, commit: str, *, message: str | None, parent: int) -> Answer:
    """Commit the changes of a commit from elsewhere."""
    return commit_answer(branch_at(where).cherry_pick(commit, parent=parent, message=message))


COMMANDS: Final[Sequence[click.Command]] = (commit, merge, reset, restore, revert, cherry_pick)
