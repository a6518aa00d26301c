"""The grammars of names: mounts, repos, branches, tags, ref expressions, keys, content types.

They are lakeFS's on every store (facts/lakefs.md §1), so that whatever is made here can be pushed there.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import msgspec
from msgspec import Struct

from datastore.errors import InvalidURL, TooLarge, ValidationError

__all__ = [
    "MAX_KEY_BYTES",
    "RefExpression",
    "check_branch",
    "check_key",
    "check_metadata",
    "check_mount",
    "check_repo",
    "check_tag",
    "content_type_of",
    "is_commit_id",
    "parse_ref",
]

MAX_KEY_BYTES = 1024
MAX_METADATA_BYTES = 64 * 1024

_MOUNT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)
_REPO = re.compile(r"[a-z0-9][a-z0-9-]{2,62}", re.ASCII)
_BRANCH = re.compile(r"\w[-\w]*", re.ASCII)
# git-check-ref-format as lakeFS narrows it, without what a URL or a ref expression would read as something else.
_TAG = re.compile(r"[!-~]+", re.ASCII)
_TAG_FORBIDDEN = re.compile(r"[/^:?*\[\]\\~%$#`\"'<>|]|\.\.|@\{|^[-.@]|[.@]$|\.lock$", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{64}", re.ASCII)
_COMMIT_PREFIX = re.compile(r"[0-9a-f]{8,63}", re.ASCII)
_STEP = re.compile(r"([~^])(\d*)", re.ASCII)
MAX_REF_LENGTH = 256


def check_mount(name: str) -> str:
    """Return the mount name, or raise `ValidationError`."""
    return _check(name, "mount", _MOUNT, "1 to 63 of a-z, 0-9 and '-', not starting with '-'")


def check_repo(name: str) -> str:
    """Return the repo name, or raise `ValidationError`.

    >>> check_repo("garments")
    'garments'
    """
    return _check(name, "repo", _REPO, "3 to 63 of a-z, 0-9 and '-', not starting with '-'")


def check_branch(name: str) -> str:
    """Return the branch name, or raise `ValidationError`: letters, digits, `_` and `-`; not 64 hex digits."""
    rule = "letters, digits, '_' and '-', not starting with '-'; for groups write exp-dedupe, not exp/dedupe"
    _check(name, "branch", _BRANCH, rule)
    return _not_a_commit_id(name, "branch")


def check_tag(name: str) -> str:
    """Return the tag name, or raise `ValidationError`: git's rules, ASCII, and nothing that refs read otherwise."""
    rule = r"printable ASCII without / ^ : ? * [ ] \ ~ % $ # quotes or spaces, no '..', not starting with '.' or '-'"
    _check(name, "tag", _TAG, rule)
    if bad := _TAG_FORBIDDEN.search(name):
        raise ValidationError(f"tag {name!r} must not contain {bad.group()!r} there", hint=rule)
    return _not_a_commit_id(name, "tag")


def _check(name: str, what: str, pattern: re.Pattern[str], rule: str) -> str:
    if len(name) > MAX_REF_LENGTH or not pattern.fullmatch(name):
        raise ValidationError(f"{name[:80]!r} is not a valid {what} name", hint=f"a {what} name is {rule}")
    return name


def _not_a_commit_id(name: str, what: str) -> str:
    if is_commit_id(name):
        raise ValidationError(f"{what} {name!r} looks like a commit id", hint="choose a name that is not 64 hex digits")
    return name


def is_commit_id(text: str) -> bool:
    """Tell whether the text has the form of a full commit id."""
    return _COMMIT.fullmatch(text) is not None


