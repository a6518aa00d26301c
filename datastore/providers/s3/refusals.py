"""What S3 refuses, in our words: one table from its codes to typed errors, and what an answer means for the engine.

The codes are those of AWS's error list, of R2 (facts/media.md §1.1), and of what versitygw and MinIO were seen to send.
"""

from collections.abc import Callable
from typing import Final

from datastore.calls import HttpRequest, HttpResponse, Verdict
from datastore.errors import (
    AlreadyExists,
    Conflict,
    DatastoreError,
    Forbidden,
    HeadMoved,
    IntegrityError,
    NotFound,
    TooLarge,
    Unavailable,
    UnsupportedOperation,
    ValidationError,
)
from datastore.http import retry
from datastore.providers.s3.documents import error_fields, is_whole, root_name

__all__ = ["FOLDER_CLASH", "UNSPEAKABLE", "code_of", "error_of_code", "judge", "judge_document", "refused"]

_SLOW: Final = frozenset(
    {"SlowDown", "TooManyRequests", "RequestLimitExceeded", "Throttling", "ServiceUnavailable", "Busy"}
)
_RETRY: Final = frozenset({
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
})  # fmt: skip
_REAUTHORIZE: Final = frozenset({
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "ExpiredTokenException",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "TemporaryRedirect",
    "TokenRefreshRequired",
})  # fmt: skip
FOLDER_CLASH: Final = frozenset(
    {"ExistingObjectIsDirectory", "ExistingObjectIsFile", "ObjectParentIsFile", "XMinioParentIsObject"}
)
"""What gateways over a file system answer when an object and a folder would have one name."""
UNSPEAKABLE: Final = frozenset({"XMinioInvalidObjectName", "XMinioInvalidResourceName"})
"""What is answered for names that no object of the service can have."""

_CHANGED: Final = "the bytes changed on their way, or while they were read; put them again"
_Error = Callable[..., DatastoreError]
_CODES: Final[dict[str, tuple[_Error, str | None]]] = {
    "NoSuchUpload": (NotFound, "it was completed or aborted; begin a new one"),
    "NoSuchVersion": (NotFound, None),
    "InvalidObjectState": (UnsupportedOperation, "the object is archived: restore it first"),
    "AllAccessDisabled": (Forbidden, None),
    "AccountProblem": (Forbidden, None),
    "InvalidAccessKeyId": (Forbidden, "check profile or access_key_id of the mount: this service does not know it"),
    "XAdminUserNotFound": (Forbidden, "check access_key_id of the mount: this service does not know it"),
    "SignatureDoesNotMatch": (Forbidden, "check secret_access_key, and that no proxy changes requests on their way"),
    "ExpiredToken": (Forbidden, "log in again, such as: aws sso login"),
    "InvalidToken": (Forbidden, "the session token is no good: log in again, such as: aws sso login"),
    "RequestTimeTooSkewed": (Forbidden, "set this machine's clock"),
    "AuthorizationHeaderMalformed": (Forbidden, "check the region of the mount"),
    "PermanentRedirect": (Forbidden, "the bucket is in another region: give the mount its region or endpoint"),
    "BucketAlreadyExists": (AlreadyExists, "bucket names are shared by all users of a service: choose another one"),
    "BucketAlreadyOwnedByYou": (AlreadyExists, "it is yours already"),
    "BucketNotEmpty": (Conflict, "delete its objects first, older versions and unfinished uploads too"),
    "EntityTooLarge": (TooLarge, None),
    "MaxMessageLengthExceeded": (TooLarge, None),
    "KeyTooLongError": (TooLarge, None),
    "MetadataTooLarge": (TooLarge, "put it into an object and name its key in the metadata"),
    "BadDigest": (IntegrityError, _CHANGED),
    "XAmzContentChecksumMismatch": (IntegrityError, _CHANGED),
    "XAmzContentSHA256Mismatch": (IntegrityError, _CHANGED),
    "InvalidPart": (IntegrityError, "the parts are not those that the service holds; upload anew"),
    "InvalidBucketName": (ValidationError, "3 to 63 of a-z, 0-9, '-' and '.'"),
    "NotImplemented": (UnsupportedOperation, None),
    "MethodNotAllowed": (UnsupportedOperation, None),
}  # fmt: skip
_STATUSES: Final[dict[int, _Error]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    405: UnsupportedOperation,
    409: Conflict,
    412: HeadMoved,
    413: TooLarge,
    501: UnsupportedOperation,
}


