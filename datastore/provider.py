"""The contract of a provider: the adapter to one storage service.

Small for the implementer; comfort is built once, above it. `datastore.testing.ProviderSuite` states it as tests, and
`datastore.providers.memory` is the executable specification. What only some stores can do is a protocol of its own
(`Supports…`); ask for it with `isinstance` before using it.

The central idea: **a ref gives back an ordinary provider.** `SupportsVersioning.at("main")` is a `Provider`, so no verb
takes a ref, and nothing above ever asks whether versions exist in order to move bytes.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

from msgspec import Struct

from datastore.calls import Call, FileSlice, Sink
from datastore.values import (
    OVERWRITE,
    Attributes,
    BranchInfo,
    BucketInfo,
    ByteRange,
    Change,
    CommitInfo,
    CommitRequest,
    DeleteFailure,
    KeyConflict,
    LifecycleRule,
    ObjectInfo,
    Page,
    PartInfo,
    PresignedRequest,
    PutMode,
    Side,
    Strategy,
    TagInfo,
    UploadInfo,
)

if TYPE_CHECKING:
    from typing_extensions import TypeIs


__all__ = [
    "Body",
    "Capabilities",
    "Provider",
    "Reader",
    "SupportsBuckets",
    "SupportsCopy",
    "SupportsImport",
    "SupportsLifecycle",
    "SupportsLink",
    "SupportsMultipart",
    "SupportsPresign",
    "SupportsPutMany",
    "SupportsRepos",
    "SupportsRequests",
    "SupportsVersioning",
    "SupportsWriter",
    "Writer",
    "is_versioned",
]

Bytes = bytes | bytearray | memoryview
Body = Bytes | Path | io.IOBase | Iterable[bytes]
"""What `put` takes: bytes, a local file, an open binary file (read to its end), or an iterable of bytes."""


class Capabilities(Struct, frozen=True, kw_only=True):
    """What this provider can do *now*, on this handle.

    Attributes:
        writable: Whether put and delete work; False for a tag, a commit, a read-only store.
        immutable: Whether everything that this handle shows stays as it is for ever, so that it may be cached for good.
        create: Whether `CREATE` is atomic against other writers.
        match: Whether `Match(etag)` is atomic against other writers; if not, it raises `UnsupportedOperation`.
        attributes: Whether content type and metadata are kept as given; if not, all but the extension's own content
            type raise `UnsupportedOperation`.
        digests: Whether `head` and `list` know the digest of every object whose bytes are the store's own.
        local: Whether verbs are answered from this machine, so that a thread hop costs more than the call.
        lists_attributes: Whether a listing tells content types and metadata, too, and not `head` alone.
    """

    writable: bool
    immutable: bool
    create: bool
    match: bool
    attributes: bool
    digests: bool
    local: bool
    lists_attributes: bool = True


class Reader(io.RawIOBase):
    """A binary stream over one version of an object, or over one range of it.

    Everything read from it belongs to the version that `info` describes, else it raises `IntegrityError`: bytes of two
    versions are never mixed. `seekable()` tells whether it can go back; readers of local stores can. Positions count
    from the beginning of the range. Close it, or use `with`.
    """

    info: ObjectInfo


class Writer(Protocol):
    """An object in the making. Nothing is visible before `commit`; a writer that is only dropped publishes nothing.

    Once it is committed or aborted, also in vain, `write` and `commit` raise `ValidationError`.
    """

    def write(self, data: Bytes, /) -> int:
        """Take some bytes and return how many, always all of them."""
        ...

    def commit(self) -> ObjectInfo:
        """Publish the object under the put mode that the writer was opened with."""
        ...

    def abort(self) -> None:
        """Forget everything. Harmless after `commit` and when called twice."""
        ...


@runtime_checkable
class Provider(Protocol):
    """Objects under keys. Handles are free: making one does no I/O."""

    @property
    def capabilities(self) -> Capabilities:
        """What this handle can do now."""
        ...

    def head(self, key: str) -> ObjectInfo:
        """Return what is known of an object, or raise `NotFound`. A prefix is not an object."""
        ...

    def read(self, key: str, *, range: ByteRange | None = None, if_match: str | None = None) -> Reader:
        """Open an object, or a range of it.

        Args:
            key: The object.
            range: Which bytes; None means all. A range beyond the end is empty, not an error.
            if_match: Etag that the object must still have; else `HeadMoved`.

        Raises:
            NotFound: No such object.
            HeadMoved: Its etag is another one by now.
        """
        ...

    def put(
        self, key: str, body: Body, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None
    ) -> ObjectInfo:
        """Write a whole object, atomically: readers see the old one or the new one.

        Raises:
            InvalidURL, TooLarge: The key may not be written (`names.check_key`).
            AlreadyExists: The mode is `CREATE` and the key is taken.
            HeadMoved: The mode is `Match(etag)` and the object has another etag, or is gone.
            Forbidden: This handle is read-only.
        """
        ...

    def delete(self, keys: Sequence[str]) -> Sequence[DeleteFailure]:
        """Delete exactly these keys; those that could not be deleted come back. A missing key is no failure."""
        ...

    def list(self, prefix: str = "", *, delimiter: str | None = None, start_after: str | None = None) -> Iterator[Page]:
        """List objects whose keys start with `prefix`, in the order of their UTF-8 bytes.

        With a delimiter, everything up to its first occurrence after the prefix is one common prefix, given once, in
        `Page.prefixes`. `start_after` is exclusive; a common prefix equal to it or before it is left out, with all that
        is under it. Pages are not empty and hold at most 1,000 names (objects and prefixes together).
        """
        ...

    def close(self) -> None:
        """Let go of resources. Harmless when called twice; handles from `at` share the resources of their origin."""
        ...


@runtime_checkable
class SupportsWriter(Protocol):
    """Can be written to piece by piece without knowing the size."""

    def writer(self, key: str, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None) -> Writer:
        """Start an object; the key is checked now, the mode at `commit` (and now, where that spares work)."""
        ...


@runtime_checkable
class SupportsCopy(Protocol):
    """Copies within the provider without the bytes passing through here."""

    def copy(self, source: str, target: str, *, mode: PutMode = OVERWRITE) -> ObjectInfo:
        """Copy one object with its attributes.

        A content type that followed from the old extension follows the new one.
        """
        ...


@runtime_checkable
class SupportsLink(Protocol):
    """Takes over bytes that the same store already holds, under another key, branch or repo, without copying them."""

    def link(self, source: ObjectInfo, key: str, *, mode: PutMode = OVERWRITE) -> ObjectInfo | None:
        """Put the bytes that `source.identity` names under `key`; None if this store does not hold them."""
        ...


@runtime_checkable
class SupportsImport(Protocol):
    """Brings in many local files at once."""

    def import_files(
        self,
        files: Sequence[tuple[Path, str]],
        *,
        reflink: bool = False,
        told: Callable[[int, int], object] | None = None,
    ) -> Sequence[ObjectInfo]:
        """Put each local file under its key, all in one step or none.

        Args:
            files: Each with its key.
            reflink: Share disk blocks where possible.
            told: Learns, in the caller's thread, of which file how many bytes more were read.
        """
        ...


@runtime_checkable
class SupportsPutMany(Protocol):
    """Takes many small objects in less time than one after the other."""

    def put_many(
        self, objects: Sequence[tuple[str, bytes, Attributes | None]], *, mode: PutMode = OVERWRITE
    ) -> Sequence[ObjectInfo]:
        """Put the bytes under each key with its attributes, all in one step or none; of a key twice, the last one."""
        ...


@runtime_checkable
class SupportsRequests(Protocol):
    """Its verbs are single HTTP requests, which the engine carries out in bulk."""

    def head_call(self, key: str) -> Call[ObjectInfo]:
        """Return the call behind `head`."""
        ...

    def get_call(self, info: ObjectInfo, *, range: ByteRange | None = None, sink: Sink = None) -> Call[bytes]:
        """Return the call that reads an object that `head` or `list` described, or a range of it.

        Its result is the bytes, empty where they went into the sink; every byte is of the version that `info` names,
        else it raises `HeadMoved`.
        """
        ...

    def put_call(
        self, key: str, body: bytes | FileSlice, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None
    ) -> Call[ObjectInfo] | None:
        """Return the call behind `put`; None if so large a body needs several requests."""
        ...


@runtime_checkable
class SupportsPresign(Protocol):
    """Lets others, such as a browser, send one request without credentials of their own."""

    def presign(
        self,
        method: Literal["GET", "HEAD", "PUT", "DELETE"],
        key: str,
        *,
        expires: float = 3600,
        attributes: Attributes | None = None,
    ) -> PresignedRequest:
        """Return a request that is valid for `expires` seconds, or as long as the credentials behind it are.

        `attributes` belong to PUT: they become headers that the other side has to send as they are.
        """
        ...


@runtime_checkable
class SupportsMultipart(Protocol):
    """Takes an object in parts, which can be sent in any order, by several machines, and again after a failure."""

    def create_upload(self, key: str, *, attributes: Attributes | None = None) -> UploadInfo:
        """Begin; nothing is visible before `complete_upload`."""
        ...

    def part_call(self, upload: UploadInfo, number: int, body: bytes | FileSlice) -> Call[PartInfo]:
        """Return the call that sends one part; numbers begin at 1, all parts but the last are equally long."""
        ...

    def presign_part(self, upload: UploadInfo, number: int, *, expires: float = 3600) -> PresignedRequest:
        """Return a request with which another client sends one part."""
        ...

    def parts(self, upload: UploadInfo) -> Sequence[PartInfo]:
        """Return the parts that the service holds, by number."""
        ...

    def uploads(self, prefix: str = "") -> Sequence[UploadInfo]:
        """Return the unfinished uploads of keys with this prefix, oldest first."""
        ...

    def complete_upload(
        self, upload: UploadInfo, parts: Sequence[PartInfo], *, mode: PutMode = OVERWRITE
    ) -> ObjectInfo:
        """Publish the object. Raises `AlreadyExists` and `HeadMoved` as `put`."""
        ...

    def abort_upload(self, upload: UploadInfo) -> None:
        """Forget it with its parts. Harmless when it is gone."""
        ...


@runtime_checkable
class SupportsBuckets(Protocol):
    """A service that holds several buckets; its keys begin with the bucket's name."""

    def buckets(self) -> Sequence[BucketInfo]:
        """Return the buckets by name."""
        ...

    def bucket(self, name: str) -> Provider:
        """Return one bucket; it need not be there."""
        ...

    def create_bucket(self, name: str) -> BucketInfo:
        """Make a bucket. Raises `AlreadyExists`."""
        ...

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket. Raises `Conflict` for one that is not."""
        ...


@runtime_checkable
class SupportsLifecycle(Protocol):
    """Deletes by itself what is older than its rules allow."""

    def lifecycle(self) -> Sequence[LifecycleRule]:
        """Return the rules in force, also those that others made."""
        ...

    def set_lifecycle(self, rules: Sequence[LifecycleRule]) -> Sequence[LifecycleRule]:
        """Put rules in place of those of the same name, leave the others as they are, and return what is now in force.

        Raises:
            IntegrityError: What the service says afterwards is not what it was told.
        """
        ...

    def delete_lifecycle(self, names: Sequence[str]) -> None:
        """Remove rules; a missing one is no failure."""
        ...


@runtime_checkable
class SupportsVersioning(Protocol):
    """One repo: branches, tags and commits over providers. Every argument called `ref` takes a ref expression.

    The two rules about uncommitted changes: *bytes see them, names don't* (`at("main")` reads uncommitted over
    committed, every verb that names a commit uses the head), and *what is handed on is pinned*.
    """

    @property
    def default_branch(self) -> str:
        """The branch that is meant when no ref is given."""
        ...

    def at(self, ref: str, *, head: str | None = None) -> Provider:
        """Return the provider of a ref: writable for a branch, read-only for everything else.

        Args:
            ref: `main` sees uncommitted changes, `main@` only what is committed; both are resolved anew by each verb.
                A commit id gives an immutable provider.
            head: For a branch: raise `HeadMoved` from every verb once the branch's head is not this commit any more.
        """
        ...

    def commit_of(self, ref: str) -> CommitInfo:
        """Resolve a ref: full commit id, branch, tag, id prefix, in this order.

        Raises:
            NotFound: Nothing has this name.
            ValidationError: It does not follow the grammar, or is the beginning of several ids.
        """
        ...

    def is_branch(self, ref: str) -> bool:
        """Tell whether the text is the bare name of a branch."""
        ...

    def branches(self, *, hidden: bool = False) -> Sequence[BranchInfo]:
        """Return the branches by name; hidden ones only where asked for."""
        ...

    def tags(self) -> Sequence[TagInfo]:
        """Return the tags by name."""
        ...

    def create_branch(self, name: str, base: str, *, hidden: bool = False) -> BranchInfo:
        """Make a branch at the commit of `base`; its uncommitted changes are not carried. Raises `AlreadyExists`."""
        ...

    def delete_branch(self, name: str) -> None:
        """Delete a branch with its uncommitted changes. Raises `Forbidden` for the default and for protected ones."""
        ...

    def undelete_branch(self, name: str) -> BranchInfo:
        """Bring back the branch that was deleted last under this name, with the head and uncommitted changes it had."""
        ...

    def protect(self, branch: str, *, on: bool = True) -> None:
        """Let a branch take changes only by merge and revert: put, delete, commit and reset raise `Forbidden`."""
        ...

    def create_tag(self, name: str, ref: str) -> TagInfo:
        """Make a tag. It never moves: a taken name raises `AlreadyExists`, unless it names that very commit already."""
        ...

    def delete_tag(self, name: str) -> None:
        """Delete a tag."""
        ...

    def commit(self, branch: str, request: CommitRequest) -> CommitInfo:
        """Turn the uncommitted changes of a branch into a commit.

        Raises:
            NothingToCommit: There are none.
            HeadMoved: Other writers were faster many times in a row.
        """
        ...

    def has_uncommitted(self, branch: str) -> bool:
        """Tell whether the branch has uncommitted changes, without looking at all of them."""
        ...

    def uncommitted(self, branch: str, *, prefix: str = "") -> Iterator[Change]:
        """Yield what differs between the branch and its head, in key order."""
        ...

    def log(
        self, ref: str, *, key: str | None = None, limit: int | None = None, first_parent: bool = False
    ) -> Iterator[CommitInfo]:
        """Yield commits, newest first, children before parents.

        With `key`, only those that changed it, or something under `key/`.
        """
        ...

    def diff(self, a: str, b: str, *, prefix: str = "") -> Iterator[Change]:
        """Yield what differs from commit a to commit b, in key order; same bytes and attributes are no change."""
        ...

    def merge_base(self, a: str, b: str) -> CommitInfo | None:
        """Return the best common ancestor, or None for unrelated histories."""
        ...

    def conflicts(self, source: str, into: str) -> Sequence[KeyConflict]:
        """Return what a merge would conflict on, without merging."""
        ...

    def merge(
        self,
        source: str,
        into: str,
        request: CommitRequest,
        *,
        strategy: Strategy | None = None,
        choose: Mapping[str, Side] | None = None,
        squash: bool = False,
    ) -> CommitInfo:
        """Merge the commit of `source` into the branch `into`.

        Args:
            source: Any ref; its uncommitted changes are not part of it.
            into: A branch without uncommitted changes.
            request: Message and the rest.
            strategy: Side that wins every conflict; None raises `MergeConflict`.
            choose: Side per key in conflict, before the strategy.
            squash: Leave the source out of the parents.

        Raises:
            MergeConflict, UncommittedChanges, NothingToCommit (all of source is in `into` already), HeadMoved.
        """
        ...

    def revert(self, branch: str, commit: str, request: CommitRequest, *, parent: int = 1) -> CommitInfo:
        """Commit the opposite of a commit. Raises `MergeConflict`.

        Of a merge, `parent` (from 1) tells which side to go back to.
        """
        ...

    def cherry_pick(self, branch: str, commit: str, request: CommitRequest, *, parent: int = 1) -> CommitInfo:
        """Commit the changes of one commit onto a branch. Raises `MergeConflict`."""
        ...

    def reset(self, branch: str, *, key: str | None = None, prefix: str | None = None) -> int:
        """Drop uncommitted changes (all, of one key, under a prefix) and return how many."""
        ...

    def restore(self, branch: str, key: str, ref: str) -> int:
        """Make an object (all under `key` if it ends in `/`) as at `ref`, uncommitted; return how many changed."""
        ...

    def close(self) -> None:
        """Let go of resources. Harmless when called twice; the next verb takes them again."""
        ...


@runtime_checkable
class SupportsRepos(Protocol):
    """A store that holds several repos."""

    def repos(self) -> Sequence[str]:
        """Return the names, sorted."""
        ...

    def repo(self, name: str) -> SupportsVersioning:
        """Return one repo, or raise `NotFound`."""
        ...

    def create_repo(self, name: str, *, default_branch: str = "main") -> SupportsVersioning:
        """Make a repo with one empty commit on its default branch. Raises `AlreadyExists`."""
        ...

    def delete_repo(self, name: str) -> None:
        """Delete a repo with all its refs and uncommitted changes."""
        ...

    def rename_repo(self, name: str, new_name: str) -> None:
        """Give a repo another name. Raises `AlreadyExists`."""
        ...

    def close(self) -> None:
        """Let go of resources. Harmless when called twice; the next verb takes them again."""
        ...


_VERSIONING_VERBS: Final = tuple(name for name in vars(SupportsVersioning) if not name.startswith("_"))


def is_versioned(root: object) -> "TypeIs[SupportsVersioning]":
    """Tell whether something is a repo, by its class alone.

    Up to Python 3.11, `isinstance` of a protocol reads the properties of an object, and to read the default branch of a
    repo may take a request.
    """
    return all(hasattr(type(root), name) for name in _VERSIONING_VERBS)
