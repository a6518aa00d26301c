"""Getting bytes onto the disk: what fsync means on each system, for one file or for many.

The rules come from facts/reliability.md §2.2: a name appears only after its bytes are durable, an error of fsync is
never answered by another fsync of the same file (the kernel may have dropped the dirty pages), `EINVAL` on a directory
is tolerated.
"""

import ctypes
import errno
import functools
import os
import secrets
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from datastore.errors import DatastoreError, Forbidden, Unavailable

__all__ = [
    "boot_id",
    "disk_error",
    "disk_errors",
    "fsync_directory",
    "fsync_file",
    "fsync_files",
    "is_full",
    "is_unreadable",
    "reflink",
    "unreadable",
    "write_new",
]

_MANY = 512
"""From this number of files on, one `syncfs` is the cheaper barrier (facts/reliability.md §0.11)."""
_THREADS = 16
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_INDEX_FULL = {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"}
"""The second one comes from the first connection to an index: there is no room for its `-shm` file."""
_UNREADABLE = "cannot be read"
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def disk_errors(folder: Path) -> Generator[None]:
    """Translate what the store's disk refuses inside the block.

    Raises:
        Unavailable: It is full, or fails.
        Forbidden: The store may not be written to.
    """
    try:
        yield
    except DatastoreError:  # some are OSErrors too
        raise
    except OSError as error:
        raise disk_error(folder, error) from error


def unreadable(error: OSError) -> str:
    """Return what is said of a file that the disk does not give; its bytes may be right."""
    return f"{_UNREADABLE}: {error.strerror}"


def is_unreadable(problem: str) -> bool:
    """Tell whether this is what `unreadable` says.

    >>> is_unreadable(unreadable(OSError(5, "Input/output error"))), is_unreadable("is missing")
    (True, False)
    """
    return problem.startswith(_UNREADABLE)


def disk_error(folder: Path, error: OSError) -> DatastoreError:
    """Return what to tell people of an error of the store's disk."""
    if error.errno in _FULL:
        return Unavailable(f"the disk of {folder} is full", hint="free some space, then try again; nothing was changed")
    if error.errno in _NOT_ALLOWED:
        message = f"{folder} cannot be written to: {error.strerror}"
        return Forbidden(message, hint="check its owner and permissions; nothing was changed")
    message = f"the disk of {folder} failed: {error.strerror or error}"
    return Unavailable(message, hint="nothing was changed; try again, and look after that disk")


def is_full(error: BaseException) -> bool:
    """Tell whether this is a full disk or what became of it, be it SQLite's error, the system's or one of ours."""
    cause = error.__cause__ or error
    if isinstance(cause, OSError):
        return cause.errno in _FULL
    return getattr(cause, "sqlite_errorname", "") in _INDEX_FULL


@functools.cache
def boot_id() -> str:
    """Return what tells this boot of the machine from another one: what was not synced may be torn after the next.

    Where the system does not tell, every process counts as a boot of its own, which costs work but is never wrong.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"process-{secrets.token_hex(16)}"


def fsync_file(fd: int) -> None:
    """Make one open file durable."""
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        except OSError:
            os.fsync(fd)
    else:
        os.fsync(fd)


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    if sys.platform == "win32":
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(fd)


def fsync_files(paths: Sequence[Path]) -> None:
    """Make files that already have their names durable, with the directories that they are in."""
    if not paths or (len(paths) >= _MANY and _syncfs(paths[0].parent)):
        return
    if len(paths) <= 2:
        for path in paths:
            _fsync_path(path)
    else:
        with ThreadPoolExecutor(min(_THREADS, len(paths))) as pool:
            list(pool.map(_fsync_path, paths))
    for directory in sorted({path.parent for path in paths}):
        fsync_directory(directory)


def _fsync_path(path: Path) -> None:
    # Windows flushes only what was opened for writing, and blobs are read-only there; their writer has flushed them.
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        if sys.platform != "win32":
            fsync_file(fd)
    finally:
        os.close(fd)


def _syncfs(directory: Path) -> bool:
    """Flush the whole file system, where that exists and is known to be the cheaper; tell whether it was done."""
    if not sys.platform.startswith("linux"):
        return False
    from datastore.disks import file_system_of

    if file_system_of(directory) == "overlay":  # waits for the whole host, and older kernels hide its errors
        return False
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), "syncfs failed", str(directory))
    finally:
        os.close(fd)
    return True


def write_new(path: Path, data: bytes) -> None:
    """Write a new file and make its bytes durable; the name is only temporary, so the directory is not synced."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags, 0o444)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        fsync_file(fd)
    finally:
        os.close(fd)


def reflink(source: Path, target: int) -> bool:
    """Let an empty open file share the disk blocks of another, where the file system can; tell whether it was done."""
    try:
        import fcntl
    except ImportError:
        return False
    ficlone = 0x40049409
    fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(target, ficlone, fd)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
