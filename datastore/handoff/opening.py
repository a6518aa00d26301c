"""Opens objects in the versions that were found, for whoever reads them through our file system."""

from datastore.fs.files import ReadFile
from datastore.fs.system import DatastoreFileSystem
from datastore.handoff.finding import Found

__all__ = ["Versions"]


class Versions:
    """The objects of a find. Pickles without credentials.

    Args:
        found: What is not of a commit is opened by its etag: an object that changed since is an error.
    """

    def __init__(self, found: Found) -> None:
        self.fs = DatastoreFileSystem(**found.storage_options, once=not found.fixed)
        pairs = () if found.fixed else zip(found.paths, found.objects, strict=True)
        self._etags = {path: info.etag for path, info in pairs}

    def open(self, path: str) -> ReadFile:
        """Open an object by its path in the file system; without asking whether it is there."""
        return self.fs.open_object(path, if_match=self._etags.get(path) or None)
