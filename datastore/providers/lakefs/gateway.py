"""Requests that need no credentials of their own, signed for the server's S3 gateway: bucket = repo, key = ref/key."""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlsplit

from datastore.errors import UnsupportedOperation, ValidationError
from datastore.http import signing
from datastore.providers.lakefs.attributes import stored
from datastore.providers.lakefs.client import LakeFSClient
from datastore.values import Attributes, PresignedRequest

__all__ = ["presign"]

_REGION: Final = "us-east-1"
"""The gateway signs for any region; this is the one that tools take where nobody says another."""


def presign(
    client: LakeFSClient,
    repo: str,
    ref: str,
    method: Literal["GET", "HEAD", "PUT", "DELETE"],
    key: str,
    *,
    expires: float,
    attributes: Attributes | None,
) -> PresignedRequest:
    """Return a request that anyone may send until it expires.

    Args:
        client: The server.
        repo: The repo.
        ref: A branch or commit id.
        method: HTTP method.
        key: The object.
        expires: Seconds, at most 7 days.
        attributes: Of a PUT: checked, with a content type.

    Raises:
        UnsupportedOperation: The credentials are a token, which signs nothing.
    """
    if not 0 < expires <= signing.LONGEST_PRESIGNED:
        raise ValidationError(f"a signed request cannot be valid for {expires} seconds", hint="at most 7 days")
    keys = client.login
    if not keys.access_key_id:
        text = f"requests for {repo}@{ref} cannot be signed with a token"
        raise UnsupportedOperation(text, hint="give access_key_id and secret_access_key")
    headers: dict[str, str] = {}
    if attributes is not None:
        headers["content-type"] = attributes.content_type or ""
        headers |= {f"x-amz-meta-{name}": value for name, value in stored(attributes.metadata).items()}
    now = datetime.now(UTC)
    parts = urlsplit(client.url)
    url = f"{parts.scheme}://{parts.netloc}{signing.quote_path(f'/{repo}/{ref}/{key}')}"
    credentials = signing.Credentials(access_key_id=keys.access_key_id, secret_access_key=keys.secret)
    signed = signing.presign(method, url, credentials, region=_REGION, now=now, expires=expires, headers=headers)
    end = now + timedelta(seconds=expires)
    return PresignedRequest(method=method, url=signed, headers=headers, expires_us=int(end.timestamp() * 1_000_000))
