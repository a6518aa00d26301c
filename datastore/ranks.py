"""Which of several processes this one is, by what those that started it have said."""

import sys
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from datastore.errors import ValidationError

__all__ = ["Rank", "check_number", "distributed", "rank_of"]

# SLURM_NTASKS is set in a batch script, too, where one process runs alone; the other only where srun starts each.
_VARIABLES: Final = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"))


class Rank(Struct, frozen=True):
    """One of several processes that train together."""

    number: int
    of: int


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
        return check_number(rank, world_size, what="rank")
    if torch is not None:
        return check_number(torch.get_rank(), torch.get_world_size(), what="rank")
    for number, of in _VARIABLES:
        if number in environment and of in environment:
            try:
                return check_number(int(environment[number]), int(environment[of]), what=number)
            except ValueError:
                message = f"{number}={environment[number]!r}, {of}={environment[of]!r}: they do not number a process"
                raise ValidationError(message, hint="unset them, or pass rank= and world_size=") from None
    return Rank(0, 1)


def check_number(number: int, of: int, *, what: str) -> Rank:
    """Return one of several, or raise `ValidationError` if there is none of this number."""
    if not 0 <= number < of:
        raise ValidationError(f"{what} {number} of {of}", hint="they are numbered from 0")
    return Rank(number, of)


def distributed() -> Any:
    """Return `torch.distributed` if somebody has initialised it; torch is not loaded for that."""
    module = sys.modules.get("torch.distributed")
    if module is not None and module.is_available() and module.is_initialized():
        return module
    return None
