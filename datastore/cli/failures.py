"""From what went wrong to the lines, the document and the exit code that tell it."""

import json
import re
import sys
from collections.abc import Sequence
from typing import Final

import click
from click.exceptions import ClickException
from msgspec import Struct

from datastore.cli.output import say
from datastore.errors import DatastoreError, MergeConflict, UncommittedChanges

__all__ = ["Failure", "Mistake", "Refused", "failure_of", "in_shell_words", "report"]

_SHELL_WORDS: Final = (
    (
        r'(?:look at \.conflicts, then )?say which side to take: choose=\{[^}]*\}, or strategy="dest-wins"',
        "say which side to take: --choose KEY=source, or --strategy dest-wins",
    ),
    (r'pass empty="skip" \(or "allow"\)', "pass --empty skip (or allow)"),
    (r'pass empty="skip"', "pass --empty skip"),
    (r"use exist_ok=True", "pass --exist-ok"),
    (r"\bparent=(\d)", r"--parent \1"),
    (r"\bpass key=", "pass --key "),
    (r"\bkey=\['([^\]]*)', '([^\]]*)'\]", r"--key \1 --key \2"),
    (r"recursive=True\b", "-r"),
    (r'\bcommit\((".*?")\)', r"commit -m \1"),
    (r"repo\.branch\('([^']*)'\)\.protect\(on=False\)", r"datastore branch REPO \1 --unprotect"),
    (r"repo\.create_branch\('([^']*)', base='([^']*)'\)", r"datastore branch REPO \1 --base \2"),
    (r"\bds\.create_repo\(name\)", "datastore repo create NAME"),
    (r"repo\.log\(\)", "datastore log REPO"),
    (r"repo\.fetch\(\)", "datastore fetch REPO"),
    (r"repo\.push\(url\), or repo\.set_remote\(url\)", "datastore push REPO URL"),
    (r"ds\.clone\(url, name\)", "datastore clone URL NAME"),
    (r"\bbranch\.link\b", "datastore link"),
    (r"ds\.pin\(url, name='([^']*)', update=True\)", r"datastore lock add URL --name \1 --update"),
    (r"ds\.pin\(url, name=…\)", "datastore lock add URL --name NAME"),
    (r"\bds\.sync\b", "datastore sync"),
    (r"ignore=\[('[^']*')\]", r"--ignore \1"),
    (r"fs\.put\(folder, url, recursive=True\)|fs\.put\(folder, url, -r\)", "datastore cp -r FOLDER URL"),
    (r"ds\.delete_repo or repo\.delete_branch", "datastore repo delete, datastore branch REPO NAME --delete"),
)
"""How the ways out that the API names are spelled on the command line."""


class Mistake(click.UsageError):
    """The command line itself is wrong; `hint` names the way out."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, click.get_current_context(silent=True))
        self.hint = hint


class Refused(DatastoreError):
    """Not done without somebody who says yes."""

    kind = "refused"


class Failure(Struct, frozen=True, kw_only=True):
    """What a user is told.

    Attributes:
        kind: As `DatastoreError.kind`; also `usage`, `os` and `interrupted`.
        message: What is wrong.
        hint: The way out.
        url: What it is about.
        keys: The keys in conflict, or the first uncommitted ones.
        exit_code: 2 for a wrong command line, 130 for Ctrl-C, else 1.
    """

    kind: str
    message: str
    hint: str | None = None
    url: str | None = None
    keys: Sequence[str] = ()
    exit_code: int = 1


def failure_of(error: Exception) -> Failure:
    """Return what to tell about an exception."""
    if isinstance(error, DatastoreError):
        keys = (
            error.paths
            if isinstance(error, MergeConflict)
            else error.keys
            if isinstance(error, UncommittedChanges)
            else ()
        )
        hint = in_shell_words(error.hint) if error.hint else None
        return Failure(kind=error.kind, message=error.message, hint=hint, url=error.url, keys=keys)
    if isinstance(error, ClickException):
        return _usage(error)
    if isinstance(error, click.Abort):
        return Failure(kind="interrupted", message="interrupted", exit_code=130)
    if isinstance(error, OSError) and error.strerror:
        of = f": {error.filename!r}" if error.filename is not None else ""
        return Failure(kind="os", message=f"{error.strerror[:1].lower()}{error.strerror[1:]}{of}")
    return Failure(kind="os", message=str(error) or type(error).__name__)


def in_shell_words(hint: str) -> str:
    """Return a hint of the API in the words of the command line.

    >>> in_shell_words('write something first, or pass empty="skip" (or "allow")')
    'write something first, or pass --empty skip (or allow)'
    """
    for pattern, words in _SHELL_WORDS:
        hint = re.sub(pattern, words, hint)
    return hint


def report(failure: Failure, *, as_json: bool) -> None:
    """Tell it on stderr: `error: …` with `hint: …`, or one JSON document."""
    if as_json:
        told = {"kind": failure.kind, "message": failure.message, "hint": failure.hint, "url": failure.url}
        keys = {"keys": list(failure.keys)} if failure.keys else {}
        sys.stderr.write(json.dumps({"error": told | keys}) + "\n")
    elif failure.kind == "interrupted":
        say(failure.message, err=True)
    else:
        say(f"error: {failure.message}", style="bold red", err=True)
        if failure.hint:
            say(f"hint: {failure.hint}", style="cyan", err=True)


def _usage(error: ClickException) -> Failure:
    message = " ".join(error.format_message().split())
    hint = error.hint if isinstance(error, Mistake) else None
    if isinstance(error, click.NoSuchOption):
        message = f"no such option {error.option_name!r}"
        hint = f"did you mean {' or '.join(error.possibilities)}?" if error.possibilities else None
    if hint is None and isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"see: {error.ctx.command_path} --help"
    message = f"{message[:1].lower()}{message[1:]}".rstrip(".")
    return Failure(kind="usage", message=message, hint=hint, exit_code=error.exit_code)
