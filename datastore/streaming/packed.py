"""Whole objects that are compressed, by their names."""

import gzip
import io
from typing import Final

import zstandard

from datastore.errors import IntegrityError

__all__ = ["PACKED", "is_packed", "unpacked"]

PACKED: Final = (".gz", ".zst")


def is_packed(key: str) -> bool:
    """Tell whether an object has to be read as a whole.

    >>> is_packed("train/0.jsonl.gz"), is_packed("train/0.jsonl")
    (True, False)
    """
    return key.endswith((*PACKED, ".tgz"))


def unpacked(key: str, data: bytes) -> bytes:
    """Return the bytes of an object as they were before it was compressed, if it is.

    Raises:
        IntegrityError: They are damaged.
    """
    try:
        if key.endswith((".gz", ".tgz")):
            return gzip.decompress(data)
        if key.endswith(".zst"):
            # Of several frames, one after the other; the size need not be in them.
            with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as stream:
                return stream.read()
    except (OSError, EOFError, zstandard.ZstdError) as error:
        raise IntegrityError(
            f"{key!r} cannot be decompressed: {error}", hint="look whether it was written whole"
        ) from error
    return data
