"""Uploads of many files, or of many pieces of bytes, in one bulk."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from datastore.bridging import serves_requests
from datastore.bulk.telling import Branches
from datastore.bulk.writing import upload_objects
from datastore.errors import ValidationError
from datastore.fs.paths import strip
from datastore.fs.still import StillView
from datastore.fs.view import Place, View
from datastore.values import CREATE, OVERWRITE, Attributes, PutMode

__all__ = ["attributes_of", "put_mode", "send"]

_Member = tuple[int, Place]


def attributes_of(options: Mapping[str, Any]) -> Attributes | None:
    """Return `content_type` and `metadata` among the options of a verb; None if neither is given."""
    if not {"content_type", "metadata"} & options.keys():
        return None
    return Attributes(content_type=options.get("content_type"), metadata=options.get("metadata") or {})


def put_mode(mode: str) -> PutMode:
    """Return the contract's word for fsspec's `overwrite` and `create`."""
    if mode not in {OVERWRITE, CREATE}:
        raise ValidationError(f"mode {mode!r}", hint="'overwrite' or 'create'")
    return CREATE if mode == CREATE else OVERWRITE


def send(view: View, wanted: Sequence[tuple[bytes | Path, str]], *, callback: Any, options: Mapping[str, Any]) -> bool:
    """Put files and bytes under their paths, if the first is behind a network; else do nothing and return False.

    Args:
        view: Where the paths are.
        wanted: What, and its path.
        callback: Is told of each that is over; its branches of bytes.
        options: As the verb for a single one takes them.

    Raises:
        DatastoreError, OSError: The first that an upload met; what was put before it stays.
    """
    still = StillView(view)
    if not wanted or not serves_requests(still.object(strip(wanted[0][1]), live=True).provider):
        return False
    mode, attributes = put_mode(options.get("mode", OVERWRITE)), attributes_of(options)
    groups: dict[tuple[str, str | None], list[_Member]] = {}
    for number, (_, path) in enumerate(wanted):
        place = still.object(strip(path), live=True)
        groups.setdefault(place.same[:2], []).append((number, place))
    for members in groups.values():
        sources = [(wanted[number][0], place.key) for number, place in members]
        names = [(_name(wanted[number][0]), wanted[number][1]) for number, _ in members]
        branches = Branches(callback, names)
        provider = members[0][1].provider
        uploads = upload_objects(provider, sources, mode=mode, attributes=attributes, told=branches.told)
        try:
            with closing(uploads):
                for number, result in uploads:
                    if isinstance(result, Exception):
                        raise result
                    branches.over(number)
        finally:
            view.wrote(members[0][1])
    return True


def _name(source: bytes | Path) -> str:
    return "" if isinstance(source, bytes) else str(source)
