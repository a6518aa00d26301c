"""Experiments: a branch with parameters and metrics, kept whatever happens, merged only when told to."""

import math
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Literal, Protocol, Self, cast

import msgspec

from datastore.errors import AlreadyExists, NotFound, UncommittedChanges, ValidationError
from datastore.history import Commit, Diff
from datastore.repository import Branch, Empty, Repo
from datastore.urls import DatasetURL
from datastore.values import Side, Strategy

__all__ = ["Experiment", "Resume"]

Resume = Literal["never", "allow", "must"]
"""What to do about a branch of that name: it must not exist, it may, or it must."""


class Experiment:
    """A branch to try something on. Use it in a `with` block, or call `start`.

    `experiment / "key"` is the URL to write to. Leaving the block merges and deletes nothing, also
    after an exception: what was written stays on the branch, to be looked at, resumed or merged.

    Args:
        repo: Where.
        name: Of the experiment and its branch.
        base: What it begins from; a branch must have no uncommitted changes, so that the begin can be named.
        params: Recorded with each commit, as JSON.
        resume: `never`, `allow` or `must`.

    Raises:
        AlreadyExists: The branch exists and `resume` is "never".
        NotFound: It does not exist and `resume` is "must"; or there is no such base.
        UncommittedChanges: The base has some; names them.
    """

    def __init__(
        self,
        repo: Repo,
        name: str,
        *,
        base: str = "main",
        params: Mapping[str, object] | None = None,
        resume: Resume = "never",
    ) -> None:
        if resume not in {"never", "allow", "must"}:
            raise ValidationError(f"resume={resume!r} is not known", hint='"never", "allow" or "must"')
        self.repo = repo
        self.name = name
        self.params = dict(params or {})
        self.metrics: dict[str, float | int | str] = {}
        self._base = base
        self._resume: Resume = resume
        _json(self.params, "params")

    @property
    def branch(self) -> Branch:
        """Its branch."""
        return self.repo.branch(self.name)

    def start(self) -> Self:
        """Make the branch, or find it again."""
        versioned = self.repo.versioned
        if versioned.is_branch(self.name):
            if self._resume == "never":
                message = f"there is an experiment or branch {self.name!r} already"
                raise AlreadyExists(message, hint='pass resume="allow" to go on with it, or choose another name')
            return self
        if self._resume == "must":
            names = [branch.name for branch in self.repo.branches()]
            raise NotFound(f"no experiment {self.name!r} to resume", hint=f"branches: {', '.join(names[:8])}")
        if versioned.is_branch(self._base) and (pending := self.repo.branch(self._base).uncommitted()):
            keys = [change.key for change in pending]
            raise UncommittedChanges(
                f"the base {self._base!r} has uncommitted changes: {', '.join(map(repr, keys[:5]))}",
                keys=keys,
                hint=f"commit them first, or begin from what is committed: base='{self._base}@'",
            )
        self.repo.create_branch(self.name, self._base)
        return self

    def __truediv__(self, key: str) -> DatasetURL:
        return self.branch / key

    def log_metrics(self, **metrics: float | str) -> None:
        """Remember figures for the next commits; a later value of the same name replaces the earlier one."""
        _json(metrics, "metrics")
        self.metrics.update(metrics)

    def commit(self, message: str, *, metadata: Mapping[str, str] | None = None, empty: Empty = "raise") -> Commit:
        """Commit what was written, with parameters and metrics in the commit's metadata."""
        recorded = {"experiment": self.name, **dict(metadata or {})}
        if self.params:
            recorded["params"] = _json(self.params, "params")
        if self.metrics:
            recorded["metrics"] = _json(self.metrics, "metrics")
        return self.branch.commit(message, metadata=recorded, empty=empty)

    def diff(self) -> Diff:
        """Return what the experiment changed since it parted from its base; commits only."""
        return self.repo.diff(self._base, self.branch, merge_base=True)

    def merge(
        self,
        into: str | Branch | None = None,
        *,
        message: str | None = None,
        strategy: Strategy | None = None,
        choose: Mapping[str, Side] | None = None,
        squash: bool = False,
        empty: Empty = "raise",
    ) -> Commit:
        """Merge into a branch (the base, if none is given); see `Repo.merge`."""
        if into is None:
            into = self._base.removesuffix("@")
            if not self.repo.versioned.is_branch(into):
                raise ValidationError(f"the base {into!r} is not a branch", hint='say where to: exp.merge(into="main")')
        return self.repo.merge(
            self.branch, into, message=message, strategy=strategy, choose=choose, squash=squash, empty=empty
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the branch as it is."""

    def __repr__(self) -> str:
        return f"Experiment({self.repo.name!r}, {self.name!r})"


def _json(values: Mapping[str, object], what: str) -> str:
    try:
        return msgspec.json.encode(_plain(values), order="sorted").decode()
    except TypeError as error:
        raise ValidationError(
            f"{what} cannot be written as JSON: {error}", hint="use numbers, texts, lists and dicts"
        ) from None


def _plain(value: object) -> object:
    """Return what JSON can say: scalars of numpy as numbers; nan and infinities, which would turn to null, as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in cast("Sequence[object]", value)]
    if getattr(value, "shape", None) == ():
        value = cast("_Scalar", value).item()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


class _Scalar(Protocol):
    """A value of numpy or torch without dimensions."""

    def item(self) -> object: ...
