"""Taking entries from one ref to a branch without moving their bytes."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from datastore.calls import HttpResponse
from datastore.providers.lakefs.answers import ObjectStats, failed
from datastore.providers.lakefs.endpoints import PAGE, Remote

__all__ = ["carry", "place", "stats_of"]

_FEW: Final = 32
"""How many stats cost about as much as one page of a listing."""


def carry(remote: Remote, keys: Sequence[str], *, source: str, branch: str, gone: Sequence[str] = ()) -> None:
    """Make keys on a branch as they are at another ref, uncommitted.

    Args:
        remote: The repo.
        keys: Those that are there, or may be; one that is not is deleted on the branch.
        source: Where they are taken from: any ref.
        branch: Where they are put.
        gone: More of them to delete.
    """
    ordered = sorted(keys)
    for at in range(0, len(ordered), PAGE):
        part = ordered[at : at + PAGE]
        found = stats_of(remote, source, part)
        place(remote, branch, {key: found.get(key) for key in part})
    place(remote, branch, dict.fromkeys(gone))


def stats_of(remote: Remote, ref: str, keys: Sequence[str]) -> dict[str, ObjectStats]:
    """Return what is known of those of these keys that are there, with the addresses of their bytes.

    Keys that lie close together are found in listings, the others are asked for one by one, many at a time.
    """
    wanted = sorted(keys)
    found: dict[str, ObjectStats] = {}
    at, close = 0, True
    while at < len(wanted):
        count = _FEW if close else len(wanted)
        few = wanted[at : at + count]
        asked = remote.each(remote.stat_call(ref, key) for key in few)
        found |= {stats.path: stats for stats in asked if stats is not None}
        at += len(few)
        while close and len(wanted) - at > _FEW:
            page = remote.run(remote.objects_call(ref, after=wanted[at - 1]))
            listed = {stats.path: stats for stats in page.results}
            end = bisect_right(wanted, page.results[-1].path) if page.pagination.has_more else len(wanted)
            found |= {key: listed[key] for key in wanted[at:end] if key in listed}
            close = end - at >= _FEW
            at = end
    return found


def place(remote: Remote, branch: str, entries: Mapping[str, ObjectStats | None]) -> None:
    """Put entries onto a branch, uncommitted; None deletes. The first failure ends it, with some of them done."""
    puts = (remote.stage_call(branch, entry) for entry in entries.values() if entry is not None)
    for _ in remote.each(puts):
        pass
    gone = [key for key, entry in entries.items() if entry is None]
    for at in range(0, len(gone), PAGE):
        for error in remote.run(remote.delete_objects_call(branch, gone[at : at + PAGE])).errors:
            body = msgspec.json.encode({"message": error.message})
            raise failed(
                HttpResponse(status=error.status_code, headers={}, body=body),
                f"delete object {error.path!r} of {remote.name}@{branch}",
            )
