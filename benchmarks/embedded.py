"""The embedded store: beside version controls of folders, at growing sizes, and as a program that starts."""

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.filling import change_files, fill_tables, grow_store, make_files
from benchmarks.machine import described
from benchmarks.measuring import BYTECODE, ENOUGH, Measured, Task, fresh, measure, median, run
from benchmarks.page import table
from benchmarks.places import FilesPlace, GrownPlace, TablesPlace
from benchmarks.showing import Found, by_client, milliseconds

__all__ = ["TASKS", "tables"]

TASKS = {
    "add": "add + commit 10,000 × 10 KB",
    "checkout": "10,000 × 10 KB into a folder",
    "change": "status + commit of 10 changed files among 10,000",
    "growth": "growth",
    "rows": "keyed diff of rows, 2 M × 10",
    "start": "start of a process",
}
_CLIENTS = (
    "ours_files",
    "ours_synced",
    "with_restic",
    "with_git",
    "with_git_batch",
    "with_git_durable",
    "with_dvc",
    "with_oxen",
    "with_cp",
)
_TO_REACH = {"add": "To reach: at most 1/2 of restic, 1/5 of DVC, 1/8 of git that syncs."}
_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_VERBS = {
    "branch": ("create a branch", "5 ms"),
    "commit": ("commit of 10 scattered changes", "50 ms"),
    "diff": ("diff of the two commits", "20 ms"),
    "merge": ("merge of 10 and 10 changes", ""),
    "status": ("status: 10 uncommitted changes", ""),
    "lookup": ("lookup of a key", ""),
    "prefix": ("listing of a prefix with 1,000 keys", ""),
    "everything": ("listing of all keys", ""),
}
_DIFFS = {
    "few": ("100 changed cells, from the store", "0.35 s"),
    "few_in_memory": ("the same, both tables in memory", ""),
    "many": ("1 % changed, 1 % removed, other order, from the store", "0.8 s"),
    "many_in_memory": ("the same, both tables in memory", ""),
}
_PYTHON = "import time; begin = time.perf_counter(); {}; print(time.perf_counter() - begin)"


def tables(folder: Path, *, tasks: Sequence[str], rounds: int) -> Iterator[tuple[str, str]]:
    """Yield title and table of each task."""
    chain = [name for name in ("add", "checkout", "change") if name in tasks]
    if chain:
        about = described(_CLIENTS, folder, rounds=rounds)
        for name, found in _beside(folder / "beside", last=chain[-1], rounds=rounds).items():
            if name in chain:
                text = "\n\n".join(filter(None, [by_client(found, notes=name == "add"), _TO_REACH.get(name), about]))
                yield TASKS[name], text
    about = described((), folder, rounds=rounds)
    if "growth" in tasks:
        found = {size: _grown(folder / f"grown-{size}", size, rounds=rounds) for size in _SIZES}
        for title, text in _growth(found).items():
            yield title, f"{text}\n\n{about}"
    if "rows" in tasks:
        yield TASKS["rows"], f"{_rows(folder / 'tables', rounds=rounds)}\n\n{about}"
    if "start" in tasks:
        yield TASKS["start"], f"{_start(folder / 'start', times=5 * rounds)}\n\n{about}"


def _beside(folder: Path, *, last: str, rounds: int) -> dict[str, dict[str, Found]]:
    """Take each client through add, checkout and change in a folder of its own, several times; medians by task."""
    names = ["add", "checkout", "change"]
    names = names[: names.index(last) + 1]
    make_files(folder / "source")
    seen: dict[str, dict[str, list[Found]]] = {name: {client: [] for client in _CLIENTS} for name in names}
    for turn in range(rounds):
        first = turn % len(_CLIENTS)
        for client in _CLIENTS[first:] + _CLIENTS[:first]:  # whoever is measured first has the emptier disk
            before = [one for row in seen.values() for one in row[client]]
            if sum(one.wall for one in before if isinstance(one, Measured)) > ENOUGH:
                continue
            home = fresh(folder)
            shutil.copytree(folder / "source", home / "work" / "data", copy_function=os.link)
            for name in names:
                if name == "change":
                    change_files(home / "work" / "data")
                out = home / name
                out.mkdir()
                task = Task(name=name, client=client, place=FilesPlace(home=str(home)), folder=str(out))
                seen[name][client].append(run(task))
    return {name: {client: median(found) for client, found in row.items()} for name, row in seen.items()}


