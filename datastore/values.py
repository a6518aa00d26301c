"""The frozen values that every layer passes around; no behaviour beyond what follows from their own fields."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NewType

from msgspec import Struct, field

__all__ = [
    "CREATE",
    "GRACE",
    "KEEP_DELETED",
    "OVERWRITE",
    "Attributes",
    "Backup",
    "BranchInfo",
    "BucketInfo",
    "ByteRange",
    "Change",
    "ChangeKind",
    "Collected",
    "CommitInfo",
    "CommitRequest",
    "DeleteFailure",
    "Digest",
    "Garbage",
    "KeyConflict",
    "LifecycleRule",
    "Link",
    "Match",
    "ObjectInfo",
    "Page",
    "PartInfo",
    "PresignedRequest",
    "Problem",
    "PutMode",
    "Repaired",
    "Side",
    "Strategy",
    "TagInfo",
    "UploadInfo",
    "digest_of",
    "from_micros",
    "is_strong",
    "same_object",
]

Digest = NewType("Digest", str)
"""Our content hash, always with its algorithm: `sha256:<64 hex digits>`. A service's etag is never one."""

Strategy = Literal["source-wins", "dest-wins"]
Side = Literal["source", "dest"]
ChangeKind = Literal["added", "removed", "changed"]

_EPOCH: Final = datetime.fromtimestamp(0, UTC)

GRACE: Final = timedelta(hours=24)
"""How old something has to be before `collect` removes it, unless told otherwise."""
KEEP_DELETED: Final = timedelta(days=30)
"""How long a deleted branch can be brought back, unless told otherwise."""


def digest_of(data: bytes | bytearray | memoryview) -> Digest:
    """Return the digest of some bytes.

    >>> digest_of(b"")[:20]
    'sha256:e3b0c44298fc1'
    """
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def from_micros(micros: int) -> datetime:
    """Return the aware UTC time of microseconds since the epoch.

    >>> from_micros(1_500_000).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return _EPOCH + timedelta(microseconds=micros)


class Link(Struct, frozen=True, kw_only=True, gc=False):
    """Where the bytes of an object are that stay outside of the store which has its entry.

    Attributes:
        url: `ds://` URL of the source; empty where only its address is known.
        etag: What the source must still have, so that no other bytes are ever taken for its own.
        address: The source as its own service names it (`s3://acme-raw/2026/a.csv`), for whoever does not have the
            mount; empty where it has no such name.
    """

    url: str
    etag: str
    address: str = ""


class ObjectInfo(Struct, frozen=True, kw_only=True, gc=False):
    """What a provider knows of one object without its bytes.

    Attributes:
        key: Name within the provider.
        size: Bytes.
        modified_us: Last write, microseconds since the epoch, UTC.
        etag: The service's opaque tag of this version, for preconditions.
        identity: Names the *bytes*: the digest, else the immutable address, else everything that tells versions apart.
        digest: Our content hash, where it is known without reading.
        content_type: Media type.
        metadata: The user's own string pairs.
        commit: Full id of the commit that the object was read from; None for uncommitted or unversioned objects,
            and on a branch whose store would have to ask for it.
        link: Where the bytes are, if they stay outside of the store; None for the store's own.
    """

    key: str
    size: int
    modified_us: int
    etag: str
    identity: str
    digest: Digest | None = None
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    commit: str | None = None
    link: Link | None = None

    @property
    def modified(self) -> datetime:
        """Last write as an aware UTC time."""
        return from_micros(self.modified_us)


def same_object(a: ObjectInfo | None, b: ObjectInfo | None) -> bool:
    """Tell whether two sides of a comparison are equal: digest (else etag and size), content type, metadata; not time.

    The rule is lakeFS's own identity of an entry (facts/lakefs.md §1), so that both stores agree on what a change is.
    """
    if a is None or b is None:
        return a is b
    if a.digest is not None and b.digest is not None:
        same_bytes = a.digest == b.digest
    else:
        same_bytes = (a.etag, a.size) == (b.etag, b.size)
    return same_bytes and a.content_type == b.content_type and a.metadata == b.metadata


def is_strong(info: ObjectInfo) -> bool:
    """Tell whether an info names one version of the bytes for certain.

    A weak etag, or none, does not; nor does a file's time of change that a second write may have again.
    """
    if info.digest is not None:
        return True
    return bool(info.etag) and not info.etag.startswith("W/")


class ByteRange(Struct, frozen=True):
    """A half-open range of an object's bytes; a negative start counts from the end, `stop=None` means to the end.

    >>> ByteRange(2, 5).bounds(10), ByteRange(-4).bounds(10), ByteRange(8, 99).bounds(10)
    ((2, 5), (6, 10), (8, 10))
    """

    start: int = 0
    stop: int | None = None

    def bounds(self, size: int) -> tuple[int, int]:
        """Return absolute (start, stop) within an object of `size` bytes; empty where the range lies beyond its end."""
        start = max(size + self.start, 0) if self.start < 0 else min(self.start, size)
        stop = size if self.stop is None else max(size + self.stop, 0) if self.stop < 0 else min(self.stop, size)
        return start, max(start, stop)


class Match(Struct, frozen=True):
    """Put mode: replace the object only if its etag is still this one."""

    etag: str


OVERWRITE: Final = "overwrite"
"""Put mode: replace whatever is there."""
CREATE: Final = "create"
"""Put mode: fail with `AlreadyExists` if the key is taken."""

PutMode = Literal["overwrite", "create"] | Match


class Attributes(Struct, frozen=True, kw_only=True):
    """What a writer may say of an object besides its bytes.

    Attributes:
        content_type: Media type; None takes the one that follows from the key's extension.
        metadata: String pairs, at most 64 KiB as JSON.
    """

    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


class DeleteFailure(Struct, frozen=True):
    """One key that a delete could not remove, with the error that it met."""

    key: str
    error: Exception


class Page(Struct, frozen=True):
    """A part of a listing, in key order: objects, and common prefixes where a delimiter was given."""

    objects: Sequence[ObjectInfo]
    prefixes: Sequence[str] = ()


class Change(Struct, frozen=True, kw_only=True):
    """One key that differs between two states: `before` on the left side, `after` on the right."""

    key: str
    before: ObjectInfo | None
    after: ObjectInfo | None

    @property
    def kind(self) -> ChangeKind:
        """`added`, `removed` or `changed`."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


