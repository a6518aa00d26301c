"""Dropping uncommitted changes of a branch, or making keys as they were at a commit."""

from datastore.errors import DatastoreError, NotFound, nearest
from datastore.providers.lakefs.commits import on_branch, resolve
from datastore.providers.lakefs.differences import diff_rows, uncommitted_rows
from datastore.providers.lakefs.endpoints import Remote
from datastore.providers.lakefs.placing import carry
from datastore.providers.lakefs.rows import DiffRow

__all__ = ["reset", "restore"]


def reset(remote: Remote, branch: str, *, key: str | None, prefix: str | None) -> int:
    """Drop uncommitted changes and return how many keys had some; what others stage meanwhile is not counted."""
    with on_branch(remote, branch):
        if key is not None:
            first = remote.run(remote.uncommitted_call(branch, prefix=key, amount=1)).results
            count = len(_named(first, key))
            call = remote.reset_call(branch, kind="object", path=key)
        else:
            count = sum(1 for _ in uncommitted_rows(remote, branch, prefix=prefix or ""))
            kind = "common_prefix" if prefix else "reset"
            call = remote.reset_call(branch, kind=kind, path=prefix or "")
        remote.run(call)
    return count


def restore(remote: Remote, branch: str, key: str, ref: str) -> int:
    """Make an object, or all under `key/`, as it is at `ref`, and return how many keys changed; costs what differs."""
    wanted = resolve(remote, ref)
    state = f"{branch}$"
    with on_branch(remote, branch):
        if key.endswith("/") or not key:
            rows = list(diff_rows(remote, wanted.id, state, prefix=key))
        else:
            rows = _named(remote.run(remote.diff_call(wanted.id, state, prefix=key, amount=1)).results, key)
        there = bool(rows) or _is_there(remote, branch, key)
    if not there:
        where = f"{remote.name}@{branch}"
        raise NotFound(
            f"no object {key!r} in {where}", hint=lambda: _nearest(remote, branch, key), url=f"ds://{where}/{key}"
        )
    added = [row.path for row in rows if row.type == "added"]
    carry(remote, [row.path for row in rows if row.type != "added"], source=wanted.id, branch=branch, gone=added)
    return len(rows)


def _named(rows: list[DiffRow], key: str) -> list[DiffRow]:
    """The row of exactly this key, which comes before all keys that begin with it."""
    return [row for row in rows if row.path == key]


def _is_there(remote: Remote, branch: str, key: str) -> bool:
    found = remote.run(remote.objects_call(branch, prefix=key, amount=1)).results
    return any(stats.path == key or key.endswith("/") or not key for stats in found)


def _nearest(remote: Remote, branch: str, key: str) -> str | None:
    folder = key.rstrip("/").rpartition("/")[0]
    try:
        page = remote.run(remote.objects_call(branch, prefix=folder and folder + "/"))
    except DatastoreError:
        return None
    return nearest(key, [stats.path for stats in page.results], what="keys")
