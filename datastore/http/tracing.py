"""OpenTelemetry spans for requests, in applications that trace.

Spans are made in the caller's thread, where its trace is current. An application that traces has imported the API
long before its first request, so nothing is imported here.
"""

import contextlib
import sys
from collections.abc import Generator
from typing import Any

from datastore.calls import HttpRequest, HttpResponse
from datastore.http.redaction import redacted

__all__ = ["Span", "traced"]


class Span:
    """One request in a trace; without OpenTelemetry it records nothing."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def ended(self, response: HttpResponse) -> HttpResponse:
        """Note the answer, and return it."""
        if self._span is not None:
            self._span.set_attribute("http.response.status_code", response.status)
            self._span.set_attribute("http.response.body.size", response.size)
            if response.attempts > 1:
                self._span.set_attribute("http.request.resend_count", response.attempts - 1)
        return response


_SILENT = Span()


@contextlib.contextmanager
def traced(request: HttpRequest) -> Generator[Span]:
    """Put the request of the block into the current trace, by the semantic conventions for HTTP clients."""
    api: Any = sys.modules.get("opentelemetry.trace")
    if api is None:
        yield _SILENT
        return
    attributes = {
        "http.request.method": request.method,
        "url.full": redacted(request.url),
        "datastore.what": request.what,
    }
    tracer = api.get_tracer("datastore")
    with tracer.start_as_current_span(request.method, kind=api.SpanKind.CLIENT, attributes=attributes) as span:
        yield Span(span)
