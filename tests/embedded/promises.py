"""What has to be true of a store at any moment at which nobody holds its gate, whoever writes and collects."""

from datastore.embedded import staging
from datastore.embedded.content import blobs_of
from datastore.embedded.store import EmbeddedStore

__all__ = ["broken_promises"]


def broken_promises(store: EmbeddedStore) -> list[str]:
    """Return what is wrong: a commit with a row has its parents, nodes and blobs; a staged row has its blobs.

    Stricter than `check`, which begins at the refs: somebody may make a branch of any commit that has a row.
    """
    opened = store._open()
    with opened.db.snapshot() as db:
        commits = db.execute("SELECT repo, id FROM commits").fetchall()
        tokens = [token for (token,) in db.execute("SELECT DISTINCT token FROM staging")]
        staged = [entry for token in tokens for entry in staging.rows(db, token).values()]
        sizes = dict(db.execute("SELECT digest, size FROM blobs").fetchall())
    rows = set(commits)
    wrong: list[str] = []
    seen: set[str] = set()
    needed = blobs_of(staged)
    for repo, commit_id in commits:
        info = opened.commit(repo, commit_id).info
        wrong += [
            f"{commit_id[:8]} has no parent {parent[:8]}" for parent in info.parents if (repo, parent) not in rows
        ]
        if not opened.commit_files.path(commit_id).exists():
            wrong.append(f"{commit_id[:8]} has no file")
        problems = list(opened.trees.verify(info.tree, seen=seen))
        wrong += [f"{commit_id[:8]}: node {node[:8]} {problem}" for node, problem in problems]
        if not problems:
            needed |= blobs_of(entry for _, entry in opened.trees.scan(info.tree))
    wrong += [f"blob {d.hex()[:8]}" for d in needed if d not in sizes or not opened.blobs.has(d, sizes[d])]
    return wrong
