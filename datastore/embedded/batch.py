"""Many bodies on their way into a store at once: small ones gather in packs, the others in files of their own."""

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from msgspec import Struct

from datastore.embedded.blobs import BlobFiles, Draft
from datastore.embedded.packs import PACKED, PackDraft
from datastore.errors import Unavailable
from datastore.provider import Bytes
from datastore.steady import Steady
from datastore.streams import as_bytes, body_chunks

if TYPE_CHECKING:
    import sqlite3

    from datastore.embedded.opened import OpenStore

__all__ = ["Batch", "Vanished"]

_Source = Path | Bytes
_THREADS: Final = 4
_PIECE: Final = 32
"""Sources that a thread takes at a time: a task of its own for each costs more than the reading."""
_AHEAD: Final = 2 * _THREADS
_FEW: Final = 32
"""Small blobs up to which each gets a file of its own."""
_FILES: Final = 256
"""Files that are published in one transaction."""
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Vanished(Exception):
    """What the store held when the batch came by was collected meanwhile."""


class _Small(Struct, frozen=True):
    """A small body: its digest and all its bytes."""

    digest: bytes
    data: Bytes


class Batch:
    """Bodies that are read and hashed by several threads, each once; nothing has a name before `publish`.

    Memory holds a few pieces of small bodies; packs and files are in the scratch folder. What the store has already is
    left out, and looked for again in the transaction that publishes the rest. The same goes for large files, which get
    their names in transactions of their own where they are many, so that other writers need not wait for all of them.
    Use it in a `with` block, whose end removes what was not published.

    Args:
        store: Where they go.
        reflink: Share disk blocks with large files where the file system can.
        told: Learns of which body, by place, how many bytes were read.

    Attributes:
        seen: Digests of all that was taken; the store holds them whole in the transaction of `publish`.
    """

    def __init__(
        self, store: "OpenStore", *, reflink: bool = False, told: Callable[[int, int], object] | None = None
    ) -> None:
        self._store = store
        self._told = told
        self._blobs: BlobFiles = store.blobs
        self._reflink = reflink
        self.seen: set[bytes] = set()
        self._relied: dict[bytes, tuple[int, _Source]] = {}
        self._few: list[_Small] = []
        self._drafts: list[tuple[Draft, _Source]] = []
        self._packs: list[PackDraft] = []
        self._finished: list[Future[PackDraft]] = []
        self._threads = ThreadPoolExecutor(_THREADS)
        self._finisher = ThreadPoolExecutor(1)  # a pack is made durable while the next one fills

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._finisher.shutdown()
        for draft in (*(draft for draft, _ in self._drafts), *self._packs):
            draft.discard()

    def take(self, sources: Sequence[_Source]) -> list[tuple[bytes, int]]:
        """Take bodies, and return the digest and size of each."""
        taken: list[tuple[bytes, int]] = []
        at = 0
        for piece in self._read(sources):
            self._sort(sources[at : at + len(piece)], piece)
            taken += ((found.digest, _size(found)) for found in piece)
            if self._told is not None:
                for number, found in enumerate(piece, at):
                    self._told(number, _size(found))
            at += len(piece)
        self._finish()
        return taken

    def _read(self, sources: Sequence[_Source]) -> Iterator[list[_Small | Draft]]:
        """Yield what came of the sources, a piece of them at a time, in order."""
        if len(sources) <= _PIECE:
            yield self._read_piece(sources)
            return
        pending: deque[Future[list[_Small | Draft]]] = deque()
        starts = iter(range(0, len(sources), _PIECE))
        for start in islice(starts, _AHEAD):
            pending.append(self._threads.submit(self._read_piece, sources[start : start + _PIECE]))
        while pending:
            yield pending.popleft().result()
            for start in islice(starts, 1):
                pending.append(self._threads.submit(self._read_piece, sources[start : start + _PIECE]))

    def _read_piece(self, sources: Sequence[_Source]) -> list[_Small | Draft]:
        # A draft that nobody refers to any more, because another source of the piece failed, removes itself.
        return [self._read_one(source) for source in sources]

    def _read_one(self, source: _Source) -> _Small | Draft:
        if not isinstance(source, Path):
            data = as_bytes(source)
            return _Small(hashlib.sha256(data).digest(), data) if len(data) <= PACKED else self._blobs.draft_of(data)
        fd = os.open(source, _READ)
        try:
            return self._read_file(fd, source)
        except OSError as error:
            if error.filename is None:  # unlike `open`, a read does not say which file it was
                error.filename = str(source)
            raise
        finally:
            os.close(fd)

    def _read_file(self, fd: int, path: Path) -> _Small | Draft:
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode) and found.st_size > PACKED:
            return self._blobs.draft_of(path, reflink=self._reflink)
        steady = Steady.of(fd, path)
        data = _read_up_to(fd, PACKED + 1)
        if len(data) <= PACKED:
            steady.check()
            return _Small(hashlib.sha256(data).digest(), data)
        steady.check()  # else it grows while it is read
        draft = self._blobs.draft()
        with open(fd, "rb", buffering=0, closefd=False) as rest:  # a pipe
            for chunk in chain([data], body_chunks(rest)):
                draft.write(chunk)
        draft.finish()
        return draft

    def _sort(self, sources: Sequence[_Source], piece: Sequence[_Small | Draft]) -> None:
        """Leave out what was seen or is in the store; the rest waits for `publish`."""
        unseen: dict[bytes, tuple[_Small | Draft, _Source]] = {}
        for source, found in zip(sources, piece, strict=True):
            if found.digest in self.seen:
                _drop(found)
            else:
                self.seen.add(found.digest)
                unseen[found.digest] = (found, source)
        with self._store.db.read() as db:
            held = self._store.held(db, {digest: _size(found) for digest, (found, _) in unseen.items()})
        for digest in held:
            found, source = unseen.pop(digest)
            self._relied[digest] = (_size(found), source)
            _drop(found)
        self._drafts += ((found, source) for found, source in unseen.values() if isinstance(found, Draft))
        self._gather(found for found, _ in unseen.values() if isinstance(found, _Small))
        if len(self._drafts) >= _FILES:
            self._relied |= {draft.digest: (draft.size, source) for draft, source in self._drafts}
            with self._store.db.write(durable=False) as db:
                self._publish_files(db)

    def _gather(self, small: Iterable[_Small]) -> None:
        if not self._packs:
            self._few += small
            if len(self._few) <= _FEW:
                return
            small, self._few = self._few, []
        for found in small:
            if len(self._packs) == len(self._finished):
                self._packs.append(self._store.packs.draft())
            pack = self._packs[-1]
            pack.add(found.digest, found.data)
            if pack.full:
                self._finished.append(self._finisher.submit(pack.finish))

    def _finish(self) -> None:
        for found in self._few:
            self._drafts.append((self._blobs.draft_of(found.data), found.data))
        self._few = []
        for pack in self._packs[len(self._finished) :]:
            self._finished.append(self._finisher.submit(pack.finish))
        for future in self._finished:
            future.result()

    def publish(self, db: "sqlite3.Connection") -> None:
        """Give everything its name within a write transaction, which has to stage what needs it, too.

        Raises:
            Vanished: Something that the store held is gone. Nothing was published; `regain` it, and try again.
        """
        if self._vanished(db):
            raise Vanished
        self._publish_files(db)
        for pack in self._packs:
            self._store.publish_pack(db, pack)

    def _publish_files(self, db: "sqlite3.Connection") -> None:
        drafts, self._drafts = self._drafts, []
        self._store.publish(db, [draft for draft, _ in drafts])

    def _vanished(self, db: "sqlite3.Connection") -> set[bytes]:
        sizes = {digest: size for digest, (size, _) in self._relied.items()}
        return sizes.keys() - self._store.held(db, sizes)

    def regain(self) -> None:
        """Read anew what has vanished.

        Raises:
            Unavailable: A file is not what it was.
        """
        with self._store.db.read() as db:
            gone = self._vanished(db)
        for digest in gone:
            _, source = self._relied.pop(digest)
            draft = self._blobs.draft_of(source)
            self._drafts.append((draft, source))
            if draft.digest != digest:
                name = f"{source} changed" if isinstance(source, Path) else "the bytes changed"
                raise Unavailable(f"{name} while it was put into the store", hint="put it again; nothing was changed")


def _size(found: _Small | Draft) -> int:
    return len(found.data) if isinstance(found, _Small) else found.size


def _drop(found: _Small | Draft) -> None:
    if isinstance(found, Draft):
        found.discard()


def _read_up_to(fd: int, size: int) -> bytes:
    data = os.read(fd, size)
    while data and len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data
