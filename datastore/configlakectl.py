"""What lakectl is configured with on this machine: its environment variables, then its file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from msgspec import Struct

from datastore.configfile import read_file
from datastore.errors import ConfigError
from datastore.secret import Secret

__all__ = ["Lakectl", "lakectl"]

_FILE: Final = "LAKECTL_CONFIG_FILE"
_PREFIX: Final = "LAKECTL_"


class Lakectl(Struct, frozen=True, kw_only=True):
    """Server and credentials; what is not configured is empty.

    Attributes:
        endpoint: Address of the server.
        access_key_id: Name of the key.
        secret_access_key: Its secret.
        session_token: A token that is used instead of the keys.
        provider_type: Where else credentials would come from (`aws_iam`).
        source: What was looked at, for errors.
    """

    endpoint: str = ""
    access_key_id: str = ""
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    provider_type: str = ""
    source: str = "lakectl"


def lakectl(*, environ: Mapping[str, str] | None = None) -> Lakectl:
    """Read lakectl's configuration, with lakectl's own rules: `LAKECTL_<A>_<B>` stands for `a.b` of the file.

    Args:
        environ: Instead of the process's environment.

    Raises:
        ConfigError: The file is wrong, or a named one is not there.
    """
    environ = os.environ if environ is None else environ
    named = environ.get(_FILE)
    file = os.path.expanduser(named or "~/.lakectl.yaml")  # noqa: PTH111 - unlike Path's, it needs no home folder
    exists = os.path.isfile(file)  # noqa: PTH113 - unlike Path.is_file it is never an error
    if named and not exists:
        raise ConfigError(f"{_FILE} names {file}, which is not there", hint=f"correct or unset {_FILE}")
    tree = read_file(Path(file)) if exists else {}

    def value(*path: str) -> str:
        if given := environ.get(_PREFIX + "_".join(path).upper()):
            return given
        place: Any = tree
        for name in path:
            place = cast("dict[str, Any]", place).get(name) if isinstance(place, dict) else None
        return place if isinstance(place, str) else ""

    secret, token = value("credentials", "secret_access_key"), value("credentials", "session_token")
    return Lakectl(
        endpoint=value("server", "endpoint_url"),
        access_key_id=value("credentials", "access_key_id"),
        secret_access_key=Secret(secret) if secret else None,
        session_token=Secret(token) if token else None,
        provider_type=value("credentials", "provider", "type"),
        source=file if tree else "the environment (LAKECTL_…)",
    )