def judge(request: HttpRequest, response: HttpResponse) -> Verdict:
    """Return what an answer means for the engine.

    >>> get = HttpRequest(what="read", method="GET", url="http://x/")
    >>> judge(get, HttpResponse(status=403, headers={}, body=b"<Error><Code>ExpiredToken</Code></Error>"))
    'reauthorize'
    """
    if response.status in request.statuses:
        return "final"
    code = code_of(response)
    if code in _REAUTHORIZE or _may_be_authorization(request, response):
        return "reauthorize"
    if code in _SLOW:
        return "slow"
    if code in _RETRY:
        return "retry"
    return retry.judge(request, response)


def judge_document(request: HttpRequest, response: HttpResponse) -> Verdict:
    """Return what an answer means whose body has to be a document: S3 may say 200 first, and then that it failed."""
    if response.status != 200 or (is_whole(response.body) and root_name(response.body) != "Error"):
        return judge(request, response)
    return "slow" if code_of(response) in _SLOW else "retry"


def _may_be_authorization(request: HttpRequest, response: HttpResponse) -> bool:
    # HEAD has no body that would tell a clock or a token that is wrong from a right that is missing; AWS says where a
    # bucket is in a header.
    if "x-amz-bucket-region" in response.headers and response.status in {301, 307, 400}:
        return True
    return request.method == "HEAD" and response.status in {400, 403}


def code_of(response: HttpResponse) -> str:
    """Return S3's code of an error; "" where there is none."""
    if response.status < 300 and root_name(response.body) != "Error":
        return ""
    return error_fields(response.body).get("Code", "")


def refused(what: str, response: HttpResponse, *, bucket: str, key: str | None = None) -> DatastoreError:
    """Return the typed error of an answer that was not expected.

    Args:
        what: What was being done: `read object 'a.csv'`.
        response: The last answer.
        bucket: Which bucket it was about.
        key: Which object, as the caller calls it; None if it was about the bucket.
    """
    fields = error_fields(response.body)
    code = fields.get("Code", "")
    if code == "NoSuchBucket" or (response.status == 404 and key is None and not code):
        return NotFound(f"the bucket {bucket!r} does not exist", hint="check its name, and the endpoint of the mount")
    if key is not None and (code == "NoSuchKey" or (response.status == 404 and not code)):
        hint = None if code else f"should the bucket {bucket!r} be missing, this request would not tell"
        return NotFound(f"no object has the key {key[:120]!r} in bucket {bucket!r}", hint=hint)
    said = f"{code}: {fields.get('Message', '')}".strip(": ") or f"status {response.status} without a reason"
    return error_of_code(code, f"{what} in bucket {bucket!r}: {said}", status=response.status)


def error_of_code(code: str, message: str, *, status: int) -> DatastoreError:
    """Return the typed error of a code, or of a status where the code says nothing to us."""
    if code in _CODES:
        kind, hint = _CODES[code]
        return kind(message, hint=hint)
    if status in {401, 403}:
        return Forbidden(message, hint="check the rights of these credentials: the policy of the bucket, profile, role")
    if code in _SLOW or code in _RETRY or status >= 500 or status in {408, 429}:
        return Unavailable(message, hint="try again later")
    return _STATUSES.get(status, ValidationError if 400 <= status < 500 else Unavailable)(message)
