"""Brings the bytes of an object into the cache: by the cheapest way there is, verified, of one version."""

import os
import shutil
from contextlib import closing
from pathlib import Path

from datastore.bridging import SupportsLocalFiles
from datastore.cachestore.contents import Contents
from datastore.cachestore.layout import CacheFolder, disk_trouble, unlink
from datastore.cachestore.partial import Partial
from datastore.cachestore.stamps import digest_of_file
from datastore.calls import FileSlice
from datastore.durable import reflink
from datastore.errors import DatastoreError, HeadMoved, IntegrityError
from datastore.parts import PART
from datastore.provider import Provider, SupportsRequests
from datastore.transfer import read_chunks
from datastore.values import ByteRange, Digest, ObjectInfo, digest_of, is_strong

__all__ = ["checked_digest", "fetch_object", "fetch_small"]


def fetch_object(folder: CacheFolder, contents: Contents, provider: Provider, info: ObjectInfo, *, name: str) -> Digest:
    """Bring in one object, and return the digest of its bytes.

    Args:
        folder: The cache.
        contents: Where the bytes go.
        provider: Where the object is.
        info: What `head` or `list` said of it.
        name: Names this version of the object, for a download that goes on later.

    Raises:
        HeadMoved: It is another version by now.
        IntegrityError: The bytes that came are not those that were promised.
    """
    remote = isinstance(provider, SupportsRequests)
    partial = Partial(folder, name, info.size, resume=remote and is_strong(info))
    try:
        with disk_trouble(folder.root):
            if not _cloned(partial, provider, info):
                if isinstance(provider, SupportsRequests):
                    _filled(partial, provider, info)
                else:
                    _streamed(partial, provider, info)
            partial.finish()
            digest = checked_digest(partial.path, info)
            contents.publish(partial.path, digest, info.size)
    except (HeadMoved, IntegrityError):  # nobody can go on with either
        partial.discard()
        raise
    except BaseException:
        partial.leave()
        raise
    partial.discard()
    return digest


def fetch_small(folder: CacheFolder, contents: Contents, provider: Provider, info: ObjectInfo) -> Digest:
    """Bring in one small object of a local store, through memory; arguments otherwise as in `fetch_object`."""
    with provider.read(info.key, if_match=info.etag or None) as reader:
        data = reader.read() or b""
    digest = digest_of(data)
    if len(data) != info.size or info.digest not in {None, digest}:
        raise IntegrityError(f"object {info.key!r} has other bytes than its store says", hint="run `datastore check`")
    part = folder.scratch()
    try:
        with disk_trouble(folder.root), os.fdopen(folder.open_new(part), "wb") as file:
            file.write(data)
        contents.publish(part, digest, info.size)
    finally:
        unlink(part)
    return digest


def checked_digest(path: str | Path, info: ObjectInfo) -> Digest:
    """Return the digest of a file, or raise `IntegrityError` unless it has the bytes of an object."""
    size = os.stat(path).st_size  # noqa: PTH116 - thousands in a row
    if size != info.size:
        raise IntegrityError(f"object {info.key!r} gave {size} bytes of {info.size}", hint="try again")
    found = digest_of_file(path)
    if info.digest is not None and found != info.digest:
        raise IntegrityError(
            f"object {info.key!r} has digest {found}, not {info.digest}", hint="try again; nothing was cached"
        )
    return found


def _cloned(partial: Partial, provider: Provider, info: ObjectInfo) -> bool:
    """Share the disk blocks of a local store's own file, or let the system copy it; the bytes do not pass through here.

    The store's file itself is never handed out: whoever writes to what `resolve` gives cannot reach it.
    """
    source = provider.local_file(info) if isinstance(provider, SupportsLocalFiles) else None
    if source is None:
        return False
    os.ftruncate(partial.fd, 0)
    try:
        if not reflink(source, partial.fd):
            shutil.copyfile(source, partial.path)
    except FileNotFoundError:  # moved into a pack meanwhile
        return False
    return True


def _streamed(partial: Partial, provider: Provider, info: ObjectInfo) -> None:
    os.lseek(partial.fd, 0, os.SEEK_SET)
    with provider.read(info.key, if_match=info.etag or None) as reader, open(partial.fd, "wb", closefd=False) as file:
        file.writelines(read_chunks(reader))


def _filled(partial: Partial, provider: SupportsRequests, info: ObjectInfo) -> None:
    """Ask for what is missing in parallel, all of the one version."""
    from datastore.http.engine import engine  # only who reaches a network needs libcurl
    from datastore.http.filling import PARALLEL

    if not is_strong(info) or info.size <= PART:
        call = provider.get_call(info, sink=FileSlice(partial.fd, 0, info.size))
        if info.size:
            engine().run(call)
        return
    calls = (
        (start, provider.get_call(info, range=ByteRange(start, stop), sink=FileSlice(partial.fd, start, stop - start)))
        for start, stop in partial.missing()
    )
    with closing(engine().bulk(calls, limit=PARALLEL)) as ended:
        for start, result in ended:
            if isinstance(result, DatastoreError):
                raise result
            partial.came(start)
