"""Runs one task with one client in a process of its own, and says how long it took."""

import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from benchmarks.places import Place

__all__ = ["BYTECODE", "ENOUGH", "Measured", "Task", "first_and_next", "fresh", "measure", "median", "run"]

ENOUGH = 30
"""Seconds after which there is no further round: what is slow is measured well enough by one run."""

_AT_MOST = 600

BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
"""Environment in which modules are compiled once, as those of an installed package are."""


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
    """What one run took.

    Attributes:
        wall: Seconds on the wall; of a task that is done several times in one process, of one time.
        cpu: Seconds of CPU.
        depth: Round trips in sequence, where the client can tell.
        first: Seconds on the wall right after the store was opened, where the task tells the two apart.
        peak: Bytes of memory at most, of the process or of a command that it started, from its start on.
        written: Bytes given to the system to be written, where the task tells.
        files: New files, where the task tells.
        requests: How many were made, where the task counts them.
        rows: How many came, where the task counts them.
    """

    wall: float
    cpu: float = 0
    depth: float = 0
    first: float = 0
    peak: float = 0
    written: float = 0
    files: float = 0
    requests: float = 0
    rows: float = 0


def measure(task: Task, *, rounds: int) -> Measured | str:
    """Return the medians of several runs, each in a fresh process; a text if it cannot be run, with the reason."""
    seen: list[Measured | str] = []
    for _ in range(rounds):
        found = run(structs.replace(task, folder=str(fresh(Path(task.folder).parent))))
        seen.append(found)
        if isinstance(found, str) or sum(one.wall for one in seen if isinstance(one, Measured)) > ENOUGH:
            break
    return median(seen)


def run(task: Task) -> Measured | str:
    """Run a task once; a text if it cannot be run, with the reason."""
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.worker"],
            input=msgspec.json.encode(task),
            capture_output=True,
            check=False,
            timeout=_AT_MOST,
            env={**os.environ, **BYTECODE, "LAKECTL_INTERACTIVE": "false"},
        )
    except subprocess.TimeoutExpired:
        return f"not done after {_AT_MOST} s"
    if done.returncode != 0:
        lines = [line for line in done.stderr.decode().splitlines() if line.strip() and not line.startswith("hint: ")]
        return lines[-1] if lines else f"exit status {done.returncode}"
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Measured)


def first_and_next(act: Callable[[int], object], times: int) -> Measured:
    """Measure the first call in this process, and one of so many further ones."""
    begin = time.perf_counter()
    act(0)
    first = time.perf_counter() - begin
    begin = time.perf_counter()
    for at in range(times):
        act(at % times)
    return Measured((time.perf_counter() - begin) / times, first=first)


def median(seen: Sequence[Measured | str]) -> Measured | str:
    """Return the median of each figure; if a run could not be made, the reason."""
    measured = [one for one in seen if isinstance(one, Measured)]
    if len(measured) < len(seen):
        return next(one for one in seen if isinstance(one, str))
    return Measured(*map(statistics.median, zip(*map(structs.astuple, measured), strict=True)))


def fresh(folder: Path) -> Path:
    """Return a new folder in one, where those before it stay, but for their large files.

    ext4 is slow to make files where others were deleted in the last minutes: whoever comes second would pay for it.
    """
    for file in folder.glob("run-*/big"):
        file.unlink()
    new = folder / f"run-{secrets.token_hex(4)}"
    new.mkdir(parents=True)
    return new
