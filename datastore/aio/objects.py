"""Awaitable twins: Objects. Written by `python -m tools.twins`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datastore import provider
from datastore.aio.reader import Reader
from datastore.aio.running import Entering, call, each
from datastore.aio.twin import Twin
from datastore.values import OVERWRITE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractAsyncContextManager

    from datastore.provider import Body, Capabilities
    from datastore.values import Attributes, ByteRange, DeleteFailure, ObjectInfo, Page, PutMode

__all__ = ["Objects"]


class Objects(Twin[provider.Provider]):
    """Objects under keys. Handles are free: making one does no I/O.

    The twin of `datastore.provider.Provider`, which is its `sync`; more is told there.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this handle can do now."""
        return self.sync.capabilities

    async def head(self, key: str) -> ObjectInfo:
        """Return what is known of an object, or raise `NotFound`. A prefix is not an object."""
        return await call(self.sync.head, key)

    def read(
        self, key: str, *, range: ByteRange | None = None, if_match: str | None = None
    ) -> AbstractAsyncContextManager[Reader]:
        """Open an object, or a range of it.

        Args:
            key: The object.
            range: Which bytes; None means all. A range beyond the end is empty, not an error.
            if_match: Etag that the object must still have; else `HeadMoved`.

        Raises:
            NotFound: No such object.
            HeadMoved: Its etag is another one by now.
        """
        return Entering(lambda: self.sync.read(key, range=range, if_match=if_match), Reader)

    async def put(
        self, key: str, body: Body, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None
    ) -> ObjectInfo:
        """Write a whole object, atomically: readers see the old one or the new one.

        Raises:
            InvalidURL, TooLarge: The key may not be written (`names.check_key`).
            AlreadyExists: The mode is `CREATE` and the key is taken.
            HeadMoved: The mode is `Match(etag)` and the object has another etag, or is gone.
            Forbidden: This handle is read-only.
        """
        return await call(self.sync.put, key, body, mode=mode, attributes=attributes)

    async def delete(self, keys: Sequence[str]) -> Sequence[DeleteFailure]:
        """Delete exactly these keys; those that could not be deleted come back. A missing key is no failure."""
        return await call(self.sync.delete, keys)

    def list(
        self, prefix: str = "", *, delimiter: str | None = None, start_after: str | None = None
    ) -> AsyncGenerator[Page]:
        """List objects whose keys start with `prefix`, in the order of their UTF-8 bytes.

        With a delimiter, everything up to its first occurrence after the prefix is one common prefix, given once, in
        `Page.prefixes`. `start_after` is exclusive; a common prefix equal to it or before it is left out, with all that
        is under it. Pages are not empty and hold at most 1,000 names (objects and prefixes together).
        """
        return each(lambda: self.sync.list(prefix, delimiter=delimiter, start_after=start_after))
