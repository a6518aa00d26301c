"""The functions of `import datastore as ds`: the process's own namespace, by name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from datastore import pinning, pushing, resolution
from datastore.caching import cache
from datastore.errors import AlreadyExists
from datastore.history import Diff, listing_diff, objects_at
from datastore.mounted import Mount
from datastore.namespace import current
from datastore.repository import Repo
from datastore.urls import DatasetURL, to_url

if TYPE_CHECKING:
    import os
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fsspec.callbacks import Callback

    from datastore.cachestore.contents import Linking
    from datastore.fs.system import DatastoreFileSystem
    from datastore.streaming.assembling import As, Decode
    from datastore.streaming.planning import FormatName
    from datastore.streaming.stream import Stream
    from datastore.transfers.deciding import Compare
    from datastore.transfers.plans import Plan

__all__ = [
    "cache",
    "clone",
    "create_repo",
    "delete_repo",
    "diff",
    "download",
    "filesystem",
    "mount",
    "mounts",
    "pin",
    "pinned",
    "repo",
    "repos",
    "resolve",
    "resolving",
    "stream",
    "sync",
    "unpin",
    "upload",
    "url",
]


def url(target: "str | os.PathLike[str]") -> DatasetURL:
    """Return anything that names data as a `ds://` URL.

    Takes `ds://…`, `garments@main/key`, `s3://bucket/key`, `r2://bucket/key`, `lakefs://repo/ref/key` and local paths
    (a `pathlib.Path`, `file://…`, or a text that starts with `/` or `.`).

    Raises:
        InvalidURL: It cannot be read as any of these.
    """
    return current().url(target)


def create_repo(name: str, *, exist_ok: bool = False) -> Repo:
    """Make a repo in the embedded store, and the store with it if it is the first; or one in a mount of several repos.

    Args:
        name: 3 to 63 of a-z, 0-9 and `-`; `mount/name` for a mount.
        exist_ok: Give back the repo that is there.

    Raises:
        AlreadyExists: A repo or mount has the name.
        ValidationError: Not a name for a repo.
    """
    namespace = current()
    namespace.check_free(name)
    store, inner = namespace.store_of(name)
    try:
        store.create_repo(inner)
    except AlreadyExists:
        if not exist_ok:
            raise
    return Repo(name, namespace=namespace)


def repo(name: str) -> Repo:
    """Return a repo, or a mount of a versioned provider, by name.

    Raises:
        NotFound: Nothing has the name; says which are near.
        UnsupportedOperation: The mount has no versions.
    """
    found = Repo(name)
    found.versioned  # noqa: B018 - a typo is told here, not at the first verb
    return found


def repos() -> list[Repo]:
    """Return the repos of the embedded store, by name."""
    namespace = current()
    return [Repo(name, namespace=namespace) for name in namespace.store.repos()]


def delete_repo(name: str) -> None:
    """Delete a repo with its branches, tags and uncommitted changes. This cannot be undone.

    Args:
        name: Of a repo in the embedded store, or `mount/name`.
    """
    store, inner = current().store_of(name)
    store.delete_repo(inner)


def clone(url: str, name: str, *, tags: bool = False) -> Repo:
    """Make a repo here of a branch of another one, with its history; the same call again goes on, or does nothing.

    Args:
        url: The other repo; with a ref, that branch of it instead of the default one.
        name: Of the new repo, which remembers where it is from: `repo.pull()` and `repo.push()` need no URL.
        tags: Whether the tags of its commits come along.

    Raises:
        AlreadyExists: There is a repo or mount of this name, which is no clone of that one.
    """
    return pushing.clone(current(), url, name, tags=tags)


def mount(name: str, /, provider: str, **options: object) -> Mount:
    """Give a provider a name for this process, as the `mounts` section of a configuration file does.

    >>> import datastore as ds
    >>> raw = ds.mount("raw", "memory")
    >>> raw / "2026" / "a.csv"
    'ds://raw/2026/a.csv'

    Args:
        name: 1 to 63 of a-z, 0-9 and `-`.
        provider: `local`, `memory`, `embedded`, or one that a package brings.
        options: The provider's own.

    Raises:
        AlreadyExists: The name stands for something else.
        ConfigError: Unknown provider or option; says which are near.
    """
    namespace = current()
    return Mount(namespace.mount(name, provider, **options), namespace=namespace)


def mounts() -> list[Mount]:
    """Return the mounts: those of the configuration and those made by `mount`."""
    namespace = current()
    return [Mount(info, namespace=namespace) for info in namespace.mounts()]


def diff(a: str, b: str) -> Diff:
    """Return what differs between two URLs: the objects that they name, and all that is under them.

    Refs of one repo are compared commit by commit, which costs what changed. Anything else is listed on both sides; the
    keys of the changes then count from the two URLs.

    Raises:
        NotFound: There is nothing at a URL, or, for two refs of one repo, at neither.
    """
    namespace = current()
    left, right = namespace.target(to_url(a)), namespace.target(to_url(b))
    title = f"{to_url(a)}..{to_url(b)}"
    if left.versioned and right.versioned and left.name == right.name and left.key == right.key:
        found = Repo(left.name).diff(left.ref or "", right.ref or "", prefix=left.key)
        folder = _folder(left.key)
        changes = [change for change in found if change.key == left.key or change.key.startswith(folder)]
        if not changes:
            next(objects_at(right.provider, right.key), None)  # nothing changed, or is nothing there?
        return Diff(changes, title=title, sides=found.sides)
    return Diff(
        listing_diff(left.provider, right.provider, keys=(left.key, right.key)),
        title=title,
        sides=(left.provider, right.provider),
        prefixes=(_folder(left.key), _folder(right.key)),
    )


def sync(
    source: "str | os.PathLike[str]",
    dest: "str | os.PathLike[str]",
    *,
    delete: bool = False,
    dry_run: bool = False,
    allow_patterns: str | Iterable[str] | None = None,
    ignore_patterns: str | Iterable[str] | None = None,
    compare: "Compare" = "content",
    message: str | None = None,
    callback: "Callback | None" = None,
) -> "Plan":
    """Make a folder as another one is, between any two mounts or a mount and a local folder.

    Copies what is missing or different, by the cheapest way that both sides know, several objects at a time. After an
    interruption the same call goes on. On a branch the changes are uncommitted.

    >>> import datastore as ds
    >>> branch = ds.create_repo("garments").branch("main")
    >>> branch.objects.put("img/1.png", b"1").key
    'img/1.png'
    >>> ds.sync(branch / "img/", "./copy/", dry_run=True).bytes
    1
    >>> ds.sync(branch / "img/", "./copy/").added, ds.sync(branch / "img/", "./copy/").added
    (['1.png'], [])

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
    from datastore.transfers.verbs import Options, sync

    options = Options(
        allow_patterns=allow_patterns,
        ignore_patterns=ignore_patterns,
        dry_run=dry_run,
        compare=compare,
        callback=callback,
    )
    return sync(current(), source, dest, options, delete=delete, message=message)


