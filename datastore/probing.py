"""What a provider may offer to `datastore doctor`: what only it can find out about where it stands.

It is asked for with `isinstance` before it is used, as the protocols in `datastore.provider`.
"""

from collections.abc import Iterator
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

__all__ = ["Finding", "State", "SupportsFindings", "SupportsProbe"]

State = Literal["ok", "warning", "failed", "skipped"]


class Finding(Struct, frozen=True, kw_only=True):
    """What one look at a mount showed.

    Attributes:
        check: What was looked at, in two or three words.
        state: `warning`: works, but somebody may trip over it; `skipped`: could not be looked at, the detail says why.
        detail: What was seen, without secrets.
        hint: The cure, where one is needed.
    """

    check: str
    state: State = "ok"
    detail: str = ""
    hint: str | None = None


@runtime_checkable
class SupportsFindings(Protocol):
    """Is a store on this machine, which knows what may trouble it."""

    def findings(self) -> Iterator[Finding]:
        """Yield what can be seen of it and of its disk; nothing is changed."""
        ...


@runtime_checkable
class SupportsProbe(Protocol):
    """Knows more of its service than the contract asks for."""

    def probe(self, folder: str, *, write: bool) -> Iterator[Finding]:
        """Yield what can be seen: who we are there, region, clock, whether the service does what is known of it.

        Args:
            folder: Prefix, ending in `/`, under which nothing is yet.
            write: Whether something may be written, only under that prefix.
        """
        ...

    def sweep(self, folder: str) -> None:
        """Delete all that is under a prefix for good: objects, their older versions, unfinished uploads."""
        ...
