"""What this machine brings along: versions, certificates, proxies, configuration, room for the store."""

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.request import getproxies

from datastore.http.redaction import redacted
from datastore.http.tls import ca_file
from datastore.namespace import current
from datastore.probing import Finding

__all__ = ["MACHINE"]

_LITTLE: Final = 2**30
_OLD_CERTIFICATES: Final = 2 * 365 * 86400


def _versions() -> Iterator[Finding]:
    import pycurl  # loads libcurl: only whoever asks for it pays

    own = version("datastore-sdk")
    yield Finding(
        check="versions", detail=f"datastore {own}, Python {platform.python_version()}, {platform.platform()}"
    )
    yield Finding(check="libcurl", detail=f"{pycurl.version}, botocore {version('botocore')}")


def _certificates() -> Iterator[Finding]:
    file = ca_file()
    age = time.time() - Path(file).stat().st_mtime
    if age > _OLD_CERTIFICATES:
        hint = "pip install --upgrade certifi"
        yield Finding(check="certificates", state="warning", detail=f"{file} is {age / 86400:.0f} days old", hint=hint)
    else:
        yield Finding(check="certificates", detail=file)


def _proxies() -> Iterator[Finding]:
    for scheme, address in sorted(getproxies().items()):
        if scheme in {"http", "https", "all", "no"}:
            yield Finding(check="proxies", detail=f"{scheme}: {redacted(address)}")


def _configuration() -> Iterator[Finding]:
    config = current().config
    detail = f"{config.file or 'no file'}, {len(config.mounts)} mounts"
    if config.project and config.file:
        detail += "; it came with a project"
    yield Finding(check="configuration", detail=detail)


def _store() -> Iterator[Finding]:
    path = current().config.store
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if not os.access(there, os.W_OK):
        hint = "give it another place: DATASTORE_STORE, or store.path in the configuration"
        yield Finding(check="store", state="failed", detail=f"{there} is not writable", hint=hint)
        return
    free = shutil.disk_usage(there).free
    detail = f"{path}{'' if path.exists() else ' (not made yet)'}, {free / 2**30:.1f} GiB free"
    if free < _LITTLE:
        yield Finding(check="store", state="warning", detail=detail, hint="make room before the disk is full")
    else:
        yield Finding(check="store", detail=detail)


MACHINE: Final[Mapping[str, Callable[[], Iterator[Finding]]]] = {
    "versions": _versions,
    "certificates": _certificates,
    "proxies": _proxies,
    "configuration": _configuration,
    "store": _store,
}
"""The checks by name."""
