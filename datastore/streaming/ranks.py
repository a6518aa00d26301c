"""Which of several processes this one is, by what those that started it have said."""

import sys
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from datastore.errors import ValidationError

__all__ = ["Consumer", "Rank", "current_worker", "distributed", "rank_of"]

# SLURM_NTASKS is set in a batch script, too, where one process runs alone; the other only where srun starts each.
_VARIABLES: Final = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"))


class Rank(Struct, frozen=True):
    """One of several processes that train together."""

    number: int
    of: int


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
        _check(worker, workers, what="worker")
        return cls(worker * rank.of + rank.number, rank.of * workers)


def rank_of(
    environment: Mapping[str, str], *, rank: int | None = None, world_size: int | None = None, torch: Any = None
) -> Rank:
    """Return which rank this process is.

    >>> rank_of({"RANK": "1", "WORLD_SIZE": "2"}), rank_of({})
    (Rank(number=1, of=2), Rank(number=0, of=1))

    Args:
        environment: Of the process.
        rank: What the caller said; comes first.
        world_size: The same, of how many.
        torch: An initialised `torch.distributed`, which comes next.

    Raises:
        ValidationError: One of the two is missing, or they do not fit.
    """
    if (rank is None) != (world_size is None):
        raise ValidationError("rank and world_size go together", hint="give both, or none")
    if rank is not None and world_size is not None:
        return _check(rank, world_size, what="rank")
    if torch is not None:
        return _check(torch.get_rank(), torch.get_world_size(), what="rank")
    for number, of in _VARIABLES:
        if number in environment and of in environment:
            try:
                return _check(int(environment[number]), int(environment[of]), what=number)
            except ValueError:
                message = f"{number}={environment[number]!r}, {of}={environment[of]!r}: they do not number a process"
                raise ValidationError(message, hint="unset them, or pass rank= and world_size=") from None
    return Rank(0, 1)


def _check(number: int, of: int, *, what: str) -> Rank:
    if not 0 <= number < of:
        raise ValidationError(f"{what} {number} of {of}", hint="they are numbered from 0")
    return Rank(number, of)


def distributed() -> Any:
    """Return `torch.distributed` if somebody has initialised it; torch is not loaded for that."""
    module = sys.modules.get("torch.distributed")
    if module is not None and module.is_available() and module.is_initialized():
        return module
    return None


def current_worker() -> tuple[int, int]:
    """Return which worker of a torch DataLoader this process is, and of how many; (0, 1) outside of one."""
    module = sys.modules.get("torch.utils.data")
    info: Any = module and module.get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)