def upload(
    source: "str | os.PathLike[str]",
    url: "str | os.PathLike[str]",
    *,
    ignore: str | Sequence[str] = (),
    allow_patterns: str | Iterable[str] | None = None,
    dry_run: bool = False,
    compare: "Compare" = "content",
    message: str | None = None,
    callback: "Callback | None" = None,
) -> "Plan":
    """Put a local file, or all files of a folder, under a URL; what is there already is not sent again.

    After an interruption the same call goes on, also on another machine: what has arrived is found at the service, that
    of large files by their parts. On a branch the changes are uncommitted: in the embedded store all or none, elsewhere
    as far as it came.

    >>> import datastore as ds
    >>> from pathlib import Path
    >>> _ = Path("a.csv").write_text("id")
    >>> main = ds.create_repo("garments").branch("main")
    >>> ds.upload("a.csv", main / "raw/", message="Raw data").copied, main.head.message
    (['a.csv'], 'Raw data')
    >>> ds.upload("a.csv", main / "raw/", message="Raw data").skipped
    1

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
    from datastore.transfers.verbs import Options, upload

    options = Options(allow_patterns=allow_patterns, dry_run=dry_run, compare=compare, callback=callback)
    return upload(current(), source, url, options, ignore=ignore, message=message)


def download(
    url: "str | os.PathLike[str]",
    dest: "str | os.PathLike[str]",
    *,
    overwrite: bool = False,
    allow_patterns: str | Iterable[str] | None = None,
    ignore_patterns: str | Iterable[str] | None = None,
    dry_run: bool = False,
    compare: "Compare" = "content",
    callback: "Callback | None" = None,
) -> "Plan":
    """Write an object, or all under a prefix, into local files of your own; `resolve` gives shared, read-only ones.

    Each file appears whole or not at all, of one version and verified. Files that are right already are left alone, so
    after an interruption the same call goes on. A branch without uncommitted changes is read as one commit.

    >>> import datastore as ds
    >>> main = ds.create_repo("garments").branch("main")
    >>> main.objects.put("raw/a.csv", b"id").key
    'raw/a.csv'
    >>> ds.download(main / "raw/", "data").copied, ds.download(main / "raw/", "data").skipped
    (['a.csv'], 1)

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
    from datastore.transfers.verbs import Options, download

    options = Options(
        allow_patterns=allow_patterns,
        ignore_patterns=ignore_patterns,
        dry_run=dry_run,
        compare=compare,
        callback=callback,
    )
    return download(current(), url, dest, options, overwrite=overwrite)


