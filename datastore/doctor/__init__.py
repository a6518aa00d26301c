"""Looks at this machine and at a mount, and tells what works there, what does not, and the cure.

Checks are plain functions in tables, which the runner goes through; each sees only the contract of a provider, so that
every store is examined as far as its capabilities go. What is written goes under a prefix of its own and is deleted.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

from datastore.doctor.machine import MACHINE
from datastore.doctor.objects import READING, WRITING, Check, Patient, sweep
from datastore.doctor.repos import branches, buckets, damage, repos
from datastore.doctor.sharing import SHARING
from datastore.errors import DatastoreError
from datastore.namespace import current
from datastore.probing import Finding, SupportsFindings
from datastore.provider import Provider, SupportsBuckets, SupportsRepos, is_versioned
from datastore.registry import Root
from datastore.upkeep import SupportsCheck

__all__ = ["examine", "examine_machine", "examine_mount"]

_FOLDER: Final = ".datastore-doctor-"


def examine(where: str | None = None, *, origin: str = "", write: bool = True) -> Iterator[Finding]:
    """Yield what is found on this machine, then about one mount, or whether each of them can be opened.

    Args:
        where: A mount, or a URL below which to look; None for all mounts.
        origin: Origin of a web page (`https://app.example.com`): do browsers get through from there?
        write: Whether small objects may be written, which are deleted again.
    """
    yield from examine_machine()
    yield from _guarded("store", lambda: _examine_store(current().store))
    if where is not None:
        yield from examine_mount(where, origin=origin, write=write)
        return
    for mount in current().mounts():
        yield from _guarded(f"mount {mount.name}", lambda name=mount.name: _opened(name))


def examine_machine() -> Iterator[Finding]:
    """Yield what is found about versions, certificates, proxies, configuration and the place of the store."""
    for name, look in MACHINE.items():
        yield from _guarded(name, look)


def examine_mount(where: str, *, origin: str = "", write: bool = True) -> Iterator[Finding]:
    """Yield what is found about one mount, or about what a URL leads to; arguments as for `examine`."""
    try:
        root, prefix = _root(where)
    except DatastoreError as error:
        yield Finding(check="open", state="failed", detail=error.message, hint=error.hint)
        return
    yield Finding(check="open", detail=type(root).__name__)
    yield from _guarded("store", lambda: _examine_store(root))
    if isinstance(root, SupportsCheck):
        yield from _guarded("damage", lambda: damage(root))
    if isinstance(root, SupportsRepos):
        yield from _guarded("repos", lambda: repos(root))
    elif is_versioned(root):
        yield from _guarded("branches", lambda: branches(root))
        patient = Patient(provider=root.at(root.default_branch), prefix=prefix, origin=origin)
        yield from _examine(patient, READING | SHARING)
    else:
        yield from _examine_objects(root, prefix, origin=origin, write=write)


def _examine_store(store: object) -> Iterator[Finding]:
    if isinstance(store, SupportsFindings):
        yield from store.findings()


def _examine_objects(provider: Provider, prefix: str, *, origin: str, write: bool) -> Iterator[Finding]:
    if isinstance(provider, SupportsBuckets):
        service = provider
        yield from _guarded("buckets", lambda: buckets(service))
        bucket, _, prefix = prefix.partition("/")
        if not bucket:
            hint = "name one: datastore doctor ds://MOUNT/BUCKET/"
            yield Finding(check="objects", state="skipped", detail="this mount has all buckets", hint=hint)
            return
        provider = service.bucket(bucket)
    write = write and provider.capabilities.writable
    folder = f"{prefix}{_FOLDER}{secrets.token_hex(8)}/"
    patient = Patient(provider=provider, prefix=prefix, folder=folder, write=write, origin=origin)
    swept: list[Finding] = []
    try:
        yield from _examine(patient, READING | WRITING | SHARING if write else READING | SHARING)
    finally:
        if write:
            swept.extend(_guarded("clean-up", lambda: sweep(patient)))
    yield from swept


def _examine(patient: Patient, checks: Mapping[str, Check]) -> Iterator[Finding]:
    for name, check in checks.items():
        yield from _guarded(name, lambda check=check: check(patient))


def _guarded(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Run one check; what it raises is a finding, too."""
    try:
        yield from look()
    except DatastoreError as error:
        yield Finding(check=name, state="failed", detail=error.message, hint=error.hint)
    except OSError as error:
        yield Finding(check=name, state="failed", detail=f"{type(error).__name__}: {error.strerror or error}")


def _opened(name: str) -> Iterator[Finding]:
    root = current().root(name)
    yield Finding(check=f"mount {name}", detail=type(root).__name__)


def _root(where: str) -> tuple[Root, str]:
    """Return what a mount or URL leads to, and the prefix in it."""
    if "/" not in where and "@" not in where:
        return current().root(where), ""
    target = current().target(current().url(where))
    prefix = target.key if not target.key or target.key.endswith("/") else f"{target.key}/"
    return cast("Root", target.versioned or target.provider), prefix
