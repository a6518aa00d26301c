"""An object's attributes as HTTP headers and back, and what an answer's headers tell of an object.

User metadata are headers: lower-case ASCII names, short ASCII values. Text beyond ASCII is an encoded word (RFC 2047),
as AWS and R2 read and write it. What does not survive as a header at all (capitals in a name, line ends, an empty
value) goes into one more header as JSON. So everything comes back as it was given, and most is readable for others.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from time import time_ns
from typing import Final

from datastore.errors import IntegrityError, TooLarge, ValidationError
from datastore.http.expectation import parse_content_range
from datastore.names import check_metadata, content_type_of
from datastore.values import Attributes, ObjectInfo

__all__ = [
    "META",
    "WRITE_ID",
    "attribute_headers",
    "content_type_header",
    "etag_header",
    "identity_of",
    "info_of_headers",
    "kept_headers",
    "metadata_of",
    "unquoted",
]

META: Final = "x-amz-meta-"
WRITE_ID: Final = "dswriteid"
"""Metadata of a conditional write, by which it knows itself again after a lost reply; never shown."""
_MORE: Final = "dsmetadata"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)
_PLAIN: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)
_CONTENT_TYPE: Final = re.compile(r"[!-~](?:[\t -~]*[!-~])?", re.ASCII)
_ETAG: Final = re.compile(r"[!#-~]+", re.ASCII)
_WORD_BYTES: Final = 45  # of UTF-8: 60 of base64, with `=?UTF-8?B?` and `?=` less than the 75 of RFC 2047
# What goes with an object besides content type and metadata, and would be lost by a copy that replaces those.
_SYSTEM: Final = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")


# -------------------------------------------------------------------------------------------------------------- writing
def attribute_headers(
    key: str, attributes: Attributes | None, *, limit: int, write_id: str | None = None
) -> dict[str, str]:
    """Return the headers of a new object.

    Args:
        key: Its key, from which the content type follows where none is given.
        attributes: What the caller wants.
        limit: Bytes that names and values of metadata may come to.
        write_id: Name of this write.

    Raises:
        ValidationError: Something is no text, or cannot be a header.
        TooLarge: More metadata than the service takes.
    """
    given = attributes or Attributes()
    metadata = _as_headers(check_metadata(given.metadata))
    size = sum(len(name) + len(value) for name, value in metadata.items())
    if size > limit:
        raise TooLarge(
            f"the metadata of {key[:120]!r} come to {size} bytes as headers",
            hint=f"this service takes {limit}; put them into an object and name its key here",
        )
    if write_id is not None:
        metadata[WRITE_ID] = write_id
    headers = {f"{META}{name}": value for name, value in metadata.items()}
    headers["content-type"] = content_type_header(given.content_type or content_type_of(key))
    return headers


def content_type_header(text: str) -> str:
    """Return a content type that can be a header, or raise `ValidationError`."""
    if not _CONTENT_TYPE.fullmatch(text):
        raise ValidationError(f"content type {text[:80]!r} is no media type", hint="such as image/png")
    return text


def etag_header(etag: str) -> str | None:
    """Return an etag as a precondition has it; None for a text that can be no object's etag.

    >>> etag_header("abc-2"), etag_header("a b")
    ('"abc-2"', None)
    """
    return f'"{etag}"' if _ETAG.fullmatch(etag) else None


def _as_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    plain: dict[str, str] = {}
    more: dict[str, str] = {}
    for name, value in metadata.items():
        if not _NAME.fullmatch(name) or name in {WRITE_ID, _MORE}:
            more[name] = value
        elif _PLAIN.fullmatch(value) and "=?" not in value:
            plain[name] = value
        elif value.isprintable() and not value.isascii() and value == value.strip():
            plain[name] = " ".join(_encoded_words(value))
        else:
            more[name] = value
    if more:
        # ASCII, and nothing in it looks like RFC 2047, which R2 decodes wherever it sees it.
        plain[_MORE] = json.dumps(more, separators=(",", ":"), sort_keys=True).replace("=?", r"\u003d?")
    return plain


def _encoded_words(value: str) -> Iterator[str]:
    piece = b""
    for char in value:
        more = char.encode()
        if len(piece) + len(more) > _WORD_BYTES:
            yield _encoded_word(piece)
            piece = b""
        piece += more
    yield _encoded_word(piece)


def _encoded_word(data: bytes) -> str:
    return f"=?UTF-8?B?{b64encode(data).decode()}?="


# -------------------------------------------------------------------------------------------------------------- reading
def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata that headers carry, without what is ours.

    >>> metadata_of({"x-amz-meta-note": "=?UTF-8?B?w7Y=?= =?utf-8?q?=C3=BC?=", "x-amz-meta-run": "12", "etag": "x"})
    {'note': 'öü', 'run': '12'}
    """
    found: dict[str, str] = {}
    more = ""
    for header, value in headers.items():
        if not header.startswith(META):
            continue
        name = header.removeprefix(META)
        if name == _MORE:
            more = value
        elif name != WRITE_ID:
            found[name] = _decoded(value)
    if more:
        found |= _object(more)
    return dict(sorted(found.items()))


