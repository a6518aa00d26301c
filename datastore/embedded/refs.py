"""Names of commits: repos, branches and tags in the index, and what a ref expression resolves to.

Functions over an open connection; the caller decides about transactions.
"""

import sqlite3
from collections.abc import Callable

from msgspec import Struct

from datastore.embedded.commits import Commit
from datastore.errors import AlreadyExists, NotFound, ValidationError, nearest
from datastore.names import RefExpression, is_commit_id
from datastore.values import BranchInfo, TagInfo

__all__ = [
    "BranchRow",
    "branch_rows",
    "current_epoch",
    "find_branch",
    "move_branch",
    "new_token",
    "next_epoch",
    "refuse_taken_name",
    "repo_id",
    "repo_name",
    "require_branch",
    "resolve",
    "snapshot",
    "tag_rows",
]

Load = Callable[[str], Commit]


class BranchRow(Struct, frozen=True):
    """A branch as the index has it; see `schema.py` for `token` and `gen`."""

    repo: int
    name: str
    head: str
    token: int
    gen: int
    hidden: bool
    protected: bool

    @property
    def info(self) -> BranchInfo:
        """What people see of it."""
        return BranchInfo(name=self.name, head=self.head, hidden=self.hidden, protected=self.protected)


_BRANCH = "SELECT repo, name, head, token, gen, hidden, protected FROM branches"


def _row(values: tuple[int, str, str, int, int, int, int]) -> BranchRow:
    repo, name, head, token, gen, hidden, protected = values
    return BranchRow(repo, name, head, token, gen, bool(hidden), bool(protected))


def repo_id(db: sqlite3.Connection, name: str) -> int:
    """Return a repo's number, or raise `NotFound` with the nearest names."""
    found = db.execute("SELECT id FROM repos WHERE name = ?", (name,)).fetchone()
    if found is None:
        names = [row[0] for row in db.execute("SELECT name FROM repos")]
        raise NotFound(f"no repo {name!r} in this store", hint=nearest(name, names, what="repos"))
    return int(found[0])


def repo_name(db: sqlite3.Connection, number: int) -> str:
    """Return the name of a repo, which may have been renamed since its number was read."""
    found = db.execute("SELECT name FROM repos WHERE id = ?", (number,)).fetchone()
    if found is None:
        raise NotFound("the repo was deleted meanwhile", hint="nothing was changed")
    return str(found[0])


def branch_rows(db: sqlite3.Connection, repo: int) -> list[BranchRow]:
    """Return all branches of a repo, by name."""
    return [_row(row) for row in db.execute(f"{_BRANCH} WHERE repo = ? ORDER BY name", (repo,))]


def find_branch(db: sqlite3.Connection, repo: int, name: str) -> BranchRow | None:
    """Return a branch, or None."""
    found = db.execute(f"{_BRANCH} WHERE repo = ? AND name = ?", (repo, name)).fetchone()
    return None if found is None else _row(found)


def require_branch(db: sqlite3.Connection, repo: int, name: str) -> BranchRow:
    """Return a branch, or raise `NotFound` with the nearest names."""
    if (found := find_branch(db, repo, name)) is not None:
        return found
    names = [row.name for row in branch_rows(db, repo)]
    raise NotFound(f"no branch {name!r}", hint=nearest(name, names, what="branches"))


def tag_rows(db: sqlite3.Connection, repo: int) -> list[TagInfo]:
    """Return all tags of a repo, by name."""
    rows = db.execute("SELECT name, head FROM tags WHERE repo = ? ORDER BY name", (repo,))
    return [TagInfo(name=name, commit=head) for name, head in rows]


def find_tag(db: sqlite3.Connection, repo: int, name: str) -> str | None:
    """Return the id of the commit that a tag names, or None."""
    found = db.execute("SELECT head FROM tags WHERE repo = ? AND name = ?", (repo, name)).fetchone()
    return None if found is None else str(found[0])


def refuse_taken_name(db: sqlite3.Connection, repo: int, name: str) -> None:
    """Raise `AlreadyExists` if a branch or tag has this name: a ref must not be able to mean two things."""
    if find_branch(db, repo, name) is not None:
        raise AlreadyExists(f"there is a branch {name!r} already", hint="choose another name, or use exist_ok=True")
    if find_tag(db, repo, name) is not None:
        raise AlreadyExists(f"there is a tag {name!r} already", hint="choose another name; tags never move")


