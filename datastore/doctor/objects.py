"""What a provider does with objects, compared with what the contract and its capabilities say."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from msgspec import Struct

from datastore.errors import AlreadyExists, Conflict, Forbidden, HeadMoved, NotFound
from datastore.probing import Finding, SupportsProbe
from datastore.provider import Provider, SupportsCopy, SupportsMultipart
from datastore.values import CREATE, Attributes, ByteRange, Match

__all__ = ["BODY", "READING", "WRITING", "Check", "Patient", "sweep"]

BODY: Final = bytes(range(256))
_RIVALS: Final = 8
# In the order of their UTF-8 bytes, which is not that of UTF-16 or of any language.
_NAMES: Final = (
    "B",
    "a-b",
    "a.b",
    "a/b",
    "aa",
    "é",
    "\N{LATIN SMALL LIGATURE FF}",
    "\N{MATHEMATICAL SCRIPT CAPITAL X}",
)
_DAY: Final = 86400


class Patient(Struct, frozen=True, kw_only=True):
    """What is examined.

    Attributes:
        provider: Has the objects.
        prefix: Leading part of the keys that are looked at.
        folder: Prefix with nothing under it.
        write: Whether something may be written there.
        origin: A web page's origin that presigned requests will come from; "" for none.
    """

    provider: Provider
    prefix: str = ""
    folder: str = ".datastore-doctor/"
    write: bool = False
    origin: str = ""


Check = Callable[[Patient], Iterator[Finding]]


def sweep(patient: Patient) -> Iterator[Finding]:
    """Delete what the checks have written."""
    provider, folder = patient.provider, patient.folder
    if isinstance(provider, SupportsProbe):
        provider.sweep(folder)
    elif isinstance(provider, SupportsMultipart):
        for upload in provider.uploads(folder):
            provider.abort_upload(upload)
    keys = [info.key for page in provider.list(folder) for info in page.objects]
    failures = provider.delete(keys)
    if failures:
        hint = f"delete what is left under {folder!r}"
        yield Finding(check="clean-up", state="failed", detail=str(failures[0].error), hint=hint)
    else:
        yield Finding(check="clean-up", detail="nothing is left behind")


def _probe(patient: Patient) -> Iterator[Finding]:
    if isinstance(patient.provider, SupportsProbe):
        yield from patient.provider.probe(patient.folder, write=patient.write)


def _missing(patient: Patient) -> Iterator[Finding]:
    begin = time.perf_counter()
    try:
        patient.provider.head(f"{patient.folder}none")
    except NotFound:
        milliseconds = (time.perf_counter() - begin) * 1000
        yield Finding(check="missing object", detail=f"is told as missing, within {milliseconds:.0f} ms")
    except Forbidden as error:
        hint = "S3 only tells it to those who may list the bucket: give them s3:ListBucket"
        yield Finding(check="missing object", state="warning", detail=f"looks forbidden: {error.message}", hint=hint)


def _listing(patient: Patient) -> Iterator[Finding]:
    page = next(patient.provider.list(patient.prefix, delimiter="/"), None)
    found = [*(info.key for info in page.objects), *page.prefixes] if page else []
    names = sorted(name for name in found if not patient.folder.startswith(name))
    yield Finding(check="listing", detail=f"{len(names)} names{': ' if names else ''}{', '.join(names[:3])}")


def _round_trip(patient: Patient) -> Iterator[Finding]:
    provider, key = patient.provider, f"{patient.folder}object.txt"
    written = provider.put(key, BODY)
    if _read(provider, key) != BODY or provider.head(key).size != len(BODY) or written.size != len(BODY):
        yield _bad("write and read", "what was read is not what was written")
    elif _read(provider, key, ByteRange(10, 20)) != BODY[10:20]:
        yield _bad("write and read", "a range gives other bytes", hint="look for a proxy that ignores Range")
    else:
        provider.put(f"{patient.folder}empty", b"")
        empty = _read(provider, f"{patient.folder}empty")
        if empty:
            yield _bad("write and read", "an empty object has bytes")
        else:
            yield Finding(check="write and read", detail="the same bytes, whole and in ranges")


def _attributes(patient: Patient) -> Iterator[Finding]:
    if not patient.provider.capabilities.attributes:
        yield _not_offered("attributes", "it keeps no metadata, and no content type but the extension's")
        return
    key, metadata = f"{patient.folder}attributes.bin", {"plain": "a b", "name": "Größe 🎉"}
    patient.provider.put(key, b"x", attributes=Attributes(content_type="image/png", metadata=metadata))
    found = patient.provider.head(key)
    if (found.content_type, dict(found.metadata)) == ("image/png", metadata):
        yield Finding(check="attributes", detail="content type and metadata come back, beyond ASCII too")
    else:
        yield _bad("attributes", f"came back as {found.content_type}, {dict(found.metadata)}")


def _create(patient: Patient) -> Iterator[Finding]:
    provider, key = patient.provider, f"{patient.folder}created"
    if not provider.capabilities.create:
        yield _not_offered("create", "CREATE is not atomic here: two writers may both win")
        return
    provider.put(key, b"first", mode=CREATE)
    try:
        provider.put(key, b"second", mode=CREATE)
    except AlreadyExists:
        winners = _winners(provider, f"{patient.folder}raced")
        if winners == 1:
            yield Finding(check="create", detail=f"a taken key is refused, and of {_RIVALS} rivals one wins")
        else:
            yield _bad("create", f"of {_RIVALS} rivals {winners} won", hint="do not build locks on CREATE here")
    else:
        yield _bad("create", "a taken key was overwritten", hint="do not build locks on CREATE here")


def _winners(provider: Provider, key: str) -> int:
    def one(number: int) -> bool:
        try:
            provider.put(key, b"%d" % number, mode=CREATE)
        except (AlreadyExists, Conflict):
            return False
        return True

    with ThreadPoolExecutor(_RIVALS) as pool:
        return sum(pool.map(one, range(_RIVALS)))


def _match(patient: Patient) -> Iterator[Finding]:
    provider, key = patient.provider, f"{patient.folder}matched"
    if not provider.capabilities.match:
        yield _not_offered("match", "Match(etag) is not atomic here and is refused")
        return
    first = provider.put(key, b"first")
    second = provider.put(key, b"second", mode=Match(first.etag))
    try:
        provider.put(key, b"third", mode=Match(first.etag))
    except HeadMoved:
        same = provider.head(key).etag == second.etag
        good = Finding(check="match", detail="an object that has changed is not overwritten")
        yield good if same else _bad("match", "the object has another etag than was told")
    else:
        yield _bad("match", "an object that had changed was overwritten", hint="do not build locks on Match here")


def _order(patient: Patient) -> Iterator[Finding]:
    provider, folder = patient.provider, f"{patient.folder}order/"
    for name in reversed(_NAMES):
        provider.put(folder + name, b"")
    listed = [info.key.removeprefix(folder) for page in provider.list(folder) for info in page.objects]
    if listed != list(_NAMES):
        yield _bad("order", f"names are listed as {listed}", hint="its lists cannot be relied on to be sorted by UTF-8")
        return
    after = [info.key for page in provider.list(folder, start_after=f"{folder}a/b") for info in page.objects]
    grouped = [name for page in provider.list(folder, delimiter="/") for name in page.prefixes]
    if len(after) != len(_NAMES) - 4 or grouped != [f"{folder}a/"]:
        yield _bad("order", "start_after or the delimiter does not do what it should")
    else:
        yield Finding(check="order", detail="by UTF-8 bytes")


def _copy(patient: Patient) -> Iterator[Finding]:
    provider = patient.provider
    if not isinstance(provider, SupportsCopy):
        yield _not_offered("copy", "bytes pass through this machine")
        return
    provider.put(f"{patient.folder}source.txt", BODY)
    provider.copy(f"{patient.folder}source.txt", f"{patient.folder}target.txt")
    same = _read(provider, f"{patient.folder}target.txt") == BODY
    yield Finding(check="copy", detail="on the server") if same else _bad("copy", "the copy has other bytes")


def _multipart(patient: Patient) -> Iterator[Finding]:
    provider = patient.provider
    if not isinstance(provider, SupportsMultipart):
        return
    from datastore.http.engine import engine  # a provider with parts has loaded it by now

    key = f"{patient.folder}parts.bin"
    upload = provider.create_upload(key)
    part = engine().run(provider.part_call(upload, 1, BODY))
    provider.complete_upload(upload, [part])
    provider.abort_upload(provider.create_upload(key))
    left = list(provider.uploads(patient.folder))
    if _read(provider, key) != BODY:
        yield _bad("parts", "the object has other bytes than its parts")
    elif left:
        yield _bad("parts", f"{len(left)} uploads are left after they were completed or aborted")
    else:
        yield Finding(check="parts", detail="an upload in parts is completed, another aborted")
    old = [one for one in provider.uploads(patient.prefix) if time.time() - one.started_us / 1e6 > _DAY]
    if old:
        detail = f"{len(old)} unfinished uploads are older than a day, such as {old[0].key!r}; they cost storage"
        yield Finding(check="uploads", state="warning", detail=detail, hint="a lifecycle rule that aborts them")


def _delete(patient: Patient) -> Iterator[Finding]:
    provider, key = patient.provider, f"{patient.folder}deleted"
    provider.put(key, b"x")
    failures = provider.delete([key, f"{patient.folder}never-there"])
    if failures:
        yield _bad("delete", str(failures[0].error), hint="give this user the right to delete")
        return
    try:
        provider.head(key)
    except NotFound:
        yield Finding(check="delete", detail="a deleted object is gone, a missing one is no failure")
    else:
        yield _bad("delete", "the object is still there")


def _read(provider: Provider, key: str, bounds: ByteRange | None = None) -> bytes:
    with provider.read(key, range=bounds) as reader:
        return reader.readall() or b""


def _bad(check: str, detail: str, *, hint: str | None = None) -> Finding:
    return Finding(check=check, state="failed", detail=detail, hint=hint)


def _not_offered(check: str, detail: str) -> Finding:
    return Finding(check=check, state="skipped", detail=detail)


READING: Final[dict[str, Check]] = {"service": _probe, "listing": _listing, "missing object": _missing}
"""Checks that change nothing."""

WRITING: Final[dict[str, Check]] = {
    "write and read": _round_trip,
    "attributes": _attributes,
    "create": _create,
    "match": _match,
    "order": _order,
    "copy": _copy,
    "parts": _multipart,
    "delete": _delete,
}
"""Checks that write under the patient's folder."""
