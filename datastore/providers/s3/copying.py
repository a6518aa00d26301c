"""Copies within one service: the bytes stay there, whatever their number, and the condition on the target is kept."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final, Literal

from msgspec import Struct, structs

from datastore.calls import Call, HttpResponse
from datastore.errors import DatastoreError
from datastore.http.engine import engine
from datastore.http.signing import quote_path
from datastore.names import content_type_of
from datastore.provider import Reader
from datastore.providers.s3.attributes import META, WRITE_ID, etag_header, info_of_headers, kept_headers
from datastore.providers.s3.conditions import (
    check_free,
    condition_headers,
    is_conflict,
    new_write_id,
    taken,
    way_of,
    write_refused,
    written_by,
)
from datastore.providers.s3.documents import copy_result
from datastore.providers.s3.multipart import begin, complete, part_query
from datastore.providers.s3.putting import put_single
from datastore.providers.s3.reading import head_call, moved, open_object
from datastore.providers.s3.refusals import judge_document, refused
from datastore.providers.s3.site import Site, Spot
from datastore.providers.s3.streaming import ObjectWriter
from datastore.providers.s3.uploading import PARALLEL, forget
from datastore.streams import CHUNK
from datastore.values import CREATE, OVERWRITE, Match, ObjectInfo, PartInfo, PutMode, UploadInfo

__all__ = ["copy", "route_of"]

Route = Literal["same", "copy", "parts", "stream"]

_PART: Final = 256 << 20


class _Source(Struct, frozen=True):
    """What is copied: where it is, what is known of it, and the headers that the copy gets."""

    spot: Spot
    info: ObjectInfo
    headers: Mapping[str, str]
    followed: bool


def copy(site: Site, source: Spot, target: Spot, *, mode: PutMode) -> ObjectInfo:
    """Copy one object with its attributes; two requests for most.

    Raises:
        NotFound: There is no source.
        HeadMoved: The source became another version meanwhile, or `Match` does not hold.
        AlreadyExists: The mode is `CREATE` and the target is taken.
    """
    if way_of(site.preset, mode, target.key) == "look":
        check_free(site, target, mode)
        mode = OVERWRITE
    found = _look(site, source, target)
    if isinstance(mode, Match):
        condition_headers(mode, site.preset.put, target)  # an etag that cannot be has moved already
    route = route_of(site, found.info.size, source, target, mode=mode)
    if route == "same":
        return _onto_itself(found, mode)
    if route == "copy":
        return _copied(site, found, target, mode=mode)
    if route == "parts":
        return _copied_in_parts(site, found, target, mode=mode)
    return _streamed(site, found, target, mode=mode)


def route_of(site: Site, size: int, source: Spot, target: Spot, *, mode: PutMode) -> Route:
    """Return the cheapest way of copying that keeps the mode."""
    preset = site.preset
    if (source.bucket, source.name) == (target.bucket, target.name):
        return "same"
    if source.bucket != target.bucket and not preset.copies_across:
        return "stream"
    wanted = "create" if mode == CREATE else "match"
    if mode == OVERWRITE or getattr(preset.copy, wanted):
        return "copy" if size <= preset.copy_bytes else "parts"
    return "parts" if getattr(preset.complete, wanted) else "stream"


def _look(site: Site, source: Spot, target: Spot) -> _Source:
    response = engine().send(head_call(site, source).request)
    info = head_call(site, source).finish(response)
    followed = info.content_type == content_type_of(source.key)
    headers = {
        name: text
        for name, text in response.headers.items()
        if name.startswith(META) and name != f"{META}{WRITE_ID}" and text
    }
    headers |= kept_headers(response.headers)
    headers["content-type"] = content_type_of(target.key) if followed else info.content_type
    if site.encryption is not None:
        headers |= site.encryption.writing()
    return _Source(source, info, headers, headers["content-type"] == info.content_type)


def _onto_itself(source: _Source, mode: PutMode) -> ObjectInfo:
    if mode == CREATE:
        raise taken(source.spot)
    if isinstance(mode, Match) and mode.etag != source.info.etag:
        raise moved(source.spot, now=source.info.etag)
    return source.info


def _copied(site: Site, source: _Source, target: Spot, *, mode: PutMode) -> ObjectInfo:
    what = f"copy of {source.spot.key[:120]!r} to {target.key[:120]!r}"
    condition = condition_headers(mode, site.preset.copy, target)
    write_id = new_write_id() if condition else None
    headers = {**source.headers, **condition, "x-amz-copy-source": _address(source.spot)}
    if write_id is not None:
        headers[f"{META}{WRITE_ID}"] = write_id
    match = etag_header(source.info.etag)
    if match is not None:
        headers["x-amz-copy-source-if-match"] = match
    headers["x-amz-metadata-directive"] = "COPY" if source.followed and write_id is None else "REPLACE"
    request = site.request(
        "PUT",
        target,
        what=what,
        headers=headers,
        statuses=frozenset({200}),
        judge=judge_document,
        sealed=True,
        patience=300.0,  # a service may take minutes for 5 GiB, and sends nothing meanwhile
    )
    response = engine().send(request)
    if response.status == 200:
        etag, modified = copy_result(response.body)
        told = {**response.headers, **source.headers, "etag": f'"{etag}"'}
        info = info_of_headers(target.key, told, place=site.place(target), size=source.info.size)
        return structs.replace(info, modified_us=modified)
    if write_id is not None and is_conflict(response):
        found = written_by(site, target, write_id)
        if found is not None:
            return found
    if response.status == 404:
        raise refused(what, response, bucket=source.spot.bucket, key=source.spot.key)
    if response.status == 412:
        check_free(site, target, mode)  # which of the two conditions was it?
        raise moved(source.spot)
    raise write_refused(site, target, mode, response, what=what)


def _copied_in_parts(site: Site, source: _Source, target: Spot, *, mode: PutMode) -> ObjectInfo:
    if source.info.size == 0:  # there is no part without bytes
        return put_single(site, target, b"", mode=mode, headers=source.headers)
    check_free(site, target, mode)
    begun = begin(site, target, headers=source.headers)
    try:
        parts = _copy_parts(site, source, target, begun)
        _check_unchanged(site, source)
        return complete(site, target, begun, parts, mode=mode)
    except BaseException:
        forget(site, target, begun)
        raise


def _check_unchanged(site: Site, source: _Source) -> None:
    # Not every service takes a condition on the source of a part.
    if engine().run(head_call(site, source.spot)).etag != source.info.etag:
        raise moved(source.spot)


def _copy_parts(site: Site, source: _Source, target: Spot, begun: UploadInfo) -> list[PartInfo]:
    size = source.info.size
    length = size if size <= site.preset.copy_bytes else max(_PART, -(-size // site.preset.parts))

    def calls() -> Iterator[tuple[int, Call[PartInfo]]]:
        for number, start in enumerate(range(0, size, length), 1):
            bounds = start, min(start + length, size)
            yield number, _part_call(site, source.spot, target, begun=begun, number=number, bounds=bounds)

    parts: list[PartInfo] = []
    ended = engine().bulk(calls(), limit=PARALLEL)
    try:
        for _, result in ended:
            if isinstance(result, DatastoreError):
                raise result
            parts.append(result)
    finally:
        ended.close()
    return parts


def _part_call(
    site: Site, source: Spot, target: Spot, *, begun: UploadInfo, number: int, bounds: tuple[int, int]
) -> Call[PartInfo]:
    start, stop = bounds
    what = f"copy of part {number} of {source.key[:120]!r}"
    request = site.request(
        "PUT",
        target,
        what=what,
        query=part_query(begun, number),
        headers={"x-amz-copy-source": _address(source), "x-amz-copy-source-range": f"bytes={start}-{stop - 1}"},
        statuses=frozenset({200}),
        judge=judge_document,
        sealed=True,
        patience=300.0,
    )
    return Call(request, partial(_part_copied, what, source, number, stop - start))


def _part_copied(what: str, source: Spot, number: int, size: int, response: HttpResponse) -> PartInfo:
    if response.status != 200:
        raise refused(what, response, bucket=source.bucket, key=source.key)
    return PartInfo(number=number, etag=copy_result(response.body)[0], size=size)


def _streamed(site: Site, source: _Source, target: Spot, *, mode: PutMode) -> ObjectInfo:
    writer = ObjectWriter(site, target, mode=mode, headers=source.headers)
    try:
        with _reader(site, source) as reader:
            while chunk := reader.read(CHUNK):
                writer.write(chunk)
        return writer.commit()
    finally:
        writer.abort()


def _reader(site: Site, source: _Source) -> Reader:
    return open_object(site, source.spot, if_match=source.info.etag)


def _address(spot: Spot) -> str:
    return quote_path(f"/{spot.bucket}/{spot.name}")
