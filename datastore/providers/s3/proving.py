"""How the body of an upload is proved to have arrived as it was sent.

Measured here, for 1 GiB: CRC32 0.33 s, SHA-256 0.68 s, MD5 1.6 s of a core. A service that takes a precomputed
`x-amz-checksum-crc32` gets that one, and no other hash of the body. Every other one gets the SHA-256 that is part of a
signature anyway: whoever checks signatures refuses a body that does not fit it. Never a trailer (facts/media.md §1.3).
"""

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Iterator
from typing import Final, Literal

from datastore.calls import FileSlice
from datastore.errors import IntegrityError
from datastore.http.signing import UNSIGNED_PAYLOAD
from datastore.providers.s3.presets import Preset
from datastore.streams import read_at

__all__ = ["CRC_HEADER", "Proof", "body_size", "content_md5", "crc32_of", "md5_of", "proof_headers", "proof_of"]

Proof = Literal["crc32", "sha256"]

CRC_HEADER: Final = "x-amz-checksum-crc32"
_PIECE: Final = 64 << 10  # what stays in the cache of a core is hashed in half the time


def proof_of(preset: Preset) -> Proof:
    """Return what a service is given to check."""
    return "crc32" if preset.upload_check == CRC_HEADER else "sha256"


def proof_headers(body: bytes | FileSlice, proof: Proof) -> dict[str, str]:
    """Return the headers that prove a body; reads all of it."""
    if proof == "crc32":
        crc = b64encode(crc32_of(body).to_bytes(4, "big")).decode()
        return {CRC_HEADER: crc, "x-amz-content-sha256": UNSIGNED_PAYLOAD}
    digest = hashlib.sha256()
    for piece in _pieces(body):
        digest.update(piece)
    return {"x-amz-content-sha256": digest.hexdigest()}


def crc32_of(body: bytes | FileSlice) -> int:
    """Return the CRC32 of a body."""
    crc = 0
    for piece in _pieces(body):
        crc = zlib.crc32(piece, crc)
    return crc


def md5_of(body: bytes | FileSlice) -> str:
    """Return the MD5 of a body in hex, which many services take for the etag of a part."""
    digest = hashlib.md5(usedforsecurity=False)
    for piece in _pieces(body):
        digest.update(piece)
    return digest.hexdigest()


def content_md5(body: bytes) -> str:
    """Return the header `Content-MD5` of a small document, which S3 wants with deletes and rules."""
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def body_size(body: bytes | FileSlice) -> int:
    """Return how many bytes a body has."""
    return body.size if isinstance(body, FileSlice) else len(body)


def _pieces(body: bytes | FileSlice) -> Iterator[bytes | memoryview]:
    if isinstance(body, bytes):
        yield body
        return
    buffer = memoryview(bytearray(min(_PIECE, body.size)))
    at, end = body.offset, body.offset + body.size
    while at < end:
        count = read_at(body.fd, buffer[: min(len(buffer), end - at)], at)
        if not count:
            raise IntegrityError("the file became shorter while it was read", hint="put it again when it is complete")
        yield buffer[:count]
        at += count
