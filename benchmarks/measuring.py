"""Runs one task with one client in a process of its own, and says how long it took."""

import os
import secrets
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from benchmarks.places import Place

__all__ = ["Measured", "Task", "measure"]


class Task(Struct, frozen=True, kw_only=True):
    """What one process does.

    Attributes:
        name: Function of the client's module.
        client: Module in `benchmarks.clients`.
        place: Where.
        folder: An empty local folder to write into; `source` beside it has the files to upload.
        busy: Whether a thread of pure Python keeps the interpreter busy meanwhile.
    """

    name: str
    client: str
    place: Place
    folder: str
    busy: bool = False


class Measured(Struct, frozen=True):
    """Seconds on the wall, of CPU, and the round trips in sequence where the client can tell."""

    wall: float
    cpu: float
    depth: int = 0


def measure(task: Task, *, rounds: int) -> Measured | str:
    """Return the medians of several runs, each in a fresh process; a text if it cannot be run, with the reason."""
    seen: list[Measured] = []
    for _ in range(rounds):
        folder = _fresh(Path(task.folder).parent)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.worker"],
            input=msgspec.json.encode(structs.replace(task, folder=str(folder))),
            capture_output=True,
            check=False,
            timeout=600,
            env={**os.environ, "LAKECTL_INTERACTIVE": "false"},
        )
        if done.returncode != 0:
            lines = [line for line in done.stderr.decode().splitlines() if line.strip()]
            return lines[-1] if lines else f"exit status {done.returncode}"
        seen.append(msgspec.json.decode(done.stdout.splitlines()[-1], type=Measured))
    return Measured(_median([one.wall for one in seen]), _median([one.cpu for one in seen]), seen[-1].depth)


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _fresh(folder: Path) -> Path:
    """Return a new folder in one, where those before it stay, but for their large files.

    ext4 is slow to make files where others were deleted in the last minutes: whoever comes second would pay for it.
    """
    for file in folder.glob("run-*/big"):
        file.unlink()
    fresh = folder / f"run-{secrets.token_hex(4)}"
    fresh.mkdir(parents=True)
    return fresh
