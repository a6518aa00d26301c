"""Makes streams: one commit for all ranks, then the plan."""

import os
from collections.abc import Callable
from typing import Any

from datastore.errors import DatastoreError, IntegrityError, ValidationError
from datastore.moving import at_commit, hold
from datastore.namespace import Namespace
from datastore.ranks import distributed, rank_of
from datastore.streaming.planning import FormatName, Plan, make_plan
from datastore.streaming.source import Source
from datastore.streaming.stream import Settings, Stream
from datastore.urls import DatasetURL

__all__ = ["Settings", "make_stream"]


def make_stream(
    namespace: Namespace,
    target: "str | os.PathLike[str]",
    settings: Settings,
    *,
    format: FormatName | None,  # noqa: A002 - the word of `ds.stream`
    rank: int | None,
    world_size: int | None,
) -> Stream:
    """Return the stream of what a URL names now; see `ds.stream`."""
    settings.check()
    torch = distributed()
    mine = rank_of(os.environ, rank=rank, world_size=world_size, torch=torch)
    # Somebody who says world_size=1 may be alone in making this stream: nobody else would take part in a broadcast.
    shared = torch is not None and torch.get_world_size() > 1
    held = hold(namespace, namespace.url(target), ranks=mine.of, shared=shared)
    url, moving = held.url, mine.of > 1 and not held.still
    versioned = namespace.target(url).versioned is not None
    if moving and not versioned and not shared:
        raise ValidationError(
            f"{url} has no versions: each rank might see other objects",
            hint="pin it (ds.pin), or initialise torch.distributed first",
        )

    def pin() -> DatasetURL:
        return at_commit(namespace, url)

    at = _from_first(torch, pin) if moving and versioned else pin()

    def plan() -> Plan:
        return make_plan(Source(namespace, at), name=format, columns=settings.columns)

    return Stream(_same_plan(torch, plan) if moving and not versioned else plan(), settings, mine)


def _same_plan(torch: Any, plan: Callable[[], Plan]) -> Plan:
    made: list[Plan] = []

    def first() -> str:
        made.append(plan())
        return made[0].data

    digest = _from_first(torch, first)
    mine = made[0] if made else plan()
    if mine.data != digest:
        raise IntegrityError(
            f"{mine.source.url} does not show the same objects here as to rank 0",
            hint="make the stream once writers are done",
        )
    return mine


def _from_first(torch: Any, call: Callable[[], Any]) -> Any:
    """Return what a call gives on rank 0, everywhere; it fails everywhere, too, so that nobody waits for ever."""
    box: list[Any] = [None, None]
    if torch.get_rank() == 0:
        try:
            box = [call(), None]
        except DatastoreError as error:
            box = [None, error]
    torch.broadcast_object_list(box, src=0)
    result, error = box
    if error is not None:
        raise error
    return result
