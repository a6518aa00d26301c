"""MosaicML streaming from local shards of its own form; rows are counted as they come, which is its best case.

Others give columns, or lists of rows; `DataLoader` would make tensors of them, which is no part of it.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.clients.streaming import *  # noqa: F403 - the tasks
from benchmarks.clients.streaming import BATCH, SEED, WORKERS, Streaming
from benchmarks.places import Place

LABEL = "MosaicML streaming"
FORMS = {
    "table": {**{f"x{name}": "float32" for name in range(8)}, "id": "int64", "label": "int64", "text": "str"},
    "shards": {"jpg": "bytes", "cls": "int"},
}


class Mosaic(Streaming):
    """Numbers of rows."""

    @property
    def shards(self) -> Path:
        """Where its own form of the data is."""
        return Path(self.place.home) / "mosaic" / self.place.kind

    def open(self) -> Any:
        import streaming

        return streaming.StreamingDataset(local=str(self.shards), shuffle=True, shuffle_seed=SEED, batch_size=BATCH)

    def batches(self, stream: Any, *, worker: int = 0, workers: int = 1) -> Iterator[Any]:
        assert (worker, workers) == (0, 1), "its workers are those of a DataLoader"
        return self._loaded(stream, workers=0)

    def drain(self, stream: Any) -> int:
        return sum(self._loaded(stream, workers=WORKERS))

    def _loaded(self, stream: Any, *, workers: int) -> Iterator[int]:
        from torch.utils.data import DataLoader

        return iter(DataLoader(stream, batch_size=BATCH, num_workers=workers, collate_fn=len))

    def state(self, stream: Any) -> Any:
        next(self.batches(stream))
        return stream.state_dict(self.place.rows * 2 // 3, from_beginning=True)


def connect(place: Place) -> Mosaic:
    """Import nothing yet."""
    return Mosaic(place)


def prepare(connection: Mosaic, folder: Path) -> None:
    """Write the rows in its own form."""
    import streaming

    source = Path(connection.place.source) / connection.place.kind
    rows = {"table": _table_rows, "shards": _tar_rows}[connection.place.kind](source)
    form = FORMS[connection.place.kind]
    with streaming.MDSWriter(out=str(connection.shards), columns=form, exist_ok=True) as out:
        for row in rows:
            out.write(row)


def _table_rows(source: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for file in sorted(source.iterdir()):
        table: Any = pq.read_table(file)
        for row in zip(*(column.to_numpy() for column in table.columns), strict=True):
            yield dict(zip(table.column_names, row, strict=True))


def _tar_rows(source: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(source.iterdir()):
        with tarfile.open(file) as archive:
            members = iter(archive)
            for image, label in zip(members, members, strict=True):
                yield {"jpg": _bytes(archive, image), "cls": int(_bytes(archive, label))}


def _bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    found = archive.extractfile(member)
    assert found is not None
    return found.read()
