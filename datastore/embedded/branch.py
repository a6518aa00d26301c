"""What a ref gives back: an ordinary provider over one branch, tag or commit of a repo."""

import itertools
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from datastore import listing
from datastore.embedded import intents, refs, staging
from datastore.embedded.batch import Batch, Vanished
from datastore.embedded.blobs import Draft
from datastore.embedded.collected import ContentCollected, twice
from datastore.embedded.content import blobs_of, entry_of, info_of, open_entry, retyped
from datastore.embedded.links import link_entry
from datastore.embedded.nodes import Entry
from datastore.embedded.refs import BranchRow
from datastore.embedded.staging import Edits
from datastore.errors import (
    AlreadyExists,
    DatastoreError,
    Forbidden,
    HeadMoved,
    IntegrityError,
    NotFound,
    ValidationError,
    nearest,
)
from datastore.names import RefExpression, check_key, check_metadata, is_commit_id
from datastore.provider import Body, Bytes, Capabilities, Reader
from datastore.values import OVERWRITE, Attributes, ByteRange, DeleteFailure, Match, ObjectInfo, Page, PutMode

if TYPE_CHECKING:
    from datastore.embedded.repo import EmbeddedRepo

__all__ = ["EmbeddedRef"]

_HINTS = 1000


class _View(Struct, frozen=True):
    """A ref at one moment: a tree, the commit that it is of, and the branch that lies over it, if any."""

    tree: str
    commit: str
    branch: BranchRow | None


