"""Where everything in a cache folder is, and how folders and files are made there.

objects/ab/<sha256>              bytes, by their content
files/ab/<sha256>/<link>/<name>  what `resolve` gives for an object: the bytes under the object's own last name
trees/ab/<id>/manifest           names, sizes and digests of a folder's files; the id is its sha256
trees/ab/<id>/<link>/<name>/…    what `resolve` gives for a folder
aliases/ab/<hash>                from an object's identity to the digest of its bytes
urls/ab/<hash>                   from a URL to what it led to
partial/                         downloads under way
tmp/                             everything else in the making
locks/ leases/ doomed/ kept/     who works on, uses, removes, or wants to keep what
quarantine/                      files that somebody wrote to
"""

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from datastore.durable import disk_error
from datastore.errors import DatastoreError, SecurityError, UnsupportedOperation
from datastore.processes import scratch_name

__all__ = ["CacheFolder", "disk_trouble", "unlink"]

_FORMAT: Final = b"datastore-cache 1\n"
_TAG: Final = b"Signature: 8a477f597d28d172789f06886806bc55\n# https://bford.info/cachedir/\n"
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class CacheFolder:
    """A cache folder; it is made when something is first written into it.

    A folder that has the setgid bit and may be written to by its group is shared by that group.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._text = os.path.join(root, "")  # noqa: PTH118 - a text
        self._mode: int | None = None

    def place(self, *names: str) -> str:
        """Return a path in the folder; as a text, because a Path takes longer to make than the file to open."""
        return self._text + os.sep.join(names)  # noqa: PTH118

    def sharded(self, kind: str, name: str, *more: str) -> str:
        """Return the path of something that is found by a hash."""
        return self.place(kind, name[:2], name, *more)

    def scratch(self, kind: str = "tmp") -> str:
        """Return a new name for something in the making, which tells whose it is."""
        return self.place(kind, scratch_name())

    def file_mode(self) -> int:
        """Return the mode of published files: nobody writes, and only those read who may look into the folder."""
        return 0o400 | 0o444 & self._root_mode()

    def exists(self) -> bool:
        """Tell whether anything was ever cached here."""
        return os.path.isdir(self.root)  # noqa: PTH112 - never an error

    def make(self, folder: str) -> None:
        """Make a folder of the cache, with all above it; harmless if it is there."""
        if os.path.isdir(folder):  # noqa: PTH112
            return
        with disk_trouble(self.root):
            self._make(folder, shared=self._is_shared())

    def share(self, fd: int) -> None:
        """Let the group write to a file, if the cache is the group's, whatever the umask."""
        if self._is_shared() and hasattr(os, "fchmod"):
            with suppress(PermissionError):  # somebody else's, who has done it
                os.fchmod(fd, 0o664)

    def _is_shared(self) -> bool:
        mode = self._root_mode()
        return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)

    def _make(self, folder: str, *, shared: bool) -> None:
        try:
            os.mkdir(folder)  # noqa: PTH102
        except FileExistsError:
            return
        except FileNotFoundError:
            self._make(os.path.dirname(folder), shared=shared)  # noqa: PTH120
            self._make(folder, shared=shared)
            return
        if shared:
            os.chmod(folder, 0o2775)  # noqa: PTH101, S103 - whatever the umask of this member of the group

    def open_new(self, path: str) -> int:
        """Make a file in the making and open it for writing; its folder is made with it."""
        with disk_trouble(self.root):
            try:
                return os.open(path, _FLAGS, 0o600)
            except FileNotFoundError:
                self.make(os.path.dirname(path))  # noqa: PTH120
                return os.open(path, _FLAGS, 0o600)

    def write_small(self, path: str, data: bytes) -> None:
        """Put a small file under its name, whole or not at all."""
        part = self.scratch()
        fd = self.open_new(part)
        try:
            with disk_trouble(self.root):
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                os.chmod(part, self.file_mode())  # noqa: PTH101
                self.move(part, path)
        finally:
            unlink(part)

    def move(self, part: str, path: str) -> None:
        """Give something in the making its name; what is there is replaced, if it is a file."""
        try:
            os.replace(part, path)  # noqa: PTH105
        except FileNotFoundError:
            if not os.path.lexists(part):
                raise
            self.make(os.path.dirname(path))  # noqa: PTH120
            os.replace(part, path)  # noqa: PTH105

    def _root_mode(self) -> int:
        if self._mode is None:
            self._mode = self._opened()
        return self._mode

    def _opened(self) -> int:
        self.root.mkdir(parents=True, exist_ok=True)
        found = self.root.stat()
        if hasattr(os, "geteuid") and found.st_uid not in {os.geteuid(), 0} and os.geteuid() != 0:
            shared = found.st_mode & stat.S_ISGID and found.st_mode & stat.S_IWGRP
            if not shared:
                raise SecurityError(
                    f"the cache folder {self.root} belongs to somebody else",
                    hint="set DATASTORE_CACHE to a folder of your own; one for a group has mode 2775",
                )
        about = self.root / "format"
        try:
            said = about.read_bytes()
        except FileNotFoundError:
            for name, data in (("CACHEDIR.TAG", _TAG), ("format", _FORMAT)):
                (self.root / name).write_bytes(data)
                (self.root / name).chmod(0o444)
            said = _FORMAT
        if said not in {_FORMAT, b""}:
            raise UnsupportedOperation(
                f"the cache folder {self.root} is of another version: {said[:40]!r}",
                hint="set DATASTORE_CACHE to another folder",
            )
        return found.st_mode


@contextmanager
def disk_trouble(root: Path) -> Generator[None]:
    """Translate what the cache's disk refuses inside the block; that something is gone is not among it.

    Raises:
        Unavailable: It is full, or fails.
        Forbidden: The cache may not be written to.
    """
    try:
        yield
    except (DatastoreError, FileNotFoundError):
        raise
    except OSError as error:
        raise disk_error(root, error) from error


def unlink(path: str) -> None:
    """Remove a file, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108
