"""A request that is sent before its answer is needed."""

import os

from datastore.calls import HttpRequest, HttpResponse
from datastore.http.engine import engine

__all__ = ["Ahead"]


class Ahead:
    """A request that is on its way, in the process that asks for its answer."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._process = os.getpid()
        self._future = engine().submit(request)

    def result(self) -> HttpResponse:
        """Wait for the answer, and return it or raise."""
        if os.getpid() != self._process:  # what the parent asked for is not answered here
            return engine().send(self._request)
        return self._future.result()
