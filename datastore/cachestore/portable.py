"""Names of objects as names on a disk: one pure mapping, the same on every system.

What is a plain name everywhere stays as it is. What is not gets a name that is: unsafe characters become `_`, and a
few digits of its hash are added before the suffix, so that no two of them are equal, also where case or Unicode form
do not matter. No name can lead out of its folder.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

__all__ = ["portable_name", "portable_names"]

_LONGEST: Final = 200  # bytes; most disks take 255, and files in the making add to it
_LONGEST_SUFFIX: Final = 24
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]')
_DEVICES: Final = r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?"
_RESERVED: Final = re.compile(_DEVICES, re.IGNORECASE | re.DOTALL)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._+=@,-]*[A-Za-z0-9_-]", re.ASCII)


def portable_name(name: str) -> str:
    """Return the name that one segment of a key has on a disk.

    >>> portable_name("coat #1.png"), portable_name("NUL.txt"), portable_name("..")
    ('coat #1.png', 'NUL~0241e4.txt', '_~5ec1f7')
    """
    if _PLAIN.fullmatch(name) and len(name) <= _LONGEST and not _RESERVED.fullmatch(name):
        return name
    clean = _UNSAFE.sub("_", name).rstrip(". ")
    same = clean == name and bool(name) and not _RESERVED.fullmatch(name)
    return name if same and len(_bytes(name)) <= _LONGEST else _marked(name)


def _marked(name: str, salt: str = "") -> str:
    """Return a name with some digits of its hash before the suffix."""
    clean = _UNSAFE.sub("_", name).rstrip(". ") or "_"
    stem, dot, suffix = clean.rpartition(".")
    if not stem or len(_bytes(suffix)) > _LONGEST_SUFFIX:
        stem, dot, suffix = clean, "", ""
    mark = "~" + hashlib.sha256(_bytes(name + salt)).hexdigest()[:6]
    room = _LONGEST - len(_bytes(f"{mark}{dot}{suffix}"))
    short = _bytes(stem)[:room].decode(errors="ignore").rstrip(". ") or "_"
    found = f"{short}{mark}{dot}{suffix}"
    return f"_{found}" if _RESERVED.fullmatch(found) else found  # CON.tar.gz is one for its first part


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def portable_names(keys: Iterable[str]) -> dict[str, str]:
    """Return the relative path, with `/`, that each key has in a folder of all of them.

    >>> portable_names(["a.png", "A.png", "x/../y", "b", "b/c"])
    {'A.png': 'A.png', 'a.png': 'a~7f0712.png', 'b/c': 'b/c', 'x/../y': 'x/_~5ec1f7/y', 'b': 'b~3e23e8'}

    Folders come before files, then the order of the keys decides who keeps a name that several want.
    """
    names = _Names()
    ordered = sorted(keys)
    folders = {key: names.folder(key.rpartition("/")[0]) if "/" in key else "" for key in ordered}
    return {key: names.child(folders[key], key.rpartition("/")[2], file=True) for key in _files_last(ordered, names)}


def _files_last(ordered: list[str], names: "_Names") -> list[str]:
    """Put files that want a folder's name at the end of their turn."""
    return sorted(ordered, key=lambda key: (key in names.folders, key)) if names.folders else ordered


class _Names:
    """The names that were given so far, by the folder that they are in."""

    def __init__(self) -> None:
        self.folders: dict[str, str] = {"": ""}
        self._taken: dict[str, set[str]] = {}

    def folder(self, path: str) -> str:
        """Return the path of a folder."""
        known = self.folders.get(path)
        if known is None:
            parent, slash, name = path.rpartition("/")
            above = self.folder(parent) if slash else ""
            known = self.folders[path] = self.child(above, name, file=False)
        return known

    def child(self, folder: str, name: str, *, file: bool) -> str:
        """Return the path of a name in a folder, which nothing else there has."""
        taken = self._taken.setdefault(folder, set())
        found, turn = portable_name(name), 0
        while (same := unicodedata.normalize("NFC", found).casefold()) in taken:
            found, turn = _marked(name, f"/{turn}" if turn or not file else ""), turn + 1
        taken.add(same)
        return f"{folder}/{found}" if folder else found
