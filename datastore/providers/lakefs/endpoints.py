"""The calls of lakeFS's API about branches, commits and differences of one repo."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Final, Literal, TypeVar, cast

from datastore.calls import Call, HttpResponse
from datastore.errors import Conflict, DatastoreError, NotFound, nearest
from datastore.http.engine import engine
from datastore.providers.lakefs.answers import (
    BranchRow,
    DeleteErrors,
    ObjectPage,
    ObjectStats,
    decoded,
    failed,
    message_of,
)
from datastore.providers.lakefs.client import LakeFSClient, Query, status_only
from datastore.providers.lakefs.hooks import veto_in
from datastore.providers.lakefs.rows import (
    BranchPage,
    CommitPage,
    CommitRow,
    DiffPage,
    MergeBase,
    Reference,
    RepositoryPage,
)

__all__ = ["PAGE", "MergeRefused", "NoRepo", "Remote", "repository_names"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
T = TypeVar("T")

PAGE: Final = 1000
"""The most that the server gives in one page."""

_LONG: Final = 300.0
"""Seconds to wait for a commit or merge, which take as long as there are changes: about 10 s for a million."""

_MAYBE: Final = frozenset({200, 404})
_DONE: Final = frozenset({204})
_MERGED: Final = frozenset({200, 201, 204, 409})
_DELETED: Final = frozenset({204, 404})


class NoRepo(NotFound):
    """No repo has this name; told apart from a ref or branch that is missing in a repo."""


class MergeRefused(Conflict):
    """The server met a conflict while it merged; it does not say where."""


class Remote:
    """One repo on a server. Made without I/O; methods that end in `_call` return calls, the others carry them out.

    Args:
        client: The server.
        name: The repo.
    """

    def __init__(self, client: LakeFSClient, name: str) -> None:
        self.client = client
        self.name = name

    # carrying out

    def run(self, call: Call[T]) -> T:
        """Carry out one call. A missing repo and the veto of a hook become errors that say so."""
        try:
            return self.client.run(call)
        except DatastoreError as error:
            raise self._told(error) from None

    def two(self, a: Call[A], b: Call[B]) -> tuple[A, B]:
        """Carry out two calls at the same time; the error of the first one comes first."""
        return cast("tuple[A, B]", tuple(self.same([cast("Call[object]", call) for call in (a, b)])))

    def three(self, a: Call[A], b: Call[B], c: Call[C]) -> tuple[A, B, C]:
        """Carry out three calls at the same time; the error of the first one comes first."""
        return cast("tuple[A, B, C]", tuple(self.same([cast("Call[object]", call) for call in (a, b, c)])))

    def same(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out calls of one kind at the same time and return their results in order; errors as in `two`."""
        outcomes = dict(engine().bulk(enumerate(calls)))
        results: list[T] = []
        for number in range(len(calls)):
            outcome = outcomes[number]
            if isinstance(outcome, DatastoreError):
                raise self._told(outcome)
            results.append(outcome)
        return results

    def each(self, calls: Iterable[Call[T]]) -> Iterator[T]:
        """Carry out any number of calls, many at a time, and yield results as they come; the first error ends it."""
        with closing(engine().bulk((None, call) for call in calls)) as outcomes:
            for _, outcome in outcomes:
                if isinstance(outcome, DatastoreError):
                    raise self._told(outcome)
                yield outcome

    def _told(self, error: DatastoreError) -> DatastoreError:
        if isinstance(error, NotFound) and "repository not found" in error.message:
            self.client.forget_repository(self.name)
            return no_repo(self.client, self.name)
        if isinstance(error, Conflict) and (veto := veto_in(self.client, self.name, error)) is not None:
            return veto
        return error

    def _path(self, *segments: str) -> list[str]:
        return ["repositories", self.name, *segments]

    def _about(self, ref: str) -> str:
        return f"{self.name}@{ref}"

    # refs

    def commit_call(self, ref: str) -> Call[CommitRow | None]:
        """Return the call that resolves a ref expression; None if nothing has this name."""
        return self.client.call(
            "GET",
            self._path("commits", ref),
            what=f"find commit {ref!r} of {self.name!r}",
            statuses=_MAYBE,
            finish=_or_none(decoded(CommitRow), f"find commit {ref!r}"),
        )

    def branch_call(self, name: str) -> Call[BranchRow | None]:
        """Return the call that asks for a branch; None if there is none."""
        return self.client.call(
            "GET",
            self._path("branches", name),
            what=f"find branch {name!r} of {self.name!r}",
            statuses=_MAYBE,
            finish=_or_none(decoded(BranchRow), f"find branch {name!r}"),
        )

    def branches_call(
        self, *, hidden: bool = False, prefix: str | None = None, after: str | None = None, amount: int = PAGE
    ) -> Call[BranchPage]:
        """Return the call that lists branches."""
        return self.client.call(
            "GET",
            self._path("branches"),
            what=f"list branches of {self.name!r}",
            query={"amount": amount, "after": after, "prefix": prefix, "show_hidden": hidden or None},
            finish=decoded(BranchPage),
        )

    def tags_call(self, *, prefix: str | None = None, after: str | None = None, amount: int = PAGE) -> Call[BranchPage]:
        """Return the call that lists tags."""
        return self.client.call(
            "GET",
            self._path("tags"),
            what=f"list tags of {self.name!r}",
            query={"amount": amount, "after": after, "prefix": prefix},
            finish=decoded(BranchPage),
        )

    def all_rows(self, page: BranchPage, more: Callable[..., Call[BranchPage]]) -> list[BranchRow]:
        """Return the rows of a first page, then of those that follow it, which `more(after=…)` asks for."""
        rows = page.results
        while page.pagination.has_more:
            page = self.run(more(after=page.pagination.next_offset))
            rows = rows + page.results
        return rows

    def create_branch_call(self, name: str, source: str, *, hidden: bool = False) -> Call[str]:
        """Return the call that makes a branch; its result is the commit id."""
        return self.client.call(
            "POST",
            self._path("branches"),
            what=f"create branch {name!r} in {self.name!r}",
            json={"name": name, "source": source, "hidden": hidden},
            finish=lambda response: response.body.decode().strip(),
        )

    def delete_branch_call(self, name: str) -> Call[None]:
        """Return the call that deletes a branch."""
        return self.client.call(
            "DELETE",
            self._path("branches", name),
            what=f"delete branch {name!r} of {self.name!r}",
            statuses=_DELETED,
            finish=_deleted(f"delete branch {name!r}"),
        )

    def create_tag_call(self, name: str, ref: str) -> Call[BranchRow]:
        """Return the call that makes a tag."""
        return self.client.call(
            "POST",
            self._path("tags"),
            what=f"create tag {name!r} in {self.name!r}",
            json={"id": name, "ref": ref},
            finish=decoded(BranchRow),
        )

    def delete_tag_call(self, name: str) -> Call[None]:
        """Return the call that deletes a tag."""
        return self.client.call(
            "DELETE",
            self._path("tags", name),
            what=f"delete tag {name!r} of {self.name!r}",
            statuses=_DELETED,
            finish=_deleted(f"delete tag {name!r}"),
        )

    # history

    def log_call(
        self,
        ref: str,
        *,
        amount: int,
        after: str | None = None,
        first_parent: bool = False,
        objects: Sequence[str] = (),
        prefixes: Sequence[str] = (),
    ) -> Call[CommitPage]:
        """Return the call that lists commits; with objects or prefixes it stops when it has found `amount`."""
        query: Query = {
            "amount": amount,
            "after": after,
            "first_parent": first_parent or None,
            "objects": objects,
            "prefixes": prefixes,
            "limit": bool(objects or prefixes) or None,
        }
        return self.client.call(
            "GET",
            self._path("refs", ref, "commits"),
            what=f"read the log of {self._about(ref)}",
            query=query,
            patience=_LONG,
            finish=decoded(CommitPage),
        )

    def merge_base_call(self, a: str, b: str) -> Call[MergeBase]:
        """Return the call that finds the best common ancestor."""
        return self.client.call(
            "GET",
            self._path("refs", a, "merge", b),
            what=f"find the merge base of {a!r} and {b!r} in {self.name!r}",
            finish=decoded(MergeBase),
        )

    # differences

    def diff_call(
        self, left: str, right: str, *, prefix: str = "", after: str | None = None, amount: int = PAGE
    ) -> Call[DiffPage]:
        """Return the call that compares two states; `main$` on the right is the branch with what is uncommitted."""
        return self.client.call(
            "GET",
            self._path("refs", left, "diff", right),
            what=f"compare {left[:16]!r} and {right[:16]!r} in {self.name!r}",
            query={
                "type": "two_dot",
                "include_right_stats": True,
                "prefix": prefix or None,
                "after": after,
                "amount": amount,
            },
            patience=_LONG,
            finish=decoded(DiffPage),
        )

    def uncommitted_call(
        self, branch: str, *, prefix: str = "", after: str | None = None, amount: int = PAGE
    ) -> Call[DiffPage]:
        """Return the call that lists the paths of uncommitted changes."""
        return self.client.call(
            "GET",
            self._path("branches", branch, "diff"),
            what=f"list uncommitted changes of {self._about(branch)}",
            query={"prefix": prefix or None, "after": after, "amount": amount},
            patience=_LONG,
            finish=decoded(DiffPage),
        )

    # objects

    def stat_call(self, ref: str, path: str) -> Call[ObjectStats | None]:
        """Return the call that describes an object; None if there is none."""
        return self.client.call(
            "GET",
            self._path("refs", ref, "objects", "stat"),
            what=f"stat object {path!r} of {self._about(ref)}",
            query={"path": path},
            statuses=_MAYBE,
            finish=_or_none(decoded(ObjectStats), f"stat object {path!r}"),
        )

    def stage_call(self, branch: str, entry: ObjectStats) -> Call[None]:
        """Return the call that puts an entry, as it is somewhere else in this repo, onto a branch; no bytes move."""
        return self.client.call(
            "PUT",
            self._path("branches", branch, "objects"),
            what=f"put object {entry.path!r} onto {self._about(branch)}",
            query={"path": entry.path},
            json={
                "physical_address": self.client.true_address(self.name, entry.physical_address),
                "checksum": entry.checksum,
                "size_bytes": entry.size_bytes,
                "content_type": entry.content_type,
                "metadata": entry.metadata or {},
            },
            finish=status_only,
        )

    # new commits

    def make_commit_call(
        self,
        branch: str,
        message: str,
        metadata: Mapping[str, str],
        *,
        allow_empty: bool = False,
        date: int | None = None,
    ) -> Call[CommitRow]:
        """Return the call that commits what is uncommitted; `date` is in seconds, None is now."""
        dated = {} if date is None else {"date": date}  # the server refuses a null
        return self.client.call(
            "POST",
            self._path("branches", branch, "commits"),
            what=f"commit on {self._about(branch)}",
            json={"message": message, "metadata": metadata, "allow_empty": allow_empty, **dated},
            patience=_LONG,
            finish=decoded(CommitRow),
        )

    def merge_call(
        self,
        source: str,
        into: str,
        message: str,
        metadata: Mapping[str, str],
        *,
        strategy: Literal["", "source-wins", "dest-wins"] = "",
        squash: bool = False,
        allow_empty: bool = False,
    ) -> Call[str]:
        """Return the call that merges; its result is the id of the new commit."""
        return self.client.call(
            "POST",
            self._path("refs", source, "merge", into),
            what=f"merge {source[:16]!r} into {self._about(into)}",
            json={
                "message": message,
                "metadata": metadata,
                "strategy": strategy,
                "squash_merge": squash,
                "allow_empty": allow_empty,
            },
            statuses=_MERGED,
            patience=_LONG,
            finish=_merged(lambda response: decoded(Reference)(response).reference, f"merge into {into!r}"),
        )

    def revert_call(
        self, branch: str, commit: str, message: str, metadata: Mapping[str, str], *, parent: int
    ) -> Call[None]:
        """Return the call that commits the opposite of a commit; `parent` is 0 for one that is no merge."""
        return self.client.call(
            "POST",
            self._path("branches", branch, "revert"),
            what=f"revert {commit[:8]} on {self._about(branch)}",
            json={
                "ref": commit,
                "parent_number": parent,
                "commit_overrides": {"message": message, "metadata": metadata},
            },
            statuses=_MERGED,
            patience=_LONG,
            finish=_merged(status_only, f"revert {commit[:8]}"),
        )

    def cherry_pick_call(
        self, branch: str, commit: str, message: str, metadata: Mapping[str, str], *, parent: int
    ) -> Call[CommitRow]:
        """Return the call that commits the changes of a commit."""
        return self.client.call(
            "POST",
            self._path("branches", branch, "cherry-pick"),
            what=f"cherry-pick {commit[:8]} onto {self._about(branch)}",
            json={
                "ref": commit,
                "parent_number": parent,
                "commit_overrides": {"message": message, "metadata": metadata},
            },
            statuses=_MERGED,
            patience=_LONG,
            finish=_merged(decoded(CommitRow), f"cherry-pick {commit[:8]}"),
        )

    def reset_call(
        self, branch: str, *, kind: Literal["reset", "object", "common_prefix"], path: str = ""
    ) -> Call[None]:
        """Return the call that drops uncommitted changes."""
        return self.client.call(
            "PUT",
            self._path("branches", branch),
            what=f"reset {self._about(branch)}",
            json={"type": kind, "path": path},
            statuses=_DONE,
            patience=_LONG,
            finish=status_only,
        )

    def delete_objects_call(self, branch: str, paths: Sequence[str]) -> Call[DeleteErrors]:
        """Return the call that deletes at most 1,000 objects."""
        return self.client.call(
            "POST",
            self._path("branches", branch, "objects", "delete"),
            what=f"delete objects of {self._about(branch)}",
            json={"paths": paths},
            statuses=frozenset({200}),
            repeatable=True,
            finish=decoded(DeleteErrors),
        )

    def objects_call(
        self, ref: str, *, prefix: str = "", after: str | None = None, amount: int = PAGE
    ) -> Call[ObjectPage]:
        """Return the call that lists objects."""
        return self.client.call(
            "GET",
            self._path("refs", ref, "objects", "ls"),
            what=f"list {self._about(ref)}",
            query={"prefix": prefix or None, "after": after, "amount": amount},
            finish=decoded(ObjectPage),
        )


