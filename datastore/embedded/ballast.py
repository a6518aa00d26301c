"""Space that is kept for the day when the disk is full, because then SQLite cannot even delete."""

import contextlib
import os
import shutil
from pathlib import Path

from datastore.processes import scratch_name

__all__ = ["Ballast"]

_SIZE = 8 << 20
_SPARE = 4
"""Made only where the disk has this many times its size left."""


class Ballast:
    """The file `ballast`: bytes that nobody reads.

    Args:
        path: Where it is.
        scratch: Folder for files in the making.
    """

    size = _SIZE

    def __init__(self, path: Path, *, scratch: Path) -> None:
        self._path = path
        self._scratch = scratch

    def make(self) -> bool:
        """Make it, if it is missing and there is room; tell whether it is there. A store works without it."""
        if self._path.exists():
            return True
        draft = self._scratch / scratch_name()
        with contextlib.suppress(OSError):
            if shutil.disk_usage(self._scratch).free < _SPARE * self.size:
                return False
            try:
                self._fill(draft)
                draft.replace(self._path)
            finally:
                draft.unlink(missing_ok=True)
            return True
        return False

    def _fill(self, draft: Path) -> None:
        with draft.open("xb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, self.size)
            else:
                file.write(bytes(self.size))

    def drop(self) -> bool:
        """Give the space back; tell whether there was any."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True
