"""What one branch has that another one, in another repo, lacks."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from typing import Final

from msgspec import Struct

from datastore.provider import SupportsVersioning
from datastore.replicating.origins import origin_of
from datastore.values import CommitInfo

__all__ = ["ROOT", "History", "Split", "Step", "newest_common", "path_down", "relate"]

ROOT: Final = "root"
"""Stands for the first, empty commit of every repo: there, all histories begin."""


class Step(Struct, frozen=True):
    """One commit that is missing elsewhere, and the parent that tells what it changed; None if it begins a history."""

    parent: CommitInfo | None
    commit: CommitInfo


class Split(Struct, frozen=True):
    """Two histories that went different ways: the newest commit that both have, on either side; None if there is none.

    Attributes:
        source: As the source has it.
        dest: As the dest has it.
    """

    source: CommitInfo | None = None
    dest: CommitInfo | None = None


class History:
    """The ancestors of one commit, read only as far as they are looked at.

    Args:
        repo: Where it is.
        ref: Names the newest commit.
    """

    def __init__(self, repo: SupportsVersioning, ref: str) -> None:
        self.repo = repo
        self.head = repo.commit_of(ref)

    def origin(self, commit: CommitInfo) -> str:
        """Return what a commit is called in all repos."""
        if not commit.parents and self._is_empty(commit):
            return ROOT
        return origin_of(commit)

    def line(self) -> Iterator[CommitInfo]:
        """Yield the commit and its first parents, newest first."""
        return self.repo.log(self.head.id, first_parent=True)

    @cached_property
    def all(self) -> list[CommitInfo]:
        """The commit and all its ancestors, children before parents."""
        return list(self.repo.log(self.head.id))

    @cached_property
    def by_origin(self) -> Mapping[str, CommitInfo]:
        """The same by origin."""
        return {self.origin(commit): commit for commit in reversed(self.all)}

    def _is_empty(self, commit: CommitInfo) -> bool:
        return next(iter(self.repo.at(commit.id).list()), None) is None


def relate(source: History, dest: History) -> list[Step] | Split:
    """Return what has to be made anew on the dest, oldest first, so that it has all of the source; nothing if it has.

    Or a `Split`, if the dest has something that the source lacks, and lacks something that the source has.
    """
    have, want = dest.origin(dest.head), source.origin(source.head)
    found = _by_lines(source, dest, have=have, want=want)
    if found is not None:
        return found
    if want in dest.by_origin:
        return []
    if have in source.by_origin:
        return _steps(path_down(source, have))
    return newest_common(source, dest) or Split()


def newest_common(source: History, dest: History) -> Split | None:
    """Return the newest commit that both have, if any."""
    common = next((name for name in map(source.origin, source.all) if name in dest.by_origin), None)
    return None if common is None else Split(source.by_origin[common], dest.by_origin[common])


def _by_lines(source: History, dest: History, *, have: str, want: str) -> list[Step] | None:
    """Return what is missing as far as first parents tell; None if they do not."""
    if have == want:
        return []
    line: list[CommitInfo] = []
    # Both lines at once: one side is a few commits ahead, as a rule, and none of them needs to be read to its end.
    for mine, theirs in zip_longest(source.line(), dest.line()):
        if theirs is not None and dest.origin(theirs) == want:
            return []
        if mine is not None:
            line.append(mine)
            if source.origin(mine) == have:
                return _steps(line)
    # Where the dest has nothing yet, a history that begins with objects is missing, too.
    return _steps([*line, None]) if have == ROOT else None


def path_down(history: History, origin: str) -> list[CommitInfo]:
    """Return the commits from the head down to an ancestor of this origin, by first parents wherever these lead there.

    So a merge whose second parent is what the other side has is one step away from it.
    """
    leads: set[str] = set()
    by_id = {commit.id: commit for commit in history.all}
    for commit in reversed(history.all):
        if history.origin(commit) == origin or not leads.isdisjoint(commit.parents):
            leads.add(commit.id)
    path = [history.head]
    while history.origin(path[-1]) != origin:
        path.append(by_id[next(parent for parent in path[-1].parents if parent in leads)])
    return path


def _steps(line: Sequence[CommitInfo | None]) -> list[Step]:
    pairs = zip(line[1:], line[:-1], strict=True)
    return [Step(parent, commit) for parent, commit in pairs if commit is not None][::-1]