class KeyConflict(Struct, frozen=True, kw_only=True):
    """One key that both sides of a merge changed in different ways; None where a side does not have it."""

    key: str
    base: ObjectInfo | None
    source: ObjectInfo | None
    dest: ObjectInfo | None


class CommitInfo(Struct, frozen=True, kw_only=True):
    """A commit as a store keeps it.

    Attributes:
        id: 64 hex digits.
        parents: Ids; the first one is the branch that the commit was made on.
        author: Who made it, free text.
        time_us: When, microseconds since the epoch, UTC.
        message: Free text.
        metadata: String pairs: inputs, parameters, metrics, whatever the writer recorded.
        tree: The store's id of the committed content.
    """

    id: str
    parents: tuple[str, ...]
    author: str
    time_us: int
    message: str
    metadata: Mapping[str, str]
    tree: str

    @property
    def time(self) -> datetime:
        """When, as an aware UTC time."""
        return from_micros(self.time_us)


class CommitRequest(Struct, frozen=True, kw_only=True):
    """What a caller says of a commit that is to be made.

    Attributes:
        message: Free text, not empty.
        author: Who makes it.
        metadata: String pairs.
        op_id: Names this attempt, so that a repeated call after a lost reply gives back the same commit.
        allow_empty: Whether a commit without changes is wanted.
        time_us: When it was made first, microseconds since the epoch, for a commit that comes from another repo; a
            store keeps it as exactly as it can. None means now.
    """

    message: str
    author: str
    op_id: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    allow_empty: bool = False
    time_us: int | None = None


class BranchInfo(Struct, frozen=True, kw_only=True):
    """A branch: its name, the id of its newest commit, and its flags."""

    name: str
    head: str
    hidden: bool = False
    protected: bool = False


