"""The repos of a lakeFS server."""

import contextlib
import secrets
import time
from collections.abc import Sequence
from typing import Final

from datastore.bridging import Connection
from datastore.errors import AlreadyExists, ConfigError, NotFound, UnsupportedOperation
from datastore.names import check_branch, check_repo
from datastore.providers.lakefs.answers import RepositoryRow, decoded
from datastore.providers.lakefs.client import LakeFSClient, status_only
from datastore.providers.lakefs.commits import forget_all
from datastore.providers.lakefs.endpoints import no_repo, repository_names
from datastore.providers.lakefs.repo import LakeFSRepo

__all__ = ["LakeFSRepos"]

_LONGEST: Final = 20.0
"""Seconds to wait for the server to forget a repo; it keeps what it knows of one for 5 to 7 s (facts/lakefs.md §2)."""
_BETWEEN: Final = 0.25


class LakeFSRepos:
    """All repos of one server. A handle: made without I/O.

    Args:
        client: The server.
        storage_namespace: Where the objects of new repos go: `s3://bucket/prefix`, to which name and a random part are
            added; the server's own default if not given.
    """

    def __init__(self, client: LakeFSClient, *, storage_namespace: str | None = None) -> None:
        self.client = client
        self._storage_namespace = storage_namespace

    def __repr__(self) -> str:
        return f"<lakeFS at {self.client.origin}>"

    def repos(self) -> Sequence[str]:
        """Return the names, sorted."""
        return repository_names(self.client)

    def repo(self, name: str) -> LakeFSRepo:
        """Return one repo, or raise `NotFound` with the nearest names; asked for once per process."""
        check_repo(name)
        try:
            self.client.repository(name)
        except NotFound:
            raise no_repo(self.client, name) from None
        return LakeFSRepo(self.client, name)

    def create_repo(self, name: str, *, default_branch: str = "main") -> LakeFSRepo:
        """Make a repo with one empty commit on its default branch.

        A repo that is deleted leaves its objects behind, and lakeFS never uses a place twice: hence the random part.

        Raises:
            ConfigError: It is not known where objects may go.
        """
        check_repo(name)
        check_branch(default_branch)
        body = {"name": name, "storage_namespace": self._place_for(name), "default_branch": default_branch}
        call = self.client.call(
            "POST", ["repositories"], what=f"create repo {name!r}", json=body, finish=decoded(RepositoryRow)
        )
        self.client.forget_repository(name)
        try:
            self.client.run(call)
        except AlreadyExists:
            hint = "use exist_ok=True, or choose another name"
            raise AlreadyExists(f"there is a repo {name!r} already", hint=hint) from None
        return LakeFSRepo(self.client, name)

    def _place_for(self, name: str) -> str:
        storage = self.client.config().storage_config
        base = self._storage_namespace or storage.default_namespace_prefix
        if not base and storage.blockstore_type == "local":
            base = "local://"
        if not base:
            raise ConfigError(
                f"lakeFS at {self.client.origin} has no default place for the objects of repo {name!r}",
                hint="give the mount storage_namespace: s3://bucket/prefix",
            )
        slash = "" if base.endswith("/") else "/"
        return f"{base}{slash}{name}-{secrets.token_hex(4)}"

    def delete_repo(self, name: str) -> None:
        """Delete a repo with all its refs and uncommitted changes; its objects stay in the object store.

        Returns when the server has forgotten it, after 5 to 7 seconds: until then it would take what is done to a new
        repo of that name for the old one.
        """
        check_repo(name)
        call = self.client.call(
            "DELETE",
            ["repositories", name],
            what=f"delete repo {name!r}",
            statuses=frozenset({204}),
            finish=status_only,
        )
        try:
            self.client.run(call)
        except NotFound:
            raise no_repo(self.client, name) from None
        forget_all(self.client, name)
        until = time.monotonic() + _LONGEST
        with contextlib.suppress(NotFound):
            while time.monotonic() < until:
                self.client.run(self.client.repository_call(name))
                time.sleep(_BETWEEN)
        self.client.forget_repository(name)

    def rename_repo(self, name: str, new_name: str) -> None:
        """Not possible: lakeFS has no such operation."""
        raise UnsupportedOperation(
            f"lakeFS cannot give repo {name!r} the name {new_name!r}",
            hint="create a repo of the new name and copy into it: its history stays in the old one",
        )

    def connection(self) -> Connection:
        """Return what other clients have to know to reach the same server."""
        return self.client.connection()

    def close(self) -> None:
        """Nothing to let go of: connections belong to the process."""
