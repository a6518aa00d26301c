"""A provider over a folder of the local disk: keys are paths below it.

What a disk can promise, and what it cannot:

- A write goes to a hidden file beside its target, which is renamed when it is whole: readers see the old object or the
  new one. Hidden files are called `.datastore-tmp-<16 hex digits>`; no verb shows them, and what a crash leaves of them
  may be deleted. Nothing is forced down with fsync: after a power cut the newest objects may be missing or empty.
- `CREATE` is atomic. There is no `Match`, no metadata, and no content type but the extension's: asking for one raises
  `UnsupportedOperation`, because dropping it in silence would lose data.
- An etag is made of inode, time of change and size. Other programs may change a file in place: a reader that meets this
  raises `IntegrityError`, as far as the disk's clock tells the two states apart.
- Links are followed as long as they stay below the root; what leads out of it is refused by name. This guards against
  what is on the disk, not against somebody who swaps folders for links while a verb runs.
- A folder is no object. A link to a folder above itself is not walked into: what it shows has a key of its own already.
"""

# ruff: noqa: PTH100, PTH106, PTH108, PTH112, PTH113, PTH114, PTH116, PTH118, PTH120 - keys are text, and so are the paths below the root

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

from msgspec import Struct

from datastore.errors import (
    Conflict,
    DatastoreError,
    Forbidden,
    HeadMoved,
    IntegrityError,
    InvalidURL,
    NotFound,
    UnsafeKey,
    UnsupportedOperation,
)
from datastore.listing import grouped, pages
from datastore.names import check_key, content_type_of
from datastore.provider import Body, Capabilities, Provider, Reader, Writer
from datastore.providers.local.disk import TEMP, etag_of, followed, info_of, may_exist, taken, translated
from datastore.providers.local.walk import Walk
from datastore.providers.local.writing import LocalWriter
from datastore.streams import FileReader, body_chunks
from datastore.values import CREATE, OVERWRITE, Attributes, ByteRange, DeleteFailure, Match, ObjectInfo, Page, PutMode

__all__ = ["LocalProvider", "Options", "open_mount"]

# Paths are opened with their links followed: what turned into a link since then is refused. A FIFO must not block.
_READ: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_SEPARATORS: Final = "\\:" if os.name == "nt" else ""


