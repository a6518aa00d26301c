"""Packs: files that hold many small blobs, each behind a header of its own, so that a pack explains itself.

A pack is written once, and durable before it has its name. It is read at offsets that the index knows; `scan` finds
everything that is in it without an index.
"""

import hashlib
import mmap
import os
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from msgspec import Struct

from datastore.durable import disk_errors, fsync_directory, fsync_file, unreadable
from datastore.errors import IntegrityError
from datastore.processes import scratch_name
from datastore.provider import Bytes
from datastore.streams import CHUNK

__all__ = ["HEADER", "PACKED", "PACK_BYTES", "PACK_RECORDS", "RECORD_BYTES", "PackDraft", "PackFiles", "Place", "scan"]

PACKED: Final = 1 << 16
"""Bytes up to which a blob may be in a pack."""
PACK_BYTES: Final = 64 << 20
PACK_RECORDS: Final = 1 << 14
"""Where a pack is full: one is rewritten in a moment, and its rows change in a short transaction."""
HEADER: Final = b"datastore-pack\x01\n"
_MAGIC: Final = b"\x89blob\r\n\x1a"
_RECORD: Final = struct.Struct("<8s32sQ")
RECORD_BYTES: Final = _RECORD.size
_OPENED: Final = 32
_KNOWN: Final = 1 << 15
"""Places that are remembered; one takes about 250 bytes."""
_ASKED: Final = 32
"""Questions after which the places of a whole pack are asked for: from there on that is the cheaper."""
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Place(Struct, frozen=True):
    """Where the bytes of a blob begin: the name of a pack and an offset in it."""

    pack: str
    offset: int


class Record(Struct, frozen=True):
    """One blob in a pack.

    Attributes:
        digest: sha256 of the bytes that are there, whatever their header says.
        offset: Where they begin.
        size: How many.
        named: What the header says; another one than `digest` if either of the two was damaged.
    """

    digest: bytes
    offset: int
    size: int
    named: bytes


