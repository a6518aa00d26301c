"""What a bucket and a whole account have in common: the verbs about single objects."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from datastore.bridging import Connection
from datastore.calls import Call, FileSlice, Sink
from datastore.errors import NotFound, TooLarge
from datastore.http.engine import engine
from datastore.names import MAX_KEY_BYTES, check_key
from datastore.provider import Body, Capabilities, Provider, Reader
from datastore.providers.s3 import copying, multipart, presigning, reading, writing
from datastore.providers.s3.abandoned import sweep
from datastore.providers.s3.deleting import delete
from datastore.providers.s3.presets import is_aws
from datastore.providers.s3.site import Site, Spot
from datastore.providers.s3.streaming import ObjectWriter
from datastore.values import (
    OVERWRITE,
    Attributes,
    ByteRange,
    DeleteFailure,
    ObjectInfo,
    PartInfo,
    PresignedRequest,
    PutMode,
    UploadInfo,
)

__all__ = ["S3Objects", "is_utf8"]


class S3Objects:
    """Objects of one service; a subclass says where a key is.

    Handles are equal if they are about the same place in the same name. They travel in pickles without secrets.

    Args:
        site: The service.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    @property
    def capabilities(self) -> Capabilities:
        """What the service is known to keep."""
        return Capabilities(
            writable=True,
            immutable=False,
            create=self.site.preset.put.create is not None,
            match=self.site.preset.put.match is not None,
            attributes=True,
            digests=False,
            local=False,
            lists_attributes=False,
        )

    @abstractmethod
    def _locate(self, key: str) -> Spot:
        """Return where a key is; it is not empty, and UTF-8."""

    def _readable(self, key: str) -> Spot:
        return self._locate(reading.check_readable(key))

    def found(self, key: str) -> Spot:
        """Return where an object is that is read under this key; a request only for names that may not be written."""
        spot = self._readable(key)
        if not reading.is_exact(self.site, spot):
            raise NotFound(f"no object has the key {key[:120]!r} in bucket {spot.bucket!r}")
        return spot

    def _may_exist(self, key: str) -> bool:
        return bool(key) and is_utf8(key)

    def _writable(self, key: str) -> Spot:
        spot = self._locate(check_key(key))
        size = len(spot.name.encode())
        if size > MAX_KEY_BYTES:
            raise TooLarge(
                f"key {key[:60]!r}… is {size} bytes long with its prefix",
                hint=f"the limit is {MAX_KEY_BYTES} bytes of UTF-8",
            )
        return spot

    # ------------------------------------------------------------------------------------------------------ reading
    def head(self, key: str) -> ObjectInfo:
        """Return what is known of an object, or raise `NotFound`; one request."""
        return engine().run(reading.head_call(self.site, self.found(key)))

    def read(self, key: str, *, range: ByteRange | None = None, if_match: str | None = None) -> Reader:
        """Open an object, or a range of it; one request, which brings the first MiB along."""
        return reading.open_object(self.site, self.found(key), range=range, if_match=if_match)

    def head_call(self, key: str) -> Call[ObjectInfo]:
        """Return the call behind `head`."""
        return reading.head_call(self.site, self._readable(key))

    def get_call(self, info: ObjectInfo, *, range: ByteRange | None = None, sink: Sink = None) -> Call[bytes]:
        """Return the call that reads just this version of an object, or a range of it."""
        return reading.get_call(self.site, self._readable(info.key), info, range=range, sink=sink)

    # ------------------------------------------------------------------------------------------------------ writing
    def put(
        self, key: str, body: Body, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None
    ) -> ObjectInfo:
        """Write a whole object: one request up to 16 MiB, then parts in parallel."""
        return writing.put(self.site, self._writable(key), body, mode=mode, attributes=attributes)

    def put_resumed(
        self,
        key: str,
        path: Path,
        *,
        mode: PutMode = OVERWRITE,
        attributes: Attributes | None = None,
        journal: Path | None = None,
        told: Callable[[int], object] | None = None,
    ) -> ObjectInfo:
        """Put a file as `put` does, but leave finished parts where they are if it fails, and go on with them next time.

        Args:
            key: The object.
            path: The file.
            mode: As in `put`.
            attributes: As in `put`; the same ones each time.
            journal: A file that remembers the upload while it is unfinished. Without one, the newest unfinished upload
                of this key is gone on with, whoever began it.
            told: Learns, in the caller's thread, how many bytes more are there.
        """
        return writing.put_resumed(
            self.site, self._writable(key), path, mode=mode, attributes=attributes, journal=journal, told=told
        )

    def put_call(
        self, key: str, body: bytes | FileSlice, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None
    ) -> Call[ObjectInfo] | None:
        """Return the call behind `put`; None over 64 MiB, and where a mode takes a look first."""
        return writing.put_call(self.site, self._writable(key), body, mode=mode, attributes=attributes)

    def writer(self, key: str, *, mode: PutMode = OVERWRITE, attributes: Attributes | None = None) -> ObjectWriter:
        """Start an object; no request before 16 MiB are written or it is committed."""
        return writing.open_writer(self.site, self._writable(key), mode=mode, attributes=attributes)

    def delete(self, keys: Sequence[str]) -> list[DeleteFailure]:
        """Delete exactly these keys; one request per thousand."""
        return delete(self.site, [self._locate(key) for key in keys if self._may_exist(key)])

    def copy(self, source: str, target: str, *, mode: PutMode = OVERWRITE) -> ObjectInfo:
        """Copy one object with its attributes; the bytes stay within the service."""
        spot = self._writable(target)
        return copying.copy(self.site, self.found(source), spot, mode=mode)

    def copy_from(
        self, source: Provider, source_key: str, target: str, *, mode: PutMode = OVERWRITE
    ) -> ObjectInfo | None:
        """Copy one object out of another bucket of the same service; None if it is another service, or another user."""
        if not isinstance(source, S3Objects) or source.site != self.site:
            return None
        spot = self._writable(target)
        return copying.copy(self.site, source.found(source_key), spot, mode=mode)

    # --------------------------------------------------------------------------------------------- for others to send
    def presign(
        self,
        method: Literal["GET", "HEAD", "PUT", "DELETE"],
        key: str,
        *,
        expires: float = 3600,
        attributes: Attributes | None = None,
    ) -> PresignedRequest:
        """Return a request that others may send; a PUT has to be sent with the headers that come with it."""
        spot = self._writable(key) if method == "PUT" else self._readable(key)
        return presigning.presign(self.site, method, spot, expires=expires, attributes=attributes)

    def address(self, key: str) -> str:
        """Return the name of an object as AWS's tools write it: `s3://bucket/name`. Asks nobody."""
        spot = self._readable(key)
        return f"s3://{spot.bucket}/{spot.name}"

    def connection(self) -> Connection:
        """Return address and credentials as they are at this moment, for other clients of the service."""
        held, endpoint = self.site.authorizer.source.get(), self.site.endpoint
        return Connection(
            service="s3",
            endpoint="" if is_aws(endpoint) else endpoint,
            region=self.site.authorizer.region,
            access_key_id=held.access_key_id if held else "",
            secret_access_key=held.secret_access_key if held else None,
            token=held.session_token if held else None,
            path_style=self.site.addressing == "path",
            place=self._place(),
        )

    def _place(self) -> str:
        """Return bucket and prefix; "" for a whole account."""
        return ""

    # ----------------------------------------------------------------------------------------------- uploads in parts
    def create_upload(self, key: str, *, attributes: Attributes | None = None) -> UploadInfo:
        """Begin an upload in parts."""
        spot = self._writable(key)
        return multipart.begin(self.site, spot, headers=writing.writing_headers(self.site, spot, attributes))

    def part_call(self, upload: UploadInfo, number: int, body: bytes | FileSlice) -> Call[PartInfo]:
        """Return the call that sends one part."""
        return multipart.part_call(self.site, self._readable(upload.key), upload, number, body)

    def presign_part(self, upload: UploadInfo, number: int, *, expires: float = 3600) -> PresignedRequest:
        """Return a request with which another client sends one part."""
        return presigning.presign_part(self.site, self._readable(upload.key), upload, number, expires=expires)

    def parts(self, upload: UploadInfo) -> list[PartInfo]:
        """Return the parts that the service holds, by number."""
        return multipart.held_parts(self.site, self._readable(upload.key), upload)[0]

    def complete_upload(
        self, upload: UploadInfo, parts: Sequence[PartInfo], *, mode: PutMode = OVERWRITE
    ) -> ObjectInfo:
        """Publish the object."""
        return multipart.complete(self.site, self._readable(upload.key), upload, parts, mode=mode)

    def abort_upload(self, upload: UploadInfo) -> None:
        """Forget an upload with its parts."""
        multipart.abort(self.site, self._readable(upload.key), upload)

    def close(self) -> None:
        """Abort what dropped writers left; connections belong to all."""
        sweep()


def is_utf8(text: str) -> bool:
    """Tell whether a service can be asked for this text at all."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
