"""Deletes of exact keys: a thousand per request where the service has that, one by one where not."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from datastore.calls import Call, HttpResponse
from datastore.errors import DatastoreError, UnsupportedOperation
from datastore.http.engine import engine
from datastore.providers.s3.documents import delete_request, deletion_errors, fits_xml
from datastore.providers.s3.proving import content_md5
from datastore.providers.s3.reading import is_exact
from datastore.providers.s3.refusals import code_of, error_of_code, judge_document, refused
from datastore.providers.s3.site import Site, Spot
from datastore.values import DeleteFailure

__all__ = ["delete"]

_BATCH: Final = 1000
_BATCHES: Final = 8
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchVersion"})

_Failures = Sequence[tuple[Spot, DatastoreError]]


def delete(site: Site, spots: Iterable[Spot]) -> list[DeleteFailure]:
    """Delete objects and return those that could not be; one request per thousand of a bucket."""
    unique = [spot for spot in {(one.bucket, one.name): one for one in spots}.values() if is_exact(site, spot)]
    lone = [spot for spot in unique if not (site.preset.batch_delete and fits_xml(spot.name))]
    in_batches = list(_batches(spot for spot in unique if site.preset.batch_delete and fits_xml(spot.name)))
    failures: list[tuple[Spot, DatastoreError]] = []
    calls = ((batch, _batch_call(site, batch)) for batch in in_batches)
    for batch, result in engine().bulk(calls, limit=_BATCHES):
        if isinstance(result, UnsupportedOperation):  # the service has no such verb
            lone += batch
        elif isinstance(result, DatastoreError):
            failures += [(spot, result) for spot in batch]
        else:
            failures += result
    singles = ((spot, _single_call(site, spot)) for spot in lone)
    failures += [(spot, result) for spot, result in engine().bulk(singles) if isinstance(result, DatastoreError)]
    return [DeleteFailure(spot.key, error) for spot, error in failures]


def _batches(spots: Iterable[Spot]) -> Iterator[list[Spot]]:
    buckets: dict[str, list[Spot]] = {}
    for spot in spots:
        batch = buckets.setdefault(spot.bucket, [])
        batch.append(spot)
        if len(batch) == _BATCH:
            yield buckets.pop(spot.bucket)
    yield from buckets.values()


def _batch_call(site: Site, batch: Sequence[Spot]) -> Call[_Failures]:
    what = f"deletion of {len(batch)} objects"
    body = delete_request(spot.name for spot in batch)
    request = site.request(
        "POST",
        Spot(batch[0].bucket, "", ""),
        what=what,
        query=(("delete", ""),),
        headers={"content-type": "application/xml", "content-md5": content_md5(body)},
        body=body,
        statuses=frozenset({200}),
        judge=judge_document,
        repeatable=True,
    )
    return Call(request, partial(_batch_deleted, what, batch))


def _batch_deleted(what: str, batch: Sequence[Spot], response: HttpResponse) -> _Failures:
    if response.status != 200:
        raise refused(what, response, bucket=batch[0].bucket)
    by_name = {spot.name: spot for spot in batch}
    return [
        (by_name[name], error_of_code(code, f"deletion of {by_name[name].key[:120]!r}: {code}: {message}", status=400))
        for name, code, message in deletion_errors(response.body)
        if code not in _MISSING and name in by_name
    ]


def _single_call(site: Site, spot: Spot) -> Call[None]:
    what = f"deletion of {spot.key[:120]!r}"
    return Call(site.request("DELETE", spot, what=what), partial(_single_deleted, what, spot))


def _single_deleted(what: str, spot: Spot, response: HttpResponse) -> None:
    if response.status in {200, 204} or code_of(response) in _MISSING:
        return
    raise refused(what, response, bucket=spot.bucket, key=spot.key)
