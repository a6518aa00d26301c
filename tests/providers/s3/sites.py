"""Providers over the test servers' buckets, and boto3 beside them."""

import boto3
from botocore.config import Config
from msgspec.structs import replace

from datastore.http.signing import Credentials
from datastore.providers.s3.authorizing import S3Authorizer
from datastore.providers.s3.bucket import S3Provider
from datastore.providers.s3.credentials import Fixed
from datastore.providers.s3.presets import HTTP, PRESETS
from datastore.providers.s3.site import Site
from datastore.secret import Secret

# versitygw looks at conditions, but not atomically: of eight that create one key at once, several succeed in every
# second race. A mount of it therefore has the row of an unknown endpoint; this one is for tests without races.
VERSITYGW = replace(PRESETS["custom"], put=HTTP, complete=HTTP)


def site_of(server, preset=None, *, endpoint=None, **more):
    """The service as a mount would have it."""
    row = preset or (PRESETS["minio"] if server.kind == "minio" else VERSITYGW)
    keys = Credentials(access_key_id=server.access_key, secret_access_key=Secret(server.secret_key))
    authorizer = S3Authorizer(Fixed(keys), region=server.region)
    return Site(preset=row, endpoint=endpoint or server.endpoint, authorizer=authorizer, addressing="path", **more)


def bucket_of(server, *, prefix="", **more):
    """A provider over a fresh bucket."""
    return S3Provider(site_of(server, **more), server.new_bucket(), prefix=prefix)


def boto(server):
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=Config(s3={"addressing_style": "path"}),
    )


def options_of(server, **more):
    """What a configuration would say of a server."""
    return {
        "endpoint": server.endpoint,
        "region": server.region,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
        **more,
    }
