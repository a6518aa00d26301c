"""Counts the requests of whatever library makes them: ours, and those over aiohttp or urllib3."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from datastore.http.observe import Exchange, Exchanges, observed

__all__ = ["watched"]


@contextmanager
def watched() -> Iterator[Exchanges]:
    """Collect the requests of the block; of other libraries, up to the answer's headers."""
    with ExitStack() as stack:
        seen = stack.enter_context(observed())
        for module, owner, method, wrap in (
            ("aiohttp", "ClientSession", "_request", _awaited),
            ("urllib3.connectionpool", "HTTPConnectionPool", "urlopen", _called),
        ):
            if module in sys.modules:
                cls = getattr(sys.modules[module], owner)
                stack.enter_context(mock.patch.object(cls, method, wrap(getattr(cls, method), seen)))
        yield seen


def _exchange(begin: float) -> Exchange:
    now = time.monotonic()
    return Exchange(method="", url="", status=0, sent=0, received=0, begin=begin, end=now, attempt=1)


def _awaited(original: Callable[..., Any], seen: Exchanges) -> Callable[..., Any]:
    async def request(*args: Any, **kwargs: Any) -> Any:
        begin = time.monotonic()
        try:
            return await original(*args, **kwargs)
        finally:
            seen.append(_exchange(begin))

    return request


def _called(original: Callable[..., Any], seen: Exchanges) -> Callable[..., Any]:
    def request(*args: Any, **kwargs: Any) -> Any:
        begin = time.monotonic()
        try:
            return original(*args, **kwargs)
        finally:
            seen.append(_exchange(begin))

    return request
