"""Awaitable twins: Cache. Written by `python -m tools.twins`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from datastore import caching
from datastore.aio.running import call
from datastore.aio.twin import Twin

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from datastore.caching import Cached, CacheInfo, Damaged

__all__ = ["Cache"]


class Cache(Twin[caching.Cache]):
    """What `resolve` keeps on this machine, in the folder that the configuration names.

    The twin of `datastore.caching.Cache`, which is its `sync`; more is told there.
    """

    @property
    def path(self) -> Path:
        """The folder."""
        return self.sync.path

    async def ls(self) -> list[Cached]:
        """Return what is there, used last first."""
        return await call(self.sync.ls)

    async def info(self) -> CacheInfo:
        """Return how much is there."""
        return await call(self.sync.info)

    async def verify(self) -> list[Damaged]:
        """Read and hash all bytes, put away what is damaged, and return that; the next `resolve` brings it anew."""
        return await call(self.sync.verify)

    async def trim(self, size: int | str | None = None) -> int:
        """Remove what was not used for longest until the cache holds no more than this, and return the bytes freed.

        What living processes use, and what is kept, stays.

        Args:
            size: Bytes, or a text such as `20GB`; None for the limit of the configuration.
        """
        return await call(self.sync.trim, size)

    async def prune(self, unused: timedelta = timedelta(days=30)) -> int:
        """Remove leftovers, what was not used for some time, and notes that lead nowhere; return the bytes freed.

        Args:
            unused: For how long; `timedelta(0)` removes all that is not in use or kept.
        """
        return await call(self.sync.prune, unused)

    async def keep(self, url: str | os.PathLike[str], *, on: bool = True) -> Path:
        """Resolve a URL and never evict what it leads to now, or (`on=False`) evict it again like anything else."""
        return await call(self.sync.keep, url, on=on)
