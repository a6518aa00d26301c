"""A whole object in parallel parts, from a file or from memory."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final

from datastore.calls import Call, FileSlice
from datastore.errors import DatastoreError, TooLarge
from datastore.http.engine import engine
from datastore.providers.s3.conditions import check_free
from datastore.providers.s3.multipart import abort, begin, complete, held_parts, part_call
from datastore.providers.s3.presets import Preset
from datastore.providers.s3.proving import Proof, proof_of
from datastore.providers.s3.site import Site, Spot
from datastore.values import ObjectInfo, PartInfo, PutMode, UploadInfo

__all__ = ["PARALLEL", "cut", "forget", "part_size", "send_parts", "upload"]

MIB: Final = 1 << 20
PARALLEL: Final = 8
"""Parts in flight."""
_PART: Final = 8 * MIB
_PAUSES: Final = (0.0, 0.1, 0.5)


def part_size(size: int, preset: Preset) -> int:
    """Return how long all parts but the last one are: whole MiB, at least 8, so that the service's number suffices.

    Raises:
        TooLarge: The service holds no such object.
    """
    if size > preset.object_bytes:
        raise TooLarge(f"{size} bytes are more than an object of {preset.name!r} can have ({preset.object_bytes})")
    least = -(-size // preset.parts)
    return max(_PART, -(-least // MIB) * MIB)


def upload(
    site: Site, spot: Spot, body: FileSlice | memoryview, *, mode: PutMode, headers: Mapping[str, str]
) -> ObjectInfo:
    """Put an object in parts; whatever goes wrong, no part of it stays behind.

    Args:
        site: The service.
        spot: The object.
        body: Its bytes.
        mode: One that the service keeps for uploads in parts.
        headers: Its attributes.
    """
    check_free(site, spot, mode)  # it will be checked again, but then all bytes are sent
    proof = proof_of(site.preset)
    length = part_size(_size_of(body), site.preset)
    begun = begin(site, spot, headers=headers, proof=proof)
    try:
        parts = send_parts(site, spot, begun, cut(body, length), proof=proof)
        if isinstance(body, FileSlice):
            body.check()
        return complete(site, spot, begun, parts, mode=mode)
    except BaseException:
        forget(site, spot, begun)
        raise


def forget(site: Site, spot: Spot, begun: UploadInfo) -> None:
    """Abort an upload that failed; what that meets is of less interest than the failure.

    A part that was on its way may bring it back to life (AWS: "it might be necessary to abort multiple times").
    """
    with suppress(DatastoreError):
        for pause in _PAUSES:
            abort(site, spot, begun)
            time.sleep(pause)
            held_parts(site, spot, begun)  # raises when it is gone


def _size_of(body: FileSlice | memoryview) -> int:
    return body.size if isinstance(body, FileSlice) else body.nbytes


def cut(body: FileSlice | memoryview, length: int) -> Iterator[tuple[int, bytes | FileSlice]]:
    """Yield the parts of a body with their numbers, from 1; pieces of memory are copied one at a time."""
    size = _size_of(body)
    for number, start in enumerate(range(0, size, length), 1):
        stop = min(start + length, size)
        if isinstance(body, FileSlice):
            yield number, FileSlice(body.fd, body.offset + start, stop - start)
        else:
            yield number, bytes(body[start:stop])


def send_parts(
    site: Site,
    spot: Spot,
    begun: UploadInfo,
    pieces: Iterable[tuple[int, bytes | FileSlice]],
    *,
    proof: Proof,
    told: Callable[[PartInfo, bytes | FileSlice], object] | None = None,
) -> list[PartInfo]:
    """Send parts and return them in the order in which they arrived.

    The first failure ends it, and nothing is in flight any more when it is raised.

    Args:
        site: The service.
        spot: The object.
        begun: The upload.
        pieces: The parts with their numbers, drawn as places get free.
        proof: What was announced when the upload was begun.
        told: Learns of each part that has arrived.
    """
    sent: list[PartInfo] = []

    def calls() -> Iterator[tuple[bytes | FileSlice, Call[PartInfo]]]:
        for number, piece in pieces:
            yield piece, part_call(site, spot, begun, number, piece, proof=proof)

    ended = engine().bulk(calls(), limit=PARALLEL)
    try:
        for piece, result in ended:
            if isinstance(result, DatastoreError):
                raise result
            sent.append(result)
            if told is not None:
                told(result, piece)
    finally:
        ended.close()
    return sent
