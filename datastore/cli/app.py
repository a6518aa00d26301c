"""The command with all its subcommands, and what becomes of their errors."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from datastore import __version__
from datastore.cli import (
    branches,
    caching,
    changes,
    doctor,
    exchanging,
    history,
    keeping,
    locking,
    moving,
    objects,
    servers,
    starting,
    stores,
)
from datastore.cli.failures import failure_of, report
from datastore.cli.options import Group
from datastore.errors import DatastoreError

__all__ = ["App", "app"]

_HELP = """Versioned datasets by URL: ds://REPO[@REF]/KEY.

REF is a branch, a tag, a commit id or main~2; without one the default branch is meant. A changed branch has uncommitted
changes until a commit. `datastore quickstart` tells how it goes, on real data.
"""
_EPILOG = """\b
Errors are one line `error: …` and one line `hint: …` on stderr; with --json one document
{"error": {"kind", "message", "hint", "url"}} on stderr. Exit codes: 0 done, 1 not done (or `check`
found something), 2 wrong command line, 130 interrupted.

\b
Shell completion, for bash (or zsh, fish): eval "$(_DATASTORE_COMPLETE=bash_source datastore)"
"""


class App(Group):
    """The whole command line: errors are told in two lines, never as a traceback."""

    def main(  # pyright: ignore[reportIncompatibleMethodOverride] - click overloads it by standalone_mode
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - click's signature
        **extra: Any,
    ) -> int:
        """Run a command line and end the process, or return the exit code if not `standalone_mode`."""
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(arguments, prog_name or "datastore", complete_var, standalone_mode=False, **extra) or 0
        except (click.ClickException, click.Abort, DatastoreError, OSError) as error:
            failure = failure_of(error)
            report(failure, as_json="--json" in arguments)
            code = failure.exit_code
        if standalone_mode:
            sys.exit(code)
        return code


app = App(
    name="datastore",
    help=_HELP,
    epilog=_EPILOG,
    commands=[
        *starting.COMMANDS,
        *stores.COMMANDS,
        *keeping.COMMANDS,
        *objects.COMMANDS,
        *caching.COMMANDS,
        *locking.COMMANDS,
        *history.COMMANDS,
        *branches.COMMANDS,
        *changes.COMMANDS,
        *exchanging.COMMANDS,
        *moving.COMMANDS,
        *servers.COMMANDS,
        *doctor.COMMANDS,
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
click.version_option(__version__, prog_name="datastore")(app)
