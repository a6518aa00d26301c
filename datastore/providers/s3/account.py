"""A provider over all buckets of a service: keys begin with the bucket's name."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import structs

from datastore.errors import AlreadyExists, InvalidURL, NotFound
from datastore.http.engine import engine
from datastore.listing import pages
from datastore.providers.s3 import multipart
from datastore.providers.s3.abandoned import sweep
from datastore.providers.s3.bucket import S3Provider
from datastore.providers.s3.documents import CREATE_BUCKET, parse_buckets
from datastore.providers.s3.listing import Scope, fold, list_pages
from datastore.providers.s3.objects import S3Objects, is_utf8
from datastore.providers.s3.presets import is_aws
from datastore.providers.s3.refusals import judge_document, refused
from datastore.providers.s3.site import Spot
from datastore.values import BucketInfo, Page, UploadInfo

__all__ = ["S3Account", "check_bucket"]

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", re.ASCII)


def check_bucket(name: str) -> bool:
    """Tell whether a name may become part of URLs; the rules of services are stricter."""
    return _BUCKET.fullmatch(name) is not None and ".." not in name


class S3Account(S3Objects):
    """The objects of all buckets that the credentials may see, as `bucket/key`.

    Args:
        site: The service.
    """

    def _locate(self, key: str) -> Spot:
        bucket, _, name = key.partition("/")
        if not (name and check_bucket(bucket)):
            raise NotFound(f"no object has the key {key[:120]!r}", hint="keys of this mount are bucket/key")
        return Spot(bucket, name, key)

    def _writable(self, key: str) -> Spot:
        bucket, _, name = key.partition("/")
        if key and not (name and check_bucket(bucket)):
            raise InvalidURL(
                f"key {key[:120]!r} does not begin with a bucket", hint="keys of this mount are bucket/key"
            )
        return super()._writable(key)

    def _may_exist(self, key: str) -> bool:
        bucket, _, name = key.partition("/")
        return bool(name) and check_bucket(bucket) and super()._may_exist(key)

    def list(self, prefix: str = "", *, delimiter: str | None = None, start_after: str | None = None) -> Iterator[Page]:
        """List buckets, and objects in them; a request for the buckets if the prefix does not name one."""
        if not (is_utf8(prefix) and is_utf8(start_after or "")):
            return iter(())
        bucket, slash, rest = prefix.partition("/")
        if slash:
            return self._within(bucket, rest, delimiter, start_after) if check_bucket(bucket) else iter(())
        if delimiter == "/":
            return pages(name for name in self._folders(prefix) if start_after is None or name > start_after)
        flat = (page for name in self._folders(prefix) for page in self._within(name[:-1], "", None, start_after))
        return flat if not delimiter else fold(flat, prefix=prefix, delimiter=delimiter, start_after=start_after)

    def _folders(self, prefix: str) -> Iterator[str]:
        # With its slash: `a-b/` comes before `a/`.
        yield from sorted(f"{bucket.name}/" for bucket in self.buckets() if bucket.name.startswith(prefix))

    def _within(self, bucket: str, prefix: str, delimiter: str | None, start_after: str | None) -> Iterator[Page]:
        lead = f"{bucket}/"
        after = None
        if start_after is not None and start_after >= lead:
            if not start_after.startswith(lead):
                return iter(())  # all of the bucket is before it
            after = start_after[len(lead) :] or None
        return list_pages(Scope(self.site, bucket, prefix, after, lead=lead), delimiter=delimiter)

    def uploads(self, prefix: str = "") -> Sequence[UploadInfo]:
        """Return the unfinished uploads of keys with this prefix, oldest first."""
        sweep()
        bucket, slash, rest = prefix.partition("/")
        names = [bucket] if slash else [folder[:-1] for folder in self._folders(prefix)]
        found = [
            structs.replace(upload, key=f"{name}/{upload.key}")
            for name in names
            if check_bucket(name)
            for upload in multipart.unfinished(self.site, name, rest)
        ]
        return sorted(found, key=lambda upload: upload.started_us)

    # ----------------------------------------------------------------------------------------------------- buckets
    def buckets(self) -> Sequence[BucketInfo]:
        """Return the buckets by name."""
        found: list[BucketInfo] = []
        token: str | None = ""
        while token is not None:
            query = (("continuation-token", token),) if token else ()
            request = self.site.request(
                "GET", Spot("", "", ""), what="list of buckets", query=query, judge=judge_document
            )
            response = engine().send(request)
            if response.status != 200:
                raise refused("list of buckets", response, bucket="")
            page, token = parse_buckets(response.body)
            found += page
        return sorted(found, key=lambda bucket: bucket.name)

    def bucket(self, name: str) -> S3Provider:
        """Return one bucket; it need not be there."""
        if not check_bucket(name):
            raise InvalidURL(f"{name[:80]!r} is no bucket's name", hint="3 to 63 of a-z, 0-9, '-' and '.'")
        return S3Provider(self.site, name)

    def create_bucket(self, name: str) -> BucketInfo:
        """Make a bucket in the mount's region. Raises `AlreadyExists`, also if it is yours already."""
        spot = Spot(self.bucket(name).bucket_name, "", "")
        what = f"making of bucket {name!r}"
        # Some services and regions say yes once more to whoever owns it.
        if engine().send(self.site.request("HEAD", spot, what=what)).status == 200:
            raise AlreadyExists(f"the bucket {name!r} exists already", hint="use it, or choose another name")
        region = self.site.authorizer.region
        elsewhere = is_aws(self.site.endpoint) and region != "us-east-1"
        body = CREATE_BUCKET.format(region).encode() if elsewhere else b""
        response = engine().send(self.site.request("PUT", spot, what=what, body=body))
        if response.status not in {200, 204}:
            raise refused(what, response, bucket=name)
        return next(
            (bucket for bucket in self.buckets() if bucket.name == name),
            BucketInfo(name=name, created_us=0, region=region),
        )

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket. Raises `Conflict` for one that is not."""
        what = f"deletion of bucket {name!r}"
        spot = Spot(self.bucket(name).bucket_name, "", "")
        response = engine().send(self.site.request("DELETE", spot, what=what))
        if response.status not in {200, 204}:
            raise refused(what, response, bucket=name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, S3Account) and self.site == other.site

    def __hash__(self) -> int:
        return hash((S3Account, self.site.endpoint))

    def __repr__(self) -> str:
        return f"S3Account({self.site.endpoint!r})"
