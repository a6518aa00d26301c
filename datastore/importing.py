"""Which files of a local folder an import takes, and under which keys."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datastore.errors import NotFound, ValidationError
from datastore.names import check_key

if TYPE_CHECKING:
    import pathspec

__all__ = ["IGNORE_FILE", "files_of"]

IGNORE_FILE = ".datastoreignore"
"""A file of this name at the top of a folder lists patterns in the syntax of `.gitignore`."""

_ALWAYS = (".git/", ".datastore/", ".datastore-tmp-*", ".DS_Store", IGNORE_FILE)


def files_of(folder: Path, prefix: str, *, ignore: str | Sequence[str] = ()) -> list[tuple[Path, str]]:
    """Return (file, key) for everything to import, sorted by key.

    Args:
        folder: The local folder.
        prefix: What the keys begin with; a missing trailing slash is added.
        ignore: Patterns of `.gitignore`, besides those of the folder's `.datastoreignore` and `.git/`, `.datastore/`,
            `.DS_Store`, and files in the making.

    Raises:
        NotFound: The folder does not exist.
        ValidationError: Something is neither a file nor a folder, or is a link to a folder; it is named, so that
            nothing goes missing.
        InvalidURL, TooLarge: A name cannot be a key.
    """
    import pathspec

    if not folder.is_dir():
        raise NotFound(f"no folder {str(folder)!r}", hint="give the path of a local folder")
    patterns = [ignore] if isinstance(ignore, str) else ignore
    try:
        spec = pathspec.GitIgnoreSpec.from_lines([*_ALWAYS, *_own_patterns(folder), *patterns])
    except ValueError as error:
        raise ValidationError(f"ignore: {error}", hint="patterns are those of .gitignore") from None
    start = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
    found = [(path, check_key(start + name)) for path, name in _walk(folder, "", spec)]
    return sorted(found, key=lambda pair: pair[1])


def _own_patterns(folder: Path) -> list[str]:
    own = folder / IGNORE_FILE
    try:
        return own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    except UnicodeDecodeError as error:
        raise ValidationError(f"{str(own)!r} is not UTF-8: {error.reason}", hint="save it as UTF-8") from None


def _walk(folder: Path, base: str, spec: "pathspec.GitIgnoreSpec") -> Iterator[tuple[Path, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = base + entry.name
            if spec.match_file(name + "/" if entry.is_dir() else name):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), name + "/", spec)
            elif entry.is_file():
                yield Path(entry.path), name
            else:
                what = "a link to a folder" if entry.is_dir() else "no regular file"
                raise ValidationError(f"{entry.path!r} is {what}", hint=f"copy it in, or ignore it: ignore=[{name!r}]")
