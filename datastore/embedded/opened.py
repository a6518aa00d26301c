"""The opened parts of a store, which all its repos share."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from datastore.embedded import commits, intents, refs
from datastore.embedded.blobs import BlobFiles, Draft
from datastore.embedded.commits import Commit
from datastore.embedded.database import Database
from datastore.embedded.disks import require_local
from datastore.embedded.durable import boot_id
from datastore.embedded.gate import Gate
from datastore.embedded.journal import Journal
from datastore.embedded.layout import Layout
from datastore.embedded.objects import Drafts, ObjectFiles
from datastore.embedded.packs import PackDraft, PackFiles, Place
from datastore.embedded.trees import Trees
from datastore.errors import Forbidden, IntegrityError, NotFound, Unavailable
from datastore.values import CommitInfo

if TYPE_CHECKING:
    from datastore.bridging import Opener

__all__ = ["OpenStore", "SyncFailed", "now_us"]

_CACHED_COMMITS = 10_000
_QUERIED = 500


def _reopened(root: Path, read_only: bool, store_id: str) -> "OpenStore":  # noqa: FBT001 - called by pickle
    store = OpenStore(Layout(root), read_only=read_only)
    if store.id != store_id:
        message = f"{root} has another store by now: {store.id}, not {store_id}"
        raise IntegrityError(message, hint="make the handle anew from a URL or path, if that is the store you mean")
    return store


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


class SyncFailed(Exception):
    """The disk refused to make these blobs durable; `distrust` has to be told when the transaction is over."""

    def __init__(self, digests: list[bytes], error: OSError) -> None:
        super().__init__(digests, error)
        self.digests = digests
        self.error = error


class OpenStore:
    """One store, opened. Making it checks the format; files are opened by the first verb that needs them.

    Args:
        layout: Where everything is.
        read_only: Write nothing at all.
        clock: Gives microseconds since the epoch.

    Attributes:
        opener: Opens the sources of links to data outside; None where nobody has given one.
    """

    def __init__(self, layout: Layout, *, read_only: bool = False, clock: Callable[[], int] = now_us) -> None:
        config = layout.read()
        self.id = config.store_id
        self.layout = layout
        self.read_only = read_only or bool(config.write_features)
        self._write_features = config.write_features
        if not self.read_only:
            require_local(layout.root)
        self.clock = clock
        self.db = Database(layout.index, gate=Gate(layout.gate), read_only=self.read_only)
        self.packs = PackFiles(layout.packs, scratch=layout.scratch, locate=self._locate, places=self._places)
        self.blobs = BlobFiles(layout.blobs, scratch=layout.scratch, packs=self.packs)
        self.node_files = ObjectFiles(layout.trees, scratch=layout.scratch)
        self.commit_files = ObjectFiles(layout.commits, scratch=layout.scratch)
        self.trees = Trees(Drafts(self.node_files))
        self.opener: Opener | None = None
        self.journal = Journal(layout.journal)
        self._commits: dict[tuple[int, str], Commit] = {}

    def __reduce__(self) -> tuple[Callable[[Path, bool, str], "OpenStore"], tuple[Path, bool, str]]:
        return _reopened, (self.layout.root, self.read_only, self.id)

    def require_writable(self) -> None:
        """Raise `Forbidden` if this store was opened for reading only."""
        if self._write_features:
            features = ", ".join(map(repr, self._write_features))
            message = f"this program cannot write to the store {self.layout.root}: it does not know {features}"
            raise Forbidden(message, hint="upgrade: pip install -U datastore-sdk; nothing was changed")
        if self.read_only:
            message = f"the store {self.layout.root} is open for reading only"
            raise Forbidden(message, hint="open it without read_only; nothing was changed")

    def epoch(self) -> int:
        """Return how many changes of refs there have been."""
        with self.db.read() as db:
            return refs.current_epoch(db)

    @contextmanager
    def changing_refs(self, change: dict[str, object]) -> Generator[sqlite3.Connection]:
        """Run a durable transaction that changes a ref; `change`, which may grow in the block, goes to the journal."""
        self.require_writable()
        state: dict[str, dict[str, object] | None] = {"snapshot": None}
        epoch = 0

        def record() -> None:
            # The change has landed. A journal that cannot be written now catches up with a snapshot at the next change.
            with contextlib.suppress(OSError):
                self.journal.append(epoch, change, snapshot=state["snapshot"])

        with self.db.write(durable=True, then=record) as db:
            last = self.journal.last_epoch()
            before = refs.current_epoch(db)
            if last != before:
                state["snapshot"] = refs.snapshot(db)
            yield db
            epoch = refs.next_epoch(db)

    def commit(self, repo: int, commit_id: str, *, seen_by: sqlite3.Connection | None = None) -> Commit:
        """Return a commit of a repo from the index; commits never change, so they are kept.

        Args:
            repo: Its number.
            commit_id: Of the commit.
            seen_by: The connection that has found the id. For another one, it may have been collected meanwhile.
        """
        key = (repo, commit_id)
        if (found := self._commits.get(key)) is None:
            with self.db.read() if seen_by is None else nullcontext(seen_by) as db:
                found = self.commit_from(db, repo, commit_id)
            # No lock, which a forked child could inherit held: each step is whole, and a lost entry is read again.
            if len(self._commits) >= _CACHED_COMMITS:
                self._commits.clear()
            self._commits[key] = found
        return found

    @staticmethod
    def commit_from(db: sqlite3.Connection, repo: int, commit_id: str) -> Commit:
        """Return a commit of a repo as this connection sees it."""
        query = "SELECT body, generation FROM commits WHERE repo = ? AND id = ?"
        row = db.execute(query, (repo, commit_id)).fetchone()
        if row is None:
            raise IntegrityError(f"commit {commit_id[:8]} is not in the index", hint="run `datastore check`")
        return Commit(commits.decode(commit_id, row[0]), int(row[1]))

    @staticmethod
    def require_commits(db: sqlite3.Connection, repo: int, ids: Iterable[str]) -> None:
        """Raise `NotFound` unless all of these commits are there, and with them all that they need.

        Within a write transaction it stays so until the next one; after that, only for what an intent or a ref names.
        """
        for commit_id in ids:
            if db.execute("SELECT 1 FROM commits WHERE repo = ? AND id = ?", (repo, commit_id)).fetchone() is None:
                message = f"commit {commit_id[:8]} was collected meanwhile: no branch or tag led to it"
                raise NotFound(message, hint="nothing was changed; name a branch, a tag or a commit that `log` shows")

    @contextmanager
    def unless_collected(self, repo: int, ids: Iterable[str]) -> Generator[None]:
        """Raise `NotFound`, not `IntegrityError`, in this block if one of these commits was collected meanwhile."""
        try:
            yield
        except IntegrityError:
            with self.db.read() as db:
                self.require_commits(db, repo, ids)
            raise

    @staticmethod
    def index_commit(
        db: sqlite3.Connection, repo: int, info: CommitInfo, body: bytes, *, op_id: str, generation: int
    ) -> None:
        """Add a commit, whose file is durable, to the index."""
        query = "INSERT INTO commits (repo, id, tree, generation, op_id, body) VALUES (?, ?, ?, ?, ?, ?)"
        db.execute(query, (repo, info.id, info.tree, generation, op_id, body))
        intents.note(db, "base", [bytes.fromhex(info.id)], repo=repo)

    def publish(self, db: sqlite3.Connection, drafts: list[Draft]) -> None:
        """Give drafts their names within a write transaction, unless the store is known to hold their bytes whole.

        Check, name and the staged row that needs the blob are one transaction, which `collect` is ordered against: a
        blob cannot go between the check and the row. A file that went missing, or is short, is written anew.
        """
        in_pack = self.packs.holder()
        for draft in drafts:
            row = _blob_rows(db, [draft.digest]).get(draft.digest)
            if row is not None and self._is_whole(row, draft.digest, draft.size, in_pack):
                draft.discard()
                continue
            self.blobs.publish(draft)
            durable = row.durable if row is not None else 0
            if durable:
                self.blobs.sync([draft.digest])
            values = (draft.digest, draft.size, durable, boot_id())
            db.execute("INSERT OR REPLACE INTO blobs (digest, size, durable, boot) VALUES (?, ?, ?, ?)", values)

    def publish_pack(self, db: sqlite3.Connection, draft: PackDraft) -> None:
        """Give a pack its name within a write transaction, and its rows to the blobs that are not there already."""
        pack = self.name_pack(db, draft)
        known = _blob_rows(db, [digest for digest, _, _ in draft.rows])
        in_pack = self.packs.holder()
        rows: list[tuple[bytes, int, int, int]] = []
        for digest, offset, size in draft.rows:
            row = known.get(digest)
            if row is None:
                # A file without a row is what a crash left of a put that nobody was told of. It would be read first.
                self.blobs.remove(digest)
            elif self._is_whole(row, digest, size, in_pack):
                continue
            elif row.place is None:  # its file may be torn, and is replaced as a whole
                self.publish(db, [self.blobs.draft_of(draft.read(offset, size))])
                continue
            rows.append((digest, size, pack, offset))
        query = "INSERT OR REPLACE INTO blobs (digest, size, durable, boot, pack, offset) VALUES (?, ?, 1, '', ?, ?)"
        db.executemany(query, sorted(rows))

    def name_pack(self, db: sqlite3.Connection, draft: PackDraft) -> int:
        """Give a pack its name within a write transaction, and return the number of its row."""
        self.packs.publish(draft)
        query = "INSERT INTO packs (name, size) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET size = excluded.size"
        return int(db.execute(f"{query} RETURNING id", (draft.name, draft.size)).fetchone()[0])

    def has_blob(self, db: sqlite3.Connection, digest: bytes, size: int) -> bool:
        """Tell whether the store is known to hold a blob whole, as a file or in a pack, as a transaction sees it."""
        return bool(self.held(db, {digest: size}))

    def held(self, db: sqlite3.Connection, sizes: Mapping[bytes, int]) -> set[bytes]:
        """Return which of these blobs the store is known to hold whole; they are given by digest, with their sizes."""
        known = _blob_rows(db, list(sizes))
        in_pack = self.packs.holder()
        return {digest for digest, row in known.items() if self._is_whole(row, digest, sizes[digest], in_pack)}

    def _is_whole(self, row: "_BlobRow", digest: bytes, size: int, in_pack: Callable[[Place, int], bool]) -> bool:
        if row.place is not None:
            return in_pack(row.place, size)
        return (row.durable or row.boot == boot_id()) and self.blobs.has_file(digest, size)

    def _locate(self, digest: bytes) -> Place | None:
        query = "SELECT p.name, b.offset FROM blobs b JOIN packs p ON p.id = b.pack WHERE b.digest = ?"
        with self.db.read() as db:
            row = db.execute(query, (digest,)).fetchone()
        return None if row is None else Place(*row)

    def _places(self, pack: str) -> Mapping[bytes, Place]:
        query = "SELECT b.digest, b.offset FROM packs p JOIN blobs b ON b.pack = p.id WHERE p.name = ?"
        with self.db.read() as db:
            return {digest: Place(pack, offset) for digest, offset in db.execute(query, (pack,))}

    def make_durable(self, digests: set[bytes]) -> list[bytes]:
        """Make blobs survive power loss; return those that were not known to, for `mark_durable`.

        Raises:
            IntegrityError: A blob was torn by an earlier crash of the machine.
            Unavailable: The disk refused; the blobs will be written anew the next time.
        """
        pending = self._pending(digests)
        boot = boot_id()
        try:
            self.blobs.sync([digest for digest, at in pending if at == boot])
            for digest, at in pending:
                if at != boot:
                    self.blobs.rewrite(digest)
        except IntegrityError:
            raise
        except OSError as error:
            raise self.distrust([digest for digest, _ in pending], error) from error
        return [digest for digest, _ in pending]

    def lacks(self, db: sqlite3.Connection, digests: Iterable[bytes]) -> bytes | None:
        """Return a blob that the store does not hold, within a write transaction; None if it holds all of them."""
        wanted = list(digests)
        rows = _blob_rows(db, wanted)
        in_pack = self.packs.holder()
        return next((digest for digest in wanted if not self._is_there(rows.get(digest), digest, in_pack)), None)

    def _is_there(self, row: "_BlobRow | None", digest: bytes, in_pack: Callable[[Place, int], bool]) -> bool:
        if row is None or row.place is None:
            return row is not None and self.blobs.has_file(digest, row.size)
        return in_pack(row.place, row.size)

    def sync_again(self, db: sqlite3.Connection, digests: Collection[bytes]) -> bool:
        """Make blobs durable, within a write transaction, that nothing held since `make_durable`; False if one is gone.

        `collect` may have removed it, and somebody may have put it again: then it is another file. They are few.
        """
        if self.lacks(db, digests) is not None:
            return False
        query = "SELECT digest FROM blobs WHERE digest = ? AND durable = 0"
        pending = [row[0] for digest in digests for row in db.execute(query, (digest,))]
        try:
            self.blobs.sync(pending)
        except OSError as error:
            raise SyncFailed(pending, error) from error
        return True

    def distrust(self, digests: Iterable[bytes], error: OSError) -> Unavailable:
        """Have blobs written anew the next time, and return the error to raise.

        The kernel may have dropped what it could not write, and would say yes to the next fsync.
        """
        with self.db.write(durable=True) as db:
            db.executemany("UPDATE blobs SET boot = '' WHERE digest = ? AND durable = 0", [(d,) for d in digests])
        message = f"the disk of {self.layout.root} did not take the data: {error.strerror or error}"
        return Unavailable(message, hint="nothing was committed; the changes are still uncommitted")

    def _pending(self, digests: set[bytes]) -> list[tuple[bytes, str]]:
        with self.db.read() as db:
            if len(digests) > 1000:
                rows = db.execute("SELECT digest, boot FROM blobs WHERE durable = 0").fetchall()
                return [(digest, boot) for digest, boot in rows if digest in digests]
            query = "SELECT digest, boot FROM blobs WHERE durable = 0 AND digest = ?"
            return [row for digest in digests for row in db.execute(query, (digest,))]

    @staticmethod
    def mark_durable(db: sqlite3.Connection, digests: list[bytes]) -> None:
        """Record what `make_durable` did."""
        db.executemany("UPDATE blobs SET durable = 1 WHERE digest = ?", [(digest,) for digest in digests])

    def close(self) -> None:
        """Close index and packs; the next verb opens them again."""
        self.packs.close()
        self.db.close()


class _BlobRow(Struct, frozen=True):
    size: int
    durable: bool
    boot: str
    place: Place | None


def _blob_rows(db: sqlite3.Connection, digests: Sequence[bytes]) -> dict[bytes, _BlobRow]:
    found: dict[bytes, _BlobRow] = {}
    for at in range(0, len(digests), _QUERIED):
        some = digests[at : at + _QUERIED]
        query = f"""
            SELECT b.digest, b.size, b.durable, b.boot, p.name, b.offset FROM blobs b LEFT JOIN packs p ON p.id = b.pack
            WHERE b.digest IN ({", ".join("?" * len(some))})
        """  # noqa: S608 - question marks
        for digest, size, durable, boot, pack, offset in db.execute(query, some):
            found[digest] = _BlobRow(size, bool(durable), boot, None if pack is None else Place(pack, offset))
    return found
