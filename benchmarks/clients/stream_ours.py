"""`ds.stream` of a commit of an embedded store."""

import os
from collections.abc import Iterator
from typing import Any

from benchmarks.clients.streaming import *  # noqa: F403 - the tasks
from benchmarks.clients.streaming import BATCH, SEED, Streaming
from benchmarks.places import Place

LABEL = "datastore"


class Ours(Streaming):
    """Batches of columns; of files, lists of rows."""

    def open(self) -> Any:
        os.environ["DATASTORE_STORE"] = self.place.store
        import datastore as ds

        return ds.stream(f"ds://bench@main/data/{self.place.kind}/", shuffle=SEED, batch_size=BATCH)

    def batches(self, stream: Any, *, worker: int = 0, workers: int = 1) -> Iterator[Any]:
        return stream.worker(worker, workers)

    def state(self, stream: Any) -> Any:
        return stream.state_dict(steps=len(stream) * 2 // 3)


def connect(place: Place) -> Ours:
    """Import nothing yet."""
    return Ours(place)
