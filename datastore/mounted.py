"""Mounts as handles: `mount / "key"` is a URL, and the clients that people know are one call away."""

from collections.abc import Mapping
from typing import Any

from datastore.errors import NotFound
from datastore.interop import boto3_client, connection_of, s3_filesystem
from datastore.namespace import MountInfo, Namespace
from datastore.urls import SCHEME, DatasetURL

__all__ = ["Mount"]


class Mount:
    """A mount of the configuration, or one that `ds.mount` made.

    Args:
        info: What is known of it.
        namespace: Where its name is looked up.
    """

    def __init__(self, info: MountInfo, *, namespace: Namespace) -> None:
        self._info = info
        self._namespace = namespace

    @property
    def name(self) -> str:
        """As in `ds://<name>/…`."""
        return self._info.name

    @property
    def provider(self) -> str:
        """Scheme of its provider."""
        return self._info.provider

    @property
    def options(self) -> Mapping[str, Any]:
        """Its options without the secret ones."""
        return self._info.options

    @property
    def source(self) -> str:
        """Where it comes from: a file, `environment` or `session`."""
        return self._info.source

    @property
    def versioned(self) -> bool | None:
        """Whether it holds repos; None where it cannot be opened."""
        return self._info.versioned

    @property
    def url(self) -> DatasetURL:
        """The URL of all of it."""
        return self._namespace.url(f"{SCHEME}{self.name}/")

    def __truediv__(self, key: str) -> DatasetURL:
        return self.url / key

    def boto3(self) -> Any:
        """Return a client `s3` of boto3 with address and credentials of this mount, as they are at this moment.

        Buckets and keys are those of the service: what a mount puts before its keys is in its `options`. Of lakeFS it
        is a client of the S3 gateway: the repo is the bucket, keys are `ref/key`.

        Raises:
            UnsupportedOperation: The mount is not reached by S3, or the extra `interop` is not installed.
        """
        return boto3_client(connection_of(self._namespace.root(self.name), title=f"mount {self.name!r}"))

    def s3fs(self) -> Any:
        """Return a file system of s3fs with address and credentials of this mount; as `boto3`.

        Its paths are `bucket/key`. It does not notice when an object changes while it is read; `ds.filesystem` does.
        """
        return s3_filesystem(connection_of(self._namespace.root(self.name), title=f"mount {self.name!r}"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mount) and (self._info, self._namespace) == (other._info, other._namespace)

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> "tuple[object, ...]":
        return _rebuild, (self.name, self._namespace.handle())

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"Mount({self.name!r}, provider={self.provider!r}{options})"


def _rebuild(name: str, handle: dict[str, str]) -> Mount:
    namespace = Namespace.from_handle(handle)
    for info in namespace.mounts():
        if info.name == name:
            return Mount(info, namespace=namespace)
    raise NotFound(f"no mount is called {name!r} here", hint="it was there when the handle was pickled")
