"""The files and folders that `resolve` gives out."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from datastore.cachestore.contents import Contents, Linking
from datastore.cachestore.layout import CacheFolder, unlink
from datastore.cachestore.manifests import Manifest, Member, unpack
from datastore.cachestore.stamps import fresh, is_whole
from datastore.values import Digest

__all__ = ["Views"]

_TREES: Final = 8
_BY_FOLDER: Final = os.stat in os.supports_dir_fd
"""Whether files can be looked at from an open folder: a quarter less to do, for thousands deep down in a cache."""
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_DIRECTORY", 0)


class Views:
    """The folders `files/` and `trees/`.

    Args:
        folder: The cache.
        contents: The bytes.
    """

    def __init__(self, folder: CacheFolder, contents: Contents) -> None:
        self._folder = folder
        self._contents = contents
        self._manifests: dict[str, Manifest] = {}

    # files

    def file_path(self, digest: str, name: str, link: Linking) -> str:
        """Return where a file is, or would be."""
        return self._folder.sharded("files", digest[7:], link, name)

    def has_file(self, digest: Digest, size: int, name: str, link: Linking) -> bool:
        """Tell whether a file is there and whole; what somebody wrote to is put away."""
        path = self.file_path(digest, name, link)
        try:
            if is_whole(path, digest, size):
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False
        self._contents.put_away(path)
        return False

    def make_file(self, digest: Digest, size: int, name: str, link: Linking) -> None:
        """Make a file of bytes that are in the cache. Raises `FileNotFoundError` if they are not any more."""
        self._place(digest, size, self.file_path(digest, name, link), link)

    # folders

    def tree_path(self, id: str, name: str, link: Linking) -> str:  # noqa: A002 - the word for it
        """Return where a folder is, or would be."""
        return self._folder.sharded("trees", id, link, name)

    def manifest(self, id: str) -> Manifest | None:  # noqa: A002
        """Return what is in a folder that was resolved before; None if that was lost."""
        known = self._manifests.get(id)
        if known is None:
            try:
                data = Path(self._folder.sharded("trees", id, "manifest")).read_bytes()
            except FileNotFoundError:
                return None
            known = unpack(data, id)
            if known is not None:
                self._remember(known)
        return known

    def _remember(self, manifest: Manifest) -> None:
        while len(self._manifests) >= _TREES:
            self._manifests.pop(next(iter(self._manifests)), None)
        self._manifests[manifest.id] = manifest

    def save_manifest(self, manifest: Manifest) -> None:
        """Write down what is in a folder."""
        path = self._folder.sharded("trees", manifest.id, "manifest")
        if not os.path.lexists(path) or self.manifest(manifest.id) is None:
            self._folder.write_small(path, manifest.data)
        self._remember(manifest)

    def damaged(self, manifest: Manifest, root: str) -> list[Member]:
        """Return the files of a folder that are missing, or that somebody wrote to; these are put away."""
        try:
            folder = os.open(root, _FOLDER) if _BY_FOLDER else None
        except (FileNotFoundError, NotADirectoryError):
            return list(manifest.members)
        try:
            return self._damaged(manifest.members, root, folder)
        finally:
            if folder is not None:
                os.close(folder)

    def _damaged(self, members: Sequence[Member], root: str, folder: int | None) -> list[Member]:
        boot = fresh(members[0].digest) - members[0].stamp if members else 0
        bad: list[Member] = []
        look, before = os.stat, f"{root}/" if folder is None else ""
        for member in members:
            try:
                found = look(before + member.name, dir_fd=folder)
            except (FileNotFoundError, NotADirectoryError):
                bad.append(member)
                continue
            age = found.st_mtime_ns - member.stamp
            if found.st_size == member.size and (age == boot or not age):
                continue
            path = f"{root}/{member.name}"
            if not is_whole(path, member.digest, member.size):
                self._contents.put_away(path)
                bad.append(member)
        return bad

    def make_tree(self, manifest: Manifest, root: str, lacking: Sequence[Member], *, link: Linking) -> None:
        """Make a folder, or the files that it lacks. Raises `FileNotFoundError` if bytes are not in the cache."""
        if os.path.isdir(root):  # noqa: PTH112
            for member in lacking:
                self._place(member.digest, member.size, f"{root}/{member.name}", link)
            return
        part = self._folder.scratch()
        try:
            for folder in sorted({member.name.rpartition("/")[0] for member in manifest.members} | {""}):
                self._folder.make(f"{part}/{folder}" if folder else part)
            for member in manifest.members:
                self._contents.put_file(member.digest, member.size, f"{part}/{member.name}", link=link)
            self._folder.make(os.path.dirname(root))  # noqa: PTH120
            try:
                os.rename(part, root)  # noqa: PTH104
            except OSError:
                if not os.path.isdir(root):  # noqa: PTH112 - else somebody was faster
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _place(self, digest: Digest, size: int, path: str, link: Linking) -> None:
        part = self._folder.scratch()
        self._folder.make(os.path.dirname(part))  # noqa: PTH120
        try:
            self._contents.put_file(digest, size, part, link=link)
            self._folder.move(part, path)
        finally:
            unlink(part)  # which a rename to another name of the same inode leaves behind
