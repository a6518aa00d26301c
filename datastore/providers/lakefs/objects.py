"""What a ref of lakeFS gives back: an ordinary provider over one branch, tag or commit."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct, structs

from datastore.calls import Call, FileSlice, HttpResponse, Sink
from datastore.errors import HeadMoved, InvalidURL, ValidationError
from datastore.http.reading import FIRST, open_reader
from datastore.names import check_branch, is_commit_id, parse_ref
from datastore.probing import Finding
from datastore.provider import Body, Capabilities, Reader
from datastore.providers.lakefs import deleting, gateway, importing, linking, probing, sending, writing
from datastore.providers.lakefs.answers import ObjectStats, decoded, message_of
from datastore.providers.lakefs.attributes import checked
from datastore.providers.lakefs.client import JSON, LakeFSClient
from datastore.providers.lakefs.commits import resolve, unknown_ref
from datastore.providers.lakefs.endpoints import Remote, no_repo
from datastore.providers.lakefs.entries import info_of
from datastore.providers.lakefs.listing import list_pages
from datastore.providers.lakefs.missing import no_such_key, not_writable, read_only
from datastore.providers.lakefs.multipart import Uploads
from datastore.providers.lakefs.presigned import get_call
from datastore.providers.lakefs.targets import Target
from datastore.providers.lakefs.urls import goes_direct, keep_url
from datastore.providers.lakefs.writing import LakeFSWriter
from datastore.values import (
    OVERWRITE,
    Attributes,
    ByteRange,
    DeleteFailure,
    ObjectInfo,
    Page,
    PartInfo,
    PresignedRequest,
    PutMode,
    UploadInfo,
)

__all__ = ["LakeFSRef"]

_FOUND = JSON | {404}
_TRIES = 100


class _View(Struct, frozen=True):
    """A ref at one moment: the name that requests use, and the commit that it stands for, if it is none of a branch."""

    ref: str
    commit: str | None


class LakeFSRef:
    """The provider of a ref. Made without I/O; every verb sees the ref as it is at that moment.

    A branch is read under its own name, so that one request sees uncommitted changes over committed ones; its infos
    have no `commit`, which would take two requests more. Everything else is resolved to its commit first.

    Args:
        client: The server.
        repo: The repo.
        ref: A ref expression.
        head: If given, every verb raises `HeadMoved` once the branch's head is another commit.
    """

    def __init__(self, client: LakeFSClient, repo: str, ref: str, *, head: str | None = None) -> None:
        self._client = client
        self._remote = Remote(client, repo)
        self._ref = ref
        self._expression = parse_ref(ref)
        self._head = head

    def __repr__(self) -> str:
        return f"<{self._remote.name}@{self._ref}>"

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, LakeFSRef) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[LakeFSClient, str, str, str | None]:
        return self._client, self._remote.name, self._ref, self._head

    @property
    def capabilities(self) -> Capabilities:
        """Writable for a branch; immutable for what a commit id leads to. Asks once whether a name is a branch."""
        return Capabilities(
            writable=self._may_be_branch() and self._is_branch(),
            immutable=is_commit_id(self._expression.name),
            create=True,
            match=False,
            attributes=True,
            digests=False,
            local=False,
        )

    # what the ref stands for

    def _may_be_branch(self) -> bool:
        try:
            check_branch(self._ref)
        except ValidationError:
            return False
        return True

    def _is_branch(self) -> bool:
        learned, key = self._client.learned, (self._remote.name, self._ref)
        if learned.branches.get(key):
            return True
        row = self._remote.run(self._remote.branch_call(self._ref))
        if row is not None:
            learned.branches.put(key, True)  # noqa: FBT003 - it is the value
        return row is not None

    def _view(self) -> _View:
        name = self._expression.name
        if is_commit_id(name) and self._expression.plain:
            return _View(name, name)
        if self._may_be_branch() and self._is_branch():
            return _View(name, None)
        commit = resolve(self._remote, self._ref).id
        return _View(commit, commit)

    def _check_head(self, *, after: str = "") -> None:
        """Raise `HeadMoved` if the branch is not where this handle was opened."""
        if self._head is None:
            return
        row = self._remote.run(self._remote.branch_call(self._ref))
        if row is None:
            raise unknown_ref(self._remote, self._ref)
        if row.commit_id != self._head:
            branch = f"branch {self._ref!r} of {self._remote.name!r}"
            message = f"{branch} has moved from commit {self._head[:8]} to {row.commit_id[:8]}{after}"
            raise HeadMoved(message, hint="open the URL again to read the branch as it is now")

    def _target(self) -> Target:
        """Return what writes go to; whether it is a branch is looked at by the write, if it is not known to be none."""
        if not self._may_be_branch():
            named = self._expression.plain and not is_commit_id(self._ref)
            raise not_writable(self._remote, self._ref) if named else read_only(self._remote.name, self._ref)
        self._check_head()
        return Target(self._client, self._remote.name, self._ref)

    def _branch(self) -> Target:
        """Return what writes go to, after asking that it is a branch, unless that was seen before."""
        target = self._target()
        if not self._is_branch():
            raise not_writable(self._remote, self._ref)
        return target

    def _wrote(self, info: ObjectInfo) -> ObjectInfo:
        self._check_head(after=f", and object {info.key!r} was written to it nevertheless")
        return info

    # reading

    def head(self, key: str) -> ObjectInfo:
        """Return what is known of an object."""
        view = self._view()
        known = view.commit and self._client.learned.infos.get((self._remote.name, view.commit, key))
        info = known or self._remote.run(self._stat_call(view, key))
        self._check_head()
        return info

    def head_call(self, key: str) -> Call[ObjectInfo]:
        """Return the call behind `head`; it does not look at `head` of this handle."""
        return self._stat_call(self._view(), key)

    def _stat_call(self, view: _View, key: str) -> Call[ObjectInfo]:
        direct = goes_direct(self._client)

        def finish(response: HttpResponse) -> ObjectInfo:
            if response.status == 404:
                raise self._missing(response, view, key)
            return self._info(decoded(ObjectStats)(response), view, direct=direct)

        return self._client.call(
            "GET",
            ["repositories", self._remote.name, "refs", view.ref, "objects", "stat"],
            what=f"stat object {key!r} of {self._remote.name}@{self._ref}",
            query={"path": _readable(key), "presign": direct or None},
            statuses=_FOUND,
            finish=finish,
        )

    def _missing(self, response: HttpResponse, view: _View, key: str) -> Exception:
        if "repository not found" in message_of(response):
            return no_repo(self._client, self._remote.name)
        return no_such_key(self._remote, self._ref, key, at=view.ref)

    def _info(self, stats: ObjectStats, view: _View, *, direct: bool) -> ObjectInfo:
        address = self._client.true_address(self._remote.name, stats.physical_address)
        if direct:
            address = keep_url(self._client, self._remote.name, stats) or self._address(view, stats)
        info = info_of(stats, origin=self._client.origin, address=address, commit=view.commit)
        if view.commit is not None:
            self._client.learned.infos.put((self._remote.name, view.commit, info.key), info)
        return info

    def _address(self, view: _View, stats: ObjectStats) -> str:
        """Ask for the address of an object outside of the repo's namespace: its URL does not tell the bucket."""
        plain = self._remote.run(self._remote.stat_call(view.ref, stats.path))
        if plain is None or plain.checksum != stats.checksum:
            raise HeadMoved(f"object {stats.path!r} changed while it was looked at", hint="try again")
        return plain.physical_address

    def read(self, key: str, *, range: ByteRange | None = None, if_match: str | None = None) -> Reader:
        """Open an object or a range of it; what is read comes from the version that is there now."""
        info = self.head(key)
        _check_etag(info, if_match)
        first = b""
        if info.commit is None and not goes_direct(self._client):
            info, first = self._beginning(info, range)
            _check_etag(info, if_match)
        return open_reader(
            info, lambda wanted, sink: self.get_call(info, range=wanted, sink=sink), range=range, first=first
        )

    def _beginning(self, info: ObjectInfo, wanted: ByteRange | None) -> tuple[ObjectInfo, bytes]:
        """Read the beginning of an object through the server, which finds it by its key: a writer may come in between.

        Straight from the object store an info leads to its bytes, whatever happens to the key.
        """
        for _ in itertools.repeat(None, _TRIES):
            start, stop = (wanted or ByteRange()).bounds(info.size)
            if start == stop:
                return info, b""
            call = self.get_call(info, range=ByteRange(start, min(stop, start + FIRST)))
            try:
                return info, self._remote.run(call)
            except HeadMoved:
                info = self.head(info.key)
        raise HeadMoved(f"object {info.key!r} changes all the time", hint="read it later")

    def get_call(self, info: ObjectInfo, *, range: ByteRange | None = None, sink: Sink = None) -> Call[bytes]:
        """Return the call that reads an object or a range of it."""
        return get_call(self._client, self._remote.name, info.commit or self._ref, info, range=range, sink=sink)

    def list(self, prefix: str = "", *, delimiter: str | None = None, start_after: str | None = None) -> Iterator[Page]:
        """List objects in key order, uncommitted over committed; each page is of the moment when it was asked for."""
        view = self._view()

        def info(stats: ObjectStats) -> ObjectInfo:
            return self._info(stats, view, direct=False)

        pages = list_pages(self._remote, view.ref, info, prefix=prefix, delimiter=delimiter, start_after=start_after)
        for page in pages:
            self._check_head()
            yield page

    # writing

    def put(
        self, key: str, body: Body, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None
    ) -> ObjectInfo:
        """Write an object: small ones in one request, larger ones straight to the object store."""
        given = checked(key, attributes)
        return self._wrote(writing.put(self._target(), key, body, mode=mode, attributes=given))

    def put_call(
        self, key: str, body: bytes | FileSlice, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None
    ) -> Call[ObjectInfo] | None:
        """Return the call behind `put`; None from 8 MiB on."""
        given = checked(key, attributes)
        content = sending.in_memory(body) if isinstance(body, FileSlice) else body
        if isinstance(content, FileSlice) or len(content) >= sending.SMALL:
            return None
        return sending.upload_call(self._target(), key, content, mode=mode, attributes=given)

    def writer(self, key: str, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None) -> LakeFSWriter:
        """Start an object; from 64 MiB on, its parts go up while it is written."""
        given = checked(key, attributes)
        return LakeFSWriter(self._branch(), key, mode=mode, attributes=given, done=self._wrote)

    def delete(self, keys: Sequence[str]) -> Sequence[DeleteFailure]:
        """Delete exactly these keys, a thousand in one request."""
        failures = deleting.delete(self._target(), keys)
        self._check_head(after=", and the objects were deleted nevertheless")
        return failures

    def copy(self, source: str, target: str, *, mode: PutMode = OVERWRITE) -> ObjectInfo:
        """Copy an object within the branch; no bytes move.

        `CREATE` looks whether the key is taken, and then writes: another writer may come in between.
        """
        checked(target, None)
        where = self._branch()
        found = self._remote.run(self._remote.stat_call(self._ref, source))
        if found is None:
            raise no_such_key(self._remote, self._ref, source)
        return self._wrote(linking.copy(where, found, target, mode=mode))

    def link(self, source: ObjectInfo, key: str, *, mode: PutMode = OVERWRITE) -> ObjectInfo | None:
        """Take over bytes that the server's object store holds already; None if it does not.

        Of another repo only what is committed there: the rest may be collected. `CREATE` as in `copy`.
        """
        checked(key, None)
        linked = linking.link(self._branch(), source, key, mode=mode)
        return None if linked is None else self._wrote(linked)

    def link_outside(self, infos: Sequence[ObjectInfo]) -> Sequence[ObjectInfo]:
        """Put entries for objects in other buckets, which the server can read."""
        target = self._branch()
        linked = linking.link_many(target, infos, lambda info: self.get_call(info, range=ByteRange(0, 1)))
        self._check_head(after=", and the links were put nevertheless")
        return [structs.replace(info, link=given.link) for info, given in zip(linked, infos, strict=True)]

    # for others, and in parts

    def import_files(
        self,
        files: Sequence[tuple[Path, str]],
        *,
        reflink: bool = False,  # noqa: ARG002 - there are no disk blocks to share
        told: Callable[[int, int], object] | None = None,
    ) -> Sequence[ObjectInfo]:
        """Put many local files, all of them or none."""
        infos = importing.import_files(self._branch(), files)
        if told is not None:
            for number, info in enumerate(infos):
                told(number, info.size)
        self._check_head(after=", and the files were written to it nevertheless")
        return infos

    def presign(
        self,
        method: Literal["GET", "HEAD", "PUT", "DELETE"],
        key: str,
        *,
        expires: float = 3600,
        attributes: Attributes | None = None,
    ) -> PresignedRequest:
        """Return a request to the server's S3 gateway that needs no credentials of its own."""
        writes = method in {"PUT", "DELETE"}
        given = checked(key, attributes) if method == "PUT" else None
        ref = self._branch().branch if writes else self._view().ref
        return gateway.presign(self._client, self._remote.name, ref, method, key, expires=expires, attributes=given)

    def _uploads(self) -> Uploads:
        return Uploads(self._branch())

    def create_upload(self, key: str, *, attributes: Attributes | None = None) -> UploadInfo:
        """Begin an upload in parts."""
        return self._uploads().create(key, checked(key, attributes))

    def part_call(self, upload: UploadInfo, number: int, body: bytes | FileSlice) -> Call[PartInfo]:
        """Return the call that sends one part straight to the object store."""
        return self._uploads().part_call(upload, number, body)

    def presign_part(self, upload: UploadInfo, number: int, *, expires: float = 3600) -> PresignedRequest:  # noqa: ARG002
        """Return a request with which another client sends one part; the server decides how long it is valid."""
        return self._uploads().presign_part(upload, number)

    def parts(self, upload: UploadInfo) -> Sequence[PartInfo]:
        """Raise `UnsupportedOperation`: lakeFS does not tell."""
        return self._uploads().parts(upload)

    def uploads(self, prefix: str = "") -> Sequence[UploadInfo]:
        """Raise `UnsupportedOperation`: lakeFS does not tell."""
        return self._uploads().unfinished(prefix)

    def complete_upload(
        self, upload: UploadInfo, parts: Sequence[PartInfo], *, mode: PutMode = OVERWRITE
    ) -> ObjectInfo:
        """Publish the object. `CREATE` as in `copy`."""
        return self._wrote(self._uploads().complete(upload, parts, mode=mode))

    def abort_upload(self, upload: UploadInfo) -> None:
        """Forget it with its parts."""
        self._uploads().abort(upload)

    # for `datastore doctor`

    def probe(self, folder: str, *, write: bool) -> Iterator[Finding]:  # noqa: ARG002 - looking is enough
        """Yield what can be seen of the server, and whether its object store can be reached from here."""
        return probing.findings(self._client, self._remote.name, self._view().ref)

    def sweep(self, folder: str) -> None:
        """Nothing is left behind but objects."""

    def close(self) -> None:
        """Nothing to let go of: connections belong to the process."""


def _check_etag(info: ObjectInfo, wanted: str | None) -> None:
    if wanted is not None and wanted != info.etag:
        message = f"object {info.key!r} was to have etag {wanted[:16]!r} and has {info.etag[:16]!r} by now"
        raise HeadMoved(message, hint="read it again")


def _readable(key: str) -> str:
    """Return a key that can be asked for, or raise `InvalidURL`."""
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise InvalidURL(f"key {key[:120]!r} has a lone surrogate at {error.start}", hint="keys are UTF-8") from None
    return key
