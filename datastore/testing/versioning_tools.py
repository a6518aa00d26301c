"""What the parts of the versioning exam share: short spellings over the public contract."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from datastore.provider import Provider, SupportsVersioning
from datastore.values import Attributes, Change, CommitInfo, CommitRequest

__all__ = ["commit", "contents", "keys", "kinds", "messages", "names", "request", "save", "staged", "write"]


def request(message: str = "A change", **fields: Any) -> CommitRequest:
    """Return a request with an author and an `op_id` of its own, unless the fields say otherwise."""
    given: dict[str, Any] = {"message": message, "author": "Ada", "op_id": uuid.uuid4().hex, **fields}
    return CommitRequest(**given)


def write(provider: Provider, objects: Mapping[str, bytes | None]) -> None:
    """Put these objects; None deletes."""
    for key, data in objects.items():
        if data is None:
            assert not provider.delete([key])
        else:
            provider.put(key, data)


def save(versioned: SupportsVersioning, branch: str, objects: Mapping[str, bytes | None], **fields: Any) -> CommitInfo:
    """Write objects and commit them; the message names the keys unless the fields say otherwise."""
    write(versioned.at(branch), objects)
    return versioned.commit(branch, request(**{"message": "Write " + ", ".join(objects), **fields}))


def commit(versioned: SupportsVersioning, branch: str, message: str) -> CommitInfo:
    """Commit what is there."""
    return versioned.commit(branch, request(message))


def keys(provider: Provider, prefix: str = "") -> list[str]:
    """List the keys, in the order in which they come."""
    return [info.key for page in provider.list(prefix) for info in page.objects]


def names(provider: Provider, prefix: str = "", **how: Any) -> tuple[list[str], list[str]]:
    """List one level: (keys, common prefixes)."""
    found = list(provider.list(prefix, **{"delimiter": "/", **how}))
    return [info.key for page in found for info in page.objects], [name for page in found for name in page.prefixes]


def contents(provider: Provider, prefix: str = "") -> dict[str, bytes]:
    """List and read everything."""
    found: dict[str, bytes] = {}
    for key in keys(provider, prefix):
        with provider.read(key) as reader:
            found[key] = reader.read()
    return found


def kinds(changes: Iterable[Change]) -> dict[str, str]:
    """Return the kind of each change by key, in the order in which they come."""
    return {change.key: change.kind for change in changes}


def staged(versioned: SupportsVersioning, branch: str = "main", **how: Any) -> dict[str, str]:
    """Return the kinds of the uncommitted changes by key."""
    return kinds(versioned.uncommitted(branch, **how))


def messages(versioned: SupportsVersioning, ref: str = "main", **how: Any) -> list[str]:
    """Return the messages of a log, newest first, without that of the first commit, which the store wrote."""
    return [info.message for info in versioned.log(ref, **how) if info.parents]


JSON = Attributes(content_type="application/json")
NOTED = Attributes(metadata={"note": "checked"})
