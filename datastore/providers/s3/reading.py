"""Heads and reads of objects as requests: one of them tells what there is and brings the first bytes."""

from functools import partial
from typing import Final

from datastore.calls import Call, HttpRequest, HttpResponse, Sink
from datastore.errors import DatastoreError, HeadMoved, InvalidURL, NotFound, ValidationError
from datastore.http.engine import engine
from datastore.http.reading import open_reader
from datastore.names import check_key
from datastore.provider import Reader
from datastore.providers.s3.attributes import etag_header, info_of_headers, unquoted
from datastore.providers.s3.documents import listing
from datastore.providers.s3.refusals import code_of, judge_document, refused
from datastore.providers.s3.site import Site, Spot
from datastore.values import ByteRange, ObjectInfo

__all__ = [
    "WINDOW",
    "check_readable",
    "first_name",
    "first_window",
    "get_call",
    "head_call",
    "is_exact",
    "moved",
    "open_object",
]

WINDOW: Final = 1 << 20
"""Bytes that the first request of a read brings along: what is no longer needs no second one."""
_TAIL: Final = 8 << 20  # up to here the end of an object is cheaper to take whole than to ask for its size first
_OK: Final = frozenset({200, 206})


def check_readable(key: str) -> str:
    """Return a key that the service can be asked for, or raise what an empty or unspeakable one deserves."""
    if not key:
        raise NotFound("no object has an empty key")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise InvalidURL(f"key {key[:120]!r} has a lone surrogate", hint="keys are UTF-8") from None
    return key


def is_exact(site: Site, spot: Spot) -> bool:
    """Tell whether there is an object of just this name, if it is one that may not be written any more.

    Services over file systems take `a//b` and `a/./b` for `a/b`, and others refuse to look at such names; a listing
    tells. One request, and none for names that may be written.
    """
    try:
        check_key(spot.key)
    except ValidationError:
        return first_name(site, spot.bucket, spot.name) == spot.name
    return True


def first_name(site: Site, bucket: str, prefix: str) -> str | None:
    """Return the first name with a prefix, None if there is none, or can be none; one request."""
    # Two: for one, MinIO does not list but looks at the object, whose name it takes as loosely as others do.
    query = (("list-type", "2"), ("encoding-type", "url"), ("max-keys", "2"), ("prefix", prefix))
    what = f"listing of {prefix[:120]!r}"
    response = engine().send(site.request("GET", Spot(bucket, "", ""), what=what, query=query, judge=judge_document))
    if response.status == 400:
        return None
    if response.status != 200:
        raise refused(what, response, bucket=bucket)
    return next(iter(listing(response.body).names), None)


def head_call(site: Site, spot: Spot) -> Call[ObjectInfo]:
    """Return the call behind `head`."""
    request = site.request("HEAD", spot, what=f"head of {spot.key[:120]!r}", statuses=frozenset({200}), sealed=True)
    return Call(request, partial(_headed, site, spot))


def _headed(site: Site, spot: Spot, response: HttpResponse) -> ObjectInfo:
    if response.status != 200:
        raise _no_object(f"head of {spot.key[:120]!r}", spot, response)
    return info_of_headers(spot.key, response.headers, place=site.place(spot))


def get_call(
    site: Site, spot: Spot, info: ObjectInfo, *, range: ByteRange | None = None, sink: Sink = None
) -> Call[bytes]:
    """Return the call that reads one version of an object, or a range of it; its errors are those of the contract."""
    start, stop = (range or ByteRange()).bounds(info.size)
    match = etag_header(info.etag)
    finish = partial(_got, spot, info)
    if start == stop:  # no range asks for nothing: a head tells whether it is still that version
        request = site.request("HEAD", spot, what=_read(spot), if_match=match, statuses=frozenset({200}), sealed=True)
        return Call(request, finish)
    whole = (start, stop) == (0, info.size)
    request = site.request(
        "GET",
        spot,
        what=_read(spot),
        range=None if whole else (start, stop),
        if_match=match,
        size=stop - start,
        sink=sink,
        statuses=_OK,
        sealed=True,
    )
    return Call(request, finish)


def _got(spot: Spot, info: ObjectInfo, response: HttpResponse) -> bytes:
    if response.status in _OK:
        etag = unquoted(response.headers.get("etag", info.etag))
        if etag != info.etag:
            raise moved(spot, now=etag)
        return response.body
    if response.status in {404, 416} and code_of(response) != "NoSuchBucket":  # gone, or shorter by now
        raise moved(spot)
    raise _no_object(_read(spot), spot, response)


def open_object(site: Site, spot: Spot, *, range: ByteRange | None = None, if_match: str | None = None) -> Reader:
    """Open an object with one request, or with two if its end has to be found, or if nothing is there to be read."""
    match = None if if_match is None else etag_header(if_match)
    window = None if if_match is not None and match is None else first_window(range)
    if window is not None:
        request = _window_request(site, spot, window, match)
        response = engine().send(request)
        if response.status in _OK:
            return _opened(site, spot, range, response)
        if response.status != 416:
            raise _no_object(_read(spot), spot, response)
    info = engine().run(head_call(site, spot))
    if if_match is not None and info.etag != if_match:
        raise moved(spot, now=info.etag)
    return open_reader(info, partial(_ranged, site, spot, info), range=range)


def first_window(range: ByteRange | None) -> tuple[int, int | None] | None:
    """Return which bytes to ask for before the size is known; None where the size has to be known first.

    >>> first_window(None), first_window(ByteRange(10, 20)), first_window(ByteRange(-8, -2))
    ((0, 1048576), (10, 20), (-8, None))
    """
    start, stop = (0, None) if range is None else (range.start, range.stop)
    if start >= 0:
        if stop is None or stop < 0:
            return start, start + WINDOW
        return (start, min(stop, start + WINDOW)) if stop > start else None
    fits = -start <= _TAIL and (stop is None or start < stop < 0)
    return (start, None) if fits else None


def _window_request(site: Site, spot: Spot, window: tuple[int, int | None], match: str | None) -> HttpRequest:
    return site.request("GET", spot, what=_read(spot), range=window, if_match=match, statuses=_OK, sealed=True)


def _opened(site: Site, spot: Spot, range: ByteRange | None, response: HttpResponse) -> Reader:
    size = response.size if response.status == 200 else None
    info = info_of_headers(spot.key, response.headers, place=site.place(spot), size=size)
    start, stop = (range or ByteRange()).bounds(info.size)
    # Content-Range does not tell: of a transfer that broke off and was taken up again, it is about the last piece.
    at = start - (info.size - len(response.body)) if range is not None and range.start < 0 else 0
    return open_reader(
        info, partial(_ranged, site, spot, info), range=range, first=response.body[at : at + stop - start]
    )


def _ranged(site: Site, spot: Spot, info: ObjectInfo, range: ByteRange, sink: Sink) -> Call[bytes]:
    return get_call(site, spot, info, range=range, sink=sink)


def moved(spot: Spot, *, now: str | None = None) -> HeadMoved:
    """Return the error of an object that is another version by now."""
    known = f"has etag {now!r} by now" if now else "is another version by now"
    return HeadMoved(f"object {spot.key[:120]!r} {known}", hint="read it again, then decide")


def _no_object(what: str, spot: Spot, response: HttpResponse) -> DatastoreError:
    if response.status == 412:
        return moved(spot)
    return refused(what, response, bucket=spot.bucket, key=spot.key)


def _read(spot: Spot) -> str:
    return f"read of {spot.key[:120]!r}"
