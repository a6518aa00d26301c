"""One object in one PUT, with a condition where one is given, and certainty about it where an answer was lost."""

from collections.abc import Mapping

from msgspec import Struct

from datastore.calls import Call, FileSlice, HttpResponse
from datastore.errors import TooLarge, Unavailable
from datastore.http.engine import engine
from datastore.providers.s3.attributes import META, WRITE_ID, info_of_headers
from datastore.providers.s3.conditions import condition_headers, is_conflict, new_write_id, write_refused, written_by
from datastore.providers.s3.proving import body_size, proof_headers, proof_of
from datastore.providers.s3.site import Site, Spot
from datastore.values import ObjectInfo, PutMode

__all__ = ["put_single", "single_call"]


class _Finish(Struct, frozen=True):
    """Makes an info of the answer to a PUT."""

    site: Site
    spot: Spot
    mode: PutMode
    size: int
    headers: Mapping[str, str]
    write_id: str | None

    def __call__(self, response: HttpResponse) -> ObjectInfo:
        if response.status == 200:
            told = {**response.headers, **self.headers}
            return info_of_headers(self.spot.key, told, place=self.site.place(self.spot), size=self.size)
        if self.write_id is not None and is_conflict(response):
            # An earlier attempt may have done it, and this one met its own work (facts/reliability.md §4.3). Their
            # number is not known: libcurl itself repeats what it sent on a connection that turns out to be dead.
            found = written_by(self.site, self.spot, self.write_id)
            if found is not None:
                return found
        raise write_refused(self.site, self.spot, self.mode, response, what=f"put of {self.spot.key[:120]!r}")


def single_call(
    site: Site, spot: Spot, body: bytes | FileSlice, *, mode: PutMode, headers: Mapping[str, str]
) -> Call[ObjectInfo]:
    """Return the PUT of a whole object; what it makes of a lost answer may take a request of its own.

    Args:
        site: The service.
        spot: The object.
        body: Its bytes.
        mode: One that the service keeps for a single PUT.
        headers: Its attributes.

    Raises:
        TooLarge: One request cannot hold it.
    """
    size, most = body_size(body), site.preset.part_bytes[1]
    if size > most:
        raise TooLarge(
            f"{spot.key[:120]!r} is {size} bytes long: on a condition, {site.preset.name!r} takes {most}",
            hint="write it without a condition",
        )
    condition = condition_headers(mode, site.preset.put, spot)
    write_id = new_write_id() if condition else None
    attributes = dict(headers) if write_id is None else {**headers, f"{META}{WRITE_ID}": write_id}
    request = site.request(
        "PUT",
        spot,
        what=f"put of {spot.key[:120]!r}",
        headers={**attributes, **condition, **proof_headers(body, proof_of(site.preset))},
        body=body,
        statuses=frozenset({200}),
        sealed=True,
    )
    return Call(request, _Finish(site, spot, mode, size, attributes, write_id))


def put_single(
    site: Site, spot: Spot, body: bytes | FileSlice, *, mode: PutMode, headers: Mapping[str, str]
) -> ObjectInfo:
    """Put a whole object with one request; arguments and errors as in `single_call`.

    Raises:
        Unavailable: There was no answer, and it was not, or not surely, written.
    """
    call = single_call(site, spot, body, mode=mode, headers=headers)
    try:
        return engine().run(call)
    except Unavailable:
        write_id = call.request.headers.get(f"{META}{WRITE_ID}")
        found = None if write_id is None else written_by(site, spot, write_id)
        if found is None:
            raise
        return found