def resolve(
    url: "str | os.PathLike[str]",
    *,
    allow_patterns: str | Iterable[str] | None = None,
    ignore_patterns: str | Iterable[str] | None = None,
    offline: bool | None = None,
    link: "Linking" = "auto",
) -> "Path":
    """Return a local path with just the bytes of a URL: a file for an object, a real folder for all under a prefix.

    The bytes are verified, read-only, and shared by all processes that resolve the same. What was brought once is not
    brought again, whatever it is called elsewhere; a URL of a commit that was resolved before takes no request. The
    last name is kept, with its suffix. The path stays valid until this process ends.

    >>> import datastore as ds
    >>> branch = ds.create_repo("garments").branch("main")
    >>> branch.objects.put("img/coat.png", b"...").key
    'img/coat.png'
    >>> ds.resolve(branch / "img/coat.png").name, [path.name for path in ds.resolve(branch / "img/").iterdir()]
    ('coat.png', ['coat.png'])

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
    return resolution.resolve(
        current(), url, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns, offline=offline, link=link
    )


def resolving(
    url: "str | os.PathLike[str]",
    *,
    allow_patterns: str | Iterable[str] | None = None,
    ignore_patterns: str | Iterable[str] | None = None,
    offline: bool | None = None,
    link: "Linking" = "auto",
) -> "AbstractContextManager[Path]":
    """Give a path as `resolve` does, for a `with` block: then the cache may remove it when it needs the room."""
    return resolution.resolving(
        current(), url, allow_patterns=allow_patterns, ignore_patterns=ignore_patterns, offline=offline, link=link
    )


def pin(url: "str | os.PathLike[str]", *, name: str, update: bool = False) -> DatasetURL:
    """Write down in `datastore.lock` what a URL leads to now, and return the URL with its commit.

    The same call again changes nothing and returns what was pinned before, whatever came since: a notebook that is run
    again reads the same data. `datastore lock update`, or `update=True`, pins anew.

    >>> import datastore as ds
    >>> main = ds.create_repo("garments").branch("main")
    >>> main.objects.put("train.csv", b"sku").key
    'train.csv'
    >>> commit = main.commit("Rows")
    >>> train = ds.pin(main / "train.csv", name="train")
    >>> train == ds.pinned("train") == commit / "train.csv"
    True

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
    return pinning.pin(current(), current().url(url), name=name, update=update)


def pinned(name: str) -> DatasetURL:
    """Return the URL of a pin with its commit, for everything that reads a URL.

    Where there are no versions (a bucket, a local folder) it is the URL itself, after a look whether the data are still
    those that were pinned.

    Raises:
        NotFound: No such pin; or what was pinned is gone.
        HeadMoved: Without versions: there are other data by now.
        ConfigError: The lock file is damaged; names the line.
    """
    return pinning.pinned(current(), name)


def unpin(name: str) -> None:
    """Take a pin out of `datastore.lock`. The data stay as they are, and so does what the cache has of them.

    >>> import datastore as ds
    >>> main = ds.create_repo("garments").branch("main")
    >>> main.objects.put("train.csv", b"sku").key
    'train.csv'
    >>> train = ds.pin(main.commit("Rows") / "train.csv", name="train")
    >>> ds.unpin("train")

    Raises:
        NotFound: No such pin; names the nearest, and nothing was changed.
        ConfigError: The lock file is damaged; names the line.
        Forbidden: This process is frozen.
    """
    pinning.unpin(current(), [name])


def stream(
    url: "str | os.PathLike[str]",
    *,
    columns: Sequence[str] | None = None,
    shuffle: int | None = None,
    batch_size: int = 64,
    epochs: int = 1,
    format: "FormatName | None" = None,  # noqa: A002 - the word that people look for
    as_: "As | None" = None,
    decode: "Decode | Literal['pil'] | None" = None,
    window: int = 256 << 20,
    drop_last: bool = False,
    rank: int | None = None,
    world_size: int | None = None,
) -> "Stream":
    """Return the batches of some data for training: of one commit, in an order that can be gone on with anywhere.

    The order is a function of commit, seed and epoch, whatever the number of ranks and workers; each row comes once per
    epoch. The ref is resolved here, once.

    >>> import pandas as pd
    >>> import datastore as ds
    >>> main = ds.create_repo("garments").branch("main")
    >>> pd.DataFrame({"x": range(100)}).to_parquet(main / "train/0.parquet")
    >>> _ = main.commit("Rows")
    >>> [len(batch["x"]) for batch in ds.stream(main / "train/", shuffle=17, batch_size=40)]
    [40, 40, 20]

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
    from datastore.streaming.making import Settings, make_stream

    settings = Settings(
        columns=columns if isinstance(columns, str | None) else tuple(columns),
        seed=shuffle,
        batch_size=batch_size,
        epochs=epochs,
        window=window,
        drop_last=drop_last,
        as_=as_,
        decode=decode,
    )
    return make_stream(current(), url, settings, format=format, rank=rank, world_size=world_size)


def _folder(key: str) -> str:
    return key if not key or key.endswith("/") else f"{key}/"


def filesystem(at: str | Mapping[str, str] | None = None) -> "DatastoreFileSystem":
    """Return the fsspec file system of `ds://`.

    Args:
        at: Pins: `"garments@main=<commit id>"`, or a mapping of several; reads of that ref then see that commit.
    """
    import fsspec

    text = (
        at if isinstance(at, str) or at is None else ",".join(f"{ref}={commit}" for ref, commit in sorted(at.items()))
    )
    return fsspec.filesystem("ds", **({} if text is None else {"pins": text}))
