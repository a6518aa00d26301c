"""What can be seen of stores with repos, and of services with buckets, without changing anything."""

from collections.abc import Iterator, Sequence
from itertools import islice

from datastore.probing import Finding
from datastore.provider import SupportsBuckets, SupportsRepos, SupportsVersioning
from datastore.upkeep import SupportsCheck

__all__ = ["branches", "buckets", "damage", "repos"]


def repos(store: SupportsRepos) -> Iterator[Finding]:
    """Tell which repos there are, and whether the first one can be read."""
    names = store.repos()
    yield Finding(check="repos", detail=_some(names, "repos"))
    if names:
        yield from branches(store.repo(names[0]))


def branches(repo: SupportsVersioning) -> Iterator[Finding]:
    """Tell which branches there are, and where the default one stands."""
    found = [branch.name for branch in repo.branches()]
    yield Finding(check="branches", detail=_some(found, "branches"))
    head = repo.commit_of(repo.default_branch)
    yield Finding(check="head", detail=f"{repo.default_branch} is at {head.id[:8]}: {head.message[:60]}")


def buckets(service: SupportsBuckets) -> Iterator[Finding]:
    """Tell which buckets there are."""
    yield Finding(check="buckets", detail=_some([bucket.name for bucket in service.buckets()], "buckets"))


def damage(store: SupportsCheck) -> Iterator[Finding]:
    """Look for damage, by sizes only."""
    problems = list(islice(store.check(deep=False), 3))
    for problem in problems:
        detail = f"{problem.kind} {problem.id[:16]}: {problem.problem}"
        yield Finding(check="damage", state="failed", detail=detail, hint="datastore check tells all of it")
    if not problems:
        yield Finding(check="damage", detail="none seen; datastore check reads all content")


def _some(names: Sequence[str], what: str) -> str:
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"{len(names)} {what}{': ' if shown else ''}{shown}"