class PackDraft:
    """A pack in the making, in the scratch folder.

    Attributes:
        path: Its file.
        rows: (digest, offset, size) of what is in it.
        published: Whether it has its name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[tuple[bytes, int, int]] = []
        self.published = False
        self._owner = os.getpid()
        self._store = path.parent.parent
        with disk_errors(self._store):
            self._fd = os.open(path, _CREATE, 0o600)
        self._headers = hashlib.sha256(HEADER)
        self._pending: list[Bytes] = [HEADER]
        self._held = self.size = len(HEADER)

    @property
    def name(self) -> str:
        """sha256 over the header of the file and those of the blobs: it tells what is in it, and where."""
        return self._headers.hexdigest()

    @property
    def full(self) -> bool:
        """Whether the next blob goes to another pack."""
        return self.size >= PACK_BYTES or len(self.rows) >= PACK_RECORDS

    def add(self, digest: bytes, data: Bytes) -> None:
        """Take a blob."""
        header = _RECORD.pack(_MAGIC, digest, len(data))
        self._headers.update(header)
        self.rows.append((digest, self.size + RECORD_BYTES, len(data)))
        self._pending += (header, data)
        self._held += RECORD_BYTES + len(data)
        self.size += RECORD_BYTES + len(data)
        if self._held >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        view = memoryview(b"".join(self._pending))
        self._pending, self._held = [], 0
        with disk_errors(self._store):
            while view:
                view = view[os.write(self._fd, view) :]

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of a finished pack, whether it has its name yet or not."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def finish(self) -> "PackDraft":
        """Make the bytes durable; the name is for `PackFiles.publish` to give."""
        if self._fd >= 0:
            self._flush()
            with disk_errors(self._store):
                fsync_file(self._fd)
            self._close()
        return self

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def discard(self) -> None:
        """Remove the file if it has no name. A child that was forked meanwhile leaves it to its parent."""
        self._close()
        if not self.published and os.getpid() == self._owner:
            self.path.unlink(missing_ok=True)
            self.published = True

    def __del__(self) -> None:
        if hasattr(self, "_pending"):
            self.discard()


class _PackFile:
    """A pack that is open for reading, as long as somebody refers to it.

    It is read at offsets only, so that threads and forked children never move each other.
    """

    __slots__ = ("_lock", "fd")

    def __init__(self, path: Path) -> None:
        self.fd = -1
        self.fd = os.open(path, _READ)
        self._lock = None if hasattr(os, "pread") else threading.Lock()

    def read(self, size: int, offset: int) -> bytes:
        """Return up to so many bytes."""
        if self._lock is None:
            return os.pread(self.fd, size, offset)
        with self._lock:
            os.lseek(self.fd, offset, os.SEEK_SET)
            return os.read(self.fd, size)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self.fd >= 0:
            close(self.fd)


class PackFiles:
    """The folder `packs/`.

    Args:
        folder: Where the packs are; made with the first one.
        scratch: Folder for packs in the making, on the same file system.
        locate: Asks the index in which pack a blob is; None if in none.
        places: Asks the index for the places of all blobs of a pack.
    """

    def __init__(
        self,
        folder: Path,
        *,
        scratch: Path,
        locate: Callable[[bytes], Place | None],
        places: Callable[[str], Mapping[bytes, Place]],
    ) -> None:
        self._folder = folder
        self._scratch = scratch
        self._locate = locate
        self._places = places
        # No lock, which a forked child could inherit held: each step is whole, and what is lost is found again.
        self._opened: dict[str, _PackFile] = {}
        self._known: dict[bytes, Place] = {}
        self._following: dict[bytes, Place] = {}
        self._asked: Counter[str] = Counter()

    def path(self, name: str) -> Path:
        """Return where a pack is, or would be."""
        return self._folder / f"{name}.pack"

    def names(self) -> Iterator[str]:
        """Yield the names of the files that are there, whether the index knows them or not."""
        with suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                if name.endswith(".pack"):
                    yield name.removesuffix(".pack")

    def draft(self) -> PackDraft:
        """Begin a pack."""
        return PackDraft(self._scratch / scratch_name())

    def publish(self, draft: PackDraft) -> None:
        """Give a pack its name, durably. Where the name is taken, the same bytes take its place: harmless."""
        if draft.published:
            return
        draft.finish()
        target = self.path(draft.name)
        with disk_errors(self._folder.parent):
            draft.path.chmod(0o444)
            try:
                draft.path.replace(target)
            except FileNotFoundError:
                self._folder.mkdir(exist_ok=True)
                fsync_directory(self._folder.parent)
                draft.path.replace(target)
            draft.path, draft.published = target, True
            fsync_directory(self._folder)

    def remove(self, name: str) -> None:
        """Delete a pack that no row names. Who has it open goes on reading."""
        self._opened.pop(name, None)
        with suppress(PermissionError):  # Windows deletes nothing that is open; the next `compact` tries again
            self.path(name).unlink(missing_ok=True)

    def holder(self) -> Callable[[Place, int], bool]:
        """Return what tells whether a pack is there and long enough for a blob; it looks at each pack once."""

        @cache
        def length(pack: str) -> int:
            try:
                return self.path(pack).stat().st_size
            except FileNotFoundError:
                return -1

        return lambda place, size: length(place.pack) >= place.offset + size

    def has(self, digest: bytes, size: int) -> bool:
        """Tell whether the index, as it was committed last, names a pack for a blob, and it is long enough."""
        place = self._locate(digest)
        return place is not None and self.holder()(place, size)

    def read(self, digest: bytes, size: int) -> memoryview | None:
        """Return the bytes of a blob, or None if it is in no pack.

        Raises:
            IntegrityError: Its pack is gone, too short, or damaged there.
        """
        if (data := self.read_known(digest, size)) is not None:
            return data
        for again in (True, False):
            if (place := self._locate(digest)) is None:
                return None
            try:
                data = self.read_from(place, digest, size)
            except (FileNotFoundError, IntegrityError) as error:
                # It may have been rewritten between the look into the index and now, or written again since it was
                # opened; if not, it is damaged.
                self._opened.pop(place.pack, None)
                if again:
                    continue
                if isinstance(error, IntegrityError):
                    raise
                raise _damaged(digest, f"is missing, with its pack {place.pack[:16]}") from None
            else:
                self._learn(place.pack)
                return data
        return None

    def read_known(self, digest: bytes, size: int) -> memoryview | None:
        """Return the bytes of a blob if they are where they are known to be, without asking the index."""
        place = self._following.get(digest) or self._known.get(digest)
        if place is None:
            return None
        try:
            return self.read_from(place, digest, size)
        except (FileNotFoundError, IntegrityError):  # rewritten, collected, or put again because it was damaged
            self._following.pop(digest, None)
            self._known.pop(digest, None)
            return None

    def _learn(self, pack: str) -> None:
        """Ask for all places of a pack that is asked for often, once."""
        self._asked[pack] += 1
        if self._asked[pack] == _ASKED and len(self._known) + PACK_RECORDS <= _KNOWN:
            self._known.update(self._places(pack))

    def read_from(self, place: Place, digest: bytes, size: int) -> memoryview:
        """Return the bytes of a blob at a place.

        Its header is read with it, and the next one, which spares asking for the place of the next blob.

        Raises:
            FileNotFoundError: The pack is not there.
            IntegrityError: It is too short, or has something else there.
        """
        data = self._file(place.pack).read(RECORD_BYTES + size + RECORD_BYTES, place.offset - RECORD_BYTES)
        body = memoryview(data)[RECORD_BYTES : RECORD_BYTES + size]
        if len(data) < RECORD_BYTES + size:
            raise _damaged(digest, f"is cut off, as its pack {place.pack[:16]} ends early")
        if not _is_header(data, digest, size) and hashlib.sha256(body).digest() != digest:
            raise _damaged(digest, f"has other bytes than its name says, in pack {place.pack[:16]}")
        if len(data) == 2 * RECORD_BYTES + size:
            magic, following, _ = _RECORD.unpack_from(data, RECORD_BYTES + size)
            if magic == _MAGIC:
                if len(self._following) >= PACK_RECORDS:
                    self._following.clear()
                self._following[following] = Place(place.pack, place.offset + size + RECORD_BYTES)
        return body

    def _file(self, name: str) -> _PackFile:
        found = self._opened.pop(name, None) or _PackFile(self.path(name))
        self._opened[name] = found  # the last one is the one that was used last
        while len(self._opened) > _OPENED:
            with suppress(KeyError, RuntimeError, StopIteration):  # another thread is faster
                self._opened.pop(next(iter(self._opened)))
        return found

    def problem(self, digest: bytes, size: int, *, deep: bool) -> str | None:
        """Say what is wrong with a blob, or None; `deep` hashes it. `KeyError` if it is in no pack."""
        if (place := self._locate(digest)) is None:
            raise KeyError(digest)
        where = f"pack {place.pack[:16]}"
        try:
            data = _PackFile(self.path(place.pack)).read(RECORD_BYTES + size, place.offset - RECORD_BYTES)
        except FileNotFoundError:
            return f"is missing, with its {where}"
        except OSError as error:
            return unreadable(error)
        if len(data) < RECORD_BYTES + size:
            return f"is cut off, as its {where} ends early"
        if deep and hashlib.sha256(memoryview(data)[RECORD_BYTES:]).digest() != digest:
            return f"has other bytes than its name says, in {where}"
        return None if _is_header(data, digest, size) else f"has a damaged header in {where}"

    def has_header(self, name: str) -> bool:
        """Tell whether a pack begins as packs do; only who scans it without an index needs that."""
        try:
            return _PackFile(self.path(name)).read(len(HEADER), 0) == HEADER
        except FileNotFoundError:  # told by each blob that is in it
            return True

    def close(self) -> None:
        """Let go of the files; who is still reading one keeps it open."""
        self._opened.clear()
        self._known.clear()
        self._following.clear()
        self._asked.clear()


def _is_header(data: bytes, digest: bytes, size: int) -> bool:
    return _RECORD.unpack_from(data) == (_MAGIC, digest, size)


def _damaged(digest: bytes, what: str) -> IntegrityError:
    hint = "run `datastore check`, then put the object again from its origin"
    return IntegrityError(f"blob {digest.hex()[:16]} {what}", hint=hint)


def scan(path: Path) -> Iterator[Record]:
    """Yield all blobs of a pack, with nothing but the pack; whatever byte is damaged, one blob at most is lost.

    Args:
        path: The file.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size <= len(HEADER):
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = len(HEADER)
            while at + RECORD_BYTES <= len(data):
                record = _record_at(data, at)
                yield record
                at = record.offset + record.size


def _record_at(data: mmap.mmap, at: int) -> Record:
    magic, named, size = _RECORD.unpack_from(data, at)
    begin = at + RECORD_BYTES
    end = begin + size
    if end <= len(data):
        record = Record(_hash(data, begin, end), begin, size, named)
        whole = magic == _MAGIC and (end == len(data) or data[end : end + len(_MAGIC)] == _MAGIC)
        if record.digest == named or whole:
            return record
    # The length is damaged, or the file is cut off: the blob ends where the next one begins.
    following = data.find(_MAGIC, begin)
    end = following if following >= 0 else len(data)
    return Record(_hash(data, begin, end), begin, end - begin, named)


def _hash(data: mmap.mmap, begin: int, end: int) -> bytes:
    return hashlib.sha256(data[begin:end]).digest()
