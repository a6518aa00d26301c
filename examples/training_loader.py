"""Four workers of a training script read one version of a data set in three ways, while the branch goes on changing.

As local files (`ds.resolve`, for what wants a path), through `ds://` (for whatever speaks fsspec) and as batches
(`ds.stream`). Each worker takes its share of the indices, as in a DataLoader: with torch, `Pictures` goes to
`torch.utils.data.DataLoader(Pictures(url), num_workers=4)` as it is, and the batches come from `stream.torch()`.

Run it as often as you like, on the embedded store, or on a branch or bucket of your own that it may write to:

    python examples/training_loader.py
    python examples/training_loader.py ds://garments@main/loader/ fork
"""

import hashlib
import json
import multiprocessing
import sys
from typing import TYPE_CHECKING, Any

import fsspec

import datastore as ds

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from pathlib import Path

PICTURES = 100
ROWS = 4_000
WORKERS = 4


class Pictures:
    """A data set by index; all that a worker has to be sent is a URL. Only the first of all workers downloads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.folder: Path | None = None

    def __len__(self) -> int:
        return PICTURES

    def __getitem__(self, index: int) -> bytes:
        if self.folder is None:
            self.folder = ds.resolve(f"{self.url}pictures/")
        return (self.folder / f"{index:04}.png").read_bytes()


def picture(index: int) -> bytes:
    """Return what stands for a picture here."""
    return hashlib.sha256(b"%d" % index).digest() * 100


def make_data(root: str) -> None:
    """Write pictures and rows; commit them, if this is a place with versions."""
    import pandas as pd  # here, because spawned workers import this file

    fs = ds.filesystem()
    fs.pipe({f"{root}pictures/{index:04}.png": picture(index) for index in range(PICTURES)})
    rows = pd.DataFrame({"n": range(ROWS), "label": [n % 10 for n in range(ROWS)]})
    rows.to_parquet(f"{root}rows/train.parquet", row_group_size=100)
    if ref := ds.url(root).ref:
        ds.repo(ds.url(root).mount).branch(ref).commit("Pictures and rows", empty="skip")


def work(pictures: Pictures, stream: "ds.Stream", worker: int, told: "SimpleQueue[str]") -> None:
    """Read a share of everything, and tell what was read: the parent looks whether all of it was the same version."""
    share = range(worker, len(pictures), WORKERS)
    on_disk = [hashlib.sha256(pictures[index]).hexdigest() for index in share]
    by_url: list[str] = []
    for index in share:
        with fsspec.open(f"{pictures.url}pictures/{index:04}.png", "rb") as file:
            by_url.append(hashlib.sha256(file.read()).hexdigest())
    rows = [int(n) for batch in stream.worker(worker, WORKERS) for n in batch["n"]]
    answer = {"worker": worker, "disk": on_disk, "url": by_url, "rows": rows, "at": [pictures.url, str(stream.url)]}
    told.put(json.dumps(answer))


def train(root: str, method: str) -> list[dict[str, Any]]:
    """Start the workers on the commit that the branch has now, change the branch, and return what they tell."""
    stream = ds.stream(f"{root}rows/", shuffle=17, batch_size=64)  # the ref is resolved here, once
    pinned = str(stream.url).removesuffix("rows/")  # so everything else reads that commit, too
    context = multiprocessing.get_context(method)
    told = context.SimpleQueue()
    workers = [context.Process(target=work, args=(Pictures(pinned), stream, n, told)) for n in range(WORKERS)]
    for worker in workers:
        worker.start()
    if ref := ds.url(root).ref:
        branch = ds.repo(ds.url(root).mount).branch(ref)
        ds.filesystem().pipe_file(f"{root}pictures/0000.png", b"other")
        branch.commit("Somebody commits meanwhile", empty="skip")
    answers = sorted((json.loads(told.get()) for _ in workers), key=lambda answer: answer["worker"])
    for worker in workers:
        worker.join()
    return answers


def main(root: str = "", method: str = "spawn") -> None:
    """Make the data, train on them, and say what the workers saw."""
    if not root:
        root = str(ds.create_repo("loader", exist_ok=True).branch("main") / "loader/")
    make_data(root)
    answers = train(root, method)
    expected = [hashlib.sha256(picture(index)).hexdigest() for index in range(PICTURES)]
    seen = {way: [answers[n % WORKERS][way][n // WORKERS] for n in range(PICTURES)] for way in ("disk", "url")}
    rows = sorted(n for answer in answers for n in answer["rows"])
    versions = {ds.url(url).ref for answer in answers for url in answer["at"]}
    if (seen["disk"], seen["url"], rows, len(versions)) != (expected, expected, list(range(ROWS)), 1):
        sys.exit("the workers did not read what was committed")
    print(f"{WORKERS} workers ({method}): {PICTURES} equal pictures on disk and by URL, {ROWS} rows once each")
    print(f"all of {(versions.pop() or 'the bucket')[:12]}, although the branch has changed meanwhile")


if __name__ == "__main__":
    main(*sys.argv[1:])
