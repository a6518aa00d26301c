"""The errors of datastore, grouped by what a handler would do about them.

    DatastoreError
    ├── NotFound            (FileNotFoundError)   nothing has this name
    ├── AlreadyExists       (FileExistsError)     something has this name
    ├── Forbidden           (PermissionError)     the service or the kind of ref says no
    ├── ValidationError     (ValueError)          the input is wrong; nothing was done
    │   ├── InvalidURL
    │   ├── TooLarge
    │   ├── UnsupportedType
    │   └── ConfigError
    ├── SecurityError       (PermissionError)     doing it would be dangerous
    │   ├── UnsafeKey
    │   ├── BlockedAddress
    │   ├── TenantMismatch
    │   └── UntrustedConfig
    ├── Conflict                                  somebody else was there first; look, then decide
    │   ├── MergeConflict
    │   ├── HeadMoved
    │   ├── Diverged
    │   ├── NothingToCommit
    │   └── UncommittedChanges
    ├── IntegrityError      (OSError)             bytes are not what they have to be
    │   └── Erased
    ├── Unavailable         (OSError)             not now; the same call may work later
    ├── NotCached           (FileNotFoundError)   offline, and the cache does not have it
    └── UnsupportedOperation (io.UnsupportedOperation)  this store cannot do that

Each carries `kind` (a stable string to switch on), `url` (what it is about, without secrets) and `hint` (the way out,
the safe one first; also attached as a note, so that every traceback shows it). All of them pickle.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from datastore.values import KeyConflict

__all__ = [
    "AlreadyExists",
    "BlockedAddress",
    "ConfigError",
    "Conflict",
    "DatastoreError",
    "Diverged",
    "Erased",
    "Forbidden",
    "HeadMoved",
    "IntegrityError",
    "InvalidURL",
    "MergeConflict",
    "NotCached",
    "NotFound",
    "NothingToCommit",
    "SecurityError",
    "TenantMismatch",
    "TooLarge",
    "Unavailable",
    "UncommittedChanges",
    "UnsafeKey",
    "UnsupportedOperation",
    "UnsupportedType",
    "UntrustedConfig",
    "ValidationError",
    "nearest",
]


Hint = str | Callable[[], str | None] | None
"""The way out of an error, or how to find it; finding it never raises."""


class DatastoreError(Exception):
    """Base of everything that this package raises on purpose.

    Args:
        message: What is wrong, naming the offending part.
        hint: The way out, or a function that finds it where that takes work.
        url: What it is about; never carries credentials.
    """

    kind: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: Hint = None, url: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.url = url
        self._hint = hint
        self._notes: list[str] | None = None

    @property
    def hint(self) -> str | None:
        """The way out; looked for when somebody asks, since most errors are caught and never shown."""
        if callable(self._hint):
            self._hint = self._hint()
        return self._hint

    @property  # computed, because the hint is
    def __notes__(self) -> list[str]:
        """The hint, and what was added by `add_note` (PEP 678); absent, as on any exception, if there is neither."""
        if self._notes is None:
            if self.hint is None:
                raise AttributeError("__notes__")
            self._notes = [f"hint: {self.hint}"]
        return self._notes

    @__notes__.setter
    def __notes__(self, notes: list[str]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._notes = notes

    def __str__(self) -> str:
        # FileNotFoundError and its kin would print an errno that nobody set.
        return self.message

    def __reduce__(self) -> tuple[Callable[..., "DatastoreError"], tuple[Any, ...]]:
        # OSError's own reduce drops keyword arguments and notes.
        return _rebuild, (type(self), {**self.__dict__, "_hint": self.hint, "_notes": getattr(self, "__notes__", None)})


def _rebuild(cls: type[DatastoreError], state: dict[str, Any]) -> DatastoreError:
    error = cls.__new__(cls, state["message"])
    error.args = (state["message"],)
    error.__dict__.update(state)
    return error


class NotFound(DatastoreError, FileNotFoundError):
    """No mount, repo, ref, key or object has this name."""

    kind = "not-found"


class AlreadyExists(DatastoreError, FileExistsError):
    """The name is taken."""

    kind = "already-exists"


class Forbidden(DatastoreError, PermissionError):
    """Permission is missing, or the thing cannot be written: a tag, a commit, a protected branch, a read-only store."""

    kind = "forbidden"


class ValidationError(DatastoreError, ValueError):
    """The input is wrong. Nothing was done."""

    kind = "invalid"


class InvalidURL(ValidationError):
    """A `ds://` URL, or a name or key in one, does not follow the grammar."""

    kind = "invalid-url"


class TooLarge(ValidationError):
    """Over a limit that the message names."""

    kind = "too-large"


class UnsupportedType(ValidationError):
    """A media type or file format that this store does not take."""

    kind = "unsupported-type"


class ConfigError(ValidationError):
    """The configuration is wrong; the message names file and field."""

    kind = "config"


class SecurityError(DatastoreError, PermissionError):
    """Refused because it would be dangerous."""

    kind = "security"


class UnsafeKey(SecurityError):
    """A key that would reach outside its place."""

    kind = "unsafe-key"


class BlockedAddress(SecurityError):
    """A network address that must not be contacted."""

    kind = "blocked-address"


class TenantMismatch(SecurityError):
    """Something that belongs to another tenant."""

    kind = "tenant-mismatch"


class UntrustedConfig(SecurityError):
    """A project's configuration file wants credentials to go to a place that the user did not approve."""

    kind = "untrusted-config"


