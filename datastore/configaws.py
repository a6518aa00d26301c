"""What the tools for AWS and for R2 are told by this machine: its environment, and the region in AWS's own file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from datastore.secret import Secret

__all__ = ["AwsEnvironment", "R2Environment", "aws_environment", "aws_region", "r2_environment"]

_YES: Final = frozenset({"1", "true", "yes", "on"})


class AwsEnvironment(Struct, frozen=True, kw_only=True):
    """AWS's variables, with botocore's rules; what is not set is empty.

    Attributes:
        endpoint: Where S3 is instead of at AWS: what the ambient credentials are for.
        region: Which one.
        access_key_id: Name of the key, where the pair is complete and does not expire.
        secret_access_key: Its secret.
        session_token: With temporary keys.
        profile: Which one is meant where none is named.
    """

    endpoint: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    profile: str = ""


class R2Environment(Struct, frozen=True, kw_only=True):
    """Variables for Cloudflare R2; what is not set is empty."""

    account_id: str = ""
    access_key_id: str = ""
    secret_access_key: Secret | None = None


def aws_environment(environ: Mapping[str, str] | None = None) -> AwsEnvironment:
    """Read AWS's variables; `environ` instead of the process's environment.

    >>> aws_environment({"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-west-1"}).region
    'eu-west-1'
    """
    environ = os.environ if environ is None else environ
    ignored = environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() in _YES
    key, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    token = environ.get("AWS_SESSION_TOKEN") or environ.get("AWS_SECURITY_TOKEN")
    # Half a pair, and keys with an end, are for botocore: it complains about the one and watches over the other.
    whole = bool(key and secret) and "AWS_CREDENTIAL_EXPIRATION" not in environ
    return AwsEnvironment(
        endpoint="" if ignored else environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or "",
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "",
        access_key_id=key if whole else "",
        secret_access_key=Secret(secret) if whole else None,
        session_token=Secret(token) if whole and token else None,
        profile=environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or "",
    )


def aws_region(profile: str | None = None, *, environ: Mapping[str, str] | None = None) -> str:
    """Return the region that AWS's tools would use: the environment's, else that of a profile in their file; or "".

    The file is read here and not by botocore, which takes a tenth of a second to import.

    Args:
        profile: Its name; None for the one that the environment chooses, or `default`.
        environ: Instead of the process's environment.
    """
    environ = os.environ if environ is None else environ
    known = aws_environment(environ)
    if known.region:
        return known.region
    name = profile or known.profile or "default"
    file = Path(environ.get("AWS_CONFIG_FILE") or "~/.aws/config").expanduser()
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return ""
    from configparser import ConfigParser, Error  # few machines have such a file

    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except Error:  # botocore will say so when it looks for credentials
        return ""
    sections = [name] if name == "default" else [f"profile {name}", f'profile "{name}"']
    return next((parser[section].get("region", "") for section in sections if section in parser), "")


def r2_environment(environ: Mapping[str, str] | None = None) -> R2Environment:
    """Read the variables for R2; `environ` instead of the process's environment."""
    environ = os.environ if environ is None else environ
    secret = environ.get("R2_SECRET_ACCESS_KEY")
    return R2Environment(
        account_id=environ.get("R2_ACCOUNT_ID", ""),
        access_key_id=environ.get("R2_ACCESS_KEY_ID", ""),
        secret_access_key=Secret(secret) if secret else None,
    )
