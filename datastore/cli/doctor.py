"""The command that looks for what is wrong with a machine or a mount."""

from typing import Final

import click

from datastore.cli.options import command
from datastore.cli.output import Answer, Cell, count_text
from datastore.probing import Finding, State

__all__ = ["COMMANDS"]

_STYLES: Final[dict[State, str]] = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


@command(
    "doctor",
    examples=[
        "datastore doctor",
        "datastore doctor media",
        "datastore doctor media --origin https://app.example.com",
        "datastore doctor ds://s3/acme-raw/2026/ --no-write",
    ],
)
@click.argument("where", metavar="[MOUNT|URL]", required=False)
@click.option("--origin", default="", help="Also ask whether a web page of this origin gets through (CORS).")
@click.option("--no-write", is_flag=True, help="Only look; else small objects are written and deleted again.")
def doctor(where: str | None, *, origin: str, no_write: bool) -> Answer:
    """Find out what works here and what does not.

    Looks at this machine and at what is mounted, or closely at one mount: credentials, region, clock, conditional
    writes, listings, uploads in parts, presigned requests. Leaves nothing behind. Exits with 1 if something failed.
    """
    from datastore.doctor import examine

    findings = list(examine(where, origin=origin, write=not no_write))
    failed = sum(finding.state == "failed" for finding in findings)
    return Answer(
        document=findings,
        columns=["state", "check", "what was found", ""],
        rows=[_row(finding) for finding in findings],
        below=[
            *(f"{finding.check}: {finding.hint}" for finding in findings if finding.hint),
            f"{count_text(failed, 'check')} failed",
        ],
        exit_code=1 if failed else 0,
    )


def _row(finding: Finding) -> list[Cell | str]:
    # The cure is the last column for programs; people get it below, where there is room for it.
    cure = Cell(finding.hint or "", "")
    return [Cell(finding.state, style=_STYLES[finding.state]), finding.check, finding.detail, cure]


COMMANDS: Final = (doctor,)
"""The commands of this module."""
