"""Bytes by their content, and how files come to share or copy them.

An object of the cache is a file that is named by the sha256 of its bytes. It is never given out itself: what `resolve`
gives out is a file of its own, or, where the disk cannot share blocks, the first one shares the object's inode and
every further one is a copy. So nobody who writes to a resolved file changes one that was resolved elsewhere, and what
he did to the object is seen by its stamp before the bytes are used again.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from datastore.cachestore.layout import CacheFolder, disk_trouble, unlink
from datastore.cachestore.stamps import digest_of_file, is_whole, put_stamp
from datastore.durable import reflink
from datastore.errors import IntegrityError
from datastore.values import Digest

__all__ = ["LINKS", "Contents", "Linking"]

Linking = Literal["auto", "hard"]
LINKS: Final = ("auto", "hard")
_NO_LINKS: Final = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}


class Contents:
    """The folder `objects/`.

    Args:
        folder: The cache.
    """

    def __init__(self, folder: CacheFolder) -> None:
        self._folder = folder
        self._reflinks = True  # until the disk says no

    def path(self, digest: str) -> str:
        """Return where the bytes are, or would be."""
        return self._folder.sharded("objects", digest[7:])

    def has(self, digest: Digest, size: int) -> bool:
        """Tell whether the bytes are here and whole; what somebody wrote to is put away."""
        path = self.path(digest)
        try:
            if is_whole(path, digest, size):
                return True
        except FileNotFoundError:
            return False
        self.put_away(path)
        return False

    def publish(self, part: str, digest: Digest, size: int) -> None:
        """Give a file in the making, whose bytes were just hashed, its place."""
        with disk_trouble(self._folder.root):
            os.chmod(part, self._folder.file_mode())  # noqa: PTH101
            put_stamp(part, digest)
            if self.has(digest, size):  # somebody was faster
                unlink(part)
            else:
                self._folder.move(part, self.path(digest))

    def put_file(self, digest: Digest, size: int, target: str, *, link: Linking) -> None:
        """Make a new file in the making with these bytes.

        Args:
            digest: The bytes, which `has` said are here.
            size: How many.
            target: The file; its folder is there.
            link: `hard` shares the inode of the object; `auto` only if no other file has it.

        Raises:
            FileNotFoundError: The bytes were removed meanwhile.
            IntegrityError: They are not what they were.
        """
        path = self.path(digest)
        with disk_trouble(self._folder.root):
            if link == "hard" and self._hard(path, target):
                return
            if link == "auto" and (self._reflinked(path, target, digest) or self._first(path, target)):
                return
            unlink(target)
            shutil.copyfile(path, target)
            if digest_of_file(target) != digest:
                unlink(target)
                self.put_away(path)
                raise IntegrityError(f"the cached bytes {digest[:23]} are damaged", hint="resolve it again")
            self._finish(target, digest, size)

    def put_away(self, path: str) -> None:
        """Take a file that somebody wrote to out of the way; he may want to have it back."""
        place = self._folder.scratch("quarantine")
        self._folder.make(os.path.dirname(place))  # noqa: PTH120
        with suppress(FileNotFoundError):
            os.replace(path, place)  # noqa: PTH105

    @staticmethod
    def _hard(path: str, target: str) -> bool:
        try:
            os.link(path, target)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
        return True

    def _first(self, path: str, target: str) -> bool:
        """Share the inode of an object that nobody else shares."""
        if Path(path).stat().st_nlink > 1 or not self._hard(path, target):
            return False
        if Path(target).stat().st_nlink <= 2:
            return True
        unlink(target)  # another process did the same at the same moment
        return False

    def _reflinked(self, path: str, target: str, digest: str) -> bool:
        if not self._reflinks:
            return False
        fd = self._folder.open_new(target)
        try:
            self._reflinks = reflink(Path(path), fd)
        finally:
            os.close(fd)
        if not self._reflinks:
            unlink(target)
            return False
        self._finish(target, digest, Path(target).stat().st_size)
        return True

    def _finish(self, target: str, digest: str, size: int) -> None:
        if Path(target).stat().st_size != size:
            unlink(target)
            raise IntegrityError(f"the cached bytes {digest[:23]} have another size", hint="resolve it again")
        os.chmod(target, self._folder.file_mode())  # noqa: PTH101
        put_stamp(target, digest)
