"""What `datastore doctor` is told about a lakeFS server: its version, its block store, whether that is in reach."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from datastore.errors import DatastoreError
from datastore.http.engine import engine
from datastore.probing import Finding
from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.endpoints import Remote
from datastore.providers.lakefs.entries import info_of
from datastore.providers.lakefs.presigned import get_call
from datastore.providers.lakefs.urls import goes_direct, signed_url
from datastore.values import ByteRange

__all__ = ["findings"]

_SKEW: Final = 60.0


def findings(client: LakeFSClient, repo: str, ref: str) -> Iterator[Finding]:
    """Yield what can be seen; see `SupportsProbe.probe`.

    Args:
        client: The server.
        repo: The repo.
        ref: A branch or commit.
    """
    response = engine().send(client.config_call().request)
    config = client.config()
    storage = config.storage_config
    version = config.version_config.version or "of unknown version"
    yield Finding(
        check="server", detail=f"lakeFS {version} at {client.origin}, block store {storage.blockstore_type!r}"
    )
    kind = f"key {client.login.access_key_id}" if client.login.access_key_id else "a token"
    source = "lakectl's" if client.login.ambient else "given as options"
    yield Finding(check="credentials", detail=f"accepted: {kind}, {source}")
    yield _clock(response.headers.get("date", ""))
    row = client.repository(repo)
    if row.read_only:
        yield Finding(check="repo", state="warning", detail="is read-only", hint="an administrator can change that")
    else:
        yield Finding(check="repo", detail=f"keeps its objects in {row.storage_namespace}")
    yield _signed(client, repo, ref)


def _clock(date: str) -> Finding:
    try:
        offset = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except ValueError:
        return Finding(check="clock", state="skipped", detail="the server does not tell the time")
    if abs(offset) > _SKEW:
        hint = "set the clock of this machine: signed requests depend on it"
        return Finding(check="clock", state="warning", detail=f"differs by {offset:.0f} s", hint=hint)
    return Finding(check="clock", detail=f"differs by {abs(offset):.0f} s")


def _signed(client: LakeFSClient, repo: str, ref: str) -> Finding:
    check = "signed URLs"
    if not goes_direct(client):
        return Finding(check=check, detail="not in use: bytes go through the server")
    remote = Remote(client, repo)
    rows = remote.run(remote.objects_call(ref, amount=1)).results
    if not rows:
        return Finding(check=check, state="skipped", detail="there is no object yet to try it with")
    info = info_of(rows[0], origin=client.origin)
    host = urlsplit(signed_url(client, repo, ref, info)).netloc
    hint = "let the server sign for an address in reach (blockstore.s3.pre_signed_endpoint), or set presign: false"
    begin = time.perf_counter()
    try:
        engine().run(get_call(client, repo, ref, info, range=ByteRange(0, 1)))
    except DatastoreError as error:
        return Finding(check=check, state="failed", detail=error.message, hint=hint)
    if client.learned.unreachable(host):
        text = f"the object store at {host} cannot be reached from here: bytes go through the server"
        return Finding(check=check, state="warning", detail=text, hint=hint)
    milliseconds = (time.perf_counter() - begin) * 1000
    return Finding(check=check, detail=f"the object store at {host} answers within {milliseconds:.0f} ms")
