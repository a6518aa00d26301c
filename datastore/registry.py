"""Which module serves which provider.

A provider's module has `Options`, a frozen keyword-only msgspec Struct that forbids unknown fields, with `Secret` for
what must not be shown, and `open_mount(options)`, which does as little I/O as it can. An option called `path` is a
place on this machine and arrives absolute. Packages add providers through the entry point group `datastore.providers`:
name = scheme, value = module.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, Protocol, cast

from msgspec import Struct

from datastore.configfile import convert
from datastore.errors import ConfigError, nearest
from datastore.provider import Provider, SupportsRepos, SupportsVersioning

__all__ = ["GROUP", "ProviderModule", "Root", "check_options", "open_provider", "schemes"]

Root = Provider | SupportsVersioning | SupportsRepos
"""What a mount is at its root: plain objects, one repo, or several of them."""

GROUP: Final = "datastore.providers"
_BUILTIN: Final[Mapping[str, str]] = {
    "embedded": "datastore.embedded.store",
    "lakefs": "datastore.providers.lakefs",
    "local": "datastore.providers.local",
    "memory": "datastore.providers.memory",
    "s3": "datastore.providers.s3",
    **{
        preset: f"datastore.providers.s3.{preset}"
        for preset in ("b2", "ceph", "hetzner", "minio", "r2", "spaces", "tigris", "wasabi")
    },
}
_PLANNED: Final = frozenset({"azure", "gcs", "supabase"})
_NAMESPACE_OPTIONS: Final = ("ref",)


class ProviderModule(Protocol):
    """What a provider's module has."""

    Options: type[Struct]

    def open_mount(self, options: Any, /) -> Root:
        """Return the root of a mount."""
        ...


def schemes() -> list[str]:
    """Return the schemes that can be opened, sorted; reads the entry points of all installed packages."""
    return sorted({*_BUILTIN, *_entry_points()})


def check_options(scheme: str, options: Mapping[str, object], *, where: str) -> Struct:
    """Return the options of a provider as its own type.

    Args:
        scheme: Name of the provider.
        options: Plain data, secrets as `Secret` (a plain text does for one, too).
        where: The mount as errors name it.

    Raises:
        ConfigError: No such provider, an unknown or missing option, a wrong type. Values are not quoted.
    """
    return _typed(_module(scheme, where=where), options, where=where)


def open_provider(scheme: str, options: Mapping[str, object], *, where: str) -> Root:
    """Open a provider; arguments and errors as in `check_options`."""
    module = _module(scheme, where=where)
    typed = _typed(module, options, where=where)
    try:
        return module.open_mount(typed)
    except ConfigError as error:  # a provider does not know for whom it is opened
        if where in error.message:
            raise
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from error


def _typed(module: ProviderModule, options: Mapping[str, object], *, where: str) -> Struct:
    def named(option: str) -> str:
        return f"{where}: option {option!r}" if option else where

    return convert(dict(options), module.Options, where=named, also=_NAMESPACE_OPTIONS)


def _module(scheme: str, *, where: str) -> ProviderModule:
    try:
        if name := _BUILTIN.get(scheme):
            return cast("ProviderModule", import_module(name))
        points = _entry_points()
        if scheme not in points:
            raise _unknown(scheme, [*_BUILTIN, *points], where=where)
        module = points[scheme].load()
    except ImportError as error:
        raise ConfigError(
            f"{where}: provider {scheme!r} cannot be imported: {error}", hint="install the package that it needs"
        ) from error
    if not (hasattr(module, "Options") and hasattr(module, "open_mount")):
        raise ConfigError(f"{where}: provider {scheme!r} is incomplete", hint="its module needs Options and open_mount")
    return module


def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points  # reads the disk: only for a scheme that is not ours

    return {point.name: point for point in entry_points(group=GROUP)}


def _unknown(scheme: str, known: list[str], *, where: str) -> ConfigError:
    if scheme in _PLANNED:
        return ConfigError(
            f"{where}: this version of datastore has no provider {scheme!r} yet",
            hint=f"it has {', '.join(sorted(known))}; an installed package can add one",
        )
    return ConfigError(f"{where}: provider {scheme[:80]!r} is not known", hint=nearest(scheme, known, what="providers"))
