"""Uploads of files that go on where an earlier attempt broke off.

What is sent already is told by a journal beside the file, or without one by the service. Neither is believed: a part
counts only if the service holds it and the bytes of the file are still those that were sent.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from datastore.calls import FileSlice
from datastore.errors import IntegrityError, NotFound
from datastore.providers.s3.attributes import metadata_of
from datastore.providers.s3.conditions import check_free
from datastore.providers.s3.multipart import begin, complete, held_parts, unfinished
from datastore.providers.s3.proving import Proof, crc32_of, md5_of, proof_of
from datastore.providers.s3.site import Site, Spot
from datastore.providers.s3.uploading import cut, part_size, send_parts
from datastore.values import ObjectInfo, PartInfo, PutMode, UploadInfo

__all__ = ["upload_resumed"]


class _Wish(Struct, frozen=True, kw_only=True):
    """What is to be uploaded, as far as a journal of an earlier attempt has to agree."""

    place: str
    size: int
    part: int
    headers: dict[str, str]


class _Head(Struct, frozen=True, kw_only=True):
    """The first line of a journal: which upload it is about."""

    wish: _Wish
    upload: UploadInfo
    proof: Proof
    format: int = 1


class _Line(Struct, frozen=True):
    """Every other line: a part that has arrived, and the CRC32 of its bytes."""

    part: PartInfo
    crc32: int


class _Started(Struct, frozen=True):
    """An upload that is under way: the parts that the service holds, and what the journal says of them, by number."""

    upload: UploadInfo
    proof: Proof
    held: Mapping[int, PartInfo]
    noted: Mapping[int, _Line]


class _Journal:
    """A file of JSON lines that is only ever appended to; a last line that a crash cut off counts for nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, wish: _Wish) -> tuple[_Head, dict[int, _Line]] | None:
        """Return what it says, if it is about this wish."""
        try:
            first, *rest = self.path.read_bytes().split(b"\n")[:-1]
            head = msgspec.json.decode(first, type=_Head)
            lines = [msgspec.json.decode(line, type=_Line) for line in rest]
        except (FileNotFoundError, ValueError):  # ValueError: no whole line, or none of ours
            return None
        return (head, {line.part.number: line for line in lines}) if head.wish == wish else None

    def start(self, head: _Head) -> None:
        """Begin anew with this upload."""
        self.path.write_bytes(msgspec.json.encode(head) + b"\n")

    def note(self, part: PartInfo, piece: bytes | FileSlice) -> None:
        """Remember a part that has arrived."""
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(_Line(part, crc32_of(piece))) + b"\n")


def upload_resumed(
    site: Site,
    spot: Spot,
    body: FileSlice,
    *,
    mode: PutMode,
    headers: Mapping[str, str],
    journal: Path | None,
    told: Callable[[int], object] | None = None,
) -> ObjectInfo:
    """Put a file in parts, and leave them where they are if that fails: the next attempt sends only what is missing.

    Args:
        site: The service.
        spot: The object.
        body: The file.
        mode: One that the service keeps for uploads in parts.
        headers: The object's attributes.
        journal: A file that remembers the upload until it is complete. Without one, the newest unfinished upload of
            this key is gone on with, whoever began it.
        told: Learns how many bytes more are there.

    Raises:
        IntegrityError: The file was changed meanwhile; or the upload that was gone on with had been begun with other
            attributes.
    """
    check_free(site, spot, mode)
    wish = _Wish(place=site.place(spot), size=body.size, part=part_size(body.size, site.preset), headers=dict(headers))
    book = None if journal is None else _Journal(journal)
    started = _adopted(site, spot) if book is None else _remembered(site, spot, book, wish)
    if started is None:
        proof = proof_of(site.preset)
        started = _Started(begin(site, spot, headers=headers, proof=proof), proof, {}, {})
        if book is not None:
            book.start(_Head(wish=wish, upload=started.upload, proof=proof))
    kept: list[PartInfo] = []
    missing = _missing(started, cut(body, wish.part), kept, told)

    def arrived(part: PartInfo, piece: bytes | FileSlice) -> None:
        if book is not None:
            book.note(part, piece)
        if told is not None:
            told(part.size)

    sent = send_parts(site, spot, started.upload, missing, proof=started.proof, told=arrived)
    body.check()
    info = complete(site, spot, started.upload, [*kept, *sent], mode=mode)
    if book is not None:
        book.path.unlink(missing_ok=True)
    if (info.content_type, info.metadata) != (headers["content-type"], metadata_of(headers)):
        raise IntegrityError(
            f"{spot.key[:120]!r} has the attributes of the attempt that began its upload", hint="put it again"
        )
    return info


def _remembered(site: Site, spot: Spot, journal: _Journal, wish: _Wish) -> _Started | None:
    found = journal.read(wish)
    if found is None:
        return None
    head, noted = found
    try:
        parts, _ = held_parts(site, spot, head.upload)
    except NotFound:
        return None
    return _Started(head.upload, head.proof, {part.number: part for part in parts}, noted)


def _adopted(site: Site, spot: Spot) -> _Started | None:
    for upload in reversed(unfinished(site, spot.bucket, spot.name)):
        if upload.key != spot.name:
            continue
        parts, proof = held_parts(site, spot, upload)
        if proof is not None:
            return _Started(upload, proof, {part.number: part for part in parts}, {})
    return None


def _missing(
    started: _Started,
    pieces: Iterator[tuple[int, bytes | FileSlice]],
    kept: list[PartInfo],
    told: Callable[[int], object] | None,
) -> Iterator[tuple[int, bytes | FileSlice]]:
    """Yield the parts that have to be sent; the others go to `kept`."""
    for number, piece in pieces:
        part, noted = started.held.get(number), started.noted.get(number)
        if part is not None and _is_same(part, piece, noted):
            kept.append(noted.part if noted and not part.checksum else part)
            if told is not None:
                told(part.size)
        else:
            yield number, piece


def _is_same(part: PartInfo, piece: bytes | FileSlice, noted: _Line | None) -> bool:
    size = piece.size if isinstance(piece, FileSlice) else len(piece)
    if part.size != size:
        return False
    if noted is not None and (noted.part.etag, noted.part.size) == (part.etag, part.size):
        return noted.crc32 == crc32_of(piece)
    return part.etag == md5_of(piece)
