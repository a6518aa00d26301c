"""What `datastore doctor` wants to know of an S3 service beyond the contract: who, where, when, row against reality."""

from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from datastore.calls import HttpResponse
from datastore.http.engine import engine
from datastore.http.signing import clock_offset, quote_path
from datastore.probing import Finding, State
from datastore.providers.s3 import multipart
from datastore.providers.s3.deleting import delete
from datastore.providers.s3.documents import complete_request, name_of, parse, text_of
from datastore.providers.s3.listing import Scope, list_pages
from datastore.providers.s3.presets import Conditions, is_aws
from datastore.providers.s3.refusals import code_of, refused
from datastore.providers.s3.site import Site, Spot

__all__ = ["probe", "sweep"]

_SLACK: Final = 60.0  # seconds that a clock may be wrong without anybody noticing
_LIMIT: Final = 900.0  # S3 refuses signatures from further away
_STALE: Final = '"00000000000000000000000000000000"'


def probe(site: Site, bucket: str, folder: str, *, write: bool) -> Iterator[Finding]:
    """Yield what can be seen of a service and one of its buckets.

    Args:
        site: The service.
        bucket: Its bucket.
        folder: Whole prefix with nothing under it, ending in `/`.
        write: Whether something may be written there; `sweep` deletes it.
    """
    yield _address(site)
    yield _login(site)
    spot = Spot(bucket, "", "")
    answer = engine().send(site.request("HEAD", spot, what=f"bucket {bucket!r}"))
    yield _bucket(site, bucket, answer)
    yield _clock(answer)
    if answer.status != 200:
        return
    yield _versions(site, spot)
    if write:
        yield from _row_and_reality(site, bucket, folder)


def sweep(site: Site, bucket: str, folder: str) -> None:
    """Delete all that is under a prefix, with older versions and unfinished uploads."""
    for upload in multipart.unfinished(site, bucket, folder):
        multipart.abort(site, Spot(bucket, upload.key, upload.key), upload)
    pages = list_pages(Scope(site, bucket, folder, None, cut=0), delimiter=None)
    delete(site, [Spot(bucket, info.key, info.key) for page in pages for info in page.objects])
    what = f"older versions under {folder!r}"
    query = (("prefix", folder), ("versions", ""))
    answer = engine().send(site.request("GET", Spot(bucket, "", ""), what=what, query=query))
    if answer.status != 200 or not answer.body:  # a service without versions
        return
    for element in parse(answer.body):
        if name_of(element) in {"Version", "DeleteMarker"} and text_of(element, "VersionId") not in {"", "null"}:
            spot = Spot(bucket, text_of(element, "Key"), text_of(element, "Key"))
            version = (("versionId", text_of(element, "VersionId")),)
            gone = engine().send(site.request("DELETE", spot, what=what, query=version))
            if gone.status not in {200, 204, 404}:
                raise refused(what, gone, bucket=bucket, key=spot.key)


def _address(site: Site) -> Finding:
    detail, row = f"{site.endpoint}, {site.addressing} style", site.preset.name
    parts = urlsplit(site.endpoint)
    if parts.scheme == "http" and not _is_here(parts.hostname or ""):
        hint = "use https: anybody on the way can read and change what is sent"
        return Finding(check="endpoint", state="warning", detail=f"{detail}, without TLS", hint=hint)
    if row == "custom":
        hint = "if it is one of minio, ceph, r2, …: say so as provider, and more of it can be used"
        return Finding(
            check="endpoint", state="warning", detail=f"{detail}; nothing is known of this service", hint=hint
        )
    return Finding(check="endpoint", detail=f"{detail}, by the rules of {row!r}")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _login(site: Site) -> Finding:
    credentials = site.authorizer.source.get()
    if credentials is None:
        return Finding(check="credentials", detail="none: requests are anonymous")
    end = ""
    if credentials.expires_us is not None:
        end = f", until {datetime.fromtimestamp(credentials.expires_us // 1_000_000, UTC):%Y-%m-%d %H:%M}Z"
    kind = "temporary key" if credentials.session_token else "key"
    return Finding(
        check="credentials", detail=f"{kind} {credentials.access_key_id}{end}, from {site.authorizer.source.origin}"
    )


