"""What history answers: commits, logs and diffs as values that know where they came from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, overload

from datastore.errors import NotFound
from datastore.notebook import reprs
from datastore.provider import Provider
from datastore.tables import TableDiff, diff_objects
from datastore.urls import DatasetURL
from datastore.values import Change, CommitInfo, ObjectInfo, same_object

if TYPE_CHECKING:
    import pandas as pd

    from datastore.repository import Repo

__all__ = ["Commit", "Diff", "Log", "listing_diff", "objects_at"]


class Commit:
    """A commit of a repo. `commit / "key"` is the pinned URL of an object in it.

    Args:
        repo: Where it is.
        info: What the store says of it.
    """

    def __init__(self, repo: "Repo", info: CommitInfo) -> None:
        self.repo = repo
        self.info = info

    @property
    def id(self) -> str:
        """64 hex digits; the first 8 are enough in a URL."""
        return self.info.id

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids; the first one is the branch that the commit was made on."""
        return self.info.parents

    @property
    def author(self) -> str:
        """Who made it."""
        return self.info.author

    @property
    def time(self) -> datetime:
        """When, an aware UTC time."""
        return self.info.time

    @property
    def message(self) -> str:
        """What its author says about it."""
        return self.info.message

    @property
    def metadata(self) -> Mapping[str, str]:
        """String pairs: parameters, metrics, whatever was recorded."""
        return self.info.metadata

    def diff(self) -> "Diff":
        """Return what it changed, against its first parent."""
        return self.repo.diff(f"{self.id}~1", self.id) if self.parents else self.repo.diff(self.id, self.id)

    def __truediv__(self, key: str) -> DatasetURL:
        return self.repo.url(key, ref=self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Commit) and (self.id, self.repo) == (other.id, other.repo)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return reprs.commit_table(self.info).text()

    def _repr_html_(self) -> str:
        return reprs.commit_table(self.info).html()


class Log(Sequence[Commit]):
    """Commits, newest first."""

    def __init__(self, commits: Iterable[Commit], *, title: str) -> None:
        self._commits = list(commits)
        self._title = title

    @overload
    def __getitem__(self, index: int) -> Commit: ...
    @overload
    def __getitem__(self, index: slice) -> list[Commit]: ...
    def __getitem__(self, index: int | slice) -> Commit | list[Commit]:
        return self._commits[index]

    def __len__(self) -> int:
        return len(self._commits)

    def to_pandas(self) -> "pd.DataFrame":
        """Return one row per commit: id, time, author, message, parents, metadata."""
        import pandas as pd

        columns = ("id", "time", "author", "message", "parents", "metadata")
        return pd.DataFrame(
            {name: [getattr(commit, name) for commit in self] for name in columns}, columns=list(columns)
        )

    def __repr__(self) -> str:
        return reprs.log_table([commit.info for commit in self], title=self._title).text()

    def _repr_html_(self) -> str:
        return reprs.log_table([commit.info for commit in self], title=self._title).html()


class Diff(Sequence[Change]):
    """Changes between two states, by key.

    Args:
        changes: In key order.
        title: The two states, for people.
        sides: Providers of both, for a look into the objects.
        prefixes: What the sides put before the keys of the changes.
    """

    def __init__(
        self,
        changes: Iterable[Change],
        *,
        title: str,
        sides: tuple[Provider, Provider],
        prefixes: tuple[str, str] = ("", ""),
    ) -> None:
        self._changes = list(changes)
        self._prefixes = prefixes
        self.sides = sides
        self.title = title

    @overload
    def __getitem__(self, index: int) -> Change: ...
    @overload
    def __getitem__(self, index: slice) -> list[Change]: ...
    def __getitem__(self, index: int | slice) -> Change | list[Change]:
        return self._changes[index]

    def __len__(self) -> int:
        return len(self._changes)

    @property
    def added(self) -> list[str]:
        """Keys that only the right side has."""
        return [change.key for change in self if change.kind == "added"]

    @property
    def removed(self) -> list[str]:
        """Keys that only the left side has."""
        return [change.key for change in self if change.kind == "removed"]

    @property
    def changed(self) -> list[str]:
        """Keys whose content, content type or metadata differs."""
        return [change.key for change in self if change.kind == "changed"]

    def table(self, name: str, *, key: str | Sequence[str] | None = None, limit: int = 20) -> TableDiff:
        """Compare one table row by row.

        Args:
            name: Object in both states: Parquet, CSV, TSV, JSON, JSON lines, Feather or Arrow.
            key: Column (or columns) that tells rows apart.
            limit: Rows of each kind to keep: added, removed, changed.

        Raises:
            NotFound: One side does not have it.
            ValidationError: `key` is missing, not a column, or not unique; names the columns that would do.
            UnsupportedType: Not a table that can be read.
        """
        change = next((change for change in self if change.key == name), None)
        infos = (change.before, change.after) if change else (None, None)
        before, after = (
            (side, info.key if info else prefix + name)
            for side, info, prefix in zip(self.sides, infos, self._prefixes, strict=True)
        )
        return diff_objects(before, after, key=key, limit=limit, title=f"{name}  {self.title}")

    def to_pandas(self) -> "pd.DataFrame":
        """Return one row per change: key, kind, size before, size after."""
        import pandas as pd

        def size(info: object) -> int | None:
            return getattr(info, "size", None)

        columns = {
            "key": [change.key for change in self],
            "kind": [change.kind for change in self],
            "size_before": pd.array([size(change.before) for change in self], dtype="Int64"),
            "size_after": pd.array([size(change.after) for change in self], dtype="Int64"),
        }
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        return reprs.diff_table(self.title, self._changes).text()

    def _repr_html_(self) -> str:
        return reprs.diff_table(self.title, self._changes).html()


def listing_diff(a: Provider, b: Provider, *, keys: tuple[str, str]) -> Iterator[Change]:
    """Compare two places key by key, for states that share no history.

    Args:
        a: Has the left side.
        b: Has the right side.
        keys: An object or a prefix on each side; the keys of the changes count from there, and an object has its name.

    Raises:
        NotFound: A side has nothing there.
    """
    left, right = objects_at(a, keys[0]), objects_at(b, keys[1])
    name = keys[0].rpartition("/")[2]
    before, after = next(left, None), next(right, None)
    while before is not None or after is not None:
        if after is None or (before is not None and before[0] < after[0]):
            assert before is not None  # noqa: S101 - the loop's condition
            yield Change(key=before[0] or name, before=before[1], after=None)
            before = next(left, None)
        elif before is None or after[0] < before[0]:
            yield Change(key=after[0] or name or keys[1].rpartition("/")[2], before=None, after=after[1])
            after = next(right, None)
        else:
            if not same_object(before[1], after[1]):
                yield Change(key=before[0] or name, before=before[1], after=after[1])
            before, after = next(left, None), next(right, None)


def objects_at(provider: Provider, key: str) -> Iterator[tuple[str, ObjectInfo]]:
    """Yield the object of a key, then all objects under it as under a folder, each with the rest of its key.

    Raises:
        NotFound: There is neither; never for the empty key.
    """
    missing: NotFound | None = None
    found = not key
    if key and not key.endswith("/"):
        try:
            info = provider.head(key)
        except NotFound as error:
            missing = error
        else:
            found = True
            yield "", info
        key += "/"
    for page in provider.list(key):
        for info in page.objects:
            found = True
            yield info.key[len(key) :], info
    if not found:
        raise missing or NotFound(f"there is no object under {key!r}", hint="list the folder above it")