class LocalProvider:
    """The files below a folder.

    Args:
        root: The folder. It has to exist when the first verb runs: nothing is created by a typo.
        read_only: Whether every change is refused.
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self._path = os.path.abspath(root)
        self._read_only = read_only

    @property
    def capabilities(self) -> Capabilities:
        """No `Match`, no attributes, no digests."""
        return Capabilities(
            writable=not self._read_only,
            immutable=False,
            create=True,
            match=False,
            attributes=False,
            digests=False,
            local=True,
        )

    def head(self, key: str) -> ObjectInfo:
        """Return what is known of an object, or raise `NotFound`."""
        real = self._resolve(key)
        with translated(key):
            return info_of(key, real, os.lstat(real))

    def read(self, key: str, *, range: ByteRange | None = None, if_match: str | None = None) -> Reader:
        """Open an object; a file that is renamed over it later does not touch what the reader sees."""
        real = self._resolve(key)
        with translated(key):
            fd = os.open(real, _READ)
        try:
            info = info_of(key, real, os.fstat(fd))
            _check_match(info, if_match)
        except BaseException:
            os.close(fd)
            raise
        return _WatchedReader(info, fd, range=range)

    def put(
        self, key: str, body: Body, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None
    ) -> ObjectInfo:
        """Write a whole object; the errors are those of `writer`."""
        writer = self.writer(key, mode=mode, attributes=attributes)
        try:
            for chunk in body_chunks(body):
                writer.write(chunk)
            return writer.commit()
        finally:
            writer.abort()

    def writer(self, key: str, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None) -> Writer:
        """Start an object; makes a hidden file, and folders for it, which go away again unless it is committed.

        Raises:
            Conflict: A part of the key is an object, or the key is a folder.
            TooLarge: A name in the key is longer than the disk takes.
            UnsupportedOperation: The mode is `Match`, or the attributes would be lost.
        """
        self._check_writable()
        _check_new_key(key)
        _check_attributes(key, attributes)
        if isinstance(mode, Match):
            raise UnsupportedOperation(f"cannot write {key!r} only on a match: a disk has no such step")
        if not os.path.isdir(self._root):
            raise self._no_root()
        place = self._place(key)
        with translated(key, writing=True):
            self._check_free(key, place, mode)
            return LocalWriter(key, place, mode=mode)

    def delete(self, keys: Sequence[str]) -> Sequence[DeleteFailure]:
        """Delete exactly these keys, then the folders that became empty by it."""
        self._check_writable()
        failures: list[DeleteFailure] = []
        for key in keys:
            try:
                self._delete(key)
            except (DatastoreError, OSError) as error:
                failures.append(DeleteFailure(key, error))
        return failures

    def list(self, prefix: str = "", *, delimiter: str | None = None, start_after: str | None = None) -> Iterator[Page]:
        """List objects. Only the names of the folders on the way to the current key are held in memory.

        Raises:
            InvalidURL: A file's name is not UTF-8, so that no key can name it.
            UnsafeKey: A link leads out of the root.
        """
        above = self._folders(prefix[: prefix.rfind("/") + 1])
        if above is None:
            return iter(())
        walk = Walk(prefix, above)
        if delimiter == "/":
            return pages(walk.level(start_after))
        return pages(grouped(walk.rows, prefix=prefix, delimiter=delimiter, start_after=start_after))

    def local_path(self, key: str) -> Path:
        """Return the file of an object, with links followed; raise `NotFound` or `UnsafeKey` as `read` does."""
        return Path(self._resolve(key))

    def close(self) -> None:
        """Nothing is held open."""

    @cached_property
    def _root(self) -> str:
        return os.path.realpath(self._path)

    def _resolve(self, key: str) -> str:
        """Return the path of a key with its links followed; raise `NotFound` for a key that no listing could show."""
        if key.startswith("/") or ".." in key.split("/") or any(char in key for char in _SEPARATORS):
            raise UnsafeKey(f"key {key[:120]!r} would reach outside its folder")
        if not may_exist(key):
            raise NotFound(f"no object has the key {key[:120]!r}")
        return followed(self._root, os.path.join(self._root, key), key)

    def _place(self, key: str) -> str:
        """Return the path to write to: links to its folder are followed, a link in its own place is replaced."""
        folder, _, name = key.rpartition("/")
        place = os.path.join(self._resolve(folder) if folder else self._root, name)
        if os.path.islink(place):
            self._resolve(key)  # refused if it leads out
        return place

    def _folders(self, base: str) -> Sequence[str] | None:
        """Return the real folders from the root down to `a/b/`; None if a listing has nothing there."""
        if not os.path.isdir(self._root):
            raise self._no_root()
        above = [self._root]
        for cut in _slashes(base):
            try:
                folder = self._resolve(base[:cut])
            except NotFound:
                return None
            if folder in above or not os.path.isdir(folder):
                return None
            above.append(folder)
        return above

    def _delete(self, key: str) -> None:
        try:
            self.head(key)
            place = self._place(key)
            with translated(key):
                os.unlink(place)
        except NotFound:
            return
        folder = os.path.dirname(place)
        with suppress(OSError):  # not empty
            while folder != self._root:
                os.rmdir(folder)
                folder = os.path.dirname(folder)

    def _check_writable(self) -> None:
        if self._read_only:
            raise Forbidden(f"the folder {self._path!r} is mounted read-only", hint="mount it with read_only=False")

    def _check_free(self, key: str, place: str, mode: PutMode) -> None:
        try:
            found = os.stat(place)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            raise self._below_a_file(key) from None
        if stat.S_ISDIR(found.st_mode):
            raise self._is_a_folder(key)
        if mode == CREATE:
            raise taken(key)

    def _no_root(self) -> NotFound:
        return NotFound(f"the folder {self._path!r} does not exist", hint="create it, or correct the mount's path")

    def _below_a_file(self, key: str) -> Conflict:
        files = (key[:cut] for cut in _slashes(key) if os.path.isfile(os.path.join(self._root, key[:cut])))
        return Conflict(
            f"{key!r} cannot be written: {next(files, '')!r} is an object, and a disk holds nothing below a file",
            hint="choose another key, or delete that object first",
        )

    def _is_a_folder(self, key: str) -> Conflict:
        page = next(self.list(f"{key}/"), None)
        below = f"of {page.objects[0].key!r}" if page else "without objects"
        return Conflict(f"{key!r} cannot be written: on this disk it is the folder {below}", hint="choose another key")


class _WatchedReader(FileReader):
    """Notices when the file is changed in place while it is read, so that bytes of two states are never mixed."""

    def _fill(self, buffer: memoryview, position: int) -> int:
        count = super()._fill(buffer, position)
        if etag_of(os.fstat(self._fd)) != self.info.etag:  # looked at after the bytes were taken
            raise IntegrityError(f"file {self.info.key!r} was changed in place while it was read", hint="read it again")
        return count


def _slashes(key: str) -> list[int]:
    return [index for index, char in enumerate(key) if char == "/"]


def _check_match(info: ObjectInfo, etag: str | None) -> None:
    if etag is not None and info.etag != etag:
        raise HeadMoved(f"object {info.key!r} has etag {info.etag!r} by now, not {etag!r}")


def _check_new_key(key: str) -> None:
    if any(TEMP.fullmatch(segment) for segment in check_key(key).split("/")):
        raise InvalidURL(f"key {key[:120]!r} has a name that is kept for unfinished files", hint="choose another name")


def _check_attributes(key: str, attributes: Attributes | None) -> None:
    if attributes is None:
        return
    if attributes.metadata:
        raise UnsupportedOperation(f"the metadata of {key!r} would be lost: a file has none", hint="use a repo")
    if attributes.content_type not in {None, content_type_of(key)}:
        raise UnsupportedOperation(
            f"the content type {attributes.content_type!r} of {key!r} would be lost: a file's follows its extension",
            hint=f"leave it out, which gives {content_type_of(key)!r}",
        )


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a mount may say: the folder, and whether it may be changed."""

    path: str
    read_only: bool = False


def open_mount(options: Options) -> Provider:
    """Return the provider of a folder."""
    return LocalProvider(Path(options.path), read_only=options.read_only)
