"""Uploads whose writer was dropped: who finds one asks for no network in a destructor, and somebody aborts it later."""

import atexit
import os
from collections import deque
from typing import Final

from datastore.providers.s3.site import Site, Spot
from datastore.providers.s3.uploading import forget
from datastore.values import UploadInfo

__all__ = ["leave", "sweep"]

# Appending is atomic and takes no lock: the garbage collector may run a destructor in the middle of anything.
_LEFT: Final[deque[tuple[int, Site, Spot, UploadInfo]]] = deque()


def leave(site: Site, spot: Spot, upload: UploadInfo, *, process: int) -> None:
    """Remember an upload that nobody will complete; safe in a destructor."""
    _LEFT.append((process, site, spot, upload))


def sweep() -> None:
    """Abort the uploads that this process left; those of a parent are its own."""
    while _LEFT:
        try:
            process, site, spot, upload = _LEFT.popleft()
        except IndexError:  # another thread was faster
            return
        if process == os.getpid():
            forget(site, spot, upload)


atexit.register(sweep)
