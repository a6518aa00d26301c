"""Good copies of objects that a store has lost: from its own index, or from another store."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from datastore.embedded import commits, refs
from datastore.embedded.nodes import decompress, id_of
from datastore.embedded.opened import OpenStore
from datastore.errors import DatastoreError
from datastore.values import Problem

__all__ = ["fetch"]


def fetch(store: OpenStore, problem: Problem, other: OpenStore | None) -> str | None:
    """Put back the object that a problem names; return where its bytes came from, or None if nowhere has them.

    Args:
        store: Gets it; a wrong file is not in its way any more.
        problem: Of `check`.
        other: A store that may have it: the same objects have the same names there.
    """
    if len(problem.id) != 64:
        return None
    try:
        if problem.kind == "blob":
            return _fetch_blob(store, bytes.fromhex(problem.id), other)
        if problem.kind == "tree":
            return _fetch_node(store, problem.id, other)
        if problem.kind in {"commit", "ref"}:
            return _fetch_commit(store, problem, other)
    except (DatastoreError, KeyError, FileNotFoundError):  # the other one has no good copy either
        return None
    return None


def _name(other: OpenStore) -> str:
    return str(other.layout.root)


def _fetch_blob(store: OpenStore, digest: bytes, other: OpenStore | None) -> str | None:
    if other is None:
        return None
    draft = store.blobs.draft_of(_body_of(other, digest))
    if draft.digest != digest:
        draft.discard()
        return None
    with store.db.write(durable=True) as db:
        db.execute("DELETE FROM blobs WHERE digest = ?", (digest,))  # it may lead into a pack that is damaged
        store.publish(db, [draft])
        store.blobs.sync([digest])
        store.mark_durable(db, [digest])
    return _name(other)


def _body_of(other: OpenStore, digest: bytes) -> Path | bytes:
    path = other.blobs.path(digest)
    if path.exists():
        return path
    with other.db.read() as db:
        row = db.execute("SELECT size FROM blobs WHERE digest = ?", (digest,)).fetchone()
    data = None if row is None else other.packs.read(digest, row[0])
    if data is None:
        raise KeyError(digest)
    return bytes(data)


def _fetch_node(store: OpenStore, node_id: str, other: OpenStore | None) -> str | None:
    if other is None:
        return None
    data = other.node_files.get(node_id)
    if id_of(decompress(node_id, data)) != node_id:
        return None
    store.node_files.put_new({node_id: data})
    return _name(other)


def _fetch_commit(store: OpenStore, problem: Problem, other: OpenStore | None) -> str | None:
    repo_name = problem.referenced_by.partition("@")[0]
    with store.db.read() as db:
        repo = refs.repo_id(db, repo_name)
    if (body := _own_body(store, repo, problem.id)) is not None:
        where = "the index"
    elif (body := _body(store, problem.id)) is not None:
        where = "its file"
    elif other is not None and (body := _body(other, problem.id)) is not None:
        where = _name(other)
    else:
        return None
    store.commit_files.put_new({problem.id: body})
    _index(store, repo, [(problem.id, body), *_ancestors(store, repo, body, other)])
    return where


def _own_body(store: OpenStore, repo: int, commit_id: str) -> bytes | None:
    with store.db.read() as db:
        row = db.execute("SELECT body FROM commits WHERE repo = ? AND id = ?", (repo, commit_id)).fetchone()
    return bytes(row[0]) if row is not None and _is_whole(commit_id, row[0]) else None


def _body(store: OpenStore, commit_id: str) -> bytes | None:
    try:
        body = store.commit_files.get(commit_id)
    except KeyError:
        return None
    return body if _is_whole(commit_id, body) else None


def _is_whole(commit_id: str, body: bytes) -> bool:
    try:
        commits.decode(commit_id, body)
    except (DatastoreError, TypeError):
        return False
    return True


def _ancestors(store: OpenStore, repo: int, body: bytes, other: OpenStore | None) -> Iterator[tuple[str, bytes]]:
    """Yield those above a commit that the index does not have; their files are there then."""
    pending = list(msgspec.json.decode(body)["parents"])
    seen: set[str] = set()
    while pending:
        commit_id = pending.pop()
        if commit_id in seen or _own_body(store, repo, commit_id) is not None:
            continue
        seen.add(commit_id)
        found = _body(store, commit_id)
        if found is None and other is not None and (found := _body(other, commit_id)) is not None:
            store.commit_files.put_new({commit_id: found})
        if found is not None:
            yield commit_id, found
            pending += msgspec.json.decode(found)["parents"]


def _index(store: OpenStore, repo: int, found: list[tuple[str, bytes]]) -> None:
    """Write rows for commits whose files are there, parents first."""
    bodies = dict(found)
    waiting = {commit_id: commits.decode(commit_id, body) for commit_id, body in found}
    with store.db.write(durable=True) as db:
        while waiting:
            ready = [c for c in waiting.values() if not any(parent in waiting for parent in c.parents)]
            for info in ready:
                del waiting[info.id]
                query = "SELECT max(generation) FROM commits WHERE repo = ? AND id IN (SELECT value FROM json_each(?))"
                parents = msgspec.json.encode(info.parents).decode()
                above = db.execute(query, (repo, parents)).fetchone()[0] or 0
                db.execute("DELETE FROM commits WHERE repo = ? AND id = ?", (repo, info.id))
                op_id = str(msgspec.json.decode(bodies[info.id])["op_id"])
                store.index_commit(db, repo, info, bodies[info.id], op_id=op_id, generation=above + 1)
