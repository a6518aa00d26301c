"""Names of objects as names on a disk, exactly as they are or not at all.

What `resolve` hands out is only read: a name that a disk cannot have gets another one there. A folder that was
downloaded is worked on and put back, so its names are those of the keys; where they cannot be, that is said before
anything is written.
"""

import os
import secrets
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from datastore.cachestore.portable import portable_name
from datastore.errors import Conflict, UnsafeKey
from datastore.names import MAX_KEY_BYTES

__all__ = ["check_names", "check_place"]

_LONGEST: Final = 255
_HINT: Final = "leave it out with ignore_patterns=, or take ds.resolve, which finds names for such keys"


def check_names(names: Iterable[str], *, windows: bool = os.name == "nt") -> None:
    """Raise an error that names the first key that no file in a folder can have.

    >>> check_names(["a b/c:d.csv", "..."], windows=False)
    >>> check_names(["a", "x/../../y"])  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
        ...
    datastore.errors.UnsafeKey: ...

    Args:
        names: The keys, from the folder on.
        windows: Whether the rules of Windows hold.

    Raises:
        UnsafeKey: It would lead out of the folder, or is no name here.
        Conflict: It is the folder of another one.
    """
    files = set(names)
    for name in sorted(files):
        for segment in name.split("/"):
            if not _is_name(segment, windows=windows):
                raise UnsafeKey(f"key {name[:120]!r} has no name on this disk: {segment[:60]!r} is none", hint=_HINT)
        above = name.rpartition("/")[0]
        while above:
            if above in files:
                raise Conflict(f"{above!r} and {name!r}: a disk holds nothing below a file", hint=_HINT)
            above = above.rpartition("/")[0]


def _is_name(segment: str, *, windows: bool) -> bool:
    if segment in {"", ".", ".."} or "\0" in segment:
        return False
    try:
        size = len(segment.encode())
    except UnicodeEncodeError:
        return False
    return size <= min(_LONGEST, MAX_KEY_BYTES) and (not windows or portable_name(segment) == segment)


def check_place(root: str, names: Sequence[str]) -> None:
    """Raise an error if files of these names cannot come into a folder, which need not be there.

    Raises:
        Conflict: A file is in the place of a folder, or the disk takes two of the names for one.
        UnsafeKey: A link is in the place of a folder; nothing is written through it.
    """
    if not os.path.isdir(root) and os.path.lexists(root):  # noqa: PTH112 - paths are text here
        raise Conflict(f"{root!r} is no folder", hint="move it away, or choose another folder")
    folders = {name.rpartition("/")[0] for name in names}
    for folder in sorted(folders):
        _check_folders(root, folder)
    twins = _twins([*names, *folders])
    if twins and _folds_names(root):
        raise Conflict(f"this disk takes {twins[0]!r} and {twins[1]!r} for one name", hint=_HINT)


def _check_folders(root: str, folder: str) -> None:
    path = root
    for segment in folder.split("/") if folder else ():
        path = f"{path}/{segment}"
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISLNK(mode):
            raise UnsafeKey(
                f"{path!r} is a link, and nothing is written through it", hint="download to the folder it leads to"
            )
        if not stat.S_ISDIR(mode):
            raise Conflict(f"{path!r} is a file, and has to be a folder", hint="move it away, or choose another folder")


def _twins(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names that some disks take for one: they differ in case, or in Unicode's form.

    >>> _twins(["a/x.png", "b", "A/X.png"])
    ('a/x.png', 'A/X.png')
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            return other, name
    return None


def _folds_names(root: str) -> bool:
    """Tell whether the disk of a folder takes two names for one that differ in case; asked with a file of its own."""
    folder = Path(root)
    while not folder.is_dir():
        folder = folder.parent
    probe = folder / f".datastore-tmp-{secrets.token_hex(8)}"
    try:
        probe.touch(exist_ok=False)
        return probe.with_name(probe.name.upper()).exists()
    finally:
        with suppress(FileNotFoundError):
            probe.unlink()
