"""What of a URL may be shown: no user, no secret, no signature."""

import re
from typing import Final
from urllib.parse import unquote

__all__ = ["redacted"]

_SECRET: Final = re.compile(
    r"x-amz-.*|x-goog-.*|signature|sig|s[aeprvkt]|.*token|expires|policy|key-pair-id|.*secret.*|"
    r".*credential.*|pass.*|pwd|auth.*|.*api[-_]?key|.*access[-_]?key([-_]?id)?",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = "***"
# By hand, because urlsplit refuses some URLs, and those have to be shown, too: scheme, host, path, query.
_PARTS: Final = re.compile(
    r"([a-z][a-z0-9+.-]*://|//)?([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.IGNORECASE | re.DOTALL
)


def redacted(url: str) -> str:
    """Return a URL as logs, errors and traces may have it; parameters that could be a credential lose their value.

    >>> redacted("https://me:pw@host/a%20b?list-type=2&X-Amz-Signature=1f&prefix=p#frag")
    'https://host/a%20b?list-type=2&X-Amz-Signature=***&prefix=p'
    """
    return _PARTS.sub(_shown, url, count=1)


def _shown(parts: re.Match[str]) -> str:
    scheme, host, path, query = parts.groups(default="")
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    shown = "&".join(
        name + is_ + (_PLACEHOLDER if value and _SECRET.fullmatch(unquote(name)) else value)
        for name, is_, value in pairs
    )
    return f"{scheme}{host.rpartition('@')[2]}{path}{'?' if shown else ''}{shown}"
