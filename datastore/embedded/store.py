"""The embedded store as the registry and the namespace see it: a folder that holds repos."""

import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from datastore.bridging import Opener
from datastore.embedded import commits, refs, staging
from datastore.embedded.intents import Work
from datastore.embedded.layout import Layout
from datastore.embedded.opened import OpenStore, now_us
from datastore.embedded.repo import EmbeddedRepo
from datastore.errors import AlreadyExists, DatastoreError, Forbidden, IntegrityError, NotFound, Unavailable
from datastore.names import check_branch, check_repo
from datastore.probing import Finding
from datastore.provider import SupportsRepos, SupportsVersioning
from datastore.values import GRACE, KEEP_DELETED, Backup, Collected, CommitInfo, Problem, Repaired

__all__ = ["EmbeddedStore", "Options", "open_mount"]

_FIRST_AUTHOR = "datastore"


class EmbeddedStore:
    """Repos in one folder. Making the handle does no I/O; the folder becomes a store when the first repo is created.

    Args:
        path: The folder; on a local disk.
        read_only: Write nothing at all, not even a lock.
        clock: Gives microseconds since the epoch; for tests.

    >>> import tempfile
    >>> store = EmbeddedStore(Path(tempfile.mkdtemp()) / "store")
    >>> repo = store.create_repo("garments")
    >>> repo.at("main").put("a.txt", b"hello").size
    5
    >>> [problem for problem in store.check()]
    []
    >>> store.close()
    """

    def __init__(self, path: Path, *, read_only: bool = False, clock: Callable[[], int] = now_us) -> None:
        self._layout = Layout(path.expanduser().absolute())
        self._read_only = read_only
        self._clock = clock
        self._opened: OpenStore | None = None
        self._opener: Opener | None = None
        self._repos: dict[str, EmbeddedRepo] = {}

    def __repr__(self) -> str:
        return f"EmbeddedStore({str(self.path)!r})"

    def __reduce__(self) -> tuple[Callable[..., "EmbeddedStore"], tuple[Path, bool, OpenStore | None]]:
        return _reopened, (self.path, self._read_only, self._open() if self.exists() else None)

    @property
    def path(self) -> Path:
        """The folder, absolute."""
        return self._layout.root

    @property
    def id(self) -> str:
        """The store's id; `NotFound` if there is no store yet."""
        return self._open().id

    def exists(self) -> bool:
        """Whether a store is there, be it damaged."""
        return self._layout.exists()

    def _open(self) -> OpenStore:
        opened = self._opened
        if opened is None:
            # No lock, which a forked child could inherit held: two threads may open it twice, and both openings work.
            opened = OpenStore(self._layout, read_only=self._read_only, clock=self._clock)
            opened.opener = self._opener
            self._opened = opened
        return opened

    def follow_links(self, opener: Opener) -> None:
        """Take what opens the source of a link."""
        self._opener = opener
        if self._opened is not None:
            self._opened.opener = opener

    def repos(self) -> Sequence[str]:
        """Return the names of the repos, sorted; none if there is no store yet."""
        try:
            store = self._open()
        except NotFound:
            return []
        with store.db.read() as db:
            return [row[0] for row in db.execute("SELECT name FROM repos ORDER BY name")]

    def repo(self, name: str) -> EmbeddedRepo:
        """Return one repo, or raise `NotFound` with the nearest names."""
        store = self._open()
        with store.db.read() as db:
            refs.repo_id(db, name)
        # One handle for all, because it remembers what was staged through it.
        return self._repos.setdefault(name, EmbeddedRepo(store, name))

    def create_repo(self, name: str, *, default_branch: str = "main") -> EmbeddedRepo:
        """Make a repo with one empty commit on its default branch, and the store with it if it is the first."""
        check_repo(name)
        check_branch(default_branch)
        if not self._read_only:
            self._layout.create()
        store = self._open()
        store.require_writable()
        with store.db.read() as db:
            _refuse_taken_name(db, name)
        info = CommitInfo(
            id="",
            parents=(),
            author=_FIRST_AUTHOR,
            time_us=self._clock(),
            message=f"Create repo {name}",
            metadata={},
            tree=store.trees.empty,
        )
        op_id = uuid.uuid4().hex
        commit_id, body = commits.encode(info, op_id=op_id)
        work = Work()
        try:
            self._create_repo(store, name, default_branch, (commit_id, body, op_id), work=work)
        finally:
            work.give_up(store.db)
        return EmbeddedRepo(store, name)

    @staticmethod
    def _create_repo(
        store: OpenStore, name: str, default_branch: str, first: tuple[str, bytes, str], *, work: Work
    ) -> None:
        commit_id, body, op_id = first
        with store.db.write(durable=False) as db:
            work.begin(db)
            work.needs(db, "commit", [bytes.fromhex(commit_id)])
        store.commit_files.put_new({commit_id: body})
        change: dict[str, object] = {"do": "create-repo", "repo": name, "branch": default_branch, "new": commit_id}
        change["store"] = store.id
        with store.changing_refs(change) as db:
            if not work.end(db):
                message = f"this process was taken for dead while it made the repo {name!r}"
                raise Unavailable(message, hint="nothing was changed; try again")
            _refuse_taken_name(db, name)
            query = "INSERT INTO repos (name, default_branch) VALUES (?, ?) RETURNING id"
            repo = int(db.execute(query, (name, default_branch)).fetchone()[0])
            store.index_commit(db, repo, commits.decode(commit_id, body), body, op_id=op_id, generation=1)
            query = "INSERT INTO branches (repo, name, head, token) VALUES (?, ?, ?, ?)"
            db.execute(query, (repo, default_branch, commit_id, refs.new_token(db)))
        work.is_done()

    def delete_repo(self, name: str) -> None:
        """Delete a repo with all its refs and uncommitted changes. Content that other repos share stays."""
        store = self._open()
        with store.changing_refs({"do": "delete-repo", "repo": name}) as db:
            repo = refs.repo_id(db, name)
            for table in ("branches", "deleted_branches"):
                for (token,) in db.execute(f"SELECT token FROM {table} WHERE repo = ?", (repo,)).fetchall():  # noqa: S608
                    staging.drop(db, token)
                db.execute(f"DELETE FROM {table} WHERE repo = ?", (repo,))  # noqa: S608
            db.execute("DELETE FROM tags WHERE repo = ?", (repo,))
            db.execute("DELETE FROM commits WHERE repo = ?", (repo,))
            db.execute("DELETE FROM repos WHERE id = ?", (repo,))

    def rename_repo(self, name: str, new_name: str) -> None:
        """Give a repo another name."""
        check_repo(new_name)
        with self._open().changing_refs({"do": "rename-repo", "repo": name, "new": new_name}) as db:
            repo = refs.repo_id(db, name)
            _refuse_taken_name(db, new_name)
            db.execute("UPDATE repos SET name = ? WHERE id = ?", (new_name, repo))

    # upkeep: code that takes longer to load than a store to open, so each verb loads its own

    def check(self, *, deep: bool = True) -> Iterator[Problem]:
        """Yield what is wrong, from the refs down to the bytes."""
        from datastore.embedded.check import check_store

        try:
            self._layout.read()
            store = self._open()
        except IntegrityError as error:  # nothing of it can be opened
            names = self._layout.missing
            yield from (Problem(kind="store", id=name, problem="is missing") for name in names)
            if not names:
                yield Problem(kind="store", id="config.json", problem=error.message)
            return
        yield from check_store(store, deep=deep)

    def findings(self) -> Iterator[Finding]:
        """Yield what can be seen of the store and its disk; of a store that cannot be opened, why not."""
        from datastore.embedded.probe import findings

        if not self.exists():
            yield Finding(check="store", state="skipped", detail=f"there is no store at {self.path} yet")
            return
        try:
            opened = self._open()
            with opened.db.read() as db:
                refs.current_epoch(db)
        except DatastoreError as error:
            yield Finding(check="store", state="failed", detail=error.message, hint=error.hint)
            opened = None
        yield from findings(self._layout, opened)

    def repair(self, *, dry_run: bool = False, source: Path | None = None) -> Sequence[Repaired]:
        """Put in order what `check` finds, and return what was done; nothing is deleted.

        Args:
            dry_run: Change nothing, only tell.
            source: Folder of another store, or of a backup, to take good copies from.

        Raises:
            ConfigError: A newer program wrote the store.
            Forbidden: This is a backup, or open for reading only.
        """
        from datastore.embedded.repair import repair_store

        if self._read_only and not dry_run:
            message = f"the store {self.path} is open for reading only"
            raise Forbidden(message, hint="open it without read_only, or ask for a dry run")
        self.close()
        self._opened = None
        other = None if source is None else OpenStore(Layout(source.expanduser().absolute()), read_only=True)
        try:
            return list(repair_store(self._layout, dry_run=dry_run, other=other))
        finally:
            if other is not None:
                other.close()

    def backup(self, target: Path) -> Backup:
        """Copy the store, beside its writers, into an empty folder, or what is new into an earlier backup of it.

        The folder is a store that every program opens for reading only. A run that was interrupted is finished by the
        next one.

        Raises:
            ValidationError: The folder is something else.
        """
        from datastore.embedded.backup import back_up

        return back_up(self._open(), target.expanduser().absolute())

    def restore(self, target: Path, *, new_id: bool = False) -> Backup:
        """Make a store of this one, which is a backup, in an empty folder on a local disk.

        Args:
            target: The folder.
            new_id: Give it an id of its own, because the store that the backup is of lives on.

        Raises:
            AlreadyExists: There is a store already.
            ValidationError: The folder is something else.
        """
        from datastore.embedded.backup import restore

        return restore(self._open(), target.expanduser().absolute(), new_id=new_id)

    def collect(
        self,
        *,
        grace: timedelta = GRACE,
        keep_deleted: timedelta = KEEP_DELETED,
        dry_run: bool = False,
        max_bytes: int | None = None,
    ) -> Collected:
        """Remove what no commit, branch, tag or uncommitted change needs any more, beside readers and writers.

        It may be killed at any moment; the next run finishes.

        Args:
            grace: What is younger stays. This is for people who want something back: nothing that somebody needs is
                lost with 0.
            keep_deleted: How long a deleted branch can be brought back.
            dry_run: Only tell what would go; writes nothing.
            max_bytes: Stop before more than this is removed.

        Raises:
            IntegrityError: Something that is needed cannot be read, so that nobody knows what it needs in turn.
        """
        from datastore.embedded.collect import Terms, collect_store

        terms = Terms(grace=grace, keep_deleted=keep_deleted, max_bytes=max_bytes)
        if not dry_run:
            return collect_store(self._open(), terms, dry_run=False)
        reading = OpenStore(self._layout, read_only=True, clock=self._clock)  # so that SQLite writes nothing, too
        try:
            return collect_store(reading, terms, dry_run=True)
        finally:
            reading.close()

    def close(self) -> None:
        """Close the index; the next verb opens it again."""
        if self._opened is not None:
            self._opened.close()


def _reopened(path: Path, read_only: bool, opened: OpenStore | None) -> EmbeddedStore:  # noqa: FBT001 - called by pickle
    store = EmbeddedStore(path, read_only=read_only)
    store._opened = opened  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - unpickled, it is the same store
    return store


def _refuse_taken_name(db: sqlite3.Connection, name: str) -> None:
    if db.execute("SELECT 1 FROM repos WHERE name = ?", (name,)).fetchone():
        raise AlreadyExists(f"there is a repo {name!r} already", hint="use exist_ok=True, or choose another name")


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options of a mount of the embedded provider.

    Attributes:
        path: Folder of the store, on a local disk.
        repo: One repo of it; without, the next segment of a URL names it.
        read_only: Write nothing at all.
    """

    path: str
    repo: str | None = None
    read_only: bool = False


def open_mount(options: Options) -> SupportsVersioning | SupportsRepos:
    """Open a store, or one repo of it."""
    store = EmbeddedStore(Path(options.path), read_only=options.read_only)
    if options.repo is None:
        return store
    if not store.exists():
        raise NotFound(f"no store at {store.path}", hint="ds.create_repo(name) makes one in the default store")
    return store.repo(options.repo)
