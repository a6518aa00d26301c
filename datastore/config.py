"""Typed configuration: where it is found, what it says, and which parts of it must not be shown.

The `config*` modules are the only readers of configuration files and environment variables in this package. What counts
first: environment, then (for the store's place) a `.datastore/` folder upwards, then the file, then the defaults.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from msgspec import Struct, field

from datastore.configenv import (
    AUTHOR,
    CACHE,
    CONFIG,
    FROZEN,
    LOCK,
    OFFLINE,
    STORE,
    apply_overrides,
    check_short_forms,
)
from datastore.configfile import convert, interpolate, read_file
from datastore.errors import ConfigError, UnsupportedOperation, ValidationError
from datastore.names import check_mount
from datastore.secret import Secret, hide, public
from datastore.sizes import parse_size

__all__ = [
    "FILE_NAME",
    "LOCK_NAME",
    "SESSION",
    "Config",
    "Mount",
    "find_file",
    "load_config",
    "load_file",
    "session_mount",
    "user_config_dir",
]

FILE_NAME: Final = "datastore.yaml"
LOCK_NAME: Final = "datastore.lock"
SESSION: Final = "session"
_STORE_FOLDER: Final = ".datastore"
_ENVIRONMENT: Final = "environment"


class Mount(Struct, frozen=True, kw_only=True):
    """A name for one provider with its options.

    Attributes:
        name: As in `ds://<name>/…`.
        provider: Scheme of the provider, as the registry knows it.
        options: Plain data as the source gave it, secrets as `Secret`; the provider's own `Options` types it.
        source: The configuration file, `environment`, `session` or `built-in`.
        project: Whether the file came with a project, and is therefore not trusted with credentials.
        variables: Environment variables that were filled into each dotted option.
        overrides: The `DATASTORE__…` variable that set each dotted option.
        withheld: Secret options that did not come along from another process.
    """

    name: str
    provider: str
    options: Mapping[str, object]
    source: str
    project: bool = False
    variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    overrides: Mapping[str, str] = field(default_factory=dict[str, str])
    withheld: tuple[str, ...] = ()

    def public(self) -> dict[str, object]:
        """Return the options without the secret ones."""
        return cast("dict[str, object]", public(self.options))

    @property
    def where(self) -> str:
        """The mount as an error names it, with the variables that override its options."""
        by = f", with {', '.join(sorted(self.overrides.values()))}" if self.overrides else ""
        return f"mount {self.name!r} ({self.source}{by})"


class Config(Struct, frozen=True, kw_only=True):
    """The configuration of a process.

    Attributes:
        store: Where repos without a mount live; absolute.
        mounts: By name.
        file: The file that was read, absolute.
        project: Whether that file was found upwards from the working directory, outside the user's config folder.
        author: Who makes the commits of this process.
        cache: Where `resolve` keeps what it brings; None for a folder of the user's own.
        cache_size: Most bytes of it; None for as many as the disk takes.
        offline: Whether `resolve` asks no service.
        lock: The lock file, which need not be there; None where the working directory is gone.
        frozen: Whether a ref that may move is read as the lock file has it, or not at all.
    """

    store: Path
    mounts: Mapping[str, Mount] = field(default_factory=dict[str, Mount])
    file: Path | None = None
    project: bool = False
    author: str = "unknown"
    cache: Path | None = None
    cache_size: int | None = None
    offline: bool = False
    lock: Path | None = None
    frozen: bool = False

    @property
    def cache_path(self) -> Path:
        """Where the cache is."""
        if self.cache is not None:
            return self.cache
        import platformdirs  # not needed where the configuration says it

        return platformdirs.user_cache_path("datastore", appauthor=False) / "resolved"

    def __reduce__(self) -> NoReturn:
        raise UnsupportedOperation(
            "a configuration does not travel in pickles, it may hold secrets",
            hint="pickle URLs, repos or file systems: they find it again by its path",
        )


class _StoreSection(Struct, frozen=True, forbid_unknown_fields=True):
    path: str | None = None


class _CacheSection(Struct, frozen=True, forbid_unknown_fields=True):
    path: str | None = None
    size: str | int | None = None


class _Document(Struct, frozen=True, forbid_unknown_fields=True):
    mounts: dict[str, object] | None = None
    store: _StoreSection | None = None
    cache: _CacheSection | None = None
    offline: bool | None = None
    frozen: bool | None = None


def load_config(*, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Config:
    """Find and read the configuration of this process.

    Args:
        environ: Instead of the process's environment.
        cwd: Instead of the working directory.

    Raises:
        ConfigError: It is wrong; names file (or variable) and field.
        UntrustedConfig: A project's file wants environment variables inside an address that do not belong there.
    """
    environ = os.environ if environ is None else environ
    cwd = _working_directory() if cwd is None else cwd
    check_short_forms(environ)
    file, project = find_file(environ, cwd)
    return load_file(file, project=project, environ=environ, cwd=cwd)


def find_file(environ: Mapping[str, str], cwd: Path | None) -> tuple[Path | None, bool]:
    """Return the configuration file, if there is one, and whether it came with a project."""
    if named := environ.get(CONFIG):
        file = _absolute(named, cwd)
        if not os.path.isfile(file):  # noqa: PTH113 - unlike Path.is_file it is never an error
            raise ConfigError(f"{CONFIG} names {file}, which is not there", hint=f"correct or unset {CONFIG}")
        return file, False
    own = user_config_dir() / FILE_NAME
    if found := _upwards(cwd, FILE_NAME, os.path.isfile):
        return found, os.path.realpath(found) != os.path.realpath(own)
    return (own, False) if os.path.isfile(own) else (None, False)  # noqa: PTH113


def load_file(
    file: Path | None,
    *,
    project: bool,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    store: Path | None = None,
) -> Config:
    """Read one file with the environment's overrides; without a file, only those.

    Args:
        file: The configuration file.
        project: Whether it is a project's, and not trusted with credentials.
        environ: Instead of the process's environment.
        cwd: Instead of the working directory.
        store: The store's place, where it is known already.
    """
    environ = os.environ if environ is None else environ
    cwd = _working_directory() if cwd is None else cwd
    where = str(file) if file else _ENVIRONMENT
    raw = read_file(file) if file else {}
    filled = interpolate(raw, environ, where=where, project=project)
    document = convert(filled.tree, _Document, where=lambda name: f"{where}: {name or 'the file'}")
    cache = document.cache or _CacheSection()
    tree: dict[str, Any] = {
        "mounts": {},
        "store": {"path": document.store.path if document.store else None},
        "cache": {"path": cache.path, "size": cache.size},
        "offline": document.offline,
        "frozen": document.frozen,
    }
    for name, options in (document.mounts or {}).items():
        if not isinstance(options, dict):
            raise ConfigError(f"{where}: mounts.{name} is not a mapping", hint=f"{name}: {{provider: …}}")
        tree["mounts"][name] = options
    origins = apply_overrides(tree, environ)
    mounts = {
        name: _file_mount(
            name, options, where=where, project=project, variables=filled.variables, origins=origins, cwd=cwd
        )
        for name, options in tree["mounts"].items()
    }
    place = store or _store_path(
        tree["store"]["path"], environ, cwd, file=file, overridden=("store", "path") in origins
    )
    return Config(
        store=place,
        mounts=mounts,
        file=file,
        project=project,
        author=_author(environ),
        cache=_cache_path(tree["cache"]["path"], environ, cwd, file=file, overridden=("cache", "path") in origins),
        cache_size=_cache_size(tree["cache"]["size"], where),
        offline=_switch("offline", tree, OFFLINE, environ),
        lock=_lock_path(environ, cwd, project=file if project else None),
        frozen=_switch("frozen", tree, FROZEN, environ),
    )


def session_mount(name: str, provider: str, options: Mapping[str, object], *, withheld: tuple[str, ...] = ()) -> Mount:
    """Return the mount that code asks for; secrets among its options are wrapped, a relative `path` made absolute.

    Raises:
        ValidationError: The name is not one for a mount.
        ConfigError: A secret that is no text.
    """
    check_mount(name)
    hidden = _located(hide(options, field=f"mount {name!r}"), _working_directory())
    return Mount(name=name, provider=provider, options=hidden, source=SESSION, withheld=withheld)


def _author(environ: Mapping[str, str]) -> str:
    """Return who this is: `$DATASTORE_AUTHOR`, else what git was told, else the name of the account."""
    if named := environ.get(AUTHOR) or environ.get("GIT_AUTHOR_NAME"):
        address = environ.get("GIT_AUTHOR_EMAIL") if AUTHOR not in environ else None
        return f"{named} <{address}>" if address else named
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an account without a name, as in some containers
        return "unknown"


def user_config_dir() -> Path:
    """Return the user's own folder for configuration of this package."""
    import platformdirs  # not needed where a project brings its file and its store

    return platformdirs.user_config_path("datastore", appauthor=False)