class Conflict(DatastoreError):
    """Somebody else was there first, or a precondition does not hold. Nothing was changed."""

    kind = "conflict"


class MergeConflict(Conflict):
    """Both sides changed the same keys. Nothing was changed.

    Attributes:
        conflicts: One `KeyConflict` (key, base, source, dest) for each, sorted by key.
    """

    kind = "merge-conflict"

    def __init__(self, message: str, *, conflicts: Sequence[KeyConflict], hint: Hint = None) -> None:
        super().__init__(message, hint=hint)
        self.conflicts = tuple(conflicts)

    @property
    def paths(self) -> list[str]:
        """The keys in conflict, sorted."""
        return [conflict.key for conflict in self.conflicts]


class HeadMoved(Conflict):
    """The branch, or an object that was being read, is not any more what this handle pinned.

    Attributes:
        landed: Id of the commit that did land although the head had moved, where a store cannot rule that out.
    """

    kind = "head-moved"

    def __init__(self, message: str, *, hint: Hint = None, url: str | None = None, landed: str | None = None) -> None:
        super().__init__(message, hint=hint, url=url)
        self.landed = landed


class Diverged(Conflict):
    """Two histories went different ways; only a merge can bring them together."""

    kind = "diverged"


class NothingToCommit(Conflict):
    """The branch has no uncommitted changes. Names the commit that took them, if another one did."""

    kind = "nothing-to-commit"


class UncommittedChanges(Conflict):
    """The verb needs a clean branch.

    Attributes:
        keys: The first of the uncommitted keys.
    """

    kind = "uncommitted-changes"

    def __init__(self, message: str, *, keys: Sequence[str], hint: Hint = None) -> None:
        super().__init__(message, hint=hint)
        self.keys = tuple(keys)


class IntegrityError(DatastoreError, OSError):
    """Bytes are not what they have to be. They were not handed out."""

    kind = "integrity"


class Erased(IntegrityError):
    """The content was erased on purpose; its entry is kept."""

    kind = "erased"


class Unavailable(DatastoreError, OSError):
    """The store cannot be reached or is busy now; the same call may work later."""

    kind = "unavailable"
    retryable = True


class NotCached(DatastoreError, FileNotFoundError):
    """Offline, and the cache does not hold it."""

    kind = "not-cached"


class UnsupportedOperation(DatastoreError, io.UnsupportedOperation):
    """This store, or this kind of ref, cannot do that."""

    kind = "unsupported"


def nearest(name: str, known: Iterable[str], *, what: str = "") -> str | None:
    """Return a hint that names the known words nearest to `name`, or None.

    >>> nearest("mian", ["main", "exp"])
    "did you mean 'main'?"
    >>> nearest("xyz", ["main", "exp"], what="branches")
    'known branches: exp, main'
    """
    import difflib  # only a failing call pays for it

    words = sorted(set(known))
    close = difflib.get_close_matches(name, words, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(repr(word) for word in close)}?"
    if what and words:
        more = f", … ({len(words)} in all)" if len(words) > 8 else ""
        return f"known {what}: {', '.join(words[:8])}{more}"
    return None
