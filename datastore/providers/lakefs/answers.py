"""What lakeFS answers, in our own types: small decoded structs, and errors translated once.

The statuses are those of the server's `handleApiErrorCallback` (facts/lakefs.md §2). Several of them mean more than one
thing, so the message that comes with them has to be looked at.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Struct, field

from datastore.calls import HttpRequest, HttpResponse, Verdict
from datastore.errors import (
    AlreadyExists,
    Conflict,
    DatastoreError,
    Forbidden,
    IntegrityError,
    NotFound,
    NothingToCommit,
    Unavailable,
    UncommittedChanges,
    UnsupportedOperation,
    ValidationError,
)
from datastore.http import retry

__all__ = [
    "BranchRow",
    "DeleteErrors",
    "ObjectPage",
    "ObjectStats",
    "Pagination",
    "PartUpload",
    "RepositoryRow",
    "ServerConfig",
    "StagingAddress",
    "StorageConfig",
    "UploadTarget",
    "decoded",
    "failed",
    "judge",
    "message_of",
    "request_id",
]

T = TypeVar("T")


class Pagination(Struct, frozen=True):
    """Where a listing goes on: `after=next_offset`, while there is more."""

    has_more: bool
    next_offset: str = ""


class ObjectStats(Struct, frozen=True, gc=False):
    """One object or common prefix, as `stat`, listings and uploads describe it."""

    path: str
    physical_address: str
    checksum: str
    mtime: int
    path_type: str = "object"
    physical_address_expiry: int | None = None
    size_bytes: int = 0
    metadata: dict[str, str] | None = None
    content_type: str = ""


class ObjectPage(Struct, frozen=True):
    """A page of a listing."""

    pagination: Pagination
    results: list[ObjectStats]


class DeleteError(Struct, frozen=True):
    """One path that could not be deleted."""

    status_code: int
    message: str
    path: str = ""


class DeleteErrors(Struct, frozen=True):
    """What a delete of many answers, always with status 200."""

    errors: list[DeleteError] = field(default_factory=list[DeleteError])


class StagingAddress(Struct, frozen=True):
    """Where the bytes of a new object go, and the URL to send them to."""

    physical_address: str
    presigned_url: str = ""
    presigned_url_expiry: int | None = None


class PartUpload(Struct, frozen=True):
    """A new upload in parts."""

    upload_id: str
    physical_address: str


class UploadTarget(Struct, frozen=True):
    """The URL to send one part to."""

    presigned_url: str


class StorageConfig(Struct, frozen=True):
    """What the server says of its block store, and of what it can sign for it."""

    blockstore_type: str = ""
    default_namespace_prefix: str = ""
    pre_sign_support: bool = False
    pre_sign_multipart_upload: bool = False
    import_support: bool = False


class VersionConfig(Struct, frozen=True):
    """The version of the server, `dev` for one that was built without a number."""

    version: str = ""


class ServerConfig(Struct, frozen=True):
    """The answer to `GET /config`."""

    storage_config: StorageConfig = StorageConfig()
    version_config: VersionConfig = VersionConfig()


class RepositoryRow(Struct, frozen=True):
    """One repo."""

    id: str
    storage_namespace: str
    default_branch: str
    creation_date: int = 0
    read_only: bool = False


class BranchRow(Struct, frozen=True):
    """One branch with its head."""

    id: str
    commit_id: str


class _Error(Struct, frozen=True):
    message: str = ""


def decoded(kind: type[T]) -> Callable[[HttpResponse], T]:
    """Return what turns an expected answer into a value: the `finish` of most calls.

    >>> decoded(BranchRow)(HttpResponse(status=200, headers={}, body=b'{"id": "main", "commit_id": "4f"}'))
    BranchRow(id='main', commit_id='4f')
    """

    def finish(response: HttpResponse) -> T:
        try:
            return msgspec.json.decode(response.body, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            # A proxy's login page has status 200, too.
            start = response.body[:80].decode("utf-8", "replace")
            raise Unavailable(
                f"the answer is none of lakeFS ({error}): {start!r}", hint="check the endpoint of the mount"
            ) from None

    return finish


def message_of(response: HttpResponse) -> str:
    """Return the message of an error, whatever form it came in; at most 500 characters."""
    try:
        text = msgspec.json.decode(response.body, type=_Error).message
    except (msgspec.DecodeError, msgspec.ValidationError):
        text = response.body.decode("utf-8", "replace")
    return " ".join(text.split())[:500]


def request_id(headers: Mapping[str, str]) -> str:
    """Return the server's name of the request, to find it in its log; empty if it gave none."""
    return headers.get("x-request-id", "")


