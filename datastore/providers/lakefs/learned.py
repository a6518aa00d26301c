"""What a process has learned about one server; shared by all equal clients, gone with the process, never pickled."""

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from msgspec import Struct

from datastore.providers.lakefs.answers import ObjectPage

if TYPE_CHECKING:
    from datastore.providers.lakefs.answers import RepositoryRow, ServerConfig
    from datastore.values import ObjectInfo

__all__ = ["Ahead", "Kept", "Learned", "SignedUrl"]

K = TypeVar("K")
V = TypeVar("V")

_URLS: Final = 4096
_INFOS: Final = 16_384
_REFS: Final = 1024
_ASK_AGAIN: Final = 600.0
"""Seconds after which a host of the object store that could not be reached is tried again."""


class Kept(Generic[K, V]):
    """A dictionary that forgets its oldest entries; needs no lock, so a fork cannot find it locked."""

    def __init__(self, limit: int) -> None:
        self._values: OrderedDict[K, V] = OrderedDict()
        self._limit = limit

    def get(self, key: K) -> V | None:
        """Return what is kept, if it still is."""
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Keep a value."""
        self._values[key] = value
        while len(self._values) > self._limit:
            with suppress(KeyError):  # another thread was faster
                self._values.popitem(last=False)

    def drop(self, key: K) -> None:
        """Forget a value."""
        self._values.pop(key, None)


class SignedUrl(Struct, frozen=True):
    """A URL with a signature, and when it ends to be valid: seconds since the epoch. Never shown."""

    url: str
    expires: float

    def __repr__(self) -> str:
        return "SignedUrl(***)"


class Ahead(Struct):
    """How far URLs are asked for ahead of the reader of many objects; see `urls.signed_url`.

    Attributes:
        key: The last key that a URL had to be asked for.
        asked: How many came with it.
        used: How many of them were used.
        coming: Those behind them, which are on their way already.
        process: Where they will arrive.
    """

    key: str = ""
    asked: int = 0
    used: int = 0
    coming: Callable[[], ObjectPage] | None = None
    process: int = 0


class Learned:
    """What is known by now.

    Attributes:
        config: What the server can do.
        repositories: By name; their namespace and default branch do not change.
        branches: Names that were seen to be branches, as (repo, name); a hint, since branches can be deleted.
        infos: Objects of commits, as (repo, commit, key), for ever.
        urls: Signed URLs, by the address that they lead to; by key and checksum where they do not tell it.
        ahead: How URLs are asked for, as (repo, ref).
        reachable: Hosts of the object store that have answered.
    """

    def __init__(self) -> None:
        self.config: ServerConfig | None = None
        self.repositories: dict[str, RepositoryRow] = {}
        self.branches: Kept[tuple[str, str], bool] = Kept(_REFS)
        self.infos: Kept[tuple[str, str, str], ObjectInfo] = Kept(_INFOS)
        self.urls: Kept[str, SignedUrl] = Kept(_URLS)
        self.ahead: Kept[tuple[str, str], Ahead] = Kept(_REFS)
        self.reachable: set[str] = set()
        self._unreachable: dict[str, float] = {}

    def unreachable(self, host: str) -> bool:
        """Tell whether a host of the object store could not be reached a short while ago."""
        since = self._unreachable.get(host)
        return since is not None and time.monotonic() - since < _ASK_AGAIN

    def not_reached(self, host: str) -> None:
        """Remember that a host could not be reached."""
        self._unreachable[host] = time.monotonic()
