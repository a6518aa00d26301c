"""The namespace: from a `ds://` URL to the provider that has its objects.

A name is a mount (from the configuration, or made by `mount`), a repo in the embedded default store, or a built-in
mount, in this order; a name that two of them claim is an error. Nothing is created by looking for it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol, cast

import msgspec
from msgspec import Struct

from datastore import registry
from datastore.bridging import SupportsFollowing
from datastore.config import FILE_NAME, Config, Mount, load_config, load_file, session_mount
from datastore.errors import (
    AlreadyExists,
    ConfigError,
    DatastoreError,
    Forbidden,
    IntegrityError,
    InvalidURL,
    NotFound,
    UnsupportedOperation,
    ValidationError,
    nearest,
)
from datastore.mounting import (
    RESERVED,
    OpenedMount,
    builtin,
    check_reserved,
    check_session,
    open_mount,
    portable,
    same_mount,
)
from datastore.provider import Provider, Reader, SupportsRepos, SupportsVersioning
from datastore.registry import Root
from datastore.urls import SCHEME, DatasetURL, Location, format_location, parse_location, to_url
from datastore.values import ByteRange, Link

__all__ = ["MountInfo", "Namespace", "Target", "current", "reset_current"]


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


class Namespace:
    """All names that a process sees. Safe to share between threads and to use after `fork`.

    It holds no lock: what it keeps goes into dictionaries by `setdefault`, and opening a mount twice at the same time
    is harmless, because handles are free.

    Args:
        config: The configuration; None finds it at first use.
        session: Mounts that `mount` made in another process.
    """

    def __init__(self, config: Config | None = None, session: Mapping[str, Mount] | None = None) -> None:
        self._config = config and _checked(config)
        self._session = dict(session or {})
        self._opened: dict[str, OpenedMount] = {}
        self._repos: dict[str, OpenedMount] = {}
        self._stores: dict[Path, _Store] = {}

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
        """Return what a URL leads to, without asking whether the object exists, or a repo that was there before.

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
        opened = self._repo_found(location.mount) or self._open(location.mount)
        name, ref, key, repo = location.mount, location.ref, location.key, opened.repo
        if opened.repos is not None:
            name, ref, key, repo = _in_store(opened.repos, location)
        if repo is None:
            if ref is not None:
                raise InvalidURL(
                    f"{str(location)!r}: mount {name!r} is not versioned and has no refs",
                    hint=f"leave out {'@' + ref!r}",
                )
            provider = cast("Provider", opened.root)
        else:
            ref = ref or opened.ref or repo.default_branch
            ref = (pins or {}).get(format_location(name, ref, ""), ref)
            provider = repo.at(ref)
        return Target(name=name, ref=ref, key=key, provider=provider, versioned=repo, location=location)

    def url(self, target: str | os.PathLike[str]) -> DatasetURL:
        """Return anything that names data as a URL that knows whether its mount holds several repos.

        Raises:
            InvalidURL: It cannot be read as a URL.
        """
        url = to_url(target)
        first = parse_location(url).mount
        # What a built-in mount holds is known by its name; opening one may load its service's client.
        known = url.nested or first in RESERVED
        return url if known or self.repos_of(first) is None else DatasetURL(url, nested=True)

    def repos_of(self, name: str) -> SupportsRepos | None:
        """Return the store behind a mount that holds several repos; None for all else, and for what is broken."""
        if self._mount(name) is None and builtin(name) is None:
            return None
        try:
            return self._open(name).repos
        except DatastoreError:  # whoever uses the mount will be told
            return None

    def store_of(self, name: str) -> tuple[SupportsRepos, str]:
        """Return the store that has a repo, or would have it, and the repo's name there.

        Args:
            name: A repo of the default store, or `mount/repo`.

        Raises:
            InvalidURL: It is no such name.
            UnsupportedOperation: The mount does not hold several repos.
        """
        location = parse_location(name, nested="/" in name)
        if str(location) != SCHEME + name or location.key or location.ref is not None:
            raise InvalidURL(f"{name!r} is not the name of a repo", hint="write a name, or mount/name")
        mount, _, repo = name.partition("/")
        if not repo:
            return self.store, mount
        repos = self._open(mount).repos
        if repos is None:
            raise UnsupportedOperation(f"mount {mount!r} does not hold several repos", hint="leave out its name")
        return repos, repo

    def open_link(self, link: Link, range: ByteRange | None = None) -> Reader:
        """Open the source of a link, or a range of it; what a store with links is given as its `Opener`.

        Raises:
            ConfigError: The mount is not configured here; names it.
            NotFound: The source is gone.
            HeadMoved: It has changed.
        """
        target = self.link_target(link.url, address=link.address)
        return target.provider.read(target.key, range=range, if_match=link.etag)

    def link_target(self, url: str, *, address: str = "") -> Target:
        """Return what the URL of a link leads to.

        The built-in mount `local` is refused: a repo that came from elsewhere could name any file of this machine.

        Args:
            url: `ds://…`.
            address: The source as its service names it, for the error.

        Raises:
            ConfigError: The mount is not configured here; names it.
            Forbidden: It is the built-in mount `local`.
        """
        name = parse_location(url).mount
        if name == "local" and self._mount(name) is None:
            raise Forbidden(
                f"{url!r}: a link cannot lead to the whole disk of this machine",
                hint="give the folder a name of its own: ds.mount(name, 'local', path=folder)",
            )
        try:
            self._open(name)
        except NotFound as error:
            place = f" ({address})" if address else ""
            raise ConfigError(
                f"the data is at {url}{place}, and no mount or repo {name!r} is known here",
                hint=f"add it to {FILE_NAME}, or ds.mount({name!r}, provider=…)",
            ) from error
        return self.target(url)

    def mount(self, name: str, /, provider: str, **options: object) -> MountInfo:
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
        check_session(mount)
        taken = self._mount(name)
        if taken is None:
            if self._repo(name) is not None:
                raise AlreadyExists(f"{name!r} is a repo in {self.config.store}", hint="choose another name")
            taken = self._session.setdefault(name, mount)
            if name in RESERVED:  # the built-in mount may have been opened before
                self._opened.pop(name, None)
        if not same_mount(taken, mount):
            raise AlreadyExists(f"{taken.where} is another one", hint="choose another name")
        return self._describe(taken)

    def mounts(self) -> list[MountInfo]:
        """Return all mounts by name: the configured ones and those made by `mount`."""
        return [self._describe(mount) for _, mount in sorted({**self._session, **self.config.mounts}.items())]

    def check_free(self, name: str) -> None:
        """Raise `AlreadyExists` if a new repo in the default store must not have this name: a mount has it."""
        mount = self._mount(name) or builtin(name)
        if mount is not None:
            raise AlreadyExists(f"{name!r} is the name of {mount.where}", hint="choose another name")

    def close(self) -> None:
        """Close what was opened; a store opens again at its next use."""
        while self._opened:
            self._opened.popitem()[1].root.close()
        self._repos.clear()
        while self._stores:
            self._stores.popitem()[1].close()

    def handle(self) -> dict[str, str]:
        """Return what another process needs to see the same names: paths, store id, session mounts; no secrets."""
        store = self._existing_store()
        config = self.config
        mounts = {name: portable(mount) for name, mount in self._session.items()}
        return {
            "config": str(config.file or ""),
            "project": "yes" if config.project else "",
            "store": str(config.store),
            "store_id": store.id if store else "",
            "mounts": msgspec.json.encode(mounts, order="deterministic").decode(),
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
        except DatastoreError:  # this process's own configuration may be broken; the handle does not need it
            return False
        same = all(mine[part] == handle[part] for part in ("config", "project", "store"))
        return same and _mounts_of(handle).items() <= _mounts_of(mine).items()

    def check_store(self, store_id: str) -> None:
        """Raise `IntegrityError` if the default store is there, but has another id; an empty one fits all."""
        store = self._existing_store()
        if store is not None and store_id not in {"", store.id}:
            raise IntegrityError(
                f"{self.config.store} is another store by now: its id is {store.id}, expected was {store_id}",
                hint="open the URL anew, or put the store back that was there",
            )

    def _mount(self, name: str) -> Mount | None:
        return self.config.mounts.get(name) or self._session.get(name)

    def _default_store(self) -> _Store:
        path = self.config.store
        known = self._stores.get(path)
        if known is None:
            store = registry.open_provider("embedded", {"path": str(path)}, where="the default store")
            self._follow(store)
            known = self._stores.setdefault(path, cast("_Store", store))
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

    def _open(self, name: str) -> OpenedMount:
        opened = self._opened.get(name)
        if opened is not None:
            return opened
        mount, repo = self._mount(name) or builtin(name), self._repo(name)
        if mount is not None:
            if repo is not None:
                place = f"a repo in {self.config.store}"
                raise ConfigError(f"{name!r} is both {mount.where} and {place}", hint="rename one of them")
            opened = open_mount(mount)
            self._follow(opened.root)
            return self._opened.setdefault(name, opened)
        if repo is None:
            hint = nearest(name, [*self.names(), *RESERVED], what="names")
            raise NotFound(f"no mount or repo is called {name!r}", hint=hint)
        return self._repos.setdefault(name, OpenedMount(repo, repo=repo))

    def _repo_found(self, name: str) -> OpenedMount | None:
        """Return a repo of the default store that was found before, without looking for it again.

        Its handle follows the name; if the repo is gone, that is said by the verb, which asks the index anyway. Looking
        here, too, took longer than a verb.
        """
        found = self._repos.get(name)
        return None if found is None or self._mount(name) is not None else found

    def _follow(self, root: Root) -> None:
        # Handed in from here, because a store must not know of mounts.
        if isinstance(root, SupportsFollowing):
            root.follow_links(self.open_link)

    def _describe(self, mount: Mount) -> MountInfo:
        try:
            opened = self._open(mount.name)
            versioned = opened.repo is not None or opened.repos is not None
        except DatastoreError:  # whoever uses the mount will be told
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


def _checked(config: Config) -> Config:
    for mount in config.mounts.values():
        check_reserved(mount)
    return config


def _parts(handle: Mapping[str, str]) -> tuple[Config, dict[str, Mount]]:
    file = Path(handle["config"]) if handle["config"] else None
    config = load_file(file, project=handle["project"] == "yes", store=Path(handle["store"]))
    session: dict[str, Mount] = {}
    for name, text in _mounts_of(handle).items():
        entry = cast("dict[str, Any]", msgspec.json.decode(text))
        session[name] = session_mount(name, entry["provider"], entry["options"], withheld=tuple(entry["withheld"]))
    return config, session


def _mounts_of(handle: Mapping[str, str]) -> dict[str, str]:
    return msgspec.json.decode(handle["mounts"], type=dict[str, str])


def _in_store(store: SupportsRepos, written: Location) -> tuple[str, str | None, str, SupportsVersioning]:
    location = parse_location(str(written), nested=True)
    _, _, repo = location.mount.partition("/")
    if not repo:
        raise InvalidURL(f"{str(written)!r} names no repo", hint=f"write ds://{written.mount}/<repo>[@<ref>]/<key>")
    return location.mount, location.ref, location.key, store.repo(repo)
