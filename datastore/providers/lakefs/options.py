"""The options of a lakeFS mount."""

from typing import Literal

from msgspec import Struct

from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.credentials import discover
from datastore.secret import Secret

__all__ = ["Options", "client_of"]


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a mount of a lakeFS server may say; lakectl's own configuration fills in server and credentials.

    Attributes:
        endpoint: `https://lakefs.example.com`.
        repo: One repo; without, the next segment of a URL names it.
        access_key_id: Name of the key.
        secret_access_key: Its secret.
        token: A token that is used instead of the keys.
        storage_namespace: Where `create_repo` puts the objects of a new repo: `s3://bucket/prefix`, to which the name
            is added.
        presign: Whether bytes go straight to and from the object store; `auto` finds out whether that works from here.
    """

    endpoint: str | None = None
    repo: str | None = None
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    token: Secret | None = None
    storage_namespace: str | None = None
    presign: Literal["auto"] | bool = "auto"


def client_of(options: Options) -> LakeFSClient:
    """Return the client that a mount means. Raises `ConfigError` if server or credentials cannot be found."""
    url, login = discover(
        endpoint=options.endpoint,
        access_key_id=options.access_key_id,
        secret_access_key=options.secret_access_key,
        token=options.token,
    )
    return LakeFSClient(url, login, presign=options.presign)
