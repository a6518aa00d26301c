"""What all handles of `datastore.aio` have in common: the synchronous handle that does their work."""

from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from datastore import repository
    from datastore.aio.handles import Branch

__all__ = ["Twin", "plain"]

S = TypeVar("S")
T = TypeVar("T")


class Twin(Generic[S]):
    """A handle whose verbs are awaited.

    Args:
        sync: The handle of the synchronous API that does the work.

    Attributes:
        sync: The same; equal handles have equal ones.
    """

    def __init__(self, sync: S) -> None:
        self.sync = sync

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.sync == other.sync

    def __hash__(self) -> int:
        return hash(self.sync)

    def __repr__(self) -> str:
        return f"aio.{self.sync!r}"

    def _repr_html_(self) -> str | None:
        show = getattr(self.sync, "_repr_html_", None)
        return None if show is None else show()


def plain(value: "T | Branch") -> "T | repository.Branch":
    """Return what the synchronous API takes: of a twin its handle, everything else as it is."""
    return cast("repository.Branch", value.sync) if isinstance(value, Twin) else value
