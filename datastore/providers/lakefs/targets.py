"""The branch that a write goes to, with what all writes have in common."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct, structs

from datastore.calls import Call, HttpResponse
from datastore.errors import AlreadyExists, DatastoreError, UnsupportedOperation
from datastore.providers.lakefs import staged
from datastore.providers.lakefs.answers import ObjectStats, failed, message_of
from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.endpoints import Remote, no_repo
from datastore.providers.lakefs.entries import info_of
from datastore.providers.lakefs.missing import not_writable
from datastore.values import CREATE, OVERWRITE, Match, ObjectInfo, PutMode

__all__ = ["Target"]

_LINKED: Final = frozenset({200, 400, 404, 412})


class Target(Struct, frozen=True):
    """A branch, which need not be there.

    Attributes:
        client: The server.
        repo: The repo.
        branch: Its name.
    """

    client: LakeFSClient
    repo: str
    branch: str

    @property
    def remote(self) -> Remote:
        """The repo."""
        return Remote(self.client, self.repo)

    @property
    def path(self) -> list[str]:
        """Where the API has the branch."""
        return ["repositories", self.repo, "branches", self.branch]

    def about(self, verb: str, key: str) -> str:
        """Return what is being done, for errors."""
        return f"{verb} object {key!r} of {self.repo}@{self.branch}"

    def conditions(self, mode: PutMode, key: str) -> dict[str, str]:
        """Return the headers of a put mode, or raise `UnsupportedOperation` for one that the server cannot do."""
        if isinstance(mode, Match):
            raise UnsupportedOperation(
                f"{self.about('put', key)}: lakeFS cannot replace an object only if it is still a certain one",
                hint="write to a branch of your own and merge it: a merge notices what others changed",
            )
        return {"If-None-Match": "*"} if mode == CREATE else {}

    def refused(self, response: HttpResponse, verb: str, key: str) -> DatastoreError:
        """Return the error for a write that the server did not take."""
        message = message_of(response)
        if response.status == 412:
            return self.taken(key)
        if response.status == 404 and "repository" in message:
            return no_repo(self.client, self.repo)
        if response.status == 404 or (response.status == 400 and "branch id" in message):
            self.client.learned.branches.drop((self.repo, self.branch))
            return not_writable(self.remote, self.branch)
        return failed(response, self.about(verb, key))

    def taken(self, key: str) -> AlreadyExists:
        """The error of `CREATE` for a key that is taken."""
        where = f"{self.repo}@{self.branch}"
        return AlreadyExists(f"object {key!r} exists already in {where}", hint="overwrite it, or choose another key")

    def link_call(
        self,
        key: str,
        address: str,
        *,
        checksum: str,
        size: int,
        content_type: str,
        metadata: Mapping[str, str],
        finish: Callable[[HttpResponse], ObjectInfo],
        mode: PutMode = OVERWRITE,
    ) -> Call[ObjectInfo]:
        """Return the call that gives bytes in the object store a name.

        Args:
            key: Checked.
            address: Where they are: a place that the server gave for this key, or one outside of the repo's namespace.
            checksum: Of the bytes.
            size: Bytes.
            content_type: Media type.
            metadata: As the server keeps it.
            finish: What to make of the answer: 200, or 400, 404, 412.
            mode: As in `Provider.put`; `CREATE` is atomic.
        """
        return self.client.call(
            "PUT",
            [*self.path, "staging", "backing"],
            what=self.about("link", key),
            query={"path": key},
            json={
                "staging": {"physical_address": address},
                "checksum": checksum,
                "size_bytes": size,
                "content_type": content_type,
                "user_metadata": metadata,
            },
            headers=self.conditions(mode, key),
            statuses=_LINKED,
            finish=finish,
        )

    def wrote(
        self, stats: ObjectStats, *, address: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> ObjectInfo:
        """Return the info of what was written, and remember that something was.

        Args:
            stats: The server's answer.
            address: Where the bytes are, where the answer says it in another way than later ones.
            metadata: As the server keeps it, where the answer does not say it.
        """
        if metadata is not None:
            stats = structs.replace(stats, metadata=dict(metadata))
        place = self.client.true_address(self.repo, address or stats.physical_address)
        info = info_of(stats, origin=self.client.origin, address=place)
        staged.note(self.client, self.repo, self.branch, info.key, info.modified_us)
        return info

    def changed(self, key: str) -> None:
        """Remember that a key was deleted."""
        staged.note(self.client, self.repo, self.branch, key, time.time_ns() // 1000)
