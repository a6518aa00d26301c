"""The one place that needs torch: a stream as its IterableDataset."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, cast

from datastore.errors import UnsupportedOperation
from datastore.streaming.stream import Stream

__all__ = ["dataset_of"]


def dataset_of(stream: Stream) -> Any:
    """Return a stream as an IterableDataset.

    Raises:
        UnsupportedOperation: torch is not installed.
    """
    try:
        torch: Any = import_module("torch.utils.data")
    except ImportError as error:
        raise UnsupportedOperation(f"torch is not installed: {error}", hint="iterate over the stream itself") from error
    return type("StreamDataset", (_Batches, cast("type", torch.IterableDataset)), {"__reduce__": _reduce})(stream)


class _Batches:
    """Batches of a stream, those of the DataLoader's worker that iterates."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream

    def __iter__(self) -> Iterator[Any]:
        return iter(self.stream)

    def __len__(self) -> int:
        return len(self.stream)


def _reduce(dataset: _Batches) -> tuple[Any, ...]:
    return dataset_of, (dataset.stream,)  # its class is made where torch is loaded
