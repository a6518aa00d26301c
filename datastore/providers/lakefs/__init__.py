"""The provider for lakeFS: repos with branches and commits on a server, their bytes in its object store."""

from datastore.provider import SupportsRepos, SupportsVersioning
from datastore.providers.lakefs.options import Options, client_of

__all__ = ["Options", "open_mount"]


def open_mount(options: Options) -> SupportsVersioning | SupportsRepos:
    """Open a server, or one repo of it; asks it nothing yet."""
    from datastore.providers.lakefs.repo import LakeFSRepo
    from datastore.providers.lakefs.repos import LakeFSRepos

    client = client_of(options)
    if options.repo is not None:
        return LakeFSRepo(client, options.repo)
    return LakeFSRepos(client, storage_namespace=options.storage_namespace)
