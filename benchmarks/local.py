"""The local path: what a call costs on the embedded store, beside plain files and fsspec's own local file system."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.filling import fill_local, make_source
from benchmarks.machine import described
from benchmarks.measuring import Task, measure, median
from benchmarks.places import LocalPlace
from benchmarks.showing import Found, by_client, by_task, seconds

__all__ = ["TASKS", "tables"]

_CALLS = {
    "opened": "open and read 10 KB",
    "cat": "`cat_file` of 10 KB",
    "info": "`info`",
    "exists": "`exists`",
    "listing": "`ls` of 2,000 objects",
    "cat_many": "`cat` of 1,000 × 10 KB",
    "through": "1 GiB in pieces of 1 MiB",
    "scattered": "1,000 × 64 KiB anywhere in 1 GiB",
    "parquet": "`read_parquet`, 16 MB, 10 columns",
}
_WHOLE = {"add_big": "1 GiB in", "get_big": "1 GiB out"}
TASKS = _CALLS | _WHOLE
_CLIENTS = ("ours_local", "ours_local_commit", "with_fsspec_local", "with_plain_files")


def tables(folder: Path, *, tasks: Sequence[str], rounds: int) -> Iterator[tuple[str, str]]:
    """Yield title and table: one of all calls, then one for each way of a whole large object."""
    make_source(folder / "source")
    fill_local(folder / "store", folder / "source")
    place = LocalPlace(store=str(folder / "store"), source=str(folder / "source"))
    about = described(_CLIENTS, folder, rounds=rounds)

    def found(name: str) -> dict[str, Found]:
        out = str(folder / "out")
        seen: dict[str, list[Found]] = {client: [] for client in _CLIENTS}
        for turn in range(rounds):
            first = turn % len(_CLIENTS)
            for client in _CLIENTS[first:] + _CLIENTS[:first]:  # the first 1 GiB takes pages that nobody used before
                seen[client].append(measure(Task(name=name, client=client, place=place, folder=out), rounds=1))
                for run in folder.glob("run-*"):
                    shutil.rmtree(run)
        return {client: median(found) for client, found in seen.items()}

    calls = {name: found(name) for name in tasks if name in _CALLS}
    if calls:
        yield "time of one call", f"{by_task(calls, _CALLS, show=seconds)}\n\n{about}"
    for name in tasks:
        if name in _WHOLE:
            yield _WHOLE[name], f"{by_client(found(name))}\n\n{about}"
