"""Requests that others may send: a browser, another machine, whoever holds them."""

from typing import Literal

from datastore.errors import UnsupportedOperation
from datastore.providers.s3.multipart import part_query
from datastore.providers.s3.site import Site, Spot
from datastore.providers.s3.writing import writing_headers
from datastore.values import Attributes, PresignedRequest, UploadInfo

__all__ = ["presign", "presign_part"]


def presign(
    site: Site,
    method: Literal["GET", "HEAD", "PUT", "DELETE"],
    spot: Spot,
    *,
    expires: float,
    attributes: Attributes | None,
) -> PresignedRequest:
    """Return a request about one object; no request is made, unless credentials have to be looked up.

    A PUT carries the content type that follows from the key, or the one that is given: it has to be sent with it.

    Raises:
        UnsupportedOperation: The mount is anonymous, or has a key of its own that the holder would need.
        ValidationError: Longer than 7 days, or no time at all.
    """
    headers = writing_headers(site, spot, attributes) if method == "PUT" else {}
    return _signed(site, method, spot, site.url(spot.bucket, spot.name), expires=expires, headers=headers)


def presign_part(site: Site, spot: Spot, upload: UploadInfo, number: int, *, expires: float) -> PresignedRequest:
    """Return the request that sends one part; its answer has the part's etag in a header."""
    url = site.url(spot.bucket, spot.name, query=part_query(upload, number))
    return _signed(site, "PUT", spot, url, expires=expires, headers={})


def _signed(
    site: Site,
    method: Literal["GET", "HEAD", "PUT", "DELETE"],
    spot: Spot,
    url: str,
    *,
    expires: float,
    headers: dict[str, str],
) -> PresignedRequest:
    if site.encryption is not None and site.encryption.customer_key is not None:
        raise UnsupportedOperation(
            f"cannot presign {spot.key[:120]!r}: its holder would need the key that encrypts it",
            hint="use a mount without sse_customer_key",
        )
    if site.requester_pays:
        headers = {**headers, "x-amz-request-payer": "requester"}
    return site.authorizer.presign(method, url, expires=expires, headers=headers)
