"""What of a URL may be shown: no user, no secret, no signature."""

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

__all__ = ["redacted"]

_SECRET: Final = re.compile(
    r"^(x-amz-(signature|credential|security-token|.*)|x-goog-.*|awsaccesskeyid|signature|sig|s[aeprvkt]|token|.*token|"
    r"expires|policy|key-pair-id|.*secret.*|password|auth.*|api_?key)$",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = "***"


def redacted(url: str) -> str:
    """Return a URL as logs, errors and traces may have it; parameters that could be a credential lose their value.

    >>> redacted("https://me:pw@host/a%20b?list-type=2&X-Amz-Signature=1f&prefix=p#frag")
    'https://host/a%20b?list-type=2&X-Amz-Signature=***&prefix=p'
    """
    parts = urlsplit(url)
    pairs = (pair.partition("=") for pair in parts.query.split("&") if pair)
    query = "&".join(
        name + is_ + (_PLACEHOLDER if _SECRET.match(name) and value else value) for name, is_, value in pairs
    )
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))
