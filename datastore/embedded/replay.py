"""What the journal says that the refs are."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from datastore.embedded.journal import Line

__all__ = ["Replayed", "RepoRefs", "differences", "replay"]


class RepoRefs(Struct, kw_only=True):
    """The refs of one repo, in the form of a journal's snapshot.

    Attributes:
        default: The default branch.
        branches: Heads by name.
        tags: Commits by name.
        hidden: Names of branches that are not listed.
        protected: Names of branches that take changes only by merge and revert.
        remote: URL of the repo that it exchanges commits with.
        deleted: Deleted branches, the last one at the end: name, head, microseconds since the epoch.
    """

    default: str
    branches: dict[str, str] = {}
    tags: dict[str, str] = {}
    hidden: list[str] = []
    protected: list[str] = []
    remote: str = ""
    deleted: list[tuple[str, str, int]] = []


class Replayed(Struct, kw_only=True):
    """The result of reading a journal from its beginning.

    Attributes:
        repos: The refs at its end.
        epoch: Of the last line.
        known: Commits that refs ever named, with the repo as it is called now; '' for one that was deleted.
        damaged: Lines that cannot be read and are not what a crash leaves, or before which some are lost; a snapshot
            makes up for those before it.
        store_id: The store's, where a line has it.
        complete: Whether it tells all that there is of refs; the first programs wrote heads alone.
    """

    repos: dict[str, RepoRefs] = {}
    epoch: int = 0
    known: dict[str, str] = {}
    damaged: list[int] = []
    store_id: str = ""
    complete: bool = False


def replay(lines: Iterable[Line]) -> Replayed:
    """Follow all changes. A change of something that is not there, because lines are lost, does what it can."""
    found = Replayed()
    for line in lines:
        if (change := line.change) is None:
            if not line.torn:
                found.damaged.append(line.number)
            continue
        if "snapshot" not in change and change["epoch"] != found.epoch + 1:  # lines between are lost
            found.damaged.append(line.number)
        found.epoch = max(found.epoch, change["epoch"])
        found.store_id = str(change.get("store") or found.store_id)
        if "snapshot" in change or not found.known:
            found.complete = "sum" in change
        if "snapshot" in change:
            found.damaged = []
            found.repos = _from_snapshot(change["snapshot"])
            for name, repo in found.repos.items():
                heads = (*repo.branches.values(), *repo.tags.values(), *(head for _, head, _ in repo.deleted))
                found.known.update(dict.fromkeys(heads, name))
        else:
            _follow(found, change)
    return found


def _from_snapshot(snapshot: dict[str, Any]) -> dict[str, RepoRefs]:
    try:
        return msgspec.convert(snapshot, dict[str, RepoRefs])
    except msgspec.ValidationError:
        return {}


def _follow(found: Replayed, change: dict[str, Any]) -> None:
    name, what = change["repo"], change["do"]
    found.known.update({str(change[field]): name for field in ("old", "new") if len(str(change.get(field, ""))) == 64})
    if what == "delete-repo":
        found.repos.pop(name, None)
        found.known = {commit: "" if repo == name else repo for commit, repo in found.known.items()}
    elif what == "rename-repo":
        new = str(change["new"])
        if (moved := found.repos.pop(name, None)) is not None:
            found.repos[new] = moved
        found.known = {commit: new if repo == name else repo for commit, repo in found.known.items()}
    else:
        default = str(change.get("branch", "main")) if what == "create-repo" else "main"
        repo = found.repos.setdefault(name, RepoRefs(default=default))
        if "tag" in change:
            _follow_tag(repo, change)
        elif what == "remote":
            repo.remote = str(change.get("url", ""))
        elif "branch" in change:
            _follow_branch(repo, change)


def _follow_tag(repo: RepoRefs, change: dict[str, Any]) -> None:
    if change["do"] == "delete-tag":
        repo.tags.pop(change["tag"], None)
    else:
        repo.tags[change["tag"]] = str(change["new"])


def _follow_branch(repo: RepoRefs, change: dict[str, Any]) -> None:
    name, what = str(change["branch"]), change["do"]
    flags = {flag for flag in ("hidden", "protected") if name in getattr(repo, flag)}
    if what == "protect":
        repo.protected = [other for other in repo.protected if other != name] + ([name] if change["on"] else [])
    elif what == "delete-branch":
        repo.branches.pop(name, None)
        if "hidden" not in flags:
            repo.deleted.append((name, str(change["old"]), int(change.get("time_us", 0))))
        for flag in flags:
            setattr(repo, flag, [other for other in getattr(repo, flag) if other != name])
    else:
        repo.branches[name] = str(change["new"])
        if change.get("hidden"):
            repo.hidden.append(name)
        if change.get("undelete"):
            last = max((at for at, (deleted, _, _) in enumerate(repo.deleted) if deleted == name), default=None)
            repo.deleted = [row for at, row in enumerate(repo.deleted) if at != last]


def differences(replayed: Replayed, index: dict[str, RepoRefs]) -> list[tuple[str, str]]:
    """Return (ref, what is wrong) where the index has another commit, or none, under a name than the journal."""
    journal = replayed.repos
    found: list[tuple[str, str]] = []
    for name in sorted({*journal, *index}):
        if name not in journal or name not in index:
            where = "refs.journal" if name in journal else "the index"
            found.append((name, f"only {where} has this repo"))
            continue
        there, here = journal[name], index[name]
        for field in ("default", "hidden", "protected", "remote") if replayed.complete else ():
            if sorted(getattr(there, field)) != sorted(getattr(here, field)):
                text = f"{field}: the index says {getattr(here, field)}, refs.journal {getattr(there, field)}"
                found.append((name, text))
        for there_now, here_now in ((there.branches, here.branches), (there.tags, here.tags)):
            for ref in sorted({*there_now, *here_now}):
                if there_now.get(ref) != here_now.get(ref):
                    heads = [(head or "no commit")[:16] for head in (here_now.get(ref), there_now.get(ref))]
                    found.append((f"{name}@{ref}", f"the index says {heads[0]}, refs.journal {heads[1]}"))
        known = {(ref, head) for ref, head, _ in there.deleted}
        for ref, head, _ in here.deleted if replayed.complete else ():  # fewer, where some were collected
            if (ref, head) not in known:
                found.append((f"{name}@{ref} (deleted)", f"the index says {head[:16]}, refs.journal knows of none"))
    return found
