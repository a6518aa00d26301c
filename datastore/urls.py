"""The grammar of `ds://` URLs.

    ds://<mount-or-repo>[@<ref>]/<key>
    ds://<mount>/<repo>[@<ref>]/<key>      nested: the mount holds several repos

The ref starts at the *first* `@` of its segment and ends at the `/`; everything after that `/` is the key, verbatim:
spaces, `#`, `?`, `%20`, `=` and `[1]` survive. The parser is our own because `urlsplit` lower-cases what it takes for a
host.

The text does not tell the two forms apart, the configuration does (docs/decisions/007-nested-urls.md): whoever knows
says `nested`, and a `DatasetURL` remembers it. `lakefs` is always a mount of several repos.
"""

import os
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Final, Self

from msgspec import Struct

from datastore.errors import InvalidURL, ValidationError
from datastore.names import check_mount, check_repo, parse_ref

__all__ = ["SCHEME", "DatasetURL", "Location", "format_location", "parse_location", "strip_scheme", "to_url"]

SCHEME = "ds://"
_BUCKET_SCHEMES = {"s3": "s3", "r2": "r2", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure"}
_NESTED: Final = frozenset({"lakefs"})


class Location(Struct, frozen=True):
    """The parts of a `ds://` URL.

    An empty mount is the root, an empty key the mount itself; `ref` is None if none is written. Of a nested URL the
    mount is `mount/repo`, as `ds.repo` takes it.
    """

    mount: str
    ref: str | None
    key: str

    def __str__(self) -> str:
        return SCHEME + format_location(self.mount, self.ref, self.key)


def strip_scheme(url: str) -> str:
    """Return the URL without `ds://` and without leading slashes: the form of path that fsspec passes around."""
    return url.removeprefix(SCHEME).lstrip("/")


def parse_location(url: str, *, nested: bool = False) -> Location:
    """Parse a URL, with or without its scheme, or raise `InvalidURL` naming the bad segment.

    >>> parse_location("ds://garments@main~1/a b/#1.csv")
    Location(mount='garments', ref='main~1', key='a b/#1.csv')
    >>> parse_location("ds://team/garments@main/a.csv", nested=True)
    Location(mount='team/garments', ref='main', key='a.csv')
    """
    head, _, key = strip_scheme(url).partition("/")
    if "::" in head or "::" in key:
        raise InvalidURL(
            f"{url[:200]!r} contains '::', which fsspec reads as chained file systems", hint="rename the object"
        )
    mount, ref = _segment(url, head, check_mount)
    if not mount and (ref is not None or key):
        raise InvalidURL(f"{url[:200]!r} names no mount or repo", hint="write ds://<mount>[@<ref>]/<key>")
    if not nested or not mount:
        return Location(mount, ref, key)
    if ref is not None:
        raise InvalidURL(
            f"{url[:200]!r}: mount {mount!r} holds several repos and has no ref of its own",
            hint=f"the ref belongs to the repo: ds://{mount}/<repo>@{ref}/…",
        )
    if not key:
        return Location(mount, None, "")
    segment, _, key = key.partition("/")
    repo, ref = _segment(url, segment, check_repo)
    if not repo:
        raise InvalidURL(f"{url[:200]!r} names no repo", hint=f"write ds://{mount}/<repo>[@<ref>]/<key>")
    return Location(f"{mount}/{repo}", ref, key)


def _segment(url: str, segment: str, check: Callable[[str], object]) -> tuple[str, str | None]:
    name, at, ref = segment.partition("@")
    try:
        if name:
            check(name)
        if at:
            parse_ref(ref)
    except ValidationError as error:
        raise InvalidURL(f"{url[:200]!r}: {error.message}", hint=error.hint) from None
    return name, ref if at else None


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

    Args:
        url: The text; the scheme may be left out.
        nested: Whether the mount holds several repos, so that the second segment names one. `ds.url` and the handles
            know; a text alone does not tell.

    Raises:
        InvalidURL: The text does not follow the grammar; names the bad segment.
    """

    __slots__ = ("_nested",)
    _nested: bool

    def __new__(cls, url: str, *, nested: bool = False) -> Self:
        """Check the text and return it as a URL."""
        first = strip_scheme(url).partition("/")[0].partition("@")[0]
        nested = nested or first in _NESTED or (isinstance(url, DatasetURL) and url.nested)
        location = parse_location(url, nested=nested)
        text = str(location)
        if location.mount and not location.key and url.endswith("/"):
            text += "/"
        made = super().__new__(cls, text)
        made._nested = nested
        return made

    def __reduce__(self) -> "tuple[object, ...]":
        return _rebuild, (type(self), str(self), self._nested)

    @property
    def nested(self) -> bool:
        """Whether the second segment names a repo of the mount."""
        return self._nested

    @property
    def location(self) -> Location:
        """All parts at once."""
        return parse_location(self, nested=self._nested)

    @property
    def mount(self) -> str:
        """Name of the mount or repo, `mount/repo` if it is nested: what `ds.repo` takes."""
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
        return DatasetURL(str(Location(location.mount, location.ref, above)) + "/", nested=self._nested)

    def at(self, ref: str) -> "DatasetURL":
        """Return the same key at another ref."""
        location = self.location
        return DatasetURL(str(Location(location.mount, ref, location.key)), nested=self._nested)

    def __truediv__(self, name: str) -> "DatasetURL":
        """Return this URL one or more segments deeper."""
        return DatasetURL(f"{strip_scheme(self).rstrip('/')}/{str(name).lstrip('/')}", nested=self._nested)


def _rebuild(cls: type[DatasetURL], text: str, nested: bool) -> DatasetURL:  # noqa: FBT001 - called by pickle
    return cls(text, nested=nested)


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
