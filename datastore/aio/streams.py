"""Awaitable twins: Stream. Written by `python -m tools.twins`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datastore.aio.running import each
from datastore.aio.twin import Twin
from datastore.streaming import stream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from typing import Any

    from datastore.urls import DatasetURL

__all__ = ["Stream"]


class Stream(Twin[stream.Stream]):
    """The batches of some data, in an order that depends on nothing but commit, seed and epoch.

    The twin of `datastore.streaming.stream.Stream`, which is its `sync`; more is told there.
    """

    @property
    def url(self) -> DatasetURL:
        """What is read: with the commit, if it has versions."""
        return self.sync.url

    @property
    def rows(self) -> int:
        """Rows of an epoch, over all ranks."""
        return self.sync.rows

    @property
    def epoch(self) -> int:
        """The epoch, from 0, of the last batch that was given out; of the first one before that."""
        return self.sync.epoch

    def __len__(self) -> int:
        """Batches that this rank gets, from where the stream is."""
        return len(self.sync)

    def __aiter__(self) -> AsyncGenerator[Any]:
        return each(lambda: iter(self.sync))

    def worker(self, number: int, of: int) -> AsyncGenerator[Any]:
        """Yield the batches of one of several workers of this rank, that take turns.

        Workers of a torch DataLoader are told apart by iterating; this is for others.

        Args:
            number: Which one, from 0.
            of: How many there are. What they take is not counted here: see `state_dict`.
        """
        return each(lambda: self.sync.worker(number, of))

    def state_dict(self, steps: int | None = None) -> dict[str, Any]:
        """Return where the stream is, as a dict for JSON of less than 4 KB.

        A batch counts as taken when it is given out.

        Args:
            steps: Batches that this rank has taken since the stream began, or was resumed. Needed where workers of a
                DataLoader read them: only who gets their batches knows how many came.
        """
        return self.sync.state_dict(steps)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, also with other numbers of ranks and workers.

        Raises:
            IntegrityError: The state is one of other data, or of another order; says what differs.
            ValidationError: It is no state.
        """
        self.sync.load_state_dict(state)

    def torch(self) -> Any:
        """Return this as a `torch.utils.data.IterableDataset`, for a DataLoader with `batch_size=None`.

        Raises:
            UnsupportedOperation: torch is not installed.
        """
        return self.sync.torch()
