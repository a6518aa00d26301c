"""Small content-addressed objects as files: tree nodes and commits.

This is one half of the two-verb seam of DESIGN §7.1 (`put_new` of content-addressed bytes; the other half is the
compare-and-swap of a ref). A name appears only after its bytes are durable, so a file that exists is whole.
"""

import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from datastore.durable import disk_error, disk_errors, fsync_directory, write_new
from datastore.processes import scratch_name

__all__ = ["Drafts", "ObjectFiles"]

_THREADS = 8


class ObjectFiles:
    """Objects of one kind in one folder, named by their ids.

    Args:
        folder: Where they are.
        scratch: Folder for files in the making, on the same file system.
    """

    def __init__(self, folder: Path, *, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch

    def path(self, object_id: str) -> Path:
        """Return where an object is, or would be."""
        return self._folder / object_id

    def get(self, object_id: str) -> bytes:
        """Return the bytes, or raise `KeyError`."""
        try:
            return (self._folder / object_id).read_bytes()
        except FileNotFoundError:
            raise KeyError(object_id) from None
        except OSError as error:
            raise disk_error(self._folder.parent, error) from error

    def put_new(self, objects: Mapping[str, bytes]) -> None:
        """Make all of them durable: bytes first, names after that. What exists already is left alone."""
        with disk_errors(self._folder.parent):
            self._write({name: data for name, data in objects.items() if not (self._folder / name).exists()})
            # Also for names that were there: whoever made them may not have come to this line yet.
            fsync_directory(self._folder)

    def _write(self, missing: Mapping[str, bytes]) -> None:
        drafts = {self._scratch / scratch_name(): name for name in missing}
        try:
            if len(drafts) <= 2:
                for draft, name in drafts.items():
                    write_new(draft, missing[name])
            else:
                with ThreadPoolExecutor(min(_THREADS, len(drafts))) as pool:
                    list(pool.map(write_new, drafts, missing.values()))
            for draft, name in drafts.items():
                draft.replace(self._folder / name)
        except BaseException:
            for draft in drafts:
                with contextlib.suppress(OSError):
                    draft.unlink()
            raise


class Drafts:
    """A `NodeStore` that keeps new nodes in memory until they are published together."""

    def __init__(self, files: ObjectFiles) -> None:
        self._files = files
        self.new: dict[str, bytes] = {}

    def get(self, node_id: str) -> bytes:
        """Return a draft or a stored node, or raise `KeyError`."""
        found = self.new.get(node_id)
        return self._files.get(node_id) if found is None else found

    def put_new(self, node_id: str, data: bytes) -> None:
        """Take a node."""
        self.new[node_id] = data
