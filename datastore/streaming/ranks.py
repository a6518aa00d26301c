"""Which of those that share the batches of a stream this process is."""

import sys
from typing import Any

from msgspec import Struct

from datastore.ranks import Rank, check_number

__all__ = ["Consumer", "current_worker"]


class Consumer(Struct, frozen=True):
    """One of those that share the batches of a stream: a worker of a rank.

    Its batches are `first`, `first + step`, …, counted from where the stream begins. A rank whose workers are asked in
    turn gets every `of`-th batch in the global order.
    """

    first: int
    step: int

    @classmethod
    def of(cls, rank: Rank, *, worker: int = 0, workers: int = 1) -> "Consumer":
        """Return the one that a worker of a rank is.

        >>> Consumer.of(Rank(1, 2), worker=2, workers=4)
        Consumer(first=5, step=8)
        """
        check_number(worker, workers, what="worker")
        return cls(worker * rank.of + rank.number, rank.of * workers)


def current_worker() -> tuple[int, int]:
    """Return which worker of a torch DataLoader this process is, and of how many; (0, 1) outside of one."""
    module = sys.modules.get("torch.utils.data")
    info: Any = module and module.get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)
