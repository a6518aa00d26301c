"""Commands for the beginning: quickstart, trust."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from datastore.cli.options import command, confirm, wants_json, yes_option
from datastore.cli.output import Answer, say
from datastore.errors import ConfigError, NotFound

__all__ = ["COMMANDS"]


@command(
    "quickstart", examples=["datastore quickstart", "datastore quickstart data/", "datastore quickstart --notebook"]
)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--notebook", is_flag=True, help="Write the notebook 01_start.ipynb into this folder, too.")
def quickstart(folder: Path | None, *, notebook: bool) -> Answer:
    """Show on real data how it goes.

    A short true story: branch, break, diff, undo, merge, tag, travel in time. On data that comes with the package,
    or on a copy of FOLDER. It leaves a repo behind, to go on with.
    """
    from datastore.quickstart import run

    story_on_stderr = wants_json()

    def echo(text: str) -> None:
        for line in text.split("\n"):
            say(line, err=story_on_stderr)

    made = run(folder, notebook=notebook, echo=echo)
    return Answer(document={"name": made.name, "url": made.url()})


@command("trust", examples=["datastore trust", "datastore trust project/datastore.yaml"])
@click.argument("file", type=click.Path(path_type=Path), required=False)
@yes_option
def trust(file: Path | None, *, yes: bool) -> Answer:
    """Trust a project's datastore.yaml, as it is now.

    It may then send your credentials to the hosts that it names. Shows the hosts and asks. Without FILE it is the
    one that is found upwards from here.
    """
    from datastore import configtrust

    path = _project_file() if file is None else file
    doubtful = _in_doubt(path)
    if doubtful:
        for line in _lines(doubtful):
            say(line, err=True)
        confirm(f"{path} came with the project and would send your credentials to these hosts", yes=yes)
    approved = configtrust.trust(path)
    if approved != doubtful:
        raise ConfigError(f"{path} was changed meanwhile", hint="look at it, then run: datastore trust")
    lines = [] if approved else [f"{path} needs no trust: it sends your credentials nowhere that you did not choose"]
    return Answer(document={"file": str(path), "trusted": approved}, lines=lines, below=["trusted"] * bool(approved))


def _project_file() -> Path:
    from datastore.config import FILE_NAME, find_file

    file, _ = find_file(os.environ, Path.cwd())
    if file is None:
        raise NotFound(f"no {FILE_NAME} here or above", hint="give its path: datastore trust FILE")
    return file


def _in_doubt(file: Path) -> dict[str, list[str]]:
    from datastore import config, configtrust

    mounts = config.load_file(file.absolute(), project=True).mounts.values()
    return {mount.name: hosts for mount in mounts if (hosts := configtrust.endpoints_in_doubt(mount, os.environ))}


def _lines(doubtful: dict[str, list[str]]) -> list[str]:
    return [f"mount {name}: {host}" for name, hosts in doubtful.items() for host in hosts]


COMMANDS: Final[Sequence[click.Command]] = (quickstart, trust)
