"""Whether requests that were signed for others get through: from here without credentials, and from a browser."""

from collections.abc import Iterator
from itertools import chain
from typing import Final, cast

from datastore.calls import HttpRequest, HttpResponse, Method
from datastore.doctor.objects import BODY, Check, Patient
from datastore.http.engine import engine
from datastore.probing import Finding
from datastore.provider import SupportsPresign
from datastore.values import Attributes, PresignedRequest

__all__ = ["SHARING"]

_ANY: Final = frozenset(range(200, 600))


def _presigned(patient: Patient) -> Iterator[Finding]:
    provider = patient.provider
    if not isinstance(provider, SupportsPresign):
        return
    if patient.write:
        attributes = Attributes(content_type="text/plain")
        put = provider.presign("PUT", f"{patient.folder}shared.txt", expires=60, attributes=attributes)
        answer = _sent(put, body=BODY)
        yield _told("presigned PUT", answer, good={200, 201, 204})
    found = next(chain.from_iterable(page.objects for page in provider.list(patient.prefix)), None)
    key = f"{patient.folder}shared.txt" if patient.write else found.key if found else None
    if key is None:
        yield Finding(check="presigned GET", state="skipped", detail="there is no object to try it with")
        return
    yield _told("presigned GET", _sent(provider.presign("GET", key, expires=60)), good={200})


def _browser(patient: Patient) -> Iterator[Finding]:
    """Ask as a browser does before it sends a request from a page of that origin."""
    provider = patient.provider
    if not patient.origin or not isinstance(provider, SupportsPresign):
        return
    for method in ("GET", "PUT"):
        shared = provider.presign(method, f"{patient.folder}shared.txt", expires=60)
        headers = {
            "origin": patient.origin,
            "access-control-request-method": method,
            "access-control-request-headers": "content-type",
        }
        answer = _ask("OPTIONS", shared.url, headers=headers)
        yield _preflight(method, patient.origin, answer)


def _preflight(method: str, origin: str, answer: HttpResponse) -> Finding:
    """Judge the answer to a preflight as a browser does.

    >>> allowed = {"access-control-allow-origin": "*", "access-control-allow-methods": "GET, PUT"}
    >>> _preflight("PUT", "https://a.example", HttpResponse(status=200, headers=allowed)).state
    'ok'
    """
    allowed = answer.headers.get("access-control-allow-origin", "")
    methods = {name.strip().upper() for name in answer.headers.get("access-control-allow-methods", "").split(",")}
    check, rule = f"browser {method}", f"a CORS rule of the bucket for {origin} with {method}, and ETag exposed"
    if not 200 <= answer.status < 300 or allowed not in {"*", origin}:
        detail = f"a page of {origin} may not: {answer.status}, allowed origin {allowed or 'none'}"
        return Finding(check=check, state="failed", detail=detail, hint=rule)
    if methods.isdisjoint({method, "*"}):
        return Finding(check=check, state="failed", detail=f"allowed methods: {', '.join(sorted(methods))}", hint=rule)
    return Finding(check=check, detail=f"a page of {origin} gets through")


def _told(check: str, answer: HttpResponse, *, good: set[int]) -> Finding:
    if answer.status in good:
        return Finding(check=check, detail="works without credentials")
    hint = "look for a proxy that changes the Host header or the path; the service's own address has to be used"
    return Finding(check=check, state="failed", detail=f"answered {answer.status}", hint=hint)


def _sent(shared: PresignedRequest, *, body: bytes = b"") -> HttpResponse:
    return _ask(shared.method, shared.url, headers=dict(shared.headers), body=body)


def _ask(method: str, url: str, *, headers: dict[str, str], body: bytes = b"") -> HttpResponse:
    """Send a request as somebody else would: without credentials, and whatever the answer."""
    request = HttpRequest(
        what="presigned request",
        method=cast("Method", method),
        url=url,
        headers=headers,
        body=body,
        statuses=_ANY,
    )
    return engine().send(request)


SHARING: Final[dict[str, Check]] = {"presigned": _presigned, "browser": _browser}
"""Checks of presigned requests."""