def _bucket(site: Site, bucket: str, answer: HttpResponse) -> Finding:
    region = answer.headers.get("x-amz-bucket-region", "")
    if answer.status != 200:
        error = refused(f"look at bucket {bucket!r}", answer, bucket=bucket)
        return Finding(check="bucket", state="failed", detail=error.message, hint=error.hint)
    if region and region != site.authorizer.region and is_aws(site.endpoint):
        detail = f"{bucket!r} is in {region}, requests are signed for {site.authorizer.region} first"
        return Finding(check="bucket", state="warning", detail=detail, hint=f"give the mount region: {region}")
    return Finding(check="bucket", detail=f"{bucket!r} answers, signed for {site.authorizer.region}")


def _clock(answer: HttpResponse) -> Finding:
    offset = clock_offset(answer.headers.get("date", ""), now=datetime.now(UTC))
    if offset is None:
        return Finding(check="clock", state="skipped", detail="the service does not tell its time")
    seconds = abs(offset.total_seconds())
    state: State = "ok" if seconds < _SLACK else "warning" if seconds < _LIMIT else "failed"
    ahead = "behind" if offset.total_seconds() > 0 else "ahead"
    detail = f"this machine's is {seconds:.0f} s {ahead}" if seconds >= 1 else "agrees with the service's"
    return Finding(
        check="clock", state=state, detail=detail, hint=None if state == "ok" else "set this machine's clock"
    )


def _versions(site: Site, spot: Spot) -> Finding:
    answer = engine().send(site.request("GET", spot, what="versioning", query=(("versioning", ""),)))
    if answer.status != 200:
        return Finding(check="versioning", detail=f"none: {code_of(answer) or answer.status}")
    status = text_of(parse(answer.body), "Status") or "off"
    return Finding(check="versioning", detail=status.lower())


def _row_and_reality(site: Site, bucket: str, folder: str) -> Iterator[Finding]:
    row = site.preset
    taken = Spot(bucket, f"{folder}conditions", "conditions")
    engine().send(site.request("PUT", taken, what="object", body=b"x"))
    for verb, known, send in (
        ("put", row.put, _put),
        ("complete", row.complete, _complete),
        ("copy", row.copy, _copy),
    ):
        names = known if known.create or known.match else Conditions("if-none-match", "if-match")
        for condition, header, value in (("create", names.create, "*"), ("match", names.match, _STALE)):
            if header is not None:
                answer = send(site, taken, folder, {header: value})
                yield _compared(row.name, f"{verb} {condition}", answer, known=getattr(known, condition) is not None)


def _compared(row: str, what: str, answer: HttpResponse, *, known: bool) -> Finding:
    """Compare what a service did with a condition that does not hold with what its row says."""
    kept = answer.status == 412
    check = f"condition: {what}"
    if known and not kept:
        did = "was ignored" if answer.status == 200 else f"was answered {answer.status} {code_of(answer)}".rstrip()
        hint = "use the provider s3 with this endpoint: it relies on no conditions"
        return Finding(check=check, state="failed", detail=f"{did}, although {row!r} keeps it", hint=hint)
    if kept and not known:
        return Finding(check=check, detail=f"is kept, but {row!r} does not rely on it")
    return Finding(check=check, detail="is kept" if kept else "is not kept, as is known")


def _put(site: Site, taken: Spot, folder: str, headers: dict[str, str]) -> HttpResponse:  # noqa: ARG001 - as the others
    return engine().send(site.request("PUT", taken, what="conditional put", body=b"y", headers=headers))


def _copy(site: Site, taken: Spot, folder: str, headers: dict[str, str]) -> HttpResponse:
    source = Spot(taken.bucket, f"{folder}source", "source")
    engine().send(site.request("PUT", source, what="object", body=b"z"))
    named = {"x-amz-copy-source": quote_path(f"/{source.bucket}/{source.name}"), **headers}
    return engine().send(site.request("PUT", taken, what="conditional copy", headers=named))


def _complete(site: Site, taken: Spot, folder: str, headers: dict[str, str]) -> HttpResponse:  # noqa: ARG001 - as the others
    upload = multipart.begin(site, taken, headers={})
    part = engine().run(multipart.part_call(site, taken, upload, 1, b"z"))
    request = site.request(
        "POST",
        taken,
        what="conditional completion",
        query=(("uploadId", upload.id),),
        body=complete_request([part]),
        headers=headers,
    )
    answer = engine().send(request)
    if answer.status != 200:  # MinIO lists uploads by their whole key only: `sweep` would not find it
        multipart.abort(site, taken, upload)
    return answer
