"""What the files of a store tell of its refs and commits, where the index is lost."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from datastore.embedded import commits
from datastore.embedded.journal import Journal
from datastore.embedded.layout import Layout
from datastore.embedded.replay import Replayed, RepoRefs, replay
from datastore.errors import IntegrityError
from datastore.names import is_commit_id
from datastore.values import CommitInfo

__all__ = ["FoundCommit", "Gathered", "gather", "object_ids"]


class FoundCommit(Struct):
    """A commit file.

    Attributes:
        info: What it says.
        op_id: The attempt that made it.
        body: Its bytes.
        generation: 1 + the largest of its parents'; a parent that is missing counts as 0.
        repo: The repo that it is in; None while that is not known, '' if it was deleted.
    """

    info: CommitInfo
    op_id: str
    body: bytes
    generation: int = 0
    repo: str | None = None


class Gathered(Struct, kw_only=True):
    """What an index is to be made of.

    Attributes:
        repos: The refs by repo, with those for commits that had lost theirs.
        epoch: Of the journal's last line.
        store_id: As the journal has it, or ''.
        commits: By id, those of the repos.
        reattached: (ref, commit) made for commits that no ref of the journal knows.
        headless: (ref, commit) of refs whose commit has no readable file.
    """

    repos: dict[str, RepoRefs]
    epoch: int
    store_id: str
    commits: dict[str, FoundCommit]
    reattached: list[tuple[str, str]]
    headless: list[tuple[str, str]]


def object_ids(folder: Path) -> Iterator[str]:
    """Yield the names in a folder that are ids of objects."""
    if folder.is_dir():
        yield from (name for name in sorted(os.listdir(folder)) if is_commit_id(name))


def gather(layout: Layout) -> Gathered:
    """Read the journal and the commits; changes nothing."""
    journal = replay(Journal(layout.journal).lines())
    found = _read_commits(layout)
    order = _count_generations(found)
    _follow_refs(journal, found)
    attempts = {commit.op_id for commit in found.values() if commit.repo}
    lost = [found[name] for name in order if found[name].repo is None and found[name].op_id not in attempts]
    reattached = _reattach(journal, found, _latest_attempts(lost))
    for name, repo in journal.repos.items():
        reattached += _with_default(name, repo, found)
        repo.deleted = [row for row in repo.deleted if row[1] in found]  # else it was collected
    repos = {name: repo for name, repo in journal.repos.items() if repo.branches}
    named = [(f"{name}@{ref}", head) for name, repo in repos.items() for ref, head in _named(repo)]
    return Gathered(
        repos=repos,
        epoch=journal.epoch,
        store_id=journal.store_id,
        commits={commit_id: commit for commit_id, commit in found.items() if commit.repo in repos},
        reattached=reattached,
        headless=[(ref, head) for ref, head in named if head not in found],
    )


def _named(repo: RepoRefs) -> list[tuple[str, str]]:
    return [*repo.branches.items(), *repo.tags.items()]


def _read_commits(layout: Layout) -> dict[str, FoundCommit]:
    found: dict[str, FoundCommit] = {}
    for commit_id in object_ids(layout.commits):
        try:
            body = (layout.commits / commit_id).read_bytes()
            info = commits.decode(commit_id, body)
        except (IntegrityError, OSError):  # `repair` names it when it looks at all files
            continue
        found[commit_id] = FoundCommit(info, str(msgspec.json.decode(body)["op_id"]), body)
    return found


def _count_generations(found: dict[str, FoundCommit]) -> list[str]:
    """Set all generations; return the ids, parents before children."""
    order: list[str] = []
    for start in found:
        pending = [start]
        while pending:
            commit = found[pending[-1]]
            known = [found[parent] for parent in commit.info.parents if parent in found]
            if commit.generation or not (open_ones := [parent.info.id for parent in known if not parent.generation]):
                pending.pop()
                if not commit.generation:
                    commit.generation = 1 + max((parent.generation for parent in known), default=0)
                    order.append(commit.info.id)
            else:
                pending += open_ones
    return order


def _follow_refs(journal: Replayed, found: dict[str, FoundCommit]) -> None:
    """Give every commit that a ref ever reached its repo; whatever is deleted on purpose stays without a ref."""
    for head, name in sorted(journal.known.items(), key=lambda item: not item[1]):  # deleted repos last
        pending = [head]
        while pending:
            commit = found.get(pending.pop())
            if commit is not None and commit.repo is None:
                commit.repo = name
                pending += commit.info.parents


def _latest_attempts(lost: list[FoundCommit]) -> list[FoundCommit]:
    """Leave out commits that were made anew from a newer state: of one `op_id`, only one can have landed."""
    parents = {parent for commit in lost for parent in commit.info.parents}
    best: dict[str, FoundCommit] = {}
    for commit in lost:
        other = best.get(commit.op_id)
        if other is None or _rank(commit, parents) > _rank(other, parents):
            best[commit.op_id] = commit
    return [commit for commit in lost if best[commit.op_id] is commit]


def _rank(commit: FoundCommit, parents: set[str]) -> tuple[bool, int, int]:
    return commit.info.id in parents, commit.generation, commit.info.time_us


def _reattach(journal: Replayed, found: dict[str, FoundCommit], lost: list[FoundCommit]) -> list[tuple[str, str]]:
    """Make a branch for each commit that has no child among the lost ones; parents come before children."""
    parents = {parent for commit in lost for parent in commit.info.parents}
    made: list[tuple[str, str]] = []
    for commit in lost:
        homes = [_home(parent, journal, found) for parent in commit.info.parents]
        homes = [home for home in homes if home is not None]
        commit.repo = next((name for name in homes if name), homes[0] if homes else f"lost-found-{commit.info.id[:8]}")
        if commit.repo and commit.info.id not in parents:
            repo = journal.repos.setdefault(commit.repo, RepoRefs(default=f"lost-found-{commit.info.id[:8]}"))
            made.append((f"{commit.repo}@{_new_branch(repo, commit.info.id)}", commit.info.id))
    return made


def _home(commit_id: str, journal: Replayed, found: dict[str, FoundCommit]) -> str | None:
    """The repo of a commit, of which only the name may be left."""
    return found[commit_id].repo if commit_id in found else journal.known.get(commit_id)


def _new_branch(repo: RepoRefs, commit_id: str) -> str:
    taken = {*repo.branches, *repo.tags}
    name = next(name for digits in range(8, 64) if (name := f"lost-found-{commit_id[:digits]}") not in taken)
    repo.branches[name] = commit_id
    return name


def _with_default(name: str, repo: RepoRefs, found: dict[str, FoundCommit]) -> list[tuple[str, str]]:
    """See that a repo has the branch that is its default."""
    made: list[tuple[str, str]] = []
    if not repo.branches:
        mine = [commit for commit in found.values() if commit.repo == name]
        if mine:
            newest = max(mine, key=lambda commit: (commit.generation, commit.info.time_us, commit.info.id)).info.id
            made.append((f"{name}@{_new_branch(repo, newest)}", newest))
    if repo.branches and repo.default not in repo.branches:
        repo.default = min(repo.branches)
    return made
