"""What all commands share: `--json`, an example in the help, and how repos, branches and `KEY=VALUE` are read."""

import functools
import re
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from datastore.cli.failures import Mistake, Refused
from datastore.cli.output import Answer, say, show
from datastore.errors import nearest

if TYPE_CHECKING:
    from datastore.repository import Branch, Repo

__all__ = [
    "Group",
    "Place",
    "branch_at",
    "command",
    "confirm",
    "duration",
    "metadata_option",
    "pairs",
    "place_at",
    "repo_at",
    "wants_json",
    "yes_option",
]


class Group(click.Group):
    """A group that names the nearest command, and shows its help when asked for none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, invoke_without_command=True, callback=_help_if_alone, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which they were given, which is by purpose."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with."""
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise Mistake(f"no such command {args[0]!r}", hint=nearest(args[0], self.commands))
        return super().resolve_command(ctx, args)


@click.pass_context
def _help_if_alone(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def command(name: str, *, examples: Sequence[str]) -> Callable[[Callable[..., Answer]], click.Command]:
    """Make a command of a function that returns what to say.

    Args:
        name: Of the command.
        examples: Lines for the end of its help.
    """

    def decorate(function: Callable[..., Answer]) -> click.Command:
        @functools.wraps(function)
        def run(*, as_json: bool, **arguments: Any) -> None:
            answer = function(**arguments)
            show(answer, as_json=as_json)
            if answer.exit_code:
                click.get_current_context().exit(answer.exit_code)

        epilog = "\n".join(
            ["\b", "Examples:" if len(examples) > 1 else "Example:", *(f"  {line}" for line in examples)]
        )
        with_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(run)
        return click.command(name, epilog=epilog)(with_json)

    return decorate


def wants_json() -> bool:
    """Tell whether the running command was given `--json`."""
    return bool(click.get_current_context().params.get("as_json"))


yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
metadata_option = click.option(
    "--meta", "metadata", multiple=True, metavar="NAME=VALUE", help="Keep a pair with the commit."
)


def confirm(effect: str, *, yes: bool) -> None:
    """Go on only if somebody says yes to an effect: by the option, or now, on a terminal."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(f"{effect}; nobody was there to say yes", hint="pass --yes; nothing was changed")
    say(effect, err=True)
    if not click.confirm("Go on?", err=True):
        raise Refused("nothing was changed")


def pairs(texts: Sequence[str], *, option: str, last: bool = False) -> dict[str, str]:
    """Split `NAME=VALUE` texts at their first `=`, or at their last.

    >>> pairs(["a=b=c"], option="--meta"), pairs(["a=b=source"], option="--choose", last=True)
    ({'a': 'b=c'}, {'a=b': 'source'})
    """
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.rpartition("=") if last else text.partition("=")
        if not sign or not name:
            raise Mistake(
                f"{option} {text!r} is no NAME=VALUE",
                hint=f"write {option} name=value",
            )
        found[name] = value
    return found


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str, *, option: str) -> timedelta:
    """Read how long something takes.

    >>> str(duration("90m", option="--grace")), str(duration("0", option="--grace"))
    ('1:30:00', '0:00:00')
    """
    found = re.fullmatch(r"(\d{1,6})([smhdw])|0", text.strip())
    if found is None:
        raise Mistake(f"{option} {text!r} is no duration", hint=f"write {option} 30m, 24h or 7d")
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found[1] else timedelta()


class Place(Struct, frozen=True):
    """Where an argument such as `garments@main`, or a whole URL, leads."""

    repo: "Repo"
    ref: str
    key: str


def place_at(text: str) -> Place:
    """Return repo, ref and key; the ref is that of the default branch where none is written."""
    from datastore.namespace import current
    from datastore.repository import Repo
    from datastore.urls import to_url

    target = current().target(to_url(text))
    repo = Repo(target.name)
    return Place(repo, target.ref or repo.versioned.default_branch, target.key)


def branch_at(text: str) -> "Branch":
    """Return the branch that `REPO[@BRANCH]` names."""
    place = place_at(text)
    if place.key:
        message = f"{text!r} names an object or prefix, not a branch"
        raise Mistake(message, hint=f"write {place.repo.name}@{place.ref}")
    return place.repo.branch(place.ref)


def repo_at(text: str) -> "Repo":
    """Return the repo that `REPO` names."""
    place = place_at(text)
    if place.key or "@" in text:
        message = f"{text!r} names more than a repo"
        raise Mistake(message, hint=f"write {place.repo.name}")
    return place.repo
