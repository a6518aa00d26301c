"""The grammar of `ds://` URLs.

    ds://<mount-or-repo>[@<ref>]/<key>

The ref starts at the *first* `@` of the first segment and ends at the `/`; everything after that `/` is the key,
verbatim: spaces, `#`, `?`, `%20`, `=` and `[1]` survive. The parser is our own because `urlsplit` lower-cases what it
takes for a host.
"""

import os
from pathlib import PurePosixPath
from typing import Self

from msgspec import Struct

from datastore.errors import InvalidURL, ValidationError
from datastore.names import check_mount, parse_ref

__all__ = ["SCHEME", "DatasetURL", "Location", "format_location", "parse_location", "strip_scheme", "to_url"]

SCHEME = "ds://"
_BUCKET_SCHEMES = {"s3": "s3", "r2": "r2", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure"}


class Location(Struct, frozen=True):
    """The parts of a `ds://` URL.

    An empty mount is the root, an empty key the mount itself; `ref` is None if none is written.
    """

    mount: str
    ref: str | None
    key: str

    def __str__(self) -> str:
        return SCHEME + format_location(self.mount, self.ref, self.key)


def strip_scheme(url: str) -> str:
    """Return the URL without `ds://` and without leading slashes: the form of path that fsspec passes around."""
    return url.removeprefix(SCHEME).lstrip("/")


def parse_location(url: str) -> Location:
    """Parse a URL, with or without its scheme, or raise `InvalidURL` naming the bad segment.

    >>> parse_location("ds://garments@main~1/a b/#1.csv")
    Location(mount='garments', ref='main~1', key='a b/#1.csv')
    """
    head, _, key = strip_scheme(url).partition("/")
    if "::" in head or "::" in key:
        raise InvalidURL(
            f"{url[:200]!r} contains '::', which fsspec reads as chained file systems", hint="rename the object"
        )
    mount, at, ref = head.partition("@")
    if not mount and (at or key):
        raise InvalidURL(f"{url[:200]!r} names no mount or repo", hint="write ds://<mount>[@<ref>]/<key>")
    try:
        if mount:
            check_mount(mount)
        if at:
            parse_ref(ref)
    except ValidationError as error:
        raise InvalidURL(f"{url[:200]!r}: {error.message}", hint=error.hint) from None
    return Location(mount, ref if at else None, key)


def format_location(mount: str, ref: str | None, key: str) -> str:
    """Write the parts as a path without scheme: `garments@main/train.parquet`."""
    head = f"{mount}@{ref}" if ref is not None else mount
    return f"{head}/{key}" if key else head


class DatasetURL(str):
    """A `ds://` URL that is a string, so that every library that takes a URL takes it.

    >>> url = DatasetURL("ds://garments@main/") / "images" / "1.png"
    >>> url, url.mount, url.ref, url.key, url.name
    ('ds://garments@main/images/1.png', 'garments', 'main', 'images/1.png', '1.png')
    >>> url.at("v4")
    'ds://garments@v4/images/1.png'

    Raises:
        InvalidURL: The text does not follow the grammar; names the bad segment.
    """

    __slots__ = ()

    def __new__(cls, url: str) -> Self:
        """Check the text and return it as a URL; the scheme may be left out."""
        location = parse_location(url)
        text = str(location)
        if location.mount and not location.key and url.endswith("/"):
            text += "/"
        return super().__new__(cls, text)

    @property
    def location(self) -> Location:
        """All parts at once."""
        return parse_location(self)

    @property
    def mount(self) -> str:
        """Name of the mount or repo."""
        return self.location.mount

    @property
    def ref(self) -> str | None:
        """The ref as written; None means the mount's default branch."""
        return self.location.ref

    @property
    def key(self) -> str:
        """Everything after the first slash, verbatim."""
        return self.location.key

    @property
    def name(self) -> str:
        """Last segment of the key."""
        return PurePosixPath(self.key).name

    @property
    def suffix(self) -> str:
        """Extension of the last segment, with its dot."""
        return PurePosixPath(self.key).suffix

    @property
    def parent(self) -> "DatasetURL":
        """The URL one segment up, with its trailing slash; the mount is its own parent."""
        location = self.location
        above = location.key.rstrip("/").rpartition("/")[0]
        return DatasetURL(str(Location(location.mount, location.ref, above)) + "/")

    def at(self, ref: str) -> "DatasetURL":
        """Return the same key at another ref."""
        location = self.location
        return DatasetURL(str(Location(location.mount, ref, location.key)))

    def __truediv__(self, name: str) -> "DatasetURL":
        """Return this URL one or more segments deeper."""
        return DatasetURL(f"{strip_scheme(self).rstrip('/')}/{str(name).lstrip('/')}")


def to_url(target: "str | os.PathLike[str]") -> DatasetURL:
    """Return anything that names data as a `ds://` URL.

    Takes `ds://…`, `garments@main/key`, `s3://bucket/key`, `r2://bucket/key`, `lakefs://repo/ref/key` and local paths
    (a `pathlib.Path`, `file://…`, or a text that starts with `/` or `.`).

    >>> to_url("lakefs://garments/main/a.csv"), to_url("s3://acme/x y.csv"), to_url("/data/a.csv")
    ('ds://lakefs/garments@main/a.csv', 'ds://s3/acme/x y.csv', 'ds://local/data/a.csv')

    Raises:
        InvalidURL: It cannot be read as any of these.
    """
    if isinstance(target, DatasetURL):
        return target
    text = os.fspath(target)
    scheme, separator, rest = text.partition("://")
    if "/" in scheme:  # the `://` is part of a key
        separator = ""
    if text.startswith(SCHEME):
        return DatasetURL(text)
    if separator and scheme in _BUCKET_SCHEMES:
        return DatasetURL(f"{SCHEME}{_BUCKET_SCHEMES[scheme]}/{rest}")
    if separator and scheme == "lakefs":
        repo, _, tail = rest.partition("/")
        ref, _, key = tail.partition("/")
        return DatasetURL(f"{SCHEME}lakefs/{repo}@{ref}/{key}" if ref else f"{SCHEME}lakefs/{repo}")
    if separator and scheme != "file":
        raise InvalidURL(
            f"{text[:200]!r}: scheme {scheme!r} is not known here", hint="known: ds, s3, r2, gs, az, lakefs, file"
        )
    if separator or not isinstance(target, str) or text.startswith(("/", ".", "~")):
        path = rest if separator else text
        local = os.path.abspath(os.path.expanduser(path)).lstrip("/")  # noqa: PTH100, PTH111 - text in, text out
        return DatasetURL(f"{SCHEME}local/{local}{'/' if local and path.endswith('/') else ''}")
    return DatasetURL(SCHEME + text)