class RefExpression(Struct, frozen=True):
    """A parsed ref: a name, then steps to ancestors; `committed` is the `@` of `main@`.

    Attributes:
        name: Branch, tag, full commit id, or at least 8 digits of one.
        steps: `("~", n)` goes n first parents back, `("^", n)` to the n-th parent (0 is the commit itself).
        committed: Whether uncommitted changes are left out of sight.
    """

    name: str
    steps: tuple[tuple[Literal["~", "^"], int], ...] = ()
    committed: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is a bare name, the only form that may be written to."""
        return not self.steps and not self.committed

    @property
    def may_be_prefix(self) -> bool:
        """Whether the name could be the beginning of a commit id."""
        return _COMMIT_PREFIX.fullmatch(self.name) is not None


@lru_cache(maxsize=1024)
def parse_ref(text: str) -> RefExpression:
    """Parse a ref expression, or raise `ValidationError` naming the part that is wrong.

    >>> parse_ref("main~2^2")
    RefExpression(name='main', steps=(('~', 2), ('^', 2)), committed=False)
    >>> parse_ref("main@").committed
    True
    """
    cut = next((i for i, char in enumerate(text) if char in "~^"), len(text))
    name, rest = text[:cut], text[cut:]
    committed = not rest and name.endswith("@")
    name = name[:-1] if committed else name
    if not is_commit_id(name):
        check_tag(name)  # tags have the widest grammar: every branch name and id prefix is within it
    steps: list[tuple[Literal["~", "^"], int]] = []
    position = 0
    while position < len(rest):
        step = _STEP.match(rest, position)
        if step is None or len(step.group(2)) > 9:
            raise ValidationError(
                f"ref {text[:80]!r}: cannot read {rest[position:][:20]!r}", hint="write main~2 or main^2"
            )
        steps.append(("~" if step.group(1) == "~" else "^", int(step.group(2) or 1)))
        position = step.end()
    return RefExpression(name, tuple(steps), committed)


def check_key(key: str) -> str:
    """Return a key that may be written, or raise `InvalidURL` or `TooLarge`.

    What exists under other keys (written by other tools) stays readable; this is the rule for new ones.

    >>> check_key("images/red coat #1.png")
    'images/red coat #1.png'
    """
    problem = _key_problem(key)
    if problem:
        raise InvalidURL(f"key {key[:120]!r} {problem}", hint="use plain names between single slashes")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise InvalidURL(f"key {key[:120]!r} has a lone surrogate at {error.start}", hint="keys are UTF-8") from None
    if size > MAX_KEY_BYTES:
        raise TooLarge(f"key {key[:60]!r}… is {size} bytes long", hint=f"the limit is {MAX_KEY_BYTES} bytes of UTF-8")
    return key


def _key_problem(key: str) -> str | None:
    if not key:
        return "is empty"
    if "::" in key:
        return "contains '::', which fsspec reads as chained file systems"
    if "\0" in key:
        return "contains NUL"
    for segment in key.split("/"):
        if not segment:
            return "has an empty segment (leading, trailing or double '/')"
        if segment in {".", ".."}:
            return f"has the segment {segment!r}"
    return None


def check_metadata(metadata: object) -> dict[str, str]:
    """Return string-to-string metadata as a plain dict, or raise `ValidationError` naming the bad pair."""
    if not isinstance(metadata, Mapping):
        raise ValidationError(
            f"metadata must be a mapping, not {type(metadata).__name__}", hint="metadata={'run': '12'}"
        )
    checked: dict[str, str] = {}
    for name, value in metadata.items():  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(name, str) or not isinstance(value, str):
            raise ValidationError(
                f"metadata {name!r}: {value!r} is not text", hint="keys and values are str; use json.dumps"
            )
        checked[name] = value
        try:
            (name + value).encode()
        except UnicodeEncodeError:
            raise ValidationError(f"metadata {name!r} has a lone surrogate", hint="metadata is UTF-8") from None
    if len(msgspec.json.encode(checked)) > MAX_METADATA_BYTES:
        raise TooLarge("metadata is larger than 64 KiB as JSON", hint="put it into an object and name its key here")
    return checked


# Ours, not `mimetypes`: that one reads the machine's own tables, and a content type is part of what a commit compares.
_CONTENT_TYPES = {
    "arrow": "application/vnd.apache.arrow.file",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "bz2": "application/x-bzip2",
    "css": "text/css",
    "csv": "text/csv",
    "feather": "application/vnd.apache.arrow.file",
    "flac": "audio/flac",
    "gif": "image/gif",
    "gz": "application/gzip",
    "h5": "application/x-hdf5",
    "htm": "text/html",
    "html": "text/html",
    "ipynb": "application/x-ipynb+json",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "m4a": "audio/mp4",
    "md": "text/markdown",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "ndjson": "application/x-ndjson",
    "ogg": "audio/ogg",
    "parquet": "application/vnd.apache.parquet",
    "pdf": "application/pdf",
    "png": "image/png",
    "py": "text/x-python",
    "svg": "image/svg+xml",
    "tar": "application/x-tar",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "toml": "application/toml",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webp": "image/webp",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "zip": "application/zip",
    "zst": "application/zstd",
}


def content_type_of(key: str) -> str:
    """Return the media type that follows from a key's extension, the same on every machine.

    >>> content_type_of("a/train.PARQUET"), content_type_of("README")
    ('application/vnd.apache.parquet', 'application/octet-stream')
    """
    stem, dot, extension = key.rpartition("/")[2].rpartition(".")
    return (
        _CONTENT_TYPES.get(extension.lower(), "application/octet-stream")
        if dot and stem
        else "application/octet-stream"
    )
