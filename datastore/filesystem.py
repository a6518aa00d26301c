"""Where the entry point finds the file system until it names `datastore.fs.system` itself.

This module has to go then: its name is also that of the function `ds.filesystem`, which it hides once it is imported.
"""

from datastore.fs.system import DatastoreFileSystem

__all__ = ["DatastoreFileSystem"]