def no_repo(client: LakeFSClient, name: str) -> NoRepo:
    """The error for a repo that is not there, with the nearest ones as a hint."""

    def hint() -> str | None:
        try:
            return nearest(name, repository_names(client), what="repos")
        except DatastoreError:
            return None

    return NoRepo(f"no repo {name!r} on lakeFS at {client.origin}", hint=hint)


def repository_names(client: LakeFSClient) -> list[str]:
    """Return the names of all repos, sorted."""
    names: list[str] = []
    after: str | None = None
    while True:
        query: Query = {"amount": PAGE, "after": after}
        page = client.run(
            client.call("GET", ["repositories"], what="list repos", query=query, finish=decoded(RepositoryPage))
        )
        names += [row.id for row in page.results]
        if not page.pagination.has_more:
            return sorted(names)
        after = page.pagination.next_offset


def _or_none(finish: Callable[[HttpResponse], T], what: str) -> Callable[[HttpResponse], T | None]:
    """Take a 404 for "there is none", unless it is the repo that is missing."""

    def finished(response: HttpResponse) -> T | None:
        if response.status != 404:
            return finish(response)
        if "repository not found" in message_of(response):
            raise failed(response, what)
        return None

    return finished


def _merged(finish: Callable[[HttpResponse], T], what: str) -> Callable[[HttpResponse], T]:
    """Raise `MergeRefused` for a 409."""

    def finished(response: HttpResponse) -> T:
        if response.status == 409:
            raise MergeRefused(f"{what}: both sides changed the same keys")
        return finish(response)

    return finished


def _deleted(what: str) -> Callable[[HttpResponse], None]:
    """Take a 404 for success if it was sent more than once: the first answer got lost."""

    def finished(response: HttpResponse) -> None:
        if response.status == 404 and response.attempts == 1:
            raise failed(response, what)

    return finished