def resolve(
    db: sqlite3.Connection, repo: int, expression: RefExpression, *, load: Load
) -> tuple[str, BranchRow | None]:
    """Return (commit id, branch if the name is one); looks for full id, branch, tag, id prefix: lakeFS's order."""
    name = expression.name
    branch: BranchRow | None = None
    if is_commit_id(name):
        found = name if _has_commit(db, repo, name) else None
    else:
        branch = find_branch(db, repo, name)
        found = branch.head if branch else find_tag(db, repo, name)
        if found is None and expression.may_be_prefix:
            found = _by_prefix(db, repo, name)
    if found is None:
        raise _unknown_ref(db, repo, name)
    if expression.committed and branch is None:
        raise ValidationError(
            f"ref '{name}@': {name!r} is not a branch", hint="leave the '@' out: it has no uncommitted changes"
        )
    for kind, count in expression.steps:
        found = _step(found, kind, count, load=load, name=name)
    return found, branch


def _has_commit(db: sqlite3.Connection, repo: int, commit_id: str) -> bool:
    return db.execute("SELECT 1 FROM commits WHERE repo = ? AND id = ?", (repo, commit_id)).fetchone() is not None


def _by_prefix(db: sqlite3.Connection, repo: int, prefix: str) -> str | None:
    query = "SELECT id FROM commits WHERE repo = ? AND id >= ? AND id < ? LIMIT 3"
    found = [row[0] for row in db.execute(query, (repo, prefix, prefix + "g"))]
    if len(found) > 1:
        raise ValidationError(
            f"{prefix!r} is the beginning of several commit ids",
            hint=f"write more digits: {', '.join(i[:16] for i in found)}",
        )
    return found[0] if found else None


def _unknown_ref(db: sqlite3.Connection, repo: int, name: str) -> NotFound:
    if is_commit_id(name):
        return NotFound(f"no commit {name[:16]}… in this repo", hint="`log` shows the commits")
    names = [row.name for row in branch_rows(db, repo)] + [tag.name for tag in tag_rows(db, repo)]
    return NotFound(f"no branch, tag or commit {name!r}", hint=nearest(name, names, what="refs"))


def _step(commit_id: str, kind: str, count: int, *, load: Load, name: str) -> str:
    if kind == "^" and count == 0:
        return commit_id
    for _ in range(count if kind == "~" else 1):
        parents = load(commit_id).info.parents
        index = 0 if kind == "~" else count - 1
        if index >= len(parents):
            have = f"has {len(parents)} parent{'s' if len(parents) != 1 else ''}"
            raise NotFound(
                f"{name}{kind}{count} goes too far back: commit {commit_id[:8]} {have}", hint="`log` shows the commits"
            )
        commit_id = parents[index]
    return commit_id


def new_token(db: sqlite3.Connection) -> int:
    """Return a number for a new staging area."""
    return int(db.execute("UPDATE store SET token = token + 1 RETURNING token").fetchone()[0])


def current_epoch(db: sqlite3.Connection) -> int:
    """Return how many changes of refs there have been."""
    return int(db.execute("SELECT epoch FROM store").fetchone()[0])


def next_epoch(db: sqlite3.Connection) -> int:
    """Count a change of refs."""
    return int(db.execute("UPDATE store SET epoch = epoch + 1 RETURNING epoch").fetchone()[0])


def move_branch(db: sqlite3.Connection, row: BranchRow, head: str) -> bool:
    """Compare-and-swap the head of a branch, with everything that `gen` stands for; tell whether it took place.

    The token tells the branch from another one that was made under its name meanwhile.
    """
    query = (
        "UPDATE branches SET head = ?, gen = gen + 1 WHERE repo = ? AND name = ? AND head = ? AND gen = ? AND token = ?"
    )
    return db.execute(query, (head, row.repo, row.name, row.head, row.gen, row.token)).rowcount == 1


def snapshot(db: sqlite3.Connection) -> dict[str, object]:
    """Return all refs of the store, for the journal."""
    repos = db.execute("SELECT id, name, default_branch FROM repos ORDER BY name").fetchall()
    return {name: _snapshot_of(db, number, default) for number, name, default in repos}


def _snapshot_of(db: sqlite3.Connection, repo: int, default: str) -> dict[str, object]:
    branches = branch_rows(db, repo)
    deleted = db.execute("SELECT name, head, deleted_us FROM deleted_branches WHERE repo = ? ORDER BY id", (repo,))
    remote = db.execute("SELECT url FROM remotes WHERE repo = ?", (repo,)).fetchone()
    return {
        "default": default,
        "branches": {row.name: row.head for row in branches},
        "tags": {tag.name: tag.commit for tag in tag_rows(db, repo)},
        "hidden": [row.name for row in branches if row.hidden],
        "protected": [row.name for row in branches if row.protected],
        "remote": remote[0] if remote else "",
        "deleted": [list(row) for row in deleted],
    }
