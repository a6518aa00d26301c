"""Reads an object piece by piece from code that runs in an event loop."""

from collections.abc import AsyncIterator

from datastore import provider
from datastore.aio.running import call
from datastore.aio.twin import Twin
from datastore.values import ObjectInfo

__all__ = ["Reader"]

_PIECE = 1 << 20


class Reader(Twin[provider.Reader]):
    """An object, or a range of it, that is open for reading: `async with branch.objects.read(key) as reader`.

    As in the synchronous API, all bytes are of the one version that `info` describes.
    """

    @property
    def info(self) -> ObjectInfo:
        """The version that is read."""
        return self.sync.info

    async def read(self, size: int = -1) -> bytes:
        """Return some bytes, at most so many; all that are left if no number is given; none at the end."""
        return await call(self.sync.read, size) or b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield what is left, in pieces of up to 1 MiB."""
        while piece := await self.read(_PIECE):
            yield piece
