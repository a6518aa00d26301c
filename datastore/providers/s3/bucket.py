"""A provider over one bucket of S3, or over a prefix in it."""

from collections.abc import Iterator, Sequence

from msgspec import structs

from datastore.http.signing import quote_path
from datastore.probing import Finding
from datastore.providers.s3 import cors, lifecycle, multipart, probing
from datastore.providers.s3.abandoned import sweep
from datastore.providers.s3.cors import CorsRule
from datastore.providers.s3.listing import Scope, list_pages
from datastore.providers.s3.objects import S3Objects, is_utf8
from datastore.providers.s3.site import Site, Spot
from datastore.values import LifecycleRule, Page, UploadInfo

__all__ = ["S3Provider"]


class S3Provider(S3Objects):
    """The objects of one bucket.

    Args:
        site: The service.
        bucket: Its name.
        prefix: What all names begin with, and no key does.
        public_url: Where everybody can read the objects below the prefix.
    """

    def __init__(self, site: Site, bucket: str, *, prefix: str = "", public_url: str | None = None) -> None:
        super().__init__(site)
        self._public_url = public_url
        self.bucket_name = bucket
        self.prefix = prefix

    def _locate(self, key: str) -> Spot:
        return Spot(self.bucket_name, f"{self.prefix}{key}", key)

    def list(self, prefix: str = "", *, delimiter: str | None = None, start_after: str | None = None) -> Iterator[Page]:
        """List objects; a request per thousand names. What a content type or metadata were given, only a head tells."""
        if not (is_utf8(prefix) and is_utf8(start_after or "")):
            return iter(())
        after = None if start_after is None else f"{self.prefix}{start_after}"
        scope = Scope(self.site, self.bucket_name, f"{self.prefix}{prefix}", after, cut=len(self.prefix))
        return list_pages(scope, delimiter=delimiter)

    def uploads(self, prefix: str = "") -> Sequence[UploadInfo]:
        """Return the unfinished uploads of keys with this prefix, oldest first."""
        sweep()
        found = multipart.unfinished(self.site, self.bucket_name, f"{self.prefix}{prefix}")
        return [structs.replace(upload, key=upload.key[len(self.prefix) :]) for upload in found]

    def public_url(self, key: str) -> str | None:
        """Return where everybody can read an object, if the mount says so."""
        return None if self._public_url is None else f"{self._public_url.rstrip('/')}/{quote_path(key)}"

    def _place(self) -> str:
        return f"{self.bucket_name}/{self.prefix}"

    # ------------------------------------------------------------------------------------------- rules of the bucket
    def lifecycle(self) -> Sequence[LifecycleRule]:
        """Return the lifecycle rules of the whole bucket; their prefixes are as the bucket has them."""
        return lifecycle.get_rules(self.site, self.bucket_name)

    def set_lifecycle(self, rules: Sequence[LifecycleRule]) -> Sequence[LifecycleRule]:
        """Put rules in place of those of the same names, and return what is now in force."""
        return lifecycle.put_rules(self.site, self.bucket_name, rules)

    def delete_lifecycle(self, names: Sequence[str]) -> None:
        """Remove rules; a missing one is no failure."""
        lifecycle.delete_rules(self.site, self.bucket_name, names)

    def cors(self) -> Sequence[CorsRule]:
        """Return which web pages may talk to the bucket."""
        return cors.get_cors(self.site, self.bucket_name)

    def set_cors(self, rules: Sequence[CorsRule]) -> None:
        """Say which web pages may talk to the bucket, in place of all rules that are there."""
        cors.set_cors(self.site, self.bucket_name, rules)

    # ------------------------------------------------------------------------------------------------ for the doctor
    def probe(self, folder: str, *, write: bool) -> Iterator[Finding]:
        """Yield what can be seen of the service and the bucket, for `datastore doctor`."""
        return probing.probe(self.site, self.bucket_name, f"{self.prefix}{folder}", write=write)

    def sweep(self, folder: str) -> None:
        """Delete all that is under a prefix, with older versions and unfinished uploads."""
        probing.sweep(self.site, self.bucket_name, f"{self.prefix}{folder}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, S3Provider) and (self.site, self.bucket_name, self.prefix) == (
            other.site,
            other.bucket_name,
            other.prefix,
        )

    def __hash__(self) -> int:
        return hash((self.site.endpoint, self.bucket_name, self.prefix))

    def __repr__(self) -> str:
        return f"S3Provider({self.site.url(self.bucket_name, self.prefix)!r})"