def _file_mount(
    name: str,
    raw: Mapping[str, object],
    *,
    where: str,
    project: bool,
    variables: Mapping[str, tuple[str, ...]],
    origins: Mapping[tuple[str, ...], str],
    cwd: Path | None,
) -> Mount:
    prefix = f"mounts.{name}"
    try:
        check_mount(name)
    except ValidationError as error:
        raise ConfigError(f"{where}: {prefix}: {error.message}", hint=error.hint) from None
    options = dict(raw)
    provider = options.pop("provider", None)
    if not isinstance(provider, str):
        problem = "is missing" if provider is None else "is not plain text"
        raise ConfigError(f"{where}: {prefix}.provider {problem}", hint=f"{name}: {{provider: local, path: …}}")
    overrides = {".".join(path[2:]): variable for path, variable in origins.items() if path[:2] == ("mounts", name)}
    try:
        hidden = hide(options, field=prefix)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None
    base = cwd if "path" in overrides or where == _ENVIRONMENT else Path(where).parent
    return Mount(
        name=name,
        provider=provider,
        options=_located(hidden, base),
        source=where,
        project=project,
        variables={
            dotted.removeprefix(f"{prefix}."): names
            for dotted, names in variables.items()
            if dotted.startswith(f"{prefix}.")
        },
        overrides=overrides,
    )


