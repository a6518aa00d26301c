"""The namespace: from a `ds://` URL to the provider that has its objects.

A name is a mount (from the configuration, or made by `mount`), a repo in the embedded default store, or a built-in mount, in
this order; a name that two of them claim is an error. Nothing is created by looking for it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol, cast, runtime_checkable

import msgspec
from msgspec import Struct

from datastore import registry
from datastore.config import Config, Mount, load_config, load_file, session_mount
from datastore.configtrust import check_trust
from datastore.errors import (
    AlreadyExists,
    ConfigError,
    DatastoreError,
    IntegrityError,
    InvalidURL,
    NotFound,
    ValidationError,
    nearest,
)
from datastore.names import check_repo, parse_ref
from datastore.provider import Provider, SupportsRepos, SupportsVersioning
from datastore.registry import Root
from datastore.secret import Secret, leaves
from datastore.urls import Location, format_location, parse_location

__all__ = ["RESERVED", "MountInfo", "Namespace", "Target", "current", "reset_current"]

RESERVED: Final[Mapping[str, Mapping[str, object]]] = {
    "azure": {},
    "gcs": {},
    "lakefs": {},
    "local": {"path": "/"},
    "r2": {},
    "s3": {},
}
"""Names of built-in mounts, each served by the provider of the same name with these options."""


_BUILT_IN: Final = "built-in"


class Target(Struct, frozen=True, kw_only=True):
    """What a URL leads to.

    Attributes:
        name: Mount or repo; `mount/repo` where the mount holds several.
        ref: The ref that is used, after defaults and pins; None on an unversioned mount.
        key: The rest of the URL, verbatim; may be empty or a prefix.
        provider: Has the objects, bound to the ref.
        versioned: The repo that the provider belongs to; None on an unversioned mount.
        location: The URL as it was written.
    """

    name: str
    ref: str | None
    key: str
    provider: Provider
    versioned: SupportsVersioning | None
    location: Location


class MountInfo(Struct, frozen=True, kw_only=True):
    """One mount, for people.

    Attributes:
        name: As in `ds://<name>/…`.
        provider: Scheme of its provider.
        options: Without the secret ones.
        source: Where it comes from: a file, `environment` or `session`.
        versioned: Whether it holds repos; None where it cannot be opened.
    """

    name: str
    provider: str
    options: Mapping[str, Any]
    source: str
    versioned: bool | None


class _Store(SupportsRepos, Protocol):
    """The embedded store, as far as the namespace needs to know it."""

    @property
    def id(self) -> str: ...

    def exists(self) -> bool: ...


@runtime_checkable
class _Closable(Protocol):
    def close(self) -> None: ...


class _Opened(Struct, frozen=True):
    """A root with its kind: asking a protocol by `isinstance` costs more than a small read."""

    root: Root
    repos: SupportsRepos | None
    repo: SupportsVersioning | None
    ref: str | None = None


class Namespace:
    """All names that a process sees. Safe to share between threads and to use after `fork`.

    It holds no lock: everything it keeps is put into dictionaries by `setdefault`, and opening a mount twice at the same time
    is harmless, because handles are free.

    Args:
        config: The configuration; None finds it at first use.
        session: Mounts that `mount` made in another process.
    """

    def __init__(self, config: Config | None = None, session: Mapping[str, Mount] | None = None) -> None:
        self._config = config and _checked(config)
        self._session = dict(session or {})
        self._opened: dict[str, _Opened] = {}
        self._default: dict[str, _Store] = {}

    @property
    def config(self) -> Config:
        """The configuration, found and read at first use."""
        if self._config is None:
            self._config = _checked(load_config())
        return self._config

    @property
    def store(self) -> SupportsRepos:
        """The embedded default store; it need not be there yet, `create_repo` makes it."""
        return self._default_store()

    def names(self) -> list[str]:
        """Return mounts and repos, sorted; built-in mounts are not among them."""
        store = self._existing_store()
        return sorted({*self.config.mounts, *self._session, *(store.repos() if store else ())})

    def root(self, name: str) -> Root:
        """Return what a name stands for: plain objects, one repo, or a store of several.

        Raises:
            NotFound: Nothing has this name.
            ConfigError: Two things have it, or the mount's options are wrong.
            UntrustedConfig: It would send credentials where the user did not approve.
        """
        return self._open(name).root

    def target(self, url: str | Location, *, pins: Mapping[str, str] | None = None) -> Target:
        """Return what a URL leads to, without asking whether the object exists.

        Args:
            url: `ds://…`, or its parts.
            pins: Refs to use instead: `{"garments@main": "<commit id>"}`. The left side names mount or repo and the ref
                that would be used otherwise, defaults filled in.

        Raises:
            InvalidURL: It names no mount, gives a ref to an unversioned mount, or names no repo in a store of several.
            NotFound: Nothing has this name.
        """
        location = parse_location(url) if isinstance(url, str) else url
        if not location.mount:
            raise InvalidURL(f"{str(location)!r} names no mount or repo", hint="write ds://<mount>[@<ref>]/<key>")
        opened = self._open(location.mount)
        if opened.repos is not None:
            name, ref, key, repo = _in_store(opened.repos, location)
        else:
            name, ref, key, repo = location.mount, location.ref, location.key, opened.repo
        if repo is None:
            if ref is not None:
                hint = "leave out the '@' and what follows it, up to the '/'"
                raise InvalidURL(f"{str(location)!r}: mount {name!r} is not versioned and has no refs", hint=hint)
            provider = cast("Provider", opened.root)
        else:
            ref = ref or opened.ref or repo.default_branch
            ref = (pins or {}).get(format_location(name, ref, ""), ref)
            provider = repo.at(ref)
        return Target(name=name, ref=ref, key=key, provider=provider, versioned=repo, location=location)

    def mount(self, name: str, provider: str, **options: object) -> MountInfo:
        """Give a provider a name, until this process ends. The same call again changes nothing.

        Args:
            name: 1 to 63 of a-z, 0-9 and `-`.
            provider: Scheme, such as `memory` or `local`.
            options: The provider's own, and `ref`: the default ref of a versioned mount.

        Raises:
            ValidationError: The name is not one for a mount.
            ConfigError: Unknown provider, unknown option, wrong type; or the name is reserved.
            AlreadyExists: The name stands for something else.
        """
        mount = session_mount(name, provider, options)
        _check_reserved(mount)
        registry.check_options(provider, _provider_options(mount), where=mount.where)
        _default_ref(mount)
        try:
            _json(_portable(mount))
        except TypeError as error:
            raise ConfigError(
                f"{mount.where}: an option is not plain data: {error}", hint="texts, numbers, lists, dicts"
            ) from None
        taken = self._mount(name)
        if taken is None and self._repo(name) is not None:
            raise AlreadyExists(f"{name!r} is a repo in {self.config.store}", hint="choose another name for the mount")
        taken = taken or self._session.setdefault(name, mount)
        if not _same(taken, mount):
            raise AlreadyExists(f"{taken.where} is another one", hint="choose another name")
        return self._describe(taken)

    def mounts(self) -> list[MountInfo]:
        """Return all mounts by name: the configured ones and those made by `mount`."""
        return [self._describe(mount) for _, mount in sorted({**self.config.mounts, **self._session}.items())]

    def close(self) -> None:
        """Close what was opened; handles that came from here stop working."""
        for kept in (self._opened, self._default):
            while kept:
                _, opened = kept.popitem()
                root = opened.root if isinstance(opened, _Opened) else opened
                if isinstance(root, _Closable):
                    root.close()

    def handle(self) -> dict[str, str]:
        """Return what another process needs to see the same names: paths, the store's id, session mounts; no secrets."""
        store = self._existing_store()
        config = self.config
        return {
            "config": str(config.file or ""),
            "project": "yes" if config.project else "",
            "store": str(config.store),
            "store_id": store.id if store else "",
            "mounts": _json({name: _portable(mount) for name, mount in self._session.items()}),
        }

    @classmethod
    def from_handle(cls, handle: Mapping[str, str]) -> "Namespace":
        """Return the namespace that a handle of another process means: the current one, if it sees the same names.

        Raises:
            IntegrityError: There is another store under the store's path.
        """
        found = current()
        if not found.agrees_with(handle):
            key = "\n".join(handle[part] for part in ("config", "project", "store", "mounts"))
            found = _others.get(key) or _others.setdefault(key, cls(*_parts(handle)))
        found.check_store(handle["store_id"])
        return found

    def agrees_with(self, handle: Mapping[str, str]) -> bool:
        """Tell whether everything that a handle means has the same meaning here."""
        try:
            mine = self.handle()
        except DatastoreError:  # this process' own configuration may be broken; the handle does not need it
            return False
        wanted, known = msgspec.json.decode(handle["mounts"]), msgspec.json.decode(mine["mounts"])
        return all(mine[part] == handle[part] for part in ("config", "project", "store")) and all(
            known.get(name) == entry for name, entry in wanted.items()
        )

    def check_store(self, store_id: str) -> None:
        """Raise `IntegrityError` if the default store is there, but is not the one of this id (empty: any will do)."""
        store = self._existing_store()
        if store is not None and store_id not in {"", store.id}:
            raise IntegrityError(
                f"{self.config.store} is another store by now: its id is {store.id}, expected was {store_id}",
                hint="open the URL anew, or put the store back that was there",
            )

    def _mount(self, name: str) -> Mount | None:
        return self.config.mounts.get(name) or self._session.get(name)

    def _default_store(self) -> _Store:
        known = self._default.get("")
        if known is None:
            store = registry.open_provider("embedded", {"path": str(self.config.store)}, where="the default store")
            known = self._default.setdefault("", cast("_Store", store))
        return known

    def _existing_store(self) -> _Store | None:
        # Looked at first, so that a process which only uses mounts never loads the embedded store.
        if not os.path.isdir(self.config.store):  # noqa: PTH112 - unlike Path.is_dir it is never an error
            return None
        store = self._default_store()
        return store if store.exists() else None

    def _repo(self, name: str) -> SupportsVersioning | None:
        store = self._existing_store()
        try:
            return store.repo(name) if store else None
        except (NotFound, ValidationError):  # a mount's name may be none for a repo
            return None

    def _open(self, name: str) -> _Opened:
        opened = self._opened.get(name)
        if opened is not None:
            return opened
        mount = self._mount(name) or _builtin(name)
        repo = self._repo(name)
        if mount is not None:
            if repo is not None:
                raise ConfigError(
                    f"{name!r} is both {mount.where} and a repo in {self.config.store}", hint="rename one of them"
                )
            opened = _open_mount(mount)
            # A built-in name may still be given to a mount of the user's.
            return opened if mount.source == _BUILT_IN else self._opened.setdefault(name, opened)
        if repo is None:
            hint = nearest(name, [*self.names(), *RESERVED], what="names")
            raise NotFound(f"no mount or repo is called {name!r}", hint=hint)
        return _Opened(repo, None, repo)

    def _describe(self, mount: Mount) -> MountInfo:
        try:
            opened = self._open(mount.name)
            versioned = opened.repo is not None or opened.repos is not None
        except DatastoreError:  # whoever uses the mount will see it
            versioned = None
        return MountInfo(
            name=mount.name, provider=mount.provider, options=mount.public(), source=mount.source, versioned=versioned
        )


