"""Deleting exact keys, a thousand in one request."""

from collections.abc import Sequence
from typing import Final, cast

from datastore.calls import Call, HttpResponse
from datastore.errors import DatastoreError, Unavailable
from datastore.names import MAX_KEY_BYTES
from datastore.providers.lakefs.answers import DeleteError, DeleteErrors, failed
from datastore.providers.lakefs.missing import not_writable
from datastore.providers.lakefs.targets import Target
from datastore.values import DeleteFailure

__all__ = ["delete"]

_BATCH: Final = 1000
_TRIES: Final = 3


def delete(target: Target, keys: Sequence[str]) -> list[DeleteFailure]:
    """Delete keys; those that could not be deleted come back.

    The server says that all went well for a branch that is not there, so it is asked for the branch at the same time.

    Raises:
        NotFound: There is no such branch.
        Forbidden: It is no branch, or a protected one.
    """
    possible = [key for key in dict.fromkeys(keys) if _can_be(key)]
    errors: dict[str, DeleteError] = {}
    for attempt in range(_TRIES):
        errors = _delete_once(target, possible, check=attempt == 0)
        possible = [key for key, error in errors.items() if error.status_code >= 500]
        if not possible:
            break
    for error in errors.values():
        if "protected branch" in error.message or "read-only" in error.message:
            raise _error(target, error)
    if keys and len(errors) < len(keys):
        target.changed(next(key for key in keys if key not in errors))
    return [DeleteFailure(key, _error(target, error)) for key, error in errors.items()]


def _can_be(key: str) -> bool:
    """Tell whether an object may have this key: one that cannot be there need not be deleted."""
    try:
        return 0 < len(key.encode()) <= MAX_KEY_BYTES
    except UnicodeEncodeError:
        return False


def _delete_once(target: Target, keys: Sequence[str], *, check: bool) -> dict[str, DeleteError]:
    remote = target.remote
    batches = [keys[at : at + _BATCH] for at in range(0, len(keys), _BATCH)]
    calls = [cast("Call[object]", remote.branch_call(target.branch))] if check else []
    calls += [cast("Call[object]", remote.delete_objects_call(target.branch, batch)) for batch in batches]
    outcomes = remote.same(calls)
    if check and outcomes[0] is None:
        raise not_writable(remote, target.branch)
    errors = [error for outcome in outcomes if isinstance(outcome, DeleteErrors) for error in outcome.errors]
    return {error.path: error for error in errors}


def _error(target: Target, error: DeleteError) -> DatastoreError:
    what = target.about("delete", error.path)
    if error.status_code >= 500:
        return Unavailable(f"{what}: {error.message}", hint="try again")
    body = b'{"message": "%s"}' % error.message.encode()
    return failed(HttpResponse(status=error.status_code, headers={}, body=body), what)