def _located(options: object, base: Path | None) -> dict[str, object]:
    """Make the option `path`, a place on this machine with every provider, absolute."""
    located = cast("dict[str, object]", options)
    path = located.get("path")
    return {**located, "path": str(_absolute(path, base))} if isinstance(path, str) else located


def _store_path(
    value: object, environ: Mapping[str, str], cwd: Path | None, *, file: Path | None, overridden: bool
) -> Path:
    if short := environ.get(STORE):
        return _absolute(short, cwd)
    where = "DATASTORE__STORE__PATH" if overridden else f"{file}: store.path"
    if isinstance(value, Secret) or not isinstance(value, str | None):
        raise ConfigError(f"{where} is not plain text", hint="store: {path: ~/data/store}")
    if overridden and value:
        return _absolute(value, cwd)
    if found := _upwards(cwd, _STORE_FOLDER, os.path.isdir):
        return found
    if value and file:
        return _absolute(value, file.parent)
    import platformdirs

    # A folder of its own: on macOS and Windows the data folder is the configuration folder, too.
    return platformdirs.user_data_path("datastore", appauthor=False) / "store"


def _cache_path(
    value: object, environ: Mapping[str, str], cwd: Path | None, *, file: Path | None, overridden: bool
) -> Path | None:
    if short := environ.get(CACHE):
        return _absolute(short, cwd)
    if not isinstance(value, str | None):
        raise ConfigError("cache.path is not plain text", hint="cache: {path: ~/.cache/datastore}")
    return _absolute(value, cwd if overridden or file is None else file.parent) if value else None


def _cache_size(value: object, where: str) -> int | None:
    if value is None:
        return None
    try:
        if isinstance(value, str | int) and not isinstance(value, bool):
            return parse_size(value)
    except ValidationError:
        pass
    raise ConfigError(f"{where}: cache.size is {value!r}, which is not a size", hint="cache: {size: 50GB}")


def _lock_path(environ: Mapping[str, str], cwd: Path | None, *, project: Path | None) -> Path | None:
    """Return the nearest lock file upwards, or else where a new one belongs: beside the project's configuration."""
    if named := environ.get(LOCK):
        return _absolute(named, cwd)
    found = _upwards(cwd, LOCK_NAME, os.path.isfile)
    folder = project.parent if project else cwd
    return found or (folder and folder / LOCK_NAME)


def _switch(name: str, tree: Mapping[str, Any], variable: str, environ: Mapping[str, str]) -> bool:
    return _flag(environ[variable], variable) if environ.get(variable) else _flag(tree[name], name)


def _flag(value: object, name: str) -> bool:
    text = "" if value is None else str(value).strip().lower()
    if text in {"", "0", "false", "no", "off"}:
        return False
    if text in {"1", "true", "yes", "on"}:
        return True
    raise ConfigError(f"{name} is {value!r}, which is neither yes nor no", hint=f"write {name}=1, or leave it out")


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was deleted: nothing can be found upwards from it
        return None


def _absolute(path: str, base: Path | None) -> Path:
    path = os.path.expanduser(path)  # noqa: PTH111 - text in
    if not os.path.isabs(path) and base is None:  # noqa: PTH117
        raise ConfigError(f"path {path!r} is relative, but the working directory is gone", hint="give an absolute path")
    return Path(os.path.normpath(os.path.join(base or "", path)))  # noqa: PTH118 - `..` goes without asking the disk


def _upwards(start: Path | None, name: str, exists: Any) -> Path | None:
    for folder in (start, *start.parents) if start else ():
        if exists(folder / name):
            return folder / name
    return None