_process: Final[dict[str, Namespace]] = {}
_others: Final[dict[str, Namespace]] = {}


def current() -> Namespace:
    """Return the namespace of this process; it is made at first use and keeps the configuration that it found then."""
    return _process.get("") or _process.setdefault("", Namespace())


def reset_current() -> None:
    """Close and forget the namespace of this process with its session mounts, so that the next use looks around anew.

    For notebooks that change directory or environment, and for tests.
    """
    for kept in (_process, _others):
        while kept:
            kept.popitem()[1].close()


def _parts(handle: Mapping[str, str]) -> tuple[Config, dict[str, Mount]]:
    file = Path(handle["config"]) if handle["config"] else None
    config = load_file(file, project=handle["project"] == "yes", store=Path(handle["store"]))
    entries = cast("dict[str, dict[str, Any]]", msgspec.json.decode(handle["mounts"]))
    return config, {
        name: session_mount(name, entry["provider"], entry["options"], withheld=tuple(entry["withheld"]))
        for name, entry in entries.items()
    }


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _secrets(mount: Mount) -> list[tuple[str, object]]:
    return sorted((name, value) for name, value in leaves(mount.options) if isinstance(value, Secret))


def _portable(mount: Mount) -> dict[str, object]:
    withheld = sorted({*mount.withheld, *(name for name, _ in _secrets(mount))})
    return {"provider": mount.provider, "options": mount.public(), "withheld": withheld}


