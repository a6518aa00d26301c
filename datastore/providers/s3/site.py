"""One S3 service as a mount uses it: from a bucket, a name and a verb to the request that does it."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct

from datastore.calls import HttpRequest, Judge, Method
from datastore.http.signing import quote_path, quote_query
from datastore.providers.s3.authorizing import S3Authorizer
from datastore.providers.s3.encryption import Encryption
from datastore.providers.s3.presets import Addressing, Preset, bucket_url
from datastore.providers.s3.refusals import judge

__all__ = ["Site", "Spot"]

_cached_url: Final = lru_cache(maxsize=1024)(bucket_url)


class Spot(Struct, frozen=True):
    """One object: its bucket, its whole name there, and the key by which the caller knows it."""

    bucket: str
    name: str
    key: str


class Site(Struct, frozen=True, kw_only=True):
    """A service, and who asks it for what. Free to make; equal to another one that asks the same in the same name.

    Attributes:
        preset: What the service does in its own way.
        endpoint: Its address, without a slash at the end.
        authorizer: Signs.
        addressing: Whether buckets are in hosts or in paths.
        requester_pays: Whether the caller agrees to pay for what belongs to others.
        encryption: How the service is to encrypt; None leaves it to the bucket.
    """

    preset: Preset
    endpoint: str
    authorizer: S3Authorizer
    addressing: Addressing
    requester_pays: bool = False
    encryption: Encryption | None = None

    def url(self, bucket: str, name: str = "", *, query: Iterable[tuple[str, str]] = ()) -> str:
        """Return the address of an object, of a bucket, or with "" of the service."""
        base = _cached_url(self.endpoint, bucket, addressing=self.addressing) if bucket else self.endpoint
        parameters = quote_query(query)
        return f"{base}/{quote_path(name)}{'?' if parameters else ''}{parameters}"

    def place(self, spot: Spot) -> str:
        """Return what names an object on this service among all others."""
        return f"{self.endpoint}/{spot.bucket}/{spot.name}"

    def request(
        self,
        method: Method,
        spot: Spot,
        *,
        what: str,
        query: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        judge: Judge = judge,
        sealed: bool = False,
        **more: Any,
    ) -> HttpRequest:
        """Return a request about an object, or about a bucket if the spot has no name.

        Args:
            method: HTTP method.
            spot: What it is about.
            what: The verb and its object, for errors.
            query: Parameters.
            headers: Besides those that every request of this mount has.
            judge: Says what answers mean.
            sealed: Whether the request needs the customer's key, where there is one.
            more: Further fields of `HttpRequest`.
        """
        fields = dict(headers or {})
        if self.requester_pays:
            fields["x-amz-request-payer"] = "requester"
        encryption = self.encryption if sealed else None
        return HttpRequest(
            what=what,
            method=method,
            url=self.url(spot.bucket, spot.name, query=query),
            headers=fields,
            authorize=self.authorizer if encryption is None else encryption.sealing(self.authorizer),
            judge=judge,
            **more,
        )
