"""Training streams beside HF datasets: rows per second with one and four workers, and the time to resume.

Ours reads a commit of an embedded store, the peer plain local files, which is its best case. MosaicML streaming needs
torch, which is not among our dependencies.
"""

import io
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import described
from benchmarks.page import table

__all__ = ["TASKS", "tables"]

BATCH = 256
SEED = 17
CLIENTS = ("ours", "hf")
ROWS = {"table": 1_000_000, "shards": 20_000}
TASKS = {"table": "shuffled rows of Parquet", "shards": "shuffled files of 10 KB in tar shards"}


def tables(folder: Path, *, tasks: Sequence[str], rounds: int) -> Iterator[tuple[str, str]]:
    """Yield title and table of each kind of data; each client is measured in processes of its own."""
    os.environ |= {"DATASTORE_STORE": f"{folder}/store", "HF_HOME": f"{folder}/hf", "HF_HUB_OFFLINE": "1"}
    _fill(folder / "source", ROWS["table"], ROWS["shards"])
    about = described(["ours", "with_hf"], folder, rounds=rounds)
    header = ["client", "1 worker, rows/s", "4 workers, rows/s", "to the first batch, s", "resumed at 2/3, s"]
    for kind in tasks:
        cells = [
            [client, *(_cell([client, act, kind, str(folder)], rows=ROWS[kind], rounds=rounds) for act in ACTS)]
            for client in CLIENTS
        ]
        yield f"{ROWS[kind]:,} {TASKS[kind]}", f"{table(header, cells)}\n\n{about}"


def _fill(source: Path, rows: int, files: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    import datastore as ds

    chance = np.random.default_rng(0)
    (source / "table").mkdir(parents=True)
    (source / "shards").mkdir()
    each = rows // 10
    for number in range(10):
        columns: dict[str, Any] = {f"x{name}": chance.random(each, np.float32) for name in range(8)}
        columns |= {"id": np.arange(number * each, number * each + each), "label": chance.integers(0, 100, each)}
        columns["text"] = [f"a text of row {row}" for row in range(each)]
        pq.write_table(pa.table(columns), source / "table" / f"{number}.parquet", row_group_size=10_000)
    for number in range(20):
        with tarfile.open(source / "shards" / f"{number:02}.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for file in range(files // 20):
                for suffix, data in (("bin", chance.bytes(10_000)), ("cls", b"7")):
                    member = tarfile.TarInfo(f"{number:02}{file:06}.{suffix}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    branch = ds.create_repo("bench").branch("main")
    ds.sync(source, branch / "data/")
    branch.commit("Data")


def _cell(arguments: list[str], *, rows: int, rounds: int) -> str:
    seen: list[float] = []
    for _ in range(rounds):
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.streams", *arguments, str(rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed"])[-1][:60]
        seen.append(json.loads(done.stdout.splitlines()[-1]))
    middle = statistics.median(seen)
    return f"{rows / middle:,.0f}" if arguments[1] in {"one", "four"} else f"{middle:.2f}"


# one measurement


def _ours(kind: str, root: Path) -> Any:
    import datastore as ds

    del root
    return ds.stream(f"ds://bench@main/data/{kind}/", shuffle=SEED, batch_size=BATCH)


def _ours_batches(stream: Any, worker: int, workers: int) -> Iterator[Any]:
    return stream.worker(worker, workers)


def _hf(kind: str, root: Path) -> Any:
    import datasets

    datasets.disable_progress_bars()
    name = {"table": "parquet", "shards": "webdataset"}[kind]
    files = sorted(map(str, (root / "source" / kind).iterdir()))
    found = datasets.load_dataset(name, data_files={"train": files}, split="train", streaming=True)
    return (found.with_format("numpy") if kind == "table" else found).shuffle(seed=SEED, buffer_size=10_000)


def _hf_batches(stream: Any, worker: int, workers: int) -> Iterator[Any]:
    return (stream if workers == 1 else stream.shard(workers, worker)).iter(batch_size=BATCH)


STREAMS: dict[str, Callable[[str, Path], Any]] = {"ours": _ours, "hf": _hf}
BATCHES: dict[str, Callable[[Any, int, int], Iterator[Any]]] = {"ours": _ours_batches, "hf": _hf_batches}


def _one(client: str, kind: str, root: Path, _: int) -> float:
    stream = STREAMS[client](kind, root)
    begin = time.perf_counter()
    for _ in BATCHES[client](stream, 0, 1):
        pass
    return time.perf_counter() - begin


def _drain(client: str, stream: Any, worker: int) -> None:
    for _ in BATCHES[client](stream, worker, 4):
        pass


def _four(client: str, kind: str, root: Path, _: int) -> float:
    stream = STREAMS[client](kind, root)
    context = multiprocessing.get_context("fork")
    begin = time.perf_counter()
    children = [context.Process(target=_drain, args=(client, stream, worker)) for worker in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            raise SystemExit(f"a worker ended with {child.exitcode}")
    return time.perf_counter() - begin


def _first(client: str, kind: str, root: Path, _: int) -> float:
    begin = time.perf_counter()
    next(iter(BATCHES[client](STREAMS[client](kind, root), 0, 1)))
    return time.perf_counter() - begin


def _resumed(client: str, kind: str, root: Path, rows: int) -> float:
    stream = STREAMS[client](kind, root)
    if client == "ours":
        state = stream.state_dict(steps=len(stream) * 2 // 3)
    else:
        taking = iter(BATCHES[client](stream, 0, 1))
        for _ in range(rows // BATCH * 2 // 3):
            next(taking)
        state = json.loads(json.dumps(stream.state_dict()))
    begin = time.perf_counter()
    again = STREAMS[client](kind, root)
    again.load_state_dict(state)
    next(iter(BATCHES[client](again, 0, 1)))
    return time.perf_counter() - begin


ACTS: dict[str, Callable[[str, str, Path, int], float]] = {
    "one": _one,
    "four": _four,
    "first": _first,
    "resumed": _resumed,
}

if __name__ == "__main__":
    client_, task_, kind_, root_, rows_ = sys.argv[1:]
    print(json.dumps(ACTS[task_](client_, kind_, Path(root_), int(rows_))), flush=True)
    os._exit(0)