class EmbeddedRef:
    """The provider of a ref. Made without I/O; every verb sees the ref as it is at that moment.

    Args:
        repo: The repo.
        expression: The parsed ref.
        head: If given, every verb raises `HeadMoved` once the branch's head is another commit.
    """

    def __init__(self, repo: "EmbeddedRepo", expression: RefExpression, *, head: str | None = None) -> None:
        self._repo = repo
        self._store = repo.store
        self._expression = expression
        self._head = head
        self._fixed: _View | None = None

    def __repr__(self) -> str:
        return f"<{self._repo.name}@{self._expression.name}>"

    @property
    def capabilities(self) -> Capabilities:
        """Writable for a branch that is not protected; immutable for what a commit id leads to."""
        fixed = is_commit_id(self._expression.name)
        branch = None if fixed or not self._expression.plain else self._view().branch
        writable = branch is not None and not branch.protected and not self._store.read_only
        return Capabilities(
            writable=writable, immutable=fixed, create=True, match=True, attributes=True, digests=True, local=True
        )

    # reading

    def _view(self) -> _View:
        if self._fixed is not None:
            return self._fixed
        with self._store.db.snapshot() as db:
            view = self._view_from(db)
        if is_commit_id(self._expression.name):
            self._fixed = view
        return view

    def _view_from(self, db: sqlite3.Connection) -> _View:
        repo = refs.repo_id(db, self._repo.name)
        load = partial(self._store.commit_from, db, repo)
        commit, branch = refs.resolve(db, repo, self._expression, load=load)
        if self._head is not None and commit != self._head:
            branch_name = f"branch {self._expression.name!r} of {self._repo.name!r}"
            message = f"{branch_name} has moved from commit {self._head[:8]} to {commit[:8]}"
            raise HeadMoved(message, hint="open the URL again to read the branch as it is now")
        tree = self._store.commit(repo, commit, seen_by=db).info.tree
        return _View(tree, commit, branch if self._expression.plain else None)

    def _find(self, key: str) -> tuple[Entry | None, str | None]:
        """Return (entry, commit that it is in; None if uncommitted)."""
        if self._fixed is not None:
            try:
                return self._store.trees.get(self._fixed.tree, key), self._fixed.commit
            except IntegrityError:
                with self._unless_collected(self._fixed.commit):
                    raise
        if self._expression.plain and not is_commit_id(self._expression.name):
            with self._store.db.read() as db:
                found = staging.find(db, self._repo.name, self._expression.name, key)
            if found is not None and self._head in {None, found.head}:  # else below, where that is said
                return (found.entry, None) if found.staged else (self._store.trees.get(found.tree, key), found.head)
        with self._store.db.snapshot() as db:
            view = self._view_from(db)
            staged, entry = staging.row_of(db, view.branch.token, key) if view.branch else (False, None)
        if is_commit_id(self._expression.name):
            self._fixed = view
        return (entry, None) if staged else (self._store.trees.get(view.tree, key), view.commit)

    def rows(self, *, prefix: str = "") -> Callable[[str], Iterator[tuple[str, Entry, str | None]]]:
        """Return a scan of (key, entry, commit) from a start on, all of one moment, uncommitted over committed."""
        with self._store.db.snapshot() as db:
            view = self._fixed or self._view_from(db)
            staged = staging.rows(db, view.branch.token, prefix=prefix) if view.branch else {}
        keys = list(staged)

        def scan(start: str) -> Iterator[tuple[str, Entry, str | None]]:
            rows = self._store.trees.scan(view.tree, prefix=prefix, start=start)
            if keys:
                rows = staging.overlay(rows, ((key, staged[key]) for key in keys[bisect_left(keys, start) :]))
            with self._unless_collected(view.commit):
                for key, entry in rows:
                    yield key, entry, None if key in staged else view.commit

        return scan

    def head(self, key: str) -> ObjectInfo:
        """Return what is known of an object."""
        entry, commit = self._find(key)
        if entry is None:
            raise self.no_such_key(key)
        return info_of(key, entry, commit=commit)

    def entries(self, key: str) -> dict[str, Entry]:
        """Return the entry of a key, or, if it ends in `/`, all entries under it."""
        if key.endswith("/") or not key:
            return {name: entry for name, entry, _ in _below(self.rows(prefix=key)(key), key)}
        entry, _ = self._find(key)
        return {} if entry is None else {key: entry}

    def no_such_key(self, key: str) -> NotFound:
        """The error for a key that is not there, with the nearest ones as a hint."""
        where = f"{self._repo.name}@{self._expression.name}"
        return NotFound(f"no object {key!r} in {where}", hint=lambda: self._key_hint(key), url=f"ds://{where}/{key}")

    def _key_hint(self, key: str) -> str | None:
        try:
            scan = self.rows()
            inside = key.rstrip("/") + "/"
            if next(scan(inside), ("",))[0].startswith(inside):
                return f"{inside!r} is a prefix; list it, or name an object under it"
            folder = key.rpartition("/")[0]
            names = [row[0] for row in itertools.islice(scan(folder and folder + "/"), _HINTS)]
        except DatastoreError:  # the error was kept until the branch or its store had gone
            return None
        return nearest(key, names, what="keys")

    def read(self, key: str, *, range: ByteRange | None = None, if_match: str | None = None) -> Reader:
        """Open an object or a range of it; an open reader keeps its bytes whatever happens to the key."""
        return self._read_found(key, self._find(key), range=range, if_match=if_match)

    def read_many(self, keys: Sequence[str], *, range: ByteRange | None = None) -> Iterator[Reader | None]:
        """Open many objects, all as they are at one moment."""
        with self._store.db.snapshot() as db:
            view = self._fixed or self._view_from(db)
            staged = staging.rows_of(db, view.branch.token, keys) if view.branch else {}
        for key in keys:
            try:
                entry = staged[key] if key in staged else self._store.trees.get(view.tree, key)
                reader = self._read_found(key, (entry, None if key in staged else view.commit), range=range)
            except DatastoreError:
                reader = None
            yield reader

    def _read_found(
        self,
        key: str,
        found: tuple[Entry | None, str | None],
        *,
        range: ByteRange | None = None,
        if_match: str | None = None,
    ) -> Reader:
        entry, commit = found
        if entry is None:
            raise self.no_such_key(key)
        info = info_of(key, entry, commit=commit)
        if if_match is not None and if_match != info.etag:
            raise _changed(key, if_match, info.etag)
        try:
            return open_entry(self._store.blobs, info, entry, opener=self._store.opener, range=range)
        except IntegrityError:
            with self._unless_collected(commit):
                if self._find(key) == (entry, commit):
                    raise
            return self.read(key, range=range, if_match=if_match)  # it was written over, and collected

    def local_file(self, info: ObjectInfo) -> Path | None:
        """Return the blob's file, if an object is one blob that has a file."""
        if info.digest is None or info.link is not None:
            return None
        digest = bytes.fromhex(info.digest.removeprefix("sha256:"))
        return self._store.blobs.path(digest) if self._store.blobs.has_file(digest, info.size) else None

    @contextmanager
    def _unless_collected(self, commit: str | None) -> Generator[None]:
        try:
            yield
        except IntegrityError:
            with self._store.db.snapshot() as db:
                self._store.require_commits(db, refs.repo_id(db, self._repo.name), [commit] if commit else [])
            raise

    def list(self, prefix: str = "", *, delimiter: str | None = None, start_after: str | None = None) -> Iterator[Page]:
        """List objects in key order, uncommitted over committed, all of one moment."""
        scan = self.rows(prefix=prefix)

        def keyed(start: str) -> Iterator[tuple[str, tuple[str, Entry, str | None]]]:
            return ((row[0], row) for row in scan(start))

        names = listing.grouped(keyed, prefix=prefix, delimiter=delimiter, start_after=start_after)
        return listing.pages(
            name if isinstance(name, str) else info_of(name[0], name[1], commit=name[2]) for name in names
        )

    # writing

    def put(
        self, key: str, body: Body, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None
    ) -> ObjectInfo:
        """Stage an object."""
        self._check_put(key, attributes)
        return self._stage_draft(key, self._store.blobs.draft_of(body), mode, attributes)

    def writer(self, key: str, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None) -> "EmbeddedWriter":
        """Start an object; its bytes go to the store's disk as they come."""
        self._check_put(key, attributes)
        draft = self._store.blobs.draft()
        return EmbeddedWriter(key, draft, lambda: self._stage_draft(key, draft, mode, attributes))

    def _check_put(self, key: str, attributes: Attributes | None) -> None:
        check_key(key)
        if attributes is not None:
            check_metadata(attributes.metadata)
        with self._store.db.snapshot() as db:
            self._writable(db)

    def _stage_draft(self, key: str, draft: Draft, mode: PutMode, attributes: Attributes | None) -> ObjectInfo:
        draft.finish()
        entry = entry_of(key, draft.digest, draft.size, modified_us=self._store.clock(), attributes=attributes)
        return self.stage({key: entry}, mode=mode, drafts=[draft])[0]

    def _writable(self, db: sqlite3.Connection) -> _View:
        self._store.require_writable()
        view = self._view_from(db)
        if view.branch is None:
            name = self._expression.name
            what = "a commit" if is_commit_id(name) or not self._expression.plain else "a tag"
            message = f"{self._repo.name}@{name} is {what} and cannot be written to"
            raise Forbidden(message, hint=f"make a branch of it: repo.create_branch('fix', base={name!r})")
        if view.branch.protected:
            message = f"branch {view.branch.name!r} is protected: it takes changes only by merge and revert"
            raise Forbidden(message, hint="write to a branch of your own and merge it")
        return view

    def stage(
        self, edits: Edits, *, mode: PutMode = OVERWRITE, drafts: Sequence[Draft] = (), batch: Batch | None = None
    ) -> Sequence[ObjectInfo]:
        """Put these entries (None deletes) over what is there, in one transaction; return infos of those that stay.

        Args:
            edits: By key.
            mode: What may be there.
            drafts: New blobs that they need.
            batch: Many new blobs that they need.

        Raises:
            ContentCollected: A blob is not held any more; nothing was changed.
            Vanished: The same, of what the batch relied on.
        """
        self._store.require_writable()  # before the gate, whose lock file is written to
        with ExitStack() as cleanup:
            for draft in drafts:
                cleanup.callback(draft.discard)
            with self._store.db.write(durable=False) as db:
                view = self._writable(db)
                branch = view.branch
                assert branch is not None  # noqa: S101 - _writable has seen to it
                to_stage, to_unstage, infos = self._decided(db, view, branch, edits, mode)
                self._store.publish(db, list(drafts))
                if batch is not None:
                    batch.publish(db)
                new = {draft.digest for draft in drafts}
                if batch is not None:
                    new |= batch.seen
                if to_stage:
                    self._stage_rows(db, branch, to_stage, new=new)
                if to_unstage:
                    staging.unstage(db, branch.token, to_unstage)
        self._repo.remember_staged(branch, edits)
        return infos

    def _stage_rows(self, db: sqlite3.Connection, branch: BranchRow, edits: Edits, *, new: set[bytes]) -> None:
        needed = blobs_of(edits.values())
        if (lost := self._store.lacks(db, needed - new)) is not None:
            key = next(key for key, entry in edits.items() if lost in blobs_of([entry]))
            raise ContentCollected(
                f"the content of {key!r} was collected meanwhile: no commit and no uncommitted change had it",
                hint="nothing was changed; put it again from where it came from",
            )
        if staging.stage(db, branch.token, edits):
            intents.note(db, "blob", needed)

    def _decided(
        self, db: sqlite3.Connection, view: _View, branch: BranchRow, edits: Edits, mode: PutMode
    ) -> tuple[Edits, Sequence[str], Sequence[ObjectInfo]]:
        to_stage: Edits = {}
        to_unstage: list[str] = []
        infos: list[ObjectInfo] = []
        there = {key: self._store.trees.get(view.tree, key) for key in sorted(edits)}  # so that each leaf is read once
        for key, wanted in edits.items():
            committed = there[key]
            staged = staging.row_of(db, branch.token, key)
            current = staged[1] if staged[0] else committed
            _check_mode(key, mode, current)
            action = staging.decide(committed, staged, wanted)
            if action == "stage":
                to_stage[key] = wanted
            elif action == "unstage":
                to_unstage.append(key)
            kept = wanted if action == "stage" else committed if action == "unstage" else current
            if kept is not None:
                infos.append(info_of(key, kept, commit=view.commit if kept is committed else None))
        return to_stage, to_unstage, infos

    def delete(self, keys: Sequence[str]) -> Sequence[DeleteFailure]:
        """Delete exactly these keys, in one transaction."""
        self.stage(dict.fromkeys(keys))
        return []

    # bytes that the store has already

    def copy(self, source: str, target: str, *, mode: PutMode = OVERWRITE) -> ObjectInfo:
        """Copy an object within the branch; no bytes move."""
        check_key(target)

        def copied() -> ObjectInfo:
            entry, _ = self._find(source)
            if entry is None:
                raise self.no_such_key(source)
            return self.stage({target: retyped(entry, source, target, modified_us=self._store.clock())}, mode=mode)[0]

        return twice(copied)

    def link(self, source: ObjectInfo, key: str, *, mode: PutMode = OVERWRITE) -> ObjectInfo | None:
        """Take over bytes that the store holds already; None if it does not."""
        check_key(key)
        if source.digest is None:
            return None
        digest = bytes.fromhex(source.digest.removeprefix("sha256:"))
        with self._store.db.read() as db:
            known = db.execute("SELECT 1 FROM blobs WHERE digest = ? AND size = ?", (digest, source.size)).fetchone()
        if known is None:
            return None
        attributes = Attributes(content_type=source.content_type, metadata=source.metadata)
        entry = entry_of(source.key, digest, source.size, modified_us=0, attributes=attributes)
        try:
            return self.stage({key: retyped(entry, source.key, key, modified_us=self._store.clock())}, mode=mode)[0]
        except ContentCollected:
            return None

    def link_outside(self, infos: Sequence[ObjectInfo]) -> Sequence[ObjectInfo]:
        """Stage an entry for each of these objects, whose bytes stay where they are, in one transaction."""
        now = self._store.clock()
        edits: Edits = {}
        for info in infos:
            edits[check_key(info.key)] = link_entry(info, check_metadata(info.metadata), modified_us=now)
        return self.stage(edits)

    def import_files(
        self,
        files: Sequence[tuple[Path, str]],
        *,
        reflink: bool = False,
        told: Callable[[int, int], object] | None = None,
    ) -> Sequence[ObjectInfo]:
        """Put many local files, read and hashed by several threads; all are staged in one transaction, or none."""
        bodies = [(key, path, None) for path, key in files]
        return self._put_bodies(bodies, mode=OVERWRITE, reflink=reflink, told=told)

    def put_many(
        self, objects: Sequence[tuple[str, bytes, Attributes | None]], *, mode: PutMode = OVERWRITE
    ) -> Sequence[ObjectInfo]:
        """Stage many objects, in one transaction."""
        return self._put_bodies(objects, mode=mode)

    def _put_bodies(
        self,
        bodies: Sequence[tuple[str, Path | bytes, Attributes | None]],
        *,
        mode: PutMode,
        reflink: bool = False,
        told: Callable[[int, int], object] | None = None,
    ) -> Sequence[ObjectInfo]:
        for key, _, attributes in bodies:
            check_key(key)
            if attributes is not None:
                check_metadata(attributes.metadata)
        with self._store.db.snapshot() as db:
            self._writable(db)
        now = self._store.clock()  # what is written to a file after it was read is later than this
        with Batch(self._store, reflink=reflink, told=told) as batch:
            taken = batch.take([body for _, body, _ in bodies])
            edits: Edits = {
                key: entry_of(key, digest, size, modified_us=now, attributes=attributes)
                for (key, _, attributes), (digest, size) in zip(bodies, taken, strict=True)
            }
            while True:
                try:
                    return self.stage(edits, mode=mode, batch=batch)
                except Vanished:  # what is read anew is no more relied on, so this comes to an end
                    batch.regain()

    def close(self) -> None:
        """Nothing to let go of: the store is shared."""


