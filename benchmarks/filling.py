"""Puts the same data into a bucket, a repo and local folders."""

import hashlib
import os
import random
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.clients import BIG
from datastore.testing.servers import LakeFSServer, S3Server

if TYPE_CHECKING:
    from datastore import Repo

__all__ = [
    "change_files",
    "fill_bucket",
    "fill_cached",
    "fill_local",
    "fill_repo",
    "fill_tables",
    "grow_store",
    "grown_key",
    "make_files",
    "make_source",
]

SMALL = 2000
NAMES = 20_000
FILES = 10_000
ROWS = 2_000_000


def make_source(folder: Path) -> None:
    """Make `big`, `small/…` and `table.parquet` (16 MB, 10 columns, 10 row groups)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "small").mkdir(parents=True)
    piece = os.urandom(64 << 20)
    with (folder / "big").open("wb") as file:
        for _ in range(BIG // len(piece)):
            file.write(piece)
    for number in range(SMALL):
        (folder / "small" / f"{number:05}").write_bytes(piece[number * 10_000 : (number + 1) * 10_000])
    values = np.random.default_rng(0)
    table = pa.table({f"c{column}": values.random(200_000) for column in range(10)})
    pq.write_table(table, folder / "table.parquet", row_group_size=20_000)


def fill_bucket(server: S3Server, bucket: str, source: Path) -> None:
    """Fill a bucket of versitygw, whose objects are files of its folder."""
    import shutil

    place = next(server.folder.rglob(bucket))
    shutil.copytree(source, place, dirs_exist_ok=True)
    (place / "names").mkdir()
    for number in range(NAMES):
        (place / "names" / f"{number % 20:02}-{number:06}").touch()


def fill_repo(server: LakeFSServer, repo: str, source: Path) -> None:
    """Fill `main` and commit it; make `scratch`."""
    import datastore as ds

    ds.mount(
        "filling",
        "lakefs",
        repo=repo,
        endpoint=server.endpoint,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
    )
    fs = ds.filesystem()
    fs.put(f"{source}/", "filling@main/", recursive=True)
    fs.pipe({f"filling@main/names/{number % 20:02}-{number:06}": b"" for number in range(NAMES)})
    made = ds.repo("filling")
    made.branch("main").commit("fill")
    made.create_branch("scratch")


def make_files(folder: Path) -> None:
    """Make `00000` … (10,000 × 10 KB) of random bytes."""
    folder.mkdir(parents=True)
    for number in range(FILES):
        (folder / f"{number:05}").write_bytes(os.urandom(10_000))


def change_files(folder: Path) -> None:
    """Give ten of them other bytes, of the same length; as new files, for the old ones have other names elsewhere."""
    for number in range(0, FILES, FILES // 10):
        (folder / f"{number:05}").unlink()
        (folder / f"{number:05}").write_bytes(os.urandom(10_000))


def grown_key(at: int) -> str:
    """Return the key of an entry of a grown store."""
    return f"images/train/class_{at // 1000:04}/img_{at:08}.jpg"


def grow_store(folder: Path, count: int) -> None:
    """Make a store with a repo `grown` of so many entries, whose content is nowhere: nothing here reads any.

    Each has a digest of its own, so that the trees compress as they do in life, but a million blobs would take an hour.
    """
    from datastore.embedded.advance import Plan, Snapshot, advance
    from datastore.embedded.nodes import Entry
    from datastore.embedded.objects import Drafts
    from datastore.embedded.store import EmbeddedStore
    from datastore.values import CommitRequest

    store = EmbeddedStore(folder)
    opened = store.create_repo("grown").store
    numbers = random.Random(0)
    rows = {
        grown_key(at): Entry(
            digest=hashlib.sha256(b"%d" % at).digest(),
            size=int(numbers.lognormvariate(11, 1)),
            modified=1_700_000_000_000_000 + at,
            content_type="image/jpeg",
            metadata=f'{{"label":"{at % 100}","source":"camera"}}' if at % 20 == 0 else "",
        )
        for at in range(count)
    }

    def plan(now: Snapshot, drafts: Drafts) -> Plan:
        return Plan(opened.trees.apply(now.tree, rows, into=drafts), (now.branch.head,))

    advance(opened, "grown", "main", CommitRequest(message="grow", author="bench", op_id=uuid.uuid4().hex), plan)
    store.close()


def fill_tables(folder: Path) -> None:
    """Make a store with a repo `tables`: `t.parquet`, with 100 cells changed on `few`; rows of all kinds on `many`."""
    import numpy as np
    import pandas as pd

    repo = _new_repo(folder, "tables")
    values = np.random.default_rng(0)
    table = pd.DataFrame({"id": values.permutation(ROWS)})
    for column in range(6):
        table[f"c{column}"] = values.random(ROWS)
    table["n"] = values.integers(0, 1000, ROWS)
    table["word"] = np.array(["red", "green", "blue", "white"])[values.integers(0, 4, ROWS)]
    table["note"] = table["n"].map("note {}".format)
    few = table.copy()
    few.loc[values.integers(0, ROWS, 100), "c3"] = -1.0
    many = table.iloc[ROWS // 100 :].sample(frac=1, random_state=0)
    many.loc[many["n"] < 10, ["c1", "word"]] = [2.0, "black"]
    for name, frame in (("main", table), ("few", few), ("many", many)):
        branch = repo.branch("main") if name == "main" else repo.create_branch(name, "main")
        frame.to_parquet(branch / "t.parquet", index=False)
        branch.commit(name)


def fill_local(folder: Path, source: Path) -> None:
    """Make a store with a repo `local` that has what `make_source` makes."""
    branch = _new_repo(folder, "local").branch("main")
    branch.import_folder(source)
    branch.commit("fill")


def fill_cached(folder: Path, source: Path) -> None:
    """Make `files/00000` … (10,000 × 10 KB) in a folder, and a store with a repo `cached` that has them, too."""
    make_files(source / "files")
    branch = _new_repo(folder, "cached").branch("main")
    branch.import_folder(source)
    branch.commit("fill")


def _new_repo(folder: Path, name: str) -> "Repo":
    import datastore as ds

    ds.mount(f"filling-{name}", "embedded", path=str(folder))
    return ds.create_repo(f"filling-{name}/{name}")