def _grown(store: Path, count: int, *, rounds: int) -> dict[str, Found]:
    grow_store(store, count)
    place = GrownPlace(store=str(store), count=count)
    out = str(store.with_name("out") / "any")
    return {verb: measure(Task(name=verb, client="grown", place=place, folder=out), rounds=rounds) for verb in _VERBS}


def _growth(found: Mapping[int, Mapping[str, Found]]) -> dict[str, str]:
    """Return the tables by size: times, then what is written, then memory."""
    sizes = [f"{size:,} entries" for size in found]
    times, written, memory = [], [], []
    for verb, (title, budget) in _VERBS.items():
        row = [by_verb[verb] for by_verb in found.values()]
        times.append([title, *(_twice(one) for one in row), budget])
        memory.append([title, *(one if isinstance(one, str) else f"{one.peak / 1e6:.0f} MB" for one in row)])
        if verb in {"branch", "commit", "merge"}:
            written.append([title, *(_written(one) for one in row)])
    return {
        "growth: time of the first call on a store, of the next one": table(["", *sizes, "to reach"], times),
        "growth: bytes and files written": table(["", *sizes], written),
        "growth: memory at most": table(["", *sizes], memory),
    }


def _twice(one: Found) -> str:
    return one if isinstance(one, str) else f"{milliseconds(one.first)}; {milliseconds(one.wall)}"


def _written(one: Found) -> str:
    return one if isinstance(one, str) else f"{one.written / 1e3:,.0f} KB, {one.files:.0f} files"


def _rows(store: Path, *, rounds: int) -> str:
    fill_tables(store)
    place, out = TablesPlace(store=str(store)), str(store.with_name("out") / "any")
    rows: list[list[str]] = []
    for name, (title, budget) in _DIFFS.items():
        one = measure(Task(name=name, client="tables", place=place, folder=out), rounds=rounds)
        cells = [one, ""] if isinstance(one, str) else [f"{one.wall:.2f} s", f"{one.peak / 1e6:.0f} MB"]
        rows.append([title, *cells, budget])
    return table(["", "time", "memory at most", "to reach"], rows)


def _start(folder: Path, *, times: int) -> str:
    """Take the time of statements in fresh interpreters, one after the other in turn."""
    fill = "import datastore as ds; main = ds.create_repo('bench').branch('main'); main.objects.put('a', b'1')"
    (folder / "plain").mkdir(parents=True)
    (folder / "plain" / "a").write_bytes(b"1")
    _python(f"{fill}; main.commit('a')", folder)
    statements = {
        "import datastore": "import datastore",
        "import fsspec": "import fsspec",
        "fsspec": f"import fsspec; fsspec.open('file://{folder}/plain/a').open().read()",
        "ours": "import fsspec; fsspec.open('ds://bench@main/a').open().read()",
    }
    for statement in statements.values():
        _python(_PYTHON.format(statement), folder)
    seen: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(times):
        for name, statement in statements.items():
            seen[name].append(_python(_PYTHON.format(statement), folder))
    took = {name: statistics.median(values) for name, values in seen.items()}
    rows = [
        ["`import datastore`", milliseconds(took["import datastore"]), "30 ms"],
        ["`import fsspec`", milliseconds(took["import fsspec"]), ""],
        ["first `fsspec.open` of a local file, with the import", milliseconds(took["fsspec"]), ""],
        ["first `fsspec.open` of a `ds://` URL, with the import", milliseconds(took["ours"]), ""],
        ["what `ds://` adds", milliseconds(took["ours"] - took["fsspec"]), "150 ms"],
    ]
    return table(["in a fresh process", "time", "to reach"], rows)


def _python(code: str, folder: Path) -> float:
    env = {**os.environ, **BYTECODE, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    env["DATASTORE_STORE"] = str(folder / "store")
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=True)
    return float(done.stdout or 0)
