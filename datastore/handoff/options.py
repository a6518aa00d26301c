"""`ds.storage_options`: what tools with clients of their own need to reach the same data."""

from collections.abc import Callable
from typing import Any, Final, Literal

from datastore.bridging import Connection, SupportsAddress, SupportsConnection
from datastore.errors import UnsupportedOperation, ValidationError
from datastore.handoff.finding import held
from datastore.interop import s3_keys, s3_options
from datastore.moving import at_commit
from datastore.namespace import Namespace
from datastore.urls import DatasetURL

__all__ = ["StorageOptions", "Tool", "storage_options"]

Tool = Literal["fsspec", "polars"]


class StorageOptions(dict[str, Any]):
    """Options for a tool, among them secrets, which its repr does not show; they travel in pickles.

    Attributes:
        url: The data as the tool has to name it.
    """

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.url = url

    def __repr__(self) -> str:
        return f"<StorageOptions for {self.url}: {', '.join(self) or 'none'}>"

    __str__ = __repr__

    def __rich_repr__(self) -> Any:
        yield self.url

    def __reduce__(self) -> tuple[Any, ...]:
        return StorageOptions, (self.url, dict(self))


def storage_options(namespace: Namespace, url: DatasetURL, *, tool: Tool) -> StorageOptions:
    """Return what a tool needs to read a URL by itself; see `ds.storage_options`."""
    if tool not in _FORMS:
        raise ValidationError(f"tool={tool!r} is not known", hint=f"one of {', '.join(_FORMS)}")
    at = at_commit(namespace, held(namespace, url))
    target = namespace.target(at)
    root = target.versioned or target.provider
    if isinstance(root, SupportsConnection):
        connection = root.connection()
        if connection.service == "lakefs":
            return StorageOptions(f"s3://{connection.place}/{target.ref}/{target.key}", _FORMS[tool](connection))
        if isinstance(target.provider, SupportsAddress):
            return StorageOptions(target.provider.address(target.key), _FORMS[tool](connection))
    if tool != "fsspec":
        raise UnsupportedOperation(f"{tool} has no way of its own to {url}", hint=f"ds.scan({str(url)!r}) has one")
    return StorageOptions(at, {})


def _polars(connection: Connection) -> dict[str, Any]:
    options = {
        "aws_endpoint_url": connection.endpoint,
        "aws_region": connection.region or "us-east-1",
        "aws_virtual_hosted_style_request": str(not connection.path_style).lower(),
        **{f"aws_{name}": value for name, value in s3_keys(connection).items()},
    }
    if connection.endpoint.startswith("http://"):
        options["aws_allow_http"] = "true"
    if not s3_keys(connection):
        options["aws_skip_signature"] = "true"
    return {name: value for name, value in options.items() if value}


_FORMS: Final[dict[Tool, Callable[[Connection], dict[str, Any]]]] = {"fsspec": s3_options, "polars": _polars}
