"""Which certificate authorities are trusted."""

import os
from pathlib import Path
from typing import Final

from datastore.errors import ConfigError

__all__ = ["ca_file"]

_VARIABLES: Final = ("SSL_CERT_FILE", "AWS_CA_BUNDLE")  # the names that OpenSSL and the AWS tools go by


def ca_file() -> str:
    """Return the file of trusted certificates: what the environment names, else certifi's.

    Raises:
        ConfigError: The environment names a file that is not there.
    """
    for variable in _VARIABLES:
        if path := os.environ.get(variable):
            if not Path(path).is_file():
                raise ConfigError(f"{variable} names {path}, which is no file", hint="correct it, or unset it")
            return path
    import certifi  # only processes that open a connection need it

    return certifi.where()
