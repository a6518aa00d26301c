"""The asynchronous half of the file system: each coroutine runs the synchronous verb of its name in a thread.

What goes to a network in one bulk does so in one thread. What fsspec builds from these otherwise (`_get`, `_put`,
`_copy`, `_pipe`, `_glob`, `_walk`) is inherited, and runs as many at once as fsspec lets it.
"""

# ruff: noqa: ARG002, FBT001, FBT002, PLR0917 - the signatures are fsspec's

import asyncio
from collections.abc import Iterable, Sequence
from glob import has_magic
from typing import Any, cast

from fsspec.callbacks import DEFAULT_CALLBACK

from datastore.errors import NotFound
from datastore.fs.bulk import Paths, as_paths, settle
from datastore.fs.paths import Info, strip
from datastore.fs.ranges import Ranges
from datastore.fs.writing import Writing
from datastore.threads import in_thread

__all__ = ["Coroutines"]


class Coroutines(Writing):
    """The asynchronous verbs, over the synchronous ones."""

    async def _info(self, path: str, **kwargs: Any) -> Info:
        return await in_thread(self.info, path, **kwargs)

    async def _exists(self, path: str, **kwargs: Any) -> bool:
        return await in_thread(self.exists, path, **kwargs)

    async def _isfile(self, path: str) -> bool:
        return await in_thread(self.isfile, path)

    async def _isdir(self, path: str) -> bool:
        return await in_thread(self.isdir, path)

    async def _ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        return await in_thread(self.ls, path, detail=detail, **kwargs)

    async def _find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, **kwargs: Any
    ) -> list[str] | dict[str, Info]:
        return await in_thread(self.find, path, maxdepth=maxdepth, withdirs=withdirs, **kwargs)

    async def _du(
        self, path: str, total: bool = True, maxdepth: int | None = None, **kwargs: Any
    ) -> int | dict[str, int]:
        return await in_thread(self.du, path, total=total, maxdepth=maxdepth, **kwargs)

    async def _expand_path(
        self, path: Paths, recursive: bool = False, maxdepth: int | None = None, assume_literal: bool = False
    ) -> list[str]:
        return await in_thread(self.expand_path, path, recursive, maxdepth, assume_literal)

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        return await in_thread(self.cat_file, path, start=start, end=end, **kwargs)

    async def _cat(
        self,
        path: Paths,
        recursive: bool = False,
        on_error: str = "raise",
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        plain = as_paths(path)
        if await in_thread(self._listed_remotely, plain, recursive):
            return await in_thread(self.cat, plain, recursive=recursive, on_error=on_error, **kwargs)
        paths = await self._expand_path(plain, recursive=recursive)
        if isinstance(plain, str) and paths == [strip(plain)]:
            return await self._cat_file(paths[0], **kwargs)
        results = cast("Any", await super()._cat(paths, on_error="return", batch_size=batch_size, **kwargs))
        found = cast("dict[str, bytes | Exception]", results)
        for name, result in list(found.items()):
            if isinstance(result, NotFound) and await self._isdir(name):
                del found[name]
        return settle(found, on_error)

    async def _cat_ranges(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        paths: Sequence[str],
        starts: Iterable[int | None] | int | None,
        ends: Iterable[int | None] | int | None,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[bytes | Exception]:
        ranges, found = await in_thread(self._ranges_in_bulk, paths, starts, ends, max_gap=max_gap)
        rest = ranges.rest(found)
        others = await asyncio.gather(*(in_thread(ranges.read, ranges.blocks[number]) for number in rest))
        found.update(zip(rest, others, strict=True))
        return ranges.cut([found[number] for number in range(len(found))], on_error=on_error)

    def _ranges_in_bulk(self, *args: Any, **kwargs: Any) -> tuple[Ranges, dict[int, bytes | Exception]]:
        ranges = self.ranges(*args, **kwargs)
        return ranges, ranges.read_bulk()

    def _listed_remotely(self, paths: str | list[str], recursive: bool) -> bool:
        """Tell whether a listing will give the infos of everything, so that one bulk can read it."""
        return (recursive or has_magic("".join(paths))) and self.remote(paths)

    async def _pipe_file(self, path: str, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        await in_thread(self.pipe_file, path, value, mode=mode, **kwargs)

    async def _pipe(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, path: str | dict[str, Any], value: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> None:
        if isinstance(path, dict) and await in_thread(self.remote, list(path)):
            await in_thread(self.pipe, path, **kwargs)
        else:
            await super()._pipe(path, value, batch_size=batch_size, **kwargs)

    async def _get(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, rpath: Paths, lpath: Paths, recursive: bool = False, callback: Any = DEFAULT_CALLBACK, **kwargs: Any
    ) -> None:
        plain = as_paths(rpath)
        if await in_thread(self._listed_remotely, plain, recursive):
            kwargs.pop("batch_size", None)
            await in_thread(self.get, plain, lpath, recursive=recursive, callback=callback, **kwargs)
        else:
            await super()._get(plain, lpath, recursive=recursive, callback=callback, **kwargs)

    async def _put(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, lpath: Paths, rpath: Paths, recursive: bool = False, callback: Any = DEFAULT_CALLBACK, **kwargs: Any
    ) -> None:
        plain = as_paths(rpath)
        if await in_thread(self.remote, plain):
            kwargs.pop("batch_size", None)
            await in_thread(self.put, lpath, plain, recursive=recursive, callback=callback, **kwargs)
        else:
            await super()._put(lpath, plain, recursive=recursive, callback=callback, **kwargs)

    async def _get_file(self, rpath: str, lpath: str, **kwargs: Any) -> None:
        await in_thread(self.get_file, rpath, lpath, **kwargs)

    async def _put_file(self, lpath: str, rpath: str, mode: str = "overwrite", **kwargs: Any) -> None:
        await in_thread(self.put_file, lpath, rpath, mode=mode, **kwargs)

    async def _cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        await in_thread(self.cp_file, path1, path2, **kwargs)

    async def _mv_file(self, path1: str, path2: str) -> None:
        await in_thread(self.mv, path1, path2)

    async def _rm_file(self, path: str, **kwargs: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await in_thread(self.rm_file, path)

    async def _rm(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        path: Paths,
        recursive: bool = False,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        await in_thread(self.rm, path, recursive=recursive, maxdepth=maxdepth)

    async def _mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        await in_thread(self.mkdir, path, create_parents=create_parents)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        await in_thread(self.makedirs, path, exist_ok=exist_ok)
