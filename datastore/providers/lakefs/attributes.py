"""Content type and metadata on their way to lakeFS and back, so that every pair survives every way of writing.

An upload carries metadata in headers, whose names the server makes lower-case and whose values are ASCII; a link
carries it as JSON. Metadata is part of what lakeFS compares, so both have to say the same of the same pairs: what a
header cannot carry goes, on either way, into one pair of its own, as ASCII JSON.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from datastore.errors import ValidationError
from datastore.names import check_key, check_metadata, content_type_of
from datastore.values import Attributes

__all__ = ["checked", "content_headers", "shown", "stored"]

PACKED: Final = "datastore-metadata"
"""Name of the pair that holds what no header can carry."""

# Names without `_`: nginx and load balancers drop such headers unless they are told not to.
_NAME: Final = re.compile(r"(?:::lakefs::)?[a-z0-9][a-z0-9-]*", re.ASCII)
_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)
_CONTENT_TYPE: Final = re.compile(
    r"(?!multipart/form-data)[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:; ?[\w.-]+=(?:[\w.+/:-]+|\"[ !#-\[\]-~]*\"))*",
    re.ASCII | re.IGNORECASE,
)
_INTERNAL: Final = "::lakefs::"
_META_HEADER: Final = "X-Lakefs-Meta-"
_GATEWAY: Final = "X-Amz-Meta-"
"""What the server's S3 gateway leaves before the names of metadata."""
_INTERNAL_HEADER: Final = "X-Lakefs-Internal-"


def checked(key: str, attributes: Attributes | None) -> Attributes:
    """Return what an object is written with, after checking key, content type and metadata.

    Raises:
        InvalidURL, TooLarge: The key may not be written.
        ValidationError: The content type is none that a header can carry, or metadata is not short text.
    """
    check_key(key)
    given = attributes or Attributes()
    content_type = given.content_type or content_type_of(key)
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise ValidationError(f"{content_type[:80]!r} is no content type of an object", hint="write text/csv")
    return Attributes(content_type=content_type, metadata=check_metadata(given.metadata))


def stored(metadata: Mapping[str, str]) -> dict[str, str]:
    r"""Return metadata as the server keeps it.

    >>> stored({"run": "12", "Grad Norm": "ö"})
    {'run': '12', 'datastore-metadata': '{"Grad Norm":"\\u00f6"}'}
    """
    plain = {name: value for name, value in metadata.items() if _fits(name, value)}
    rest = {name: value for name, value in metadata.items() if name not in plain}
    if rest:
        plain[PACKED] = json.dumps(rest, separators=(",", ":"), sort_keys=True)
    return plain


def shown(metadata: Mapping[str, str] | None) -> dict[str, str]:
    r"""Return the pairs that metadata on the server stands for.

    >>> shown({"run": "12", "datastore-metadata": '{"Grad Norm":"\\u00f6"}'})
    {'run': '12', 'Grad Norm': 'ö'}
    """
    if not metadata:
        return {}
    pairs = {name.removeprefix(_GATEWAY): value for name, value in metadata.items()}
    packed = pairs.pop(PACKED, None)
    if packed is not None:
        try:
            pairs |= msgspec.json.decode(packed, type=dict[str, str])
        except msgspec.DecodeError:  # somebody else's pair of this name
            pairs[PACKED] = packed
    return pairs


def content_headers(content_type: str, metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an upload; `metadata` is as the server keeps it."""
    headers = {"Content-Type": content_type}
    for name, value in metadata.items():
        internal = name.startswith(_INTERNAL)
        headers[_INTERNAL_HEADER + name.removeprefix(_INTERNAL) if internal else _META_HEADER + name] = value
    return headers


def _fits(name: str, value: str) -> bool:
    return name != PACKED and bool(_NAME.fullmatch(name)) and bool(_VALUE.fullmatch(value))