class TagInfo(Struct, frozen=True, kw_only=True):
    """A tag: an immutable name for one commit."""

    name: str
    commit: str


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that `check` found wrong.

    Attributes:
        kind: `store`, `ref`, `commit`, `tree`, `pack`, `blob` or `uncommitted`.
        id: Name of the object within its kind.
        problem: What is wrong, in words.
        referenced_by: What needs it, as a reader would name it (`garments@main/train.parquet`), where known.
    """

    kind: str
    id: str
    problem: str
    referenced_by: str = ""


class Repaired(Struct, frozen=True, kw_only=True):
    """One thing that `repair` dealt with.

    Attributes:
        kind: As in `Problem`.
        id: Name of the object within its kind.
        problem: What was wrong, in words.
        done: What was done about it; "nothing: …" says why not.
    """

    kind: str
    id: str
    problem: str
    done: str


class Backup(Struct, frozen=True, kw_only=True):
    """What `backup` or `restore` made.

    Attributes:
        path: The folder.
        store_id: Of the store in it.
        files: How many were copied; those that an earlier backup had copied are not among them.
        size: Bytes of these.
        problems: What is damaged or missing in the copy, as in the store that it was made from.
    """

    path: str
    store_id: str
    files: int
    size: int
    problems: list[Problem] = []


class Garbage(Struct, frozen=True, kw_only=True):
    """Some of what `collect` removed, or would remove, or left because it is young.

    Attributes:
        kind: `branch` (deleted, with its uncommitted changes), `commit`, `tree` (a node of one), `blob`, `pack`
            (one or more, rewritten) or `tmp`.
        reason: Why nobody needs it, in words.
        count: How many there are.
        bytes: Their size on disk.
    """

    kind: str
    reason: str
    count: int
    bytes: int


class Collected(Struct, frozen=True, kw_only=True):
    """What `collect` did, or would do.

    Attributes:
        dry_run: Whether nothing was changed.
        removed: What went, or would go, by kind and reason.
        young: What nobody needs and stays, because it is younger than `grace`.
        complete: False if `max_bytes` left something for the next time.
    """

    dry_run: bool
    removed: Sequence[Garbage] = ()
    young: Sequence[Garbage] = ()
    complete: bool = True

    @property
    def bytes(self) -> int:
        """Bytes on disk of all that went."""
        return sum(garbage.bytes for garbage in self.removed)


class PresignedRequest(Struct, frozen=True, kw_only=True):
    """A request that anyone who holds it may send until it expires; its URL is a secret and not part of its repr.

    Attributes:
        method: HTTP method.
        url: With signature.
        headers: What has to be sent with it, as it is.
        expires_us: When it ends to be valid, microseconds since the epoch, UTC.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    expires_us: int

    def __repr__(self) -> str:
        host = self.url.partition("://")[2].partition("/")[0]
        return f"PresignedRequest({self.method} {host}, expires {from_micros(self.expires_us):%Y-%m-%d %H:%M:%S}Z)"


class UploadInfo(Struct, frozen=True, kw_only=True):
    """An unfinished upload in parts.

    Attributes:
        key: Name that the object will have.
        id: The service's name of the upload.
        started_us: When it began, microseconds since the epoch, UTC.
        place: Where the service keeps the parts, where that is not the key (lakeFS: the physical address).
    """

    key: str
    id: str
    started_us: int
    place: str = ""


class PartInfo(Struct, frozen=True, kw_only=True):
    """One part of an unfinished upload: its number from 1, its etag and its size in bytes.

    `checksum` is what the service wants to hear once more at the end, where it wants that (S3: CRC32 in base64).
    """

    number: int
    etag: str
    size: int
    checksum: str = ""


class BucketInfo(Struct, frozen=True, kw_only=True):
    """A bucket: its name, when it was made (microseconds since the epoch, UTC), and its region where that is known."""

    name: str
    created_us: int
    region: str = ""


class LifecycleRule(Struct, frozen=True, kw_only=True):
    """What a service deletes by itself, and after how many days; None leaves that alone.

    Attributes:
        name: Its id; a rule of the same name is replaced.
        prefix: Which keys it is for; "" for all.
        expire_days: Objects, after their last write.
        noncurrent_days: Older versions of objects, after they were replaced or deleted.
        delete_markers: Whether delete markers go that nothing is left behind.
        abort_upload_days: Unfinished uploads, after they began.
        enabled: Whether it is in force.
    """

    name: str
    prefix: str = ""
    expire_days: int | None = None
    noncurrent_days: int | None = None
    delete_markers: bool = False
    abort_upload_days: int | None = None
    enabled: bool = True
