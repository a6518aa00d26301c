"""Training streams beside HF datasets and MosaicML streaming: rows per second, and the time to begin and to resume.

Ours reads a commit of an embedded store, the peers plain local files, which is their best case.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import described
from benchmarks.measuring import Measured, Task, measure, run
from benchmarks.places import StreamPlace
from benchmarks.showing import Found, by_task
from benchmarks.training import make_training_data

__all__ = ["FILES", "ROWS", "TASKS", "tables"]

ROWS = 1_000_000
FILES = 100_000
TASKS = {"table": "shuffled rows of Parquet", "shards": "shuffled JPEGs of 10 KB in tar shards"}
_ACTS = {
    "one": "1 worker",
    "four": "4 workers",
    "first": "the first batch of a process, with the imports",
    "resumed": "the first batch after two thirds, from a state",
}
_CLIENTS = ("stream_ours", "stream_hf", "stream_mosaic")
_TO_REACH = "To reach: with 4 workers 1.2 times the rows of either peer; resumed in 1 s."


def tables(
    folder: Path, *, tasks: Sequence[str], rounds: int, rows: int = ROWS, files: int = FILES
) -> Iterator[tuple[str, str]]:
    """Yield title and table of each kind of data: rows of Parquet, files in tar shards."""
    os.environ["DATASTORE_STORE"] = f"{folder}/store"
    counts = {kind: count for kind, count in (("table", rows), ("shards", files)) if kind in tasks}
    make_training_data(folder / "source", rows=counts.get("table", 0), files=counts.get("shards", 0))
    about = described(_CLIENTS, folder, rounds=rounds)
    for kind, count in counts.items():
        place = StreamPlace(
            store=f"{folder}/store", source=f"{folder}/source", home=f"{folder}/home", kind=kind, rows=count
        )
        found: dict[str, dict[str, Found]] = {act: {} for act in _ACTS}
        for client in _CLIENTS:
            for act, one in _measured(client, place, folder / "out", rounds=rounds).items():
                found[act][client] = one
        yield f"{count:,} {TASKS[kind]}", f"{by_task(found, _ACTS, show=_shown)}\n\n{_TO_REACH}\n\n{about}"


def _measured(client: str, place: StreamPlace, out: Path, *, rounds: int) -> dict[str, Found]:
    """Measure one client; a reason that it cannot prepare is why it can do nothing."""
    if client == "stream_mosaic":
        made = run(Task(name="prepare", client=client, place=place, folder=str(out)))
        if isinstance(made, str):
            return dict.fromkeys(_ACTS, made)
    return {
        act: measure(Task(name=act, client=client, place=place, folder=str(out / "none")), rounds=rounds)
        for act in _ACTS
    }


def _shown(one: Measured) -> str:
    return f"{one.rows / one.wall:,.0f} rows/s" if one.rows else f"{one.wall:.2f} s"
