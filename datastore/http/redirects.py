"""Where a redirect leads, and what may be sent there: pure."""

from typing import Final
from urllib.parse import urljoin, urlsplit

from datastore.calls import HttpRequest, HttpResponse, Signed

__all__ = ["redirected"]

_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
_HARMLESS: Final = frozenset({"accept", "accept-encoding", "user-agent"})


def redirected(request: HttpRequest, signed: Signed | None, response: HttpResponse) -> Signed | None:
    """Return what is sent next, or None where the answer is no redirect that may be followed.

    Only reads follow, only to http and https, never from https to http; another host gets no credentials.

    >>> read = HttpRequest(what="read", method="GET", url="https://a/x", headers={"Authorization": "me"}, follow=True)
    >>> found = redirected(read, None, HttpResponse(status=302, headers={"location": "https://b/y"}))
    >>> found.url, found.headers
    ('https://b/y', {})
    """
    target = response.headers.get("location")
    if not request.follow or request.method not in {"GET", "HEAD"} or response.status not in _STATUSES or not target:
        return None
    here = signed.url if signed else request.url
    try:
        there = urljoin(here, target)
        old, new = urlsplit(here), urlsplit(there)
    except ValueError:  # such as a bracket without its other half
        return None
    if new.scheme not in {"http", "https"} or (old.scheme == "https" and new.scheme == "http"):
        return None
    headers = signed.headers if signed else request.headers
    if (old.scheme, old.netloc) != (new.scheme, new.netloc):
        headers = {name: value for name, value in headers.items() if name.lower() in _HARMLESS}
    return Signed(there, headers)
