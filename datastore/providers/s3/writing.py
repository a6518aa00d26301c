"""Writes of whole objects: as one request where that will do, in parts or piece by piece where not."""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from datastore.calls import Call, FileSlice
from datastore.provider import Body
from datastore.providers.s3.abandoned import sweep
from datastore.providers.s3.attributes import attribute_headers
from datastore.providers.s3.conditions import check_free, way_of
from datastore.providers.s3.proving import body_size
from datastore.providers.s3.putting import put_single, single_call
from datastore.providers.s3.resuming import upload_resumed
from datastore.providers.s3.site import Site, Spot
from datastore.providers.s3.streaming import ObjectWriter
from datastore.providers.s3.uploading import upload
from datastore.streams import as_bytes, body_chunks
from datastore.values import Attributes, ObjectInfo, PutMode

__all__ = ["SINGLE", "open_writer", "put", "put_call", "put_resumed", "writing_headers"]

SINGLE: Final = 16 << 20
"""Bytes up to which `put` sends one request; from here on parts in parallel are faster."""
_BULK: Final = 64 << 20
"""Bytes up to which one request of a bulk may go: others run beside it."""


def writing_headers(site: Site, spot: Spot, attributes: Attributes | None) -> dict[str, str]:
    """Return the headers of a new object, or raise what is wrong with its attributes; no request."""
    headers = attribute_headers(spot.key, attributes, limit=site.preset.metadata_bytes)
    return headers if site.encryption is None else {**headers, **site.encryption.writing()}


def put_call(
    site: Site, spot: Spot, body: bytes | FileSlice, *, mode: PutMode, attributes: Attributes | None
) -> Call[ObjectInfo] | None:
    """Return the call behind `put`; None if it takes several requests."""
    headers = writing_headers(site, spot, attributes)
    if way_of(site.preset, mode, spot.key) == "look" or body_size(body) > _BULK:
        return None
    return single_call(site, spot, body, mode=mode, headers=headers)


def put(site: Site, spot: Spot, body: Body, *, mode: PutMode, attributes: Attributes | None) -> ObjectInfo:
    """Write a whole object; errors as in `Provider.put`."""
    headers = writing_headers(site, spot, attributes)
    if isinstance(body, bytes | bytearray | memoryview):
        data = as_bytes(body)
        whole = data if isinstance(data, bytes) else memoryview(data)
        return _put_known(site, spot, whole, mode=mode, headers=headers)
    if isinstance(body, Path):
        with body.open("rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            if stat.S_ISREG(found.st_mode):
                whole = FileSlice.whole(file.fileno(), str(body))
                return _put_known(site, spot, whole, mode=mode, headers=headers)
    writer = ObjectWriter(site, spot, mode=mode, headers=headers)
    try:
        for chunk in body_chunks(body):
            writer.write(chunk)
        return writer.commit()
    finally:
        writer.abort()


def put_resumed(
    site: Site,
    spot: Spot,
    path: Path,
    *,
    mode: PutMode,
    attributes: Attributes | None,
    journal: Path | None,
    told: Callable[[int], object] | None,
) -> ObjectInfo:
    """Put a file as `put` does, but go on where an earlier attempt broke off."""
    headers = writing_headers(site, spot, attributes)
    with path.open("rb", buffering=0) as file:
        whole = FileSlice.whole(file.fileno(), str(path))
        if whole.size <= SINGLE or way_of(site.preset, mode, spot.key) == "single":
            info = _put_known(site, spot, whole, mode=mode, headers=headers)
            if told is not None:
                told(info.size)
            return info
        return upload_resumed(site, spot, whole, mode=mode, headers=headers, journal=journal, told=told)


def open_writer(site: Site, spot: Spot, *, mode: PutMode, attributes: Attributes | None) -> ObjectWriter:
    """Start an object; no request."""
    return ObjectWriter(site, spot, mode=mode, headers=writing_headers(site, spot, attributes))


def _put_known(
    site: Site, spot: Spot, body: bytes | memoryview | FileSlice, *, mode: PutMode, headers: Mapping[str, str]
) -> ObjectInfo:
    sweep()
    way, size = way_of(site.preset, mode, spot.key), _size(body)
    if size > SINGLE and way != "single":
        large = body if isinstance(body, FileSlice) else memoryview(body)
        return upload(site, spot, large, mode=mode, headers=headers)
    if way == "look":
        check_free(site, spot, mode)
    whole = bytes(body) if isinstance(body, memoryview) else body
    return put_single(site, spot, whole, mode=mode, headers=headers)


def _size(body: bytes | memoryview | FileSlice) -> int:
    return body.nbytes if isinstance(body, memoryview) else body_size(body)
