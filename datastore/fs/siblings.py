"""Sends for the ends of Parquet files before they are opened: those of a dataset are opened one after the other."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from datastore.calls import Call, HttpResponse
from datastore.errors import DatastoreError
from datastore.fs.footers import TAIL, is_parquet
from datastore.provider import SupportsRequests
from datastore.values import ByteRange, ObjectInfo

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Siblings"]

_AHEAD: Final = 8


class _Coming(Struct, frozen=True):
    """The end of an object on its way."""

    info: ObjectInfo
    call: Call[bytes]
    future: "Future[HttpResponse]"


class _Listed(Struct, frozen=True):
    """The Parquet files of a listing, of one state of a mount, and the place of each."""

    state: str
    infos: Sequence[ObjectInfo]
    places: dict[str, int]


class Siblings:
    """The Parquet files of the last listing of a view. When two of them are opened in order, more ends are sent for.

    It holds no lock: what threads do at the same time may cost a request, nothing else.
    """

    def __init__(self) -> None:
        self._listed = _Listed("", (), {})
        self._last = -1
        self._coming: dict[str, _Coming] = {}
        self._process = os.getpid()

    def listed(self, state: str, infos: Sequence[ObjectInfo]) -> None:
        """Learn what a listing gave."""
        files = [info for info in infos if is_parquet(info.key)]
        if len(files) > 1:
            self._listed = _Listed(state, files, {info.key: place for place, info in enumerate(files)})
            self._last = -1
            self._coming = {}

    def opened(self, provider: SupportsRequests, state: str, info: ObjectInfo) -> bytes | None:
        """Learn that one of them is opened, and return its end if it was sent for and came."""
        place = self._listed.places.get(info.key) if state == self._listed.state else None
        if place is None:
            return None
        before, self._last = self._last, place
        if os.getpid() != self._process:  # what was sent for comes to the parent
            self._process, self._coming = os.getpid(), {}
        if place and place == before + 1:
            infos = [info, *self._listed.infos[place + 1 : place + 1 + _AHEAD]]
            self._send_for([one for one in infos if one.size], provider)
        coming = self._coming.pop(info.key, None)
        if coming is None or coming.info.etag != info.etag:
            return None
        with suppress(DatastoreError):  # whoever asks for it alone is told
            return coming.call.finish(coming.future.result())
        return None

    def _send_for(self, infos: Sequence[ObjectInfo], provider: SupportsRequests) -> None:
        from datastore.http.engine import engine

        wanted: dict[str, _Coming] = {}
        with suppress(DatastoreError):
            for info in infos:
                coming = self._coming.get(info.key)
                if coming is None:
                    call = provider.get_call(info, range=ByteRange(max(info.size - TAIL, 0), info.size))
                    coming = _Coming(info, call, engine().submit(call.request))
                wanted[info.key] = coming
        self._coming = wanted