def judge(request: HttpRequest, response: HttpResponse) -> Verdict:
    """Return what an answer of lakeFS means for the engine.

    429 is "too many attempts" at a busy branch and 500 "locked" a lock that was not got: neither changed anything. Bad
    refs come as 500, too, where trying again is in vain.
    """
    status = response.status
    if status in request.statuses:
        return "final"
    if status in _BUSY:
        return "retry"
    if status == 500:
        message = message_of(response)
        if "currently locked" in message:
            return "retry"
        if _is_invalid(message) or not message:
            return "final"
    return "slow" if status == _CALM else retry.judge(request, response)


def failed(response: HttpResponse, what: str) -> DatastoreError:
    """Return the error that an unexpected answer stands for.

    Args:
        response: The answer.
        what: What was being done: `read object 'a.csv' of garments@main`.
    """
    message = message_of(response)
    known = _BY_STATUS.get(response.status)
    error = known(message, what) if known else None
    if error is not None:
        return error
    trace = f" (request {request_id(response.headers)})" if request_id(response.headers) else ""
    text = f"{what}: lakeFS answered {response.status}: {message or 'nothing'}{trace}"
    if response.status >= 500:
        return Unavailable(text, hint="try again; the log of the server knows more")
    return ValidationError(text)


_CALM: Final = 420
_BUSY: Final = frozenset({423, 429})


def _is_invalid(message: str) -> bool:
    return "invalid value" in message or "validation error" in message


def _bad_request(message: str, what: str) -> DatastoreError:
    if "no changes" in message:
        return NothingToCommit(f"{what}: there is nothing to commit")
    if "dirty branch" in message or "uncommitted changes" in message:
        hint = "commit them, or drop them with reset"
        return UncommittedChanges(f"{what}: the branch has uncommitted changes", keys=(), hint=hint)
    if "not supported" in message:
        return UnsupportedOperation(f"{what}: {message}")
    return ValidationError(f"{what}: {message or 'the server takes it for wrong'}")


def _unauthorized(message: str, what: str) -> DatastoreError:
    hint = "check access_key_id and secret_access_key (or LAKECTL_CREDENTIALS_…, ~/.lakectl.yaml) and what they may do"
    return Forbidden(f"{what}: lakeFS does not accept the credentials ({message or 'unauthorized'})", hint=hint)


def _forbidden(message: str, what: str) -> DatastoreError:
    if "protected branch" in message:
        hint = "write to a branch of your own and merge it"
        return Forbidden(f"{what}: the branch is protected: it takes changes only by merge and revert", hint=hint)
    if "read-only" in message:
        return Forbidden(f"{what}: the repo is read-only")
    return Forbidden(f"{what}: {message or 'lakeFS forbids it'}")


def _conflict(message: str, what: str) -> DatastoreError:
    if "exists" in message or "not unique" in message or "in use" in message:
        return AlreadyExists(f"{what}: {message}")
    return Conflict(f"{what}: {message or 'somebody else was there first'}")


def _gone(message: str, what: str) -> DatastoreError:
    if "deletion" in message:
        return NotFound(f"{what}: the repo is being deleted")
    hint = "the object store lost it, or garbage collection took it; lakeFS has only its name"
    return IntegrityError(f"{what}: the bytes are gone ({message or 'no data'})", hint=hint)


def _precondition(message: str, what: str) -> DatastoreError:
    if "path already exists" in message:
        return AlreadyExists(f"{what}: the key is taken", hint="choose another key, or overwrite it on purpose")
    return Conflict(f"{what}: {message or 'a precondition does not hold'}")


def _busy(message: str, what: str) -> DatastoreError:
    return Unavailable(f"{what}: lakeFS is busy ({message})", hint="try again")


def _server_error(message: str, what: str) -> DatastoreError | None:
    return ValidationError(f"{what}: {message}") if _is_invalid(message) else None


def _unsupported(message: str, what: str) -> DatastoreError:
    return UnsupportedOperation(f"{what}: this lakeFS cannot do that ({message})")


_BY_STATUS: Final[Mapping[int, Callable[[str, str], DatastoreError | None]]] = {
    400: _bad_request,
    401: _unauthorized,
    403: _forbidden,
    404: lambda message, what: NotFound(f"{what}: {message or 'not found'}"),
    409: _conflict,
    410: _gone,
    412: _precondition,
    420: _busy,
    423: _busy,
    429: _busy,
    500: _server_error,
    501: _unsupported,
    503: _busy,
}
