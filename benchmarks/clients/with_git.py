"""git with its defaults, as a command."""

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.places import FilesPlace, Place

LABEL = "git"
NOTE = "no fsync of the loose objects"


def connect(place: Place, *settings: str) -> Any:
    """Make the repo, if it is not there; no maintenance, which would run beside whoever is measured next."""
    assert isinstance(place, FilesPlace)
    if shutil.which("git") is None:
        raise SystemExit("git is not on the PATH")
    os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    work = Path(place.home) / "work"
    options = ("user.name=bench", "user.email=bench@localhost", "gc.auto=0", *settings)
    command = ["git", *(part for option in options for part in ("-c", option))]
    if not (work / ".git").exists():
        _git(command, work, "init")
    os.sync()
    return partial(_git, command, work)


def _git(command: list[str], work: Path, *arguments: str) -> None:
    subprocess.run([*command, *arguments], cwd=work, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def commit(git: Callable[..., None]) -> None:
    """Add all that changed, and commit it."""
    git("add", "--all")
    git("commit", "--quiet", "--message=bench")


def add(connection: Any, folder: Path) -> None:
    commit(connection)


def checkout(connection: Any, folder: Path) -> None:
    connection("checkout-index", "--all", f"--prefix={folder}/")


def change(connection: Any, folder: Path) -> None:
    connection("status", "--porcelain")
    commit(connection)