class EmbeddedWriter:
    """An object in the making: a draft, and what to do with it at the end."""

    def __init__(self, key: str, draft: Draft, stage: Callable[[], ObjectInfo]) -> None:
        self._key = key
        self._draft = draft
        self._stage = stage
        self._finished = False

    def write(self, data: Bytes, /) -> int:
        """Take some bytes."""
        self._check_open()
        return self._draft.write(data)

    def commit(self) -> ObjectInfo:
        """Publish the object."""
        self._check_open()
        self._finished = True
        return self._stage()

    def abort(self) -> None:
        """Forget everything."""
        self._finished = True
        self._draft.discard()

    def _check_open(self) -> None:
        if self._finished:
            raise ValidationError(f"the writer of {self._key!r} was committed or aborted", hint="open another one")


def _below(rows: Iterator[tuple[str, Entry, str | None]], prefix: str) -> Iterator[tuple[str, Entry, str | None]]:
    return itertools.takewhile(lambda row: row[0].startswith(prefix), rows)


def _check_mode(key: str, mode: PutMode, current: Entry | None) -> None:
    if mode == "create" and current is not None:
        raise AlreadyExists(f"object {key!r} exists already", hint="use OVERWRITE to replace it, or another key")
    if isinstance(mode, Match):
        found = current.digest.hex() if current is not None else None
        if found != mode.etag:
            raise _changed(key, mode.etag, found)


def _changed(key: str, wanted: str, found: str | None) -> HeadMoved:
    now = f"has etag {found[:16]} by now" if found else "is gone"
    return HeadMoved(f"object {key!r} was to have etag {wanted[:16]} and {now}", hint="read it again")
