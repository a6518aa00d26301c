"""Copies of many objects into a store that takes many in one step."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from typing import Any

from msgspec import Struct

from datastore.bulk.copying import copy_objects
from datastore.bulk.telling import Branches
from datastore.errors import DatastoreError, HeadMoved, NotFound
from datastore.fs.paths import strip
from datastore.fs.still import StillView
from datastore.fs.view import Place
from datastore.provider import SupportsPutMany
from datastore.values import ObjectInfo

__all__ = ["copy_many"]

_Names = tuple[str, str]


class _Copy(Struct, frozen=True):
    """One copy: its two paths, where they lead, and what is known of the object."""

    names: _Names
    source: Place
    target: Place
    info: ObjectInfo


def copy_many(
    view: StillView, pairs: Iterable[_Names], callback: Any, *, wrote: Callable[[Place], None]
) -> list[_Names]:
    """Copy those objects for which there is a better way than one after the other, and return the other pairs.

    Args:
        view: Has seen the objects.
        pairs: Source and target paths.
        callback: Is told of each that is over; its branches of bytes.
        wrote: Is told where something was written.
    """
    groups: dict[object, list[_Copy]] = {}
    left: list[_Names] = []
    for names in pairs:
        copy = _planned(view, names)
        if copy is None:
            left.append(names)
        else:
            groups.setdefault((copy.source.same[:2], copy.target.same[:2]), []).append(copy)
    for group in groups.values():
        if len(group) > 1 and isinstance(group[0].target.provider, SupportsPutMany):
            left += _copied(group, callback)
            wrote(group[0].target)
        else:
            left += (copy.names for copy in group)
    return left


def _planned(view: StillView, names: _Names) -> _Copy | None:
    try:
        source, target = view.place(strip(names[0])), view.place(strip(names[1]), live=True)
    except DatastoreError:  # said again, for this pair alone
        return None
    seen = view.seen(source)
    if not seen or seen[0] is None or not target.key or source.target.name == target.target.name:
        return None
    return _Copy(names, source, target, seen[0])


def _copied(group: Sequence[_Copy], callback: Any) -> list[_Names]:
    """Copy, and return what is left when an object has gone or changed since it was seen."""
    left = {number: copy.names for number, copy in enumerate(group)}
    branches = Branches(callback, [copy.names for copy in group], [copy.info.size for copy in group])
    wanted = [(copy.info, copy.target.key) for copy in group]
    copies = copy_objects(group[0].source.provider, group[0].target.provider, wanted)
    with closing(copies), suppress(NotFound, HeadMoved):
        for number, _ in copies:
            branches.told(number, group[number].info.size)
            branches.over(number)
            del left[number]
    return [*left.values()]
