"""What this process has written to branches since its last commit there, to be able to say who committed it instead."""

from typing import Final

from datastore.providers.lakefs.client import LakeFSClient

__all__ = ["forget", "last", "note"]

_MOST: Final = 10_000
_written: Final[dict[tuple[LakeFSClient, str, str], tuple[str, int]]] = {}


def note(client: LakeFSClient, repo: str, branch: str, key: str, modified_us: int) -> None:
    """Remember the last key that was written to a branch, with the server's time of it in microseconds."""
    if len(_written) >= _MOST:  # it only makes a message better
        _written.clear()
    _written[client, repo, branch] = (key, modified_us)


def last(client: LakeFSClient, repo: str, branch: str) -> tuple[str, int] | None:
    """Return (key, time) of what was written last and not committed from here since."""
    return _written.get((client, repo, branch))


def forget(client: LakeFSClient, repo: str, branch: str) -> None:
    """What was written is in a commit."""
    _written.pop((client, repo, branch), None)