def _same(a: Mount, b: Mount) -> bool:
    return _json(_portable(a)) == _json(_portable(b)) and _secrets(a) == _secrets(b)


def _builtin(name: str) -> Mount | None:
    options = RESERVED.get(name)
    return None if options is None else Mount(name=name, provider=name, options=options, source=_BUILT_IN)


def _check_reserved(mount: Mount) -> None:
    if mount.name in RESERVED and mount.provider != mount.name:
        raise ConfigError(
            f"{mount.where}: {mount.name!r} is the name of a built-in mount, and this is one of provider {mount.provider!r}",
            hint="give it another name",
        )


def _checked(config: Config) -> Config:
    for mount in config.mounts.values():
        _check_reserved(mount)
    return config


def _default_ref(mount: Mount) -> str | None:
    ref = mount.options.get("ref")
    if ref is None:
        return None
    if not isinstance(ref, str):
        raise ConfigError(f"{mount.where}: option 'ref' is not plain text", hint="put it in quotes")
    try:
        parse_ref(ref)
    except ValidationError as error:
        raise ConfigError(f"{mount.where}: option 'ref': {error.message}", hint=error.hint) from None
    return ref


def _provider_options(mount: Mount) -> dict[str, object]:
    return {name: value for name, value in mount.options.items() if name != "ref"}


