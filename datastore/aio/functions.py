"""The functions of `datastore`, awaited. Written by `python -m tools.twins`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datastore import api, engines
from datastore.aio.caches import Cache
from datastore.aio.handles import Repo
from datastore.aio.running import Entering, call
from datastore.aio.streams import Stream

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from typing import Literal

    import datasets
    import duckdb
    import polars as pl
    import pyarrow.dataset as pads
    from fsspec.callbacks import Callback

    from datastore.cachestore.contents import Linking
    from datastore.handoff.formats import FormatName as TableFormat
    from datastore.handoff.options import StorageOptions, Tool
    from datastore.history import Diff
    from datastore.mounted import Mount
    from datastore.streaming.assembling import As, Decode
    from datastore.streaming.planning import FormatName
    from datastore.transfers.deciding import Compare
    from datastore.transfers.plans import Plan
    from datastore.urls import DatasetURL

__all__ = [
    "arrow",
    "cache",
    "clone",
    "create_repo",
    "delete_repo",
    "diff",
    "download",
    "hf",
    "mounts",
    "pin",
    "pinned",
    "repo",
    "repos",
    "resolve",
    "resolving",
    "scan",
    "sql",
    "storage_options",
    "stream",
    "sync",
    "unpin",
    "upload",
]


async def clone(url: str, name: str, *, tags: bool = False) -> Repo:
    """Make a repo here of a branch of another one, with its history; the same call again goes on, or does nothing.

    Args:
        url: The other repo; with a ref, that branch of it instead of the default one.
        name: Of the new repo, which remembers where it is from: `repo.pull()` and `repo.push()` need no URL.
        tags: Whether the tags of its commits come along.

    Raises:
        AlreadyExists: There is a repo or mount of this name, which is no clone of that one.
    """
    return Repo(await call(api.clone, url, name, tags=tags))


async def create_repo(name: str, *, exist_ok: bool = False) -> Repo:
    """Make a repo in the embedded store, and the store with it if it is the first; or one in a mount of several repos.

    Args:
        name: 3 to 63 of a-z, 0-9 and `-`; `mount/name` for a mount.
        exist_ok: Give back the repo that is there.

    Raises:
        AlreadyExists: A repo or mount has the name.
        ValidationError: Not a name for a repo.
    """
    return Repo(await call(api.create_repo, name, exist_ok=exist_ok))


async def delete_repo(name: str) -> None:
    """Delete a repo with its branches, tags and uncommitted changes. This cannot be undone.

    Args:
        name: Of a repo in the embedded store, or `mount/name`.
    """
    await call(api.delete_repo, name)


async def diff(a: str, b: str) -> Diff:
    """Return what differs between two URLs: the objects that they name, and all that is under them.

    Refs of one repo are compared commit by commit, which costs what changed. Anything else is listed on both sides; the
    keys of the changes then count from the two URLs.

    Raises:
        NotFound: There is nothing at a URL, or, for two refs of one repo, at neither.
    """
    return await call(api.diff, a, b)


async def download(
    url: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    allow_patterns: str | Iterable[str] | None = None,
    ignore_patterns: str | Iterable[str] | None = None,
    dry_run: bool = False,
    compare: Compare = "content",
    callback: Callback | None = None,
) -> Plan:
    """Write an object, or all under a prefix, into local files of your own; `resolve` gives shared, read-only ones.

    Each file appears whole or not at all, of one version and verified. Files that are right already are left alone, so
    after an interruption the same call goes on. A branch without uncommitted changes is read as one commit.

    Args:
        url: An object, a prefix, a repo or a mount.
        dest: For a prefix, the folder that gets what is in it. For an object its file; if it ends in `/`, or is a
            folder, the file is in it.
        overwrite: Whether files that differ are replaced. Without it, one of them is an error, and nothing is written.
        allow_patterns: Globs over the names in the folder; only what matches one of them.
        ignore_patterns: What matches one of them is left out.
        dry_run: Only tell; `blocked` has the names of files that differ.
        compare: As in `sync`.
        callback: As in `sync`.

    Raises:
        NotFound: There is nothing.
        AlreadyExists: Files differ, and `overwrite` is not given; names them.
        UnsafeKey: A key would lead out of the folder, or a link is in the place of a folder.
        Conflict: A disk cannot have these names beside each other.
        IntegrityError: The bytes that came are not those that were promised.
    """
    return await call(
        api.download,
        url,
        dest,
        overwrite=overwrite,
        allow_patterns=allow_patterns,
        ignore_patterns=ignore_patterns,
        dry_run=dry_run,
        compare=compare,
        callback=callback,
    )


async def mounts() -> list[Mount]:
    """Return the mounts: those of the configuration and those made by `mount`."""
    return await call(api.mounts)


async def pin(url: str | os.PathLike[str], *, name: str, update: bool = False) -> DatasetURL:
    """Write down in `datastore.lock` what a URL leads to now, and return the URL with its commit.

    The same call again changes nothing and returns what was pinned before, whatever came since: a notebook that is run
    again reads the same data. `datastore lock update`, or `update=True`, pins anew.

    Args:
        url: An object, or a prefix with all that is under it; of a branch, what is committed.
        name: 1 to 64 letters, digits, `_` and `-`.
        update: Replace a pin of this name: by the state of now, or by another URL.

    Raises:
        AlreadyExists: The name pins another URL.
        UncommittedChanges: The branch has some under the URL; names them.
        NotFound: There is nothing; or what was pinned is gone.
        ConfigError: The lock file is damaged; names the line.
        Forbidden: It is not pinned yet, and this process is frozen.
    """
    return await call(api.pin, url, name=name, update=update)


async def pinned(name: str) -> DatasetURL:
    """Return the URL of a pin with its commit, for everything that reads a URL.

    Where there are no versions (a bucket, a local folder) it is the URL itself, after a look whether the data are still
    those that were pinned.

    Raises:
        NotFound: No such pin; or what was pinned is gone.
        HeadMoved: Without versions: there are other data by now.
        ConfigError: The lock file is damaged; names the line.
    """
    return await call(api.pinned, name)


def repo(name: str) -> Repo:
    """Return a repo, or a mount of a versioned provider, by name.

    Raises:
        NotFound: Nothing has the name; says which are near.
        UnsupportedOperation: The mount has no versions.
    """
    return Repo(api.repo(name))


async def repos() -> list[Repo]:
    """Return the repos of the embedded store, by name."""
    return [Repo(one) for one in await call(api.repos)]


async def resolve(
    url: str | os.PathLike[str],
    *,
    allow_patterns: str | Iterable[str] | None = None,
    ignore_patterns: str | Iterable[str] | None = None,
    offline: bool | None = None,
    link: Linking = "auto",
) -> Path:
    """Return a local path with just the bytes of a URL: a file for an object, a real folder for all under a prefix.

    The bytes are verified, read-only, and shared by all processes that resolve the same. What was brought once is not
    brought again, whatever it is called elsewhere; a URL of a commit that was resolved before takes no request. The
    last name is kept, with its suffix. The path stays valid until this process ends.

    Args:
        url: An object, a prefix, a repo or a mount.
        allow_patterns: Globs over the names in a folder; only what matches one of them.
        ignore_patterns: What matches one of them is left out.
        offline: Ask no service; None takes what the configuration says (`DATASTORE_OFFLINE=1`).
        link: How the file shares the disk with others of the same bytes: `auto` shares nothing that somebody who
            writes to it could change; `hard` shares the inode where the disk can, for very large files.

    Raises:
        NotFound: There is nothing.
        NotCached: It is not here, and this is offline; names what is missing.
        HeadMoved: It was changed again and again while it was brought.
        IntegrityError: The bytes that came are not those that were promised.
        Unavailable: The service cannot be reached, or there is no room.
    """
    return await call(
        api.resolve, url, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns, offline=offline, link=link
    )


def resolving(
    url: str | os.PathLike[str],
    *,
    allow_patterns: str | Iterable[str] | None = None,
    ignore_patterns: str | Iterable[str] | None = None,
    offline: bool | None = None,
    link: Linking = "auto",
) -> AbstractAsyncContextManager[Path]:
    """Give a path as `resolve` does, for a `async with` block: then the cache may remove it when it needs the room."""
    return Entering(
        lambda: api.resolving(
            url, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns, offline=offline, link=link
        ),
        lambda given: given,
    )


async def stream(
    url: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    shuffle: int | None = None,
    batch_size: int = 64,
    epochs: int = 1,
    format: FormatName | None = None,
    as_: As | None = None,
    decode: Decode | Literal["pil"] | None = None,
    window: int = 256 << 20,
    drop_last: bool = False,
    rank: int | None = None,
    world_size: int | None = None,
) -> Stream:
    """Return the batches of some data for training: of one commit, in an order that can be gone on with anywhere.

    The order is a function of commit, seed and epoch, whatever the number of ranks and workers; each row comes once per
    epoch. The ref is resolved here, once.

    Args:
        url: An object, or a prefix with objects of one format. On a branch nothing under it may be uncommitted.
        columns: Those of tables, in the order wanted, or the suffixes of tar members; all if not given.
        shuffle: Seed; None leaves rows in the order of keys.
        batch_size: Rows of a batch, on this rank. The last batch of an epoch may have fewer.
        epochs: How often each row comes.
        format: Goes by the names if not given; if it is, objects with other names are left out.
        as_: Tables as `numpy` (dicts of arrays, the default), `arrow` or `rows`. Files and tar members are always rows.
        decode: For files and tar members: "pil" makes images; or functions by suffix.
        window: Bytes that are held, over all workers of one stream, and shuffled together.
        drop_last: Whether a smaller last batch of an epoch is left out, and what would give some ranks a batch more.
        rank: Which of several processes this is; torch.distributed, torchrun or srun tell if not given.
        world_size: Of how many.

    Raises:
        UncommittedChanges: The branch has some under the URL; names them.
        ValidationError: Several ranks and a ref that moves; objects of several formats; no such column.
        NotFound: No rows.
    """
    return Stream(
        await call(
            api.stream,
            url,
            columns=columns,
            shuffle=shuffle,
            batch_size=batch_size,
            epochs=epochs,
            format=format,
            as_=as_,
            decode=decode,
            window=window,
            drop_last=drop_last,
            rank=rank,
            world_size=world_size,
        )
    )


async def sync(
    source: str | os.PathLike[str],
    dest: str | os.PathLike[str],
    *,
    delete: bool = False,
    dry_run: bool = False,
    allow_patterns: str | Iterable[str] | None = None,
    ignore_patterns: str | Iterable[str] | None = None,
    compare: Compare = "content",
    message: str | None = None,
    callback: Callback | None = None,
) -> Plan:
    """Make a folder as another one is, between any two mounts or a mount and a local folder.

    Copies what is missing or different, by the cheapest way that both sides know, several objects at a time. After an
    interruption the same call goes on. On a branch the changes are uncommitted.

    Args:
        source: A prefix, a repo or mount, or a local folder.
        dest: The same; what is under it becomes what is under the source. Files that differ are replaced.
        delete: Whether what only the dest has is deleted, after everything is copied.
        dry_run: Only tell.
        allow_patterns: Globs over the names in the folder; what matches none of them is left alone on both sides.
        ignore_patterns: What matches one of them is left alone on both sides.
        compare: `content` goes by hashes: digests, and etags that are MD5s; what has none of a kind in common with its
            copy is copied again. `time` also leaves out what has its size and was last written well before the dest's
            was: two seconds on one machine; over a network ten minutes, and more for what is large.
        message: Makes a commit of all uncommitted changes of the dest's branch at the end, if there are any.
        callback: One of fsspec's; is told of objects, its branches of bytes.

    Returns:
        What was done, or is to be done: `added` and `changed` names are copied, `removed` ones deleted.

    Raises:
        NotFound: There is nothing at the source.
        ValidationError: One of the two is within the other.
        Forbidden: The dest is read-only.
        IntegrityError: A file was changed while it was read; it was not copied.
    """
    return await call(
        api.sync,
        source,
        dest,
        delete=delete,
        dry_run=dry_run,
        allow_patterns=allow_patterns,
        ignore_patterns=ignore_patterns,
        compare=compare,
        message=message,
        callback=callback,
    )


async def unpin(name: str) -> None:
    """Take a pin out of `datastore.lock`. The data stay as they are, and so does what the cache has of them.

    Raises:
        NotFound: No such pin; names the nearest, and nothing was changed.
        ConfigError: The lock file is damaged; names the line.
        Forbidden: This process is frozen.
    """
    await call(api.unpin, name)


async def upload(
    source: str | os.PathLike[str],
    url: str | os.PathLike[str],
    *,
    ignore: str | Sequence[str] = (),
    allow_patterns: str | Iterable[str] | None = None,
    dry_run: bool = False,
    compare: Compare = "content",
    message: str | None = None,
    callback: Callback | None = None,
) -> Plan:
    """Put a local file, or all files of a folder, under a URL; what is there already is not sent again.

    After an interruption the same call goes on, also on another machine: what has arrived is found at the service, that
    of large files by their parts. On a branch the changes are uncommitted: in the embedded store all or none, elsewhere
    as far as it came.

    Args:
        source: A file or folder. Files that links lead to are sent; a link to a folder is refused.
        url: Where its files go. A file gets this very key, or its own name if the URL ends in `/`.
        ignore: Patterns of `.gitignore`, besides those in the folder's `.datastoreignore`.
        allow_patterns: Globs over the names in the folder; only what matches one of them.
        dry_run: Only tell.
        compare: As in `sync`.
        message: As in `sync`.
        callback: As in `sync`.

    Raises:
        NotFound: There is no such file or folder, mount, repo or branch.
        ValidationError: Something in the folder is neither a file nor a folder, or is a link to a folder; it is named.
        IntegrityError: A file was changed while it was read; it was not sent.
        Forbidden: The dest is read-only.
    """
    return await call(
        api.upload,
        source,
        url,
        ignore=ignore,
        allow_patterns=allow_patterns,
        dry_run=dry_run,
        compare=compare,
        message=message,
        callback=callback,
    )


async def arrow(url: str | os.PathLike[str], *, format: TableFormat | None = None) -> pads.Dataset:
    """Return a table as a dataset of pyarrow: of one commit, read when it is scanned, and only what is needed.

    The URL names an object, a folder (all under it), or a pattern: `*` and `?` within a name, `[ab]`, `**/` for any
    folders. Folders below it that are called `year=2026` become columns. Parquet, CSV and TSV, JSON lines (also
    compressed by gzip or zstd), Arrow, ORC.

    Args:
        url: What to read; the ref is resolved here, once.
        format: Goes by the names if not given; if it is, objects whose names say another one are left out.

    Raises:
        NotFound: There is nothing.
        ValidationError: Objects of several formats; names the choice.
        HeadMoved: When it is scanned: an object that is of no commit has changed since, or a branch with uncommitted
            changes has.
    """
    return await call(engines.arrow, url, format=format)


async def hf(
    url: str | os.PathLike[str], *, streaming: bool = False, format: TableFormat | None = None
) -> datasets.Dataset | datasets.IterableDataset:
    """Return a table as a dataset of Hugging Face `datasets`; the URL and errors are as in `arrow`.

    Folders do not become columns: `datasets` has no such thing.

    Args:
        url: What to read.
        streaming: Whether rows are read as they are asked for, else all is brought here and made into a file of theirs.
        format: As in `arrow`.

    Raises:
        UnsupportedOperation: `datasets` is not installed.
    """
    return await call(engines.hf, url, streaming=streaming, format=format)


async def scan(url: str | os.PathLike[str], *, format: TableFormat | None = None) -> pl.LazyFrame:
    """Return a table as a LazyFrame of polars; everything else is as in `arrow`.

    Raises:
        UnsupportedOperation: polars is not installed.
    """
    return await call(engines.scan, url, format=format)


async def sql(
    query: str,
    *,
    params: Sequence[object] | Mapping[str, object] | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
) -> duckdb.DuckDBPyRelation:
    """Return the relation of a query of DuckDB, in which URLs stand for tables as texts do: `FROM 'ds://…'`.

    Each URL is read as `arrow` reads it; all that name a ref see one commit of it. Data frames among the caller's
    variables are tables, too, as for `duckdb.sql`.

    Args:
        query: One statement of DuckDB, or several.
        params: Values for its placeholders.
        connection: Where other tables are; nothing is left in it. A new one, which lives as long as the relation, if
            not given.

    Returns:
        What `duckdb.sql` returns: it runs when its rows are asked for. None for what has no rows.

    Raises:
        UnsupportedOperation: DuckDB is not installed.
        duckdb.Error: What DuckDB says of the query.
    """
    return await call(engines.sql, query, params=params, connection=connection)


async def storage_options(url: str | os.PathLike[str], *, tool: Tool = "fsspec") -> StorageOptions:
    """Return what a tool with a client of its own needs to read a URL: a dict, with the tool's `url` beside it.

    For those who would rather go without us: on S3 nothing then watches that an object does not change while it is
    read. The dict holds secrets, which it does not show. A lakeFS branch is handed on as its commit, through the
    server's S3 gateway. Where no other client reaches the data, `url` is a pinned `ds://` one, and the dict is empty.

    Args:
        url: What to read; may have patterns, as far as the tool knows them.
        tool: `fsspec` for s3fs and what takes its options, such as pandas and dask; or `polars`.

    Raises:
        UncommittedChanges: A branch has some under the URL.
        UnsupportedOperation: The tool has no way there.
    """
    return await call(engines.storage_options, url, tool=tool)


cache = Cache(api.cache)
"""The cache of this process."""
