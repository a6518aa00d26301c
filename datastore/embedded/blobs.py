"""Content by its sha256: raw bytes in files of that name, so that a person can rescue data with `cp`, or in packs."""

import contextlib
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from datastore.durable import disk_errors, fsync_directory, fsync_file, fsync_files, reflink, unreadable
from datastore.embedded.packs import PackFiles
from datastore.errors import IntegrityError
from datastore.processes import scratch_name
from datastore.provider import Body, Bytes, Reader
from datastore.streams import CHUNK, BytesReader, FileReader, HashingSink, as_bytes, body_chunks, read_at
from datastore.values import ByteRange, ObjectInfo

__all__ = ["BlobFiles", "Draft"]

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_OTHER_BYTES = "has other bytes than its name says"


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
        if not reflink(source, self._fd):
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
            with contextlib.suppress(OSError):  # it is in nobody's way
                self.path.unlink()
            self.published = True

    def __del__(self) -> None:
        if hasattr(self, "_hash"):
            self.discard()


class BlobFiles:
    """The folder `blobs/`, two levels deep: `blobs/ab/ab12…`; behind it the packs, for what has no file of its own.

    What is in a pack according to the index has no file here, so that it need not be asked for what has one.

    Args:
        folder: Where the blobs are.
        scratch: Folder for files in the making, on the same file system.
        packs: The packs.
    """

    def __init__(self, folder: Path, *, scratch: Path, packs: PackFiles) -> None:
        self._folder = folder
        self._root = os.path.join(folder, "")  # noqa: PTH118 - a text
        self._scratch = scratch
        self._packs = packs

    def path(self, digest: bytes) -> Path:
        """Return where the file of a blob is, or would be."""
        return Path(self._file(digest))

    def _file(self, digest: bytes) -> str:
        name = digest.hex()
        return f"{self._root}{name[:2]}{os.sep}{name}"  # a Path takes longer to make than the file to open

    def remove(self, digest: bytes) -> None:
        """Delete the file of a blob, if there is one."""
        file = self._file(digest)
        if os.access(file, os.F_OK):
            with suppress(FileNotFoundError):
                os.unlink(file)  # noqa: PTH108 - thousands in a row

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
        """Tell whether there is a file of this size under the name, or a pack that the index says has it."""
        return self.has_file(digest, size) or self._packs.has(digest, size)

    def has_file(self, digest: bytes, size: int) -> bool:
        """Tell whether there is a file of this size under the name."""
        try:
            return os.stat(self._file(digest)).st_size == size  # noqa: PTH116 - once per put
        except FileNotFoundError:
            return False

    def reader(self, info: ObjectInfo, digest: bytes, *, range: ByteRange | None = None) -> Reader:
        """Open the blob that is the content of an object; what becomes of file or pack does not touch an open reader.

        Raises:
            IntegrityError: The blob is gone, has another size, or is damaged where that is seen at once.
        """
        found = self._open(digest, info.size)
        if isinstance(found, int):
            return FileReader(info, found, range=range)
        return BytesReader(info, found, range=range)

    def read_at(self, digest: bytes, size: int, buffer: memoryview, position: int) -> int:
        """Read from a position of a blob on, and return how many bytes; errors as `reader`."""
        found = self._open(digest, size)
        wanted = buffer[: size - position]
        if not isinstance(found, int):
            wanted[:] = found[position : position + len(wanted)]
            return len(wanted)
        try:
            return read_at(found, wanted, position)
        finally:
            os.close(found)

    def _open(self, digest: bytes, size: int) -> int | memoryview:
        """Return the descriptor of a blob's file, or its bytes if it is in a pack."""
        if (data := self._packs.read_known(digest, size)) is not None:
            return data
        path = self._file(digest)
        with disk_errors(self._folder.parent):
            try:
                fd = os.open(path, _READ)
            except FileNotFoundError:
                if (data := self._packs.read(digest, size)) is not None:
                    return data
                try:
                    fd = os.open(path, _READ)  # it may have been put again meanwhile, as its pack was damaged
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
            found = os.stat(self._file(digest)).st_size  # noqa: PTH116 - once per blob
        except FileNotFoundError:
            try:
                return self._packs.problem(digest, size, deep=deep)
            except KeyError:
                return "is missing"
        except OSError as error:
            return unreadable(error)
        if found != size:
            return f"has {found} bytes instead of {size}"
        return self._other_bytes(digest) if deep else None

    def _other_bytes(self, digest: bytes) -> str | None:
        try:
            with os.fdopen(os.open(self._file(digest), _READ), "rb", buffering=0) as file:
                return None if hashlib.file_digest(file, "sha256").digest() == digest else _OTHER_BYTES
        except OSError as error:
            return unreadable(error)


def _damaged(digest: bytes, what: str) -> IntegrityError:
    hint = "run `datastore check`, then put the object again from its origin"
    return IntegrityError(f"blob {digest.hex()[:16]} {what}", hint=hint)
