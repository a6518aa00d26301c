"""Makes what training streams read: a table as Parquet, and small pictures in tar shards."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["make_training_data"]

PICTURES = 300
SHARDS = 20


def make_training_data(source: Path, *, rows: int = 0, files: int = 0) -> None:
    """Make `table/…` with so many rows, `shards/…` with so many pictures, and a repo `bench` with both under `data/`.

    Nothing is made of which there are to be none.
    """
    import datastore as ds

    if rows:
        _make_table(source / "table", rows)
    if files:
        _make_shards(source / "shards", files)
    branch = ds.create_repo("bench").branch("main")
    ds.sync(source, branch / "data/")
    branch.commit("Data")


def _make_table(folder: Path, rows: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    chance, each = np.random.default_rng(0), rows // 10
    for number in range(10):
        columns: dict[str, Any] = {f"x{name}": chance.random(each, np.float32) for name in range(8)}
        columns |= {"id": np.arange(number * each, number * each + each), "label": chance.integers(0, 100, each)}
        columns["text"] = [f"a text of row {row}" for row in range(each)]
        pq.write_table(pa.table(columns), folder / f"{number}.parquet", row_group_size=10_000)


def _make_shards(folder: Path, files: int) -> None:
    folder.mkdir(parents=True)
    pictures = list(_pictures())
    for shard in range(SHARDS):
        with tarfile.open(folder / f"{shard:02}.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for number in range(shard, files, SHARDS):
                picture = _commented(pictures[number % PICTURES], f"{number:08}".encode())
                for suffix, data in (("jpg", picture), ("cls", b"%d" % (number % 100))):
                    member = tarfile.TarInfo(f"{number:08}.{suffix}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))


def _pictures() -> Iterator[bytes]:
    """Yield JPEGs of 224 × 224 in about 10 KB: soft shapes with the grain of a camera."""
    import numpy as np
    from PIL import Image

    chance = np.random.default_rng(0)
    for _ in range(PICTURES):
        colours = Image.fromarray(chance.integers(0, 256, (8, 8, 3), np.uint8))
        shapes = colours.resize((224, 224), Image.Resampling.BICUBIC)
        grained = np.asarray(shapes) + chance.normal(0, 8, (224, 224, 1))
        out = io.BytesIO()
        Image.fromarray(grained.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=75)
        yield out.getvalue()


def _commented(picture: bytes, comment: bytes) -> bytes:
    """Return the JPEG with a comment right after its first marker; so no two files are equal."""
    return picture[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + picture[2:]
