"""Hand-off objects: the clients that people know, set up to see what a mount sees.

They come with the extra `interop` and are loaded when one is asked for. Each holds the credentials of the moment in
which it was made: they leave our care there.
"""

from importlib import import_module
from typing import Any, Final

from datastore.bridging import Connection, SupportsConnection
from datastore.errors import UnsupportedOperation

__all__ = ["boto3_client", "connection_of", "lakefs_client", "s3_filesystem", "s3_keys", "s3_options"]

_EXTRA: Final = "pip install 'datastore-sdk[interop]'"
# boto's own default since 1.36, trailing checksums, is refused by many services that speak S3.
_CHECKSUMS: Final = {
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


def connection_of(root: object, *, title: str) -> Connection:
    """Return how to reach what a mount or repo stands for.

    Args:
        root: As the provider gave it.
        title: What errors call it.

    Raises:
        UnsupportedOperation: It is on no such service.
    """
    if isinstance(root, SupportsConnection):
        return root.connection()
    raise UnsupportedOperation(f"{title} is reached neither by S3 nor by lakeFS", hint="ds.filesystem() reads it")


def boto3_client(connection: Connection) -> Any:
    """Return a client `s3` of boto3; of lakeFS, one of its S3 gateway: the repo is the bucket, keys are `ref/key`."""
    boto3, config = _module("boto3"), _module("botocore.config")
    unsigned = {} if s3_keys(connection) else {"signature_version": _module("botocore").UNSIGNED}
    return boto3.session.Session().client(
        "s3",
        endpoint_url=connection.endpoint or None,
        region_name=connection.region or "us-east-1",
        verify=connection.ca_file or None,
        config=config.Config(s3=_addressing(connection), **_CHECKSUMS, **unsigned),
        **{f"aws_{name}": value for name, value in s3_keys(connection).items()},
    )


def s3_filesystem(connection: Connection) -> Any:
    """Return a file system of s3fs; of lakeFS, one of its S3 gateway. Its paths begin with the bucket."""
    # A kept instance would go on with credentials that have changed.
    return _module("s3fs").S3FileSystem(**s3_options(connection), skip_instance_cache=True)


def s3_options(connection: Connection) -> dict[str, Any]:
    """Return what s3fs is made with, which is what pandas and dask take as `storage_options`."""
    keys = s3_keys(connection)
    return {
        "anon": not keys,
        "key": keys.get("access_key_id"),
        "secret": keys.get("secret_access_key"),
        "token": keys.get("session_token"),
        "endpoint_url": connection.endpoint or None,
        "client_kwargs": {"region_name": connection.region or "us-east-1", "verify": connection.ca_file or None},
        "config_kwargs": {"s3": _addressing(connection), **_CHECKSUMS},
        "fixed_upload_size": True,  # R2 wants parts of one size
    }


def lakefs_client(connection: Connection) -> Any:
    """Return a client of lakefs_sdk."""
    if connection.service != "lakefs":
        raise UnsupportedOperation("this repo is not on a lakeFS server", hint="boto3() and s3fs() are for S3")
    sdk, client = _module("lakefs_sdk"), _module("lakefs_sdk.client")
    token = connection.token.reveal() if connection.token else None
    secret = connection.secret_access_key.reveal() if connection.secret_access_key else None
    return client.LakeFSClient(
        sdk.Configuration(
            host=f"{connection.endpoint}/api/v1",
            username=None if token else connection.access_key_id or None,
            password=None if token else secret,
            access_token=token,
            ssl_ca_cert=connection.ca_file or None,
        )
    )


def s3_keys(connection: Connection) -> dict[str, str]:
    """Return the key pair, with the session's token if there is one; nothing for anonymous access."""
    if connection.service == "lakefs" and not connection.access_key_id:
        raise UnsupportedOperation(
            "the S3 gateway of lakeFS needs a key pair, not a token", hint="repo.lakefs_client()"
        )
    if not connection.access_key_id or connection.secret_access_key is None:
        return {}
    keys = {
        "access_key_id": connection.access_key_id,
        "secret_access_key": connection.secret_access_key.reveal(),
    }
    return keys | ({"session_token": connection.token.reveal()} if connection.token else {})


def _addressing(connection: Connection) -> dict[str, str]:
    path_style = connection.path_style or connection.service == "lakefs"
    return {"addressing_style": "path" if path_style else "auto"}


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0].replace("_", "-")
        raise UnsupportedOperation(f"{package} is not installed: {error}", hint=_EXTRA) from error
