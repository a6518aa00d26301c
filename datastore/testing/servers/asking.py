"""One HTTP request to a server of this machine, with nothing but the standard library."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from datastore.errors import Unavailable

__all__ = ["ask"]

_TIMEOUT = 60.0
_GREETING_TIMEOUT = 2.0


def ask(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    ca: Path | None = None,
    greeting: bool = False,
) -> bytes:
    """Return the body of the answer.

    Args:
        method: Of HTTP.
        url: Of a server on this machine; no proxy is asked.
        body: To send, if any.
        headers: To send.
        ca: The certificate of the authority that an `https` server's own was signed by.
        greeting: Whether to give up soon, because it is not known who listens there.

    Raises:
        Unavailable: The server says no.
        OSError: It does not answer.
    """
    handlers = [ProxyHandler({})]
    secure = [HTTPSHandler(context=ssl.create_default_context(cafile=ca))] if ca else []
    request = Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310 - our own http URL
    timeout = _GREETING_TIMEOUT if greeting else _TIMEOUT
    try:
        with build_opener(*handlers, *secure).open(request, timeout=timeout) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        with error:
            told = error.read().decode(errors="replace")[:500]
        raise Unavailable(f"{method} {url} is answered with {error.code}: {told}") from error
