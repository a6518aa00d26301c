"""The place in a stream that a training run goes on from, small enough for any checkpoint."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from datastore.errors import IntegrityError, ValidationError

__all__ = ["FORMAT", "State", "read_state", "refuse_other"]

FORMAT: Final = 1
"""Counts the changes of the order: a state of another format names other rows."""


class State(Struct, frozen=True, kw_only=True):
    """Where a stream is, and of what.

    Attributes:
        format: Which rule the order follows.
        url: The pinned URL.
        commit: Its commit; empty for a mount without versions.
        data: Digest of the objects and of how they are cut into units.
        columns: Digest of the selected columns.
        seed: Of the shuffle.
        batch_size: Rows of a batch.
        window: Bytes that are shuffled together.
        drop_last: Whether a smaller last batch is left out.
        epoch: From 0.
        batch: Batches of this epoch that all ranks together have taken.
    """

    format: int
    url: str
    commit: str
    data: str
    columns: str
    seed: int | None
    batch_size: int
    window: int
    drop_last: bool
    epoch: int
    batch: int


_MEANING: Final = {
    "commit": "is of another commit",
    "columns": "is of other columns",
    "data": "is of other objects",
    "seed": "was shuffled with another seed",
    "batch_size": "has another batch_size",
    "window": "has another window",
    "drop_last": "has another drop_last",
}


def read_state(state: Mapping[str, Any]) -> State:
    """Return a state that came out of a checkpoint.

    Raises:
        ValidationError: It is none, or of a version of this package that ordered rows in another way.
    """
    try:
        found = msgspec.convert(state, State)
    except msgspec.ValidationError as error:
        raise ValidationError(
            f"this is not the state of a stream: {error}", hint="stream.state_dict() gives one"
        ) from None
    if found.format != FORMAT:
        message = f"the state has format {found.format}, this version of datastore goes on from format {FORMAT}"
        raise ValidationError(message, hint="finish the run with the version that began it")
    return found


def refuse_other(state: State, mine: State) -> None:
    """Raise if a state is not one of this stream.

    Raises:
        IntegrityError: It is of other data, or of another order; says what differs.
    """
    for name, meaning in _MEANING.items():
        theirs, ours = getattr(state, name), getattr(mine, name)
        if theirs != ours:
            shown = "" if name in {"data", "columns"} else f": {theirs!r}, this stream has {ours!r}"
            raise IntegrityError(
                f"the state {meaning}{shown}",
                hint=f"make the stream as the one that was interrupted: ds.stream({state.url!r}, …)",
            )
