"""Short ways to say what a test wants of the engine."""

from typing import Any

from datastore.calls import Call, HttpRequest, HttpResponse
from datastore.errors import NotFound

__all__ = ["call", "get", "post", "put", "whole"]


def get(url: str, **options: Any) -> HttpRequest:
    return HttpRequest(**{"what": "read object 'a'", "method": "GET", "url": url, **options})


def put(url: str, body: Any = b"", **options: Any) -> HttpRequest:
    return HttpRequest(**{"what": "write object 'a'", "method": "PUT", "url": url, "body": body, **options})


def post(url: str, body: Any = b"", **options: Any) -> HttpRequest:
    return HttpRequest(**{"what": "commit", "method": "POST", "url": url, "body": body, **options})


def whole(response: HttpResponse) -> HttpResponse:
    if response.status == 404:
        raise NotFound("it is not there")
    return response


def call(request: HttpRequest) -> Call[HttpResponse]:
    return Call(request, whole)