def _open_mount(mount: Mount) -> _Opened:
    if mount.withheld:
        raise ConfigError(
            f"mount {mount.name!r} was made in another process with secret options ({', '.join(mount.withheld)}), "
            "which do not travel",
            hint="put the mount into a configuration file, with ${VARIABLE} for its secrets",
        )
    check_trust(mount)
    ref = _default_ref(mount)
    root = registry.open_provider(mount.provider, _provider_options(mount), where=mount.where)
    if isinstance(root, SupportsRepos):
        return _Opened(root, root, None, ref)
    if isinstance(root, SupportsVersioning):
        return _Opened(root, None, root, ref)
    if ref is not None:
        raise ConfigError(f"{mount.where} is not versioned: option 'ref' means nothing there", hint="leave it out")
    return _Opened(root, None, None)


def _in_store(store: SupportsRepos, location: Location) -> tuple[str, str | None, str, SupportsVersioning]:
    mount, url = location.mount, str(location)
    if location.ref is not None:
        hint = f"the ref belongs to the repo: ds://{mount}/<repo>@{location.ref}/…"
        raise InvalidURL(f"{url!r}: mount {mount!r} holds several repos and has no ref of its own", hint=hint)
    segment, _, key = location.key.partition("/")
    inner = parse_location(segment)
    try:
        check_repo(inner.mount)
    except ValidationError as error:
        raise InvalidURL(f"{url!r} names no repo: {error.message}", hint=f"ds://{mount}/<repo>[@<ref>]/<key>") from None
    return f"{mount}/{inner.mount}", inner.ref, key, store.repo(inner.mount)
