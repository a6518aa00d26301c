"""Entries whose bytes stay outside of the store: what they record of their source, and how it is read."""

import hashlib
import os
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from datastore.bridging import Opener
from datastore.embedded.nodes import EXTERNAL, Entry
from datastore.errors import HeadMoved, IntegrityError, NotFound, UnsupportedOperation, ValidationError
from datastore.provider import Reader
from datastore.values import ByteRange, Digest, Link, ObjectInfo

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Source", "link_entry", "open_source", "shown_source", "source_of"]


class Source(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `extra` of an entry whose content is elsewhere, in the order of its bytes.

    Attributes:
        address: The source as its own service names it.
        digest: Of the content, where it was known without reading.
        etag: What the source must still have.
        identity: What names its bytes: version, etag and size among it, where the service has them.
        url: `ds://` URL of the source; empty where only its address is known.
    """

    address: str = ""
    digest: str = ""
    etag: str
    identity: str
    url: str = ""

    @property
    def known_digest(self) -> Digest | None:
        """The digest of the content, if it is known."""
        return Digest(self.digest) if self.digest else None

    @property
    def link(self) -> Link:
        """The same as people see it."""
        return Link(url=self.url, etag=self.etag, address=self.address)


def source_of(entry: Entry) -> Source:
    """Return what an entry of kind `EXTERNAL` records, or raise `IntegrityError`."""
    try:
        return msgspec.json.decode(entry.extra, type=Source)
    except msgspec.MsgspecError as error:
        message = f"the link of entry {entry.digest.hex()[:16]} cannot be read: {error}"
        raise IntegrityError(message, hint="run `datastore check`") from None


def link_entry(info: ObjectInfo, metadata: dict[str, str], *, modified_us: int) -> Entry:
    """Return the entry of an object that stays where it is.

    Its digest is that of the content where it is known, else of what is recorded, so that another version of the
    source makes another entry.
    """
    if info.link is None:
        raise ValidationError(f"{info.key!r} does not say where its bytes are", hint="give its info a link")
    if not info.link.url:
        raise UnsupportedOperation(f"{info.link.address!r} is not reached by any mount known here", hint="copy it")
    source = Source(
        etag=info.link.etag,
        identity=info.identity,
        url=info.link.url,
        address=info.link.address,
        digest=info.digest or "",
    )
    extra = msgspec.json.encode(source).decode()
    known = info.digest.removeprefix("sha256:") if info.digest else hashlib.sha256(extra.encode()).hexdigest()
    return Entry(
        bytes.fromhex(known),
        info.size,
        modified_us,
        info.content_type,
        msgspec.json.encode(dict(sorted(metadata.items()))).decode() if metadata else "",
        EXTERNAL,
        extra,
    )


def shown_source(entry: Entry) -> Source:
    """Return what an entry records, with nothing in it where that cannot be read: a listing shows the others."""
    try:
        return source_of(entry)
    except IntegrityError:
        return Source(etag="", identity=f"{entry.digest.hex()}#unreadable")


def open_source(opener: Opener | None, info: ObjectInfo, entry: Entry, *, range: ByteRange | None) -> Reader:
    """Open the source of a link, if it is still what was linked.

    Args:
        opener: Opens it.
        info: What people see of the entry.
        entry: The entry.
        range: Which bytes; None means all.

    Raises:
        IntegrityError: It is gone, or it has changed.
        UnsupportedOperation: Nobody has said how links are opened: this handle was not made by the namespace.
    """
    link = source_of(entry).link
    if opener is None:
        message = f"{info.key!r} is a link to {link.url}, and this handle of the store knows no mounts"
        raise UnsupportedOperation(message, hint="open it by its ds:// URL, or by ds.repo")
    try:
        reader = opener(link, range)
    except NotFound as error:
        raise _not_the_same(info, link, "is gone") from error
    except HeadMoved as error:
        raise _not_the_same(info, link, "has changed since it was linked") from error
    if reader.info.size != info.size:
        reader.close()
        raise _not_the_same(info, link, f"has {reader.info.size} bytes instead of {info.size}")
    return _LinkReader(info, link, reader)


def _not_the_same(info: ObjectInfo, link: Link, what: str) -> IntegrityError:
    place = link.url or link.address
    return IntegrityError(
        f"{info.key!r} is a link to {place}, which {what}",
        hint="put the source back, link it anew with branch.link, or take another version of the key",
        url=place,
    )


class _LinkReader(Reader):
    """The reader of the source, under the name that the object has here."""

    def __init__(self, info: ObjectInfo, link: Link, source: Reader) -> None:
        super().__init__()
        self.info = info
        self._link = link
        self._source = source

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._source.seekable()

    def tell(self) -> int:
        return self._source.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._source.seek(offset, whence)

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        try:
            return self._source.readinto(buffer)
        except HeadMoved as error:  # a store may notice only in the middle
            raise _not_the_same(self.info, self._link, "has changed since it was linked") from error

    def readall(self) -> bytes:
        try:
            return self._source.readall()
        except HeadMoved as error:
            raise _not_the_same(self.info, self._link, "has changed since it was linked") from error

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()
