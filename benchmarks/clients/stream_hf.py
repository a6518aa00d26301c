"""HF datasets, streaming from plain local files, images not decoded; its shuffle buffer holds 10,000 rows."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.clients.streaming import *  # noqa: F403 - the tasks
from benchmarks.clients.streaming import BATCH, SEED, Streaming
from benchmarks.places import Place

LABEL = "HF datasets"


class HF(Streaming):
    """Batches of columns."""

    def open(self) -> Any:
        os.environ |= {"HF_HOME": f"{self.place.home}/hf", "HF_HUB_OFFLINE": "1"}
        import datasets

        datasets.disable_progress_bars()
        name = {"table": "parquet", "shards": "webdataset"}[self.place.kind]
        files = sorted(map(str, (Path(self.place.source) / self.place.kind).iterdir()))
        found = datasets.load_dataset(name, data_files={"train": files}, split="train", streaming=True)
        found = found.with_format("numpy") if name == "parquet" else found.decode(enable=False)
        return found.shuffle(seed=SEED, buffer_size=10_000)

    def batches(self, stream: Any, *, worker: int = 0, workers: int = 1) -> Iterator[Any]:
        return iter((stream if workers == 1 else stream.shard(workers, worker)).iter(batch_size=BATCH))

    def state(self, stream: Any) -> Any:
        taking = self.batches(stream)
        for _ in range(self.place.rows // BATCH * 2 // 3):
            next(taking)
        return json.loads(json.dumps(stream.state_dict()))


def connect(place: Place) -> HF:
    """Import nothing yet."""
    return HF(place)
