"""Put modes on S3: which headers make a write conditional, and what its refusal means."""

import secrets
from typing import Final, Literal

from datastore.calls import HttpResponse
from datastore.errors import AlreadyExists, Conflict, DatastoreError, HeadMoved, NotFound, UnsupportedOperation
from datastore.http.engine import engine
from datastore.providers.s3.attributes import META, WRITE_ID, etag_header, info_of_headers
from datastore.providers.s3.presets import Conditions, Preset
from datastore.providers.s3.reading import first_name, head_call, moved
from datastore.providers.s3.refusals import FOLDER_CLASH, code_of, refused
from datastore.providers.s3.site import Site, Spot
from datastore.values import CREATE, OVERWRITE, Match, ObjectInfo, PutMode

__all__ = [
    "Way",
    "check_free",
    "condition_headers",
    "is_conflict",
    "new_write_id",
    "taken",
    "way_of",
    "write_refused",
    "written_by",
]

Way = Literal["any", "single", "look"]
"""How a mode can be kept: by every kind of write, by a single PUT only, or by looking first (which is not atomic)."""

_CONFLICT: Final = frozenset({404, 409, 412})


def way_of(preset: Preset, mode: PutMode, key: str) -> Way:
    """Return how a service keeps a mode, or raise `UnsupportedOperation` for a `Match` that it cannot keep."""
    if mode == OVERWRITE:
        return "any"
    if mode == CREATE:
        if preset.put.create is None:
            return "look"
        return "any" if preset.complete.create else "single"
    if preset.put.match is None:
        raise UnsupportedOperation(
            f"cannot write {key[:120]!r} only on a match: {preset.name!r} is not known to keep that condition",
            hint="keep what needs it in a repo, or on a service with conditional writes",
        )
    return "any" if preset.complete.match else "single"


def condition_headers(mode: PutMode, conditions: Conditions, spot: Spot) -> dict[str, str]:
    """Return the headers of a mode; none for what nobody checks."""
    if mode == CREATE and conditions.create is not None:
        return {conditions.create: "*"}
    if isinstance(mode, Match) and conditions.match is not None:
        etag = etag_header(mode.etag)
        if etag is None:
            raise moved(spot)  # no object ever had this one
        return {conditions.match: etag}
    return {}


def new_write_id() -> str:
    """Return a name for one conditional write."""
    return secrets.token_hex(16)


def check_free(site: Site, spot: Spot, mode: PutMode) -> None:
    """Raise what a mode raises if it is clear already that the write would be in vain; one request."""
    if mode == OVERWRITE:
        return
    try:
        info = engine().run(head_call(site, spot))
    except NotFound:
        if mode == CREATE:
            return
        raise moved(spot) from None
    if mode == CREATE:
        raise taken(spot)
    if info.etag != mode.etag:
        raise moved(spot, now=info.etag)


def taken(spot: Spot) -> AlreadyExists:
    """Return the error of a key that is taken."""
    return AlreadyExists(f"the key {spot.key[:120]!r} is taken", hint="choose another key, or overwrite it on purpose")


def written_by(site: Site, spot: Spot, write_id: str) -> ObjectInfo | None:
    """Return the object if it was written by this very write, whose answer may have been lost; one request."""
    response = engine().send(head_call(site, spot).request)
    if response.status != 200 or response.headers.get(f"{META}{WRITE_ID}") != write_id:
        return None
    return info_of_headers(spot.key, response.headers, place=site.place(spot))


def write_refused(site: Site, spot: Spot, mode: PutMode, response: HttpResponse, *, what: str) -> DatastoreError:
    """Return the error of a write that was refused; asks the service which object is in its way, if one is."""
    code = code_of(response)
    if code in FOLDER_CLASH:
        return _clash(site, spot)
    if response.status == 412 or code == "PreconditionFailed":
        return taken(spot) if mode == CREATE else moved(spot)
    if isinstance(mode, Match) and code == "NoSuchKey":
        return HeadMoved(f"object {spot.key[:120]!r} is gone", hint="read again what there is, then decide")
    return refused(what, response, bucket=spot.bucket, key=spot.key)


def is_conflict(response: HttpResponse) -> bool:
    """Tell whether an answer may mean that an earlier attempt of the same write has changed what it finds now."""
    return response.status in _CONFLICT


def _clash(site: Site, spot: Spot) -> Conflict:
    hint = "choose another key, or delete that object first"
    name = first_name(site, spot.bucket, f"{spot.name}/")
    if name is not None:
        other = _key_of(spot, name)
        return Conflict(f"{spot.key!r} cannot be written: on this service it is the folder of {other!r}", hint=hint)
    for cut in (index for index, char in enumerate(spot.name) if char == "/"):
        above = Spot(spot.bucket, spot.name[:cut], spot.name[:cut])
        if engine().send(head_call(site, above).request).status == 200:
            other = _key_of(spot, above.name)
            return Conflict(
                f"{spot.key!r} cannot be written: {other!r} is an object, and this service holds nothing below one",
                hint=hint,
            )
    return Conflict(f"{spot.key!r} cannot be written: an object is in its way", hint=hint)


def _key_of(spot: Spot, name: str) -> str:
    """Return what the caller calls another object of the same bucket."""
    known = len(spot.name) - len(spot.key)  # a mount's prefix; negative where keys begin with the bucket
    return name[known:] if known >= 0 else f"{spot.key[:-known]}{name}"