def _decoded(value: str) -> str:
    if "=?" in value:
        from email.errors import HeaderParseError
        from email.header import decode_header, make_header  # rare, and not cheap to import

        try:
            return str(make_header(decode_header(value)))
        except (HeaderParseError, LookupError, UnicodeError):
            return value
    if not value.isascii():  # other tools send raw UTF-8, which the wire takes for Latin-1
        try:
            return value.encode("latin-1").decode()
        except UnicodeError:
            return value
    return value


def _object(text: str) -> dict[str, str]:
    try:
        return check_metadata(json.loads(text))
    except (ValueError, TypeError):  # another tool's header of that name
        return {_MORE: text}


def info_of_headers(key: str, headers: Mapping[str, str], *, place: str, size: int | None = None) -> ObjectInfo:
    """Return what the headers of an answer to HEAD or GET say of an object.

    Args:
        key: As the caller calls it.
        headers: With lower-case names.
        place: Endpoint, bucket and name.
        size: If it is known otherwise.

    Raises:
        IntegrityError: They do not say how large it is.
    """
    if size is None:
        size = _size_of(headers)
    if size is None:
        raise IntegrityError(f"the service does not say how large {key[:120]!r} is", hint="check the endpoint")
    etag = unquoted(headers.get("etag", ""))
    return ObjectInfo(
        key=key,
        size=size,
        modified_us=_time_of(headers),
        etag=etag,
        identity=identity_of(place, etag=etag, size=size, version=headers.get("x-amz-version-id")),
        content_type=headers.get("content-type", "application/octet-stream"),
        metadata=metadata_of(headers),
    )


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an object that belong to it besides content type and metadata."""
    return {name: headers[name] for name in _SYSTEM if name in headers}


def identity_of(place: str, *, etag: str, size: int, version: str | None = None) -> str:
    """Return the name of an object's bytes: everything that tells versions apart."""
    known = f"?{version}" if version and version != "null" else ""
    return f"{place}{known}#{etag}-{size}"


def unquoted(etag: str) -> str:
    """Return the text of an etag.

    >>> unquoted('"abc"'), unquoted('W/"abc"')
    ('abc', 'W/"abc"')
    """
    return etag[1:-1] if len(etag) > 1 and etag[0] == etag[-1] == '"' else etag


def _size_of(headers: Mapping[str, str]) -> int | None:
    if "content-range" in headers:
        got = parse_content_range(headers["content-range"])
        return got[2] if got else None
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


def _time_of(headers: Mapping[str, str]) -> int:
    # An answer to a write has no Last-Modified; what it says of the time is when it was given.
    text = headers.get("last-modified") or headers.get("date")
    if text:
        try:
            return round(parsedate_to_datetime(text).timestamp()) * 1_000_000
        except ValueError:
            pass
    return time_ns() // 1000
