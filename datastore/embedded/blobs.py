"""Content as files: raw bytes under their sha256, so that a person can rescue data with `cp`."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from datastore.embedded.durable import disk_errors, fsync_directory, fsync_file, fsync_files
from datastore.embedded.processes import scratch_name
from datastore.errors import IntegrityError
from datastore.provider import Body, Bytes
from datastore.streams import CHUNK, HashingSink, as_bytes, body_chunks

__all__ = ["BlobFiles", "Draft"]

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Draft:
    """A blob in the making: a file in the scratch folder and the hash of what went into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.published = False
        self._owner = os.getpid()
        with disk_errors(path.parent.parent):
            self._fd = os.open(path, _CREATE, 0o600)
        self._hash = HashingSink()

    @property
    def digest(self) -> bytes:
        """sha256 of everything written so far."""
        return bytes.fromhex(self._hash.digest.removeprefix("sha256:"))

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._hash.size

    def write(self, data: Bytes) -> int:
        """Take some bytes."""
        view = memoryview(as_bytes(data))
        self._hash.update(view)
        count = len(view)
        with disk_errors(self.path.parent.parent):
            while view:
                view = view[os.write(self._fd, view) :]
        return count

    def clone(self, source: Path) -> None:
        """Share the disk blocks of a local file where the file system can, else copy its bytes."""
        if not _reflink(source, self._fd):
            for chunk in body_chunks(source):
                self.write(chunk)
            return
        while chunk := os.read(self._fd, CHUNK):
            self._hash.update(chunk)

    def finish(self) -> None:
        """Say that all bytes are there."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Remove the file, if it was not published. A child that was forked meanwhile leaves it to its parent."""
        self.finish()
        if not self.published and os.getpid() == self._owner:
            self.path.unlink(missing_ok=True)
            self.published = True

    def __del__(self) -> None:
        if hasattr(self, "_hash"):
            self.discard()


def _reflink(source: Path, target: int) -> bool:
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


class BlobFiles:
    """The folder `blobs/`, two levels deep: `blobs/ab/ab12…`.

    Args:
        folder: Where the blobs are.
        scratch: Folder for files in the making, on the same file system.
    """

    def __init__(self, folder: Path, *, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch

    def path(self, digest: bytes) -> Path:
        """Return where a blob is, or would be."""
        name = digest.hex()
        return self._folder / name[:2] / name

    def draft(self) -> Draft:
        """Begin a blob."""
        return Draft(self._scratch / scratch_name())

    def draft_of(self, body: Body, *, reflink: bool = False) -> Draft:
        """Begin a blob with all of a body; nothing stays behind if the body fails."""
        draft = self.draft()
        try:
            if reflink and isinstance(body, Path):
                draft.clone(body)
            else:
                for chunk in body_chunks(body):
                    draft.write(chunk)
            draft.finish()
        except BaseException:
            draft.discard()
            raise
        return draft

    def publish(self, draft: Draft) -> None:
        """Give a finished draft its name. Where the name is taken, the same bytes take its place: harmless.

        The bytes are safe against the death of the process from here on, and against power loss after `sync`.
        """
        draft.finish()
        target = self.path(draft.digest)
        with disk_errors(self._folder.parent):
            os.chmod(draft.path, 0o444)  # noqa: PTH101 - once per put
            try:
                os.replace(draft.path, target)  # noqa: PTH105
            except FileNotFoundError:
                target.parent.mkdir(exist_ok=True)
                fsync_directory(self._folder)
                os.replace(draft.path, target)  # noqa: PTH105
            except PermissionError:
                # Windows refuses to replace a file that is open somewhere; the same content is there already.
                if os.name != "nt" or not target.exists():
                    raise
                draft.discard()
        draft.published = True

    def has(self, digest: bytes, size: int) -> bool:
        """Tell whether there is a file of this size under the name."""
        try:
            return os.stat(self.path(digest)).st_size == size  # noqa: PTH116 - once per put
        except FileNotFoundError:
            return False

    def open(self, digest: bytes, size: int) -> int:
        """Return a descriptor for reading, or raise `IntegrityError` if the blob is gone or has another size."""
        path = self.path(digest)
        try:
            fd = os.open(path, _READ)
        except FileNotFoundError:
            raise _damaged(digest, "is missing") from None
        found = os.fstat(fd).st_size
        if found != size:
            os.close(fd)
            raise _damaged(digest, f"has {found} bytes instead of {size}")
        return fd

    def sync(self, digests: Sequence[bytes]) -> None:
        """Make published blobs durable, or raise `IntegrityError` if one is gone."""
        try:
            fsync_files([self.path(digest) for digest in digests])
        except FileNotFoundError as error:
            raise _damaged(bytes.fromhex(Path(error.filename).name), "is missing") from None

    def rewrite(self, digest: bytes) -> None:
        """Write a blob anew from what can be read of it, and make it durable; `IntegrityError` if that is damaged.

        For blobs that an earlier boot wrote without a sync, or whose sync failed: another fsync of the same file would
        say yes without having written anything.
        """
        try:
            draft = self.draft_of(self.path(digest))
        except FileNotFoundError:
            raise _damaged(digest, "is missing") from None
        if draft.digest != digest:
            draft.discard()
            raise _damaged(digest, "was torn by a crash before it was committed")
        fd = os.open(draft.path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        try:
            fsync_file(fd)
        finally:
            os.close(fd)
        self.publish(draft)

    def problem(self, digest: bytes, size: int, *, deep: bool) -> str | None:
        """Say what is wrong with a blob, or None; `deep` reads all of it."""
        try:
            fd = self.open(digest, size)
        except IntegrityError as error:
            return error.message.partition(" ")[2].partition(" ")[2]
        try:
            if not deep:
                return None
            found = hashlib.sha256()
            while chunk := os.read(fd, CHUNK):
                found.update(chunk)
            return None if found.digest() == digest else "has other bytes than its name says"
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        finally:
            os.close(fd)


def _damaged(digest: bytes, what: str) -> IntegrityError:
    hint = "run `datastore check`, then put the object again from its origin"
    return IntegrityError(f"blob {digest.hex()[:16]} {what}", hint=hint)
