"""From one mount to the root that it stands for, with the rules that a mount has to keep."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Final

import msgspec
from msgspec import Struct

from datastore import registry
from datastore.config import FILE_NAME, Mount
from datastore.configtrust import check_trust
from datastore.errors import ConfigError, ValidationError
from datastore.names import parse_ref
from datastore.provider import SupportsRepos, SupportsVersioning, is_versioned
from datastore.registry import Root
from datastore.secret import Secret, leaves

__all__ = [
    "RESERVED",
    "OpenedMount",
    "builtin",
    "check_reserved",
    "check_session",
    "open_mount",
    "portable",
    "same_mount",
]

RESERVED: Final[Mapping[str, Mapping[str, object]]] = {
    "azure": {},
    "gcs": {},
    "lakefs": {},
    "local": {"path": "/"},
    "r2": {},
    "s3": {},
}
"""Names of built-in mounts, each served by the provider of the same name with these options."""


class OpenedMount(Struct, frozen=True):
    """A root with its kind, because asking a protocol by `isinstance` costs more than a small read.

    Attributes:
        root: As the provider's module gave it.
        repos: The root, if it holds several repos.
        repo: The root, if it is one repo.
        ref: Which ref is meant when a URL gives none; None leaves it to the repo.
    """

    root: Root
    repos: SupportsRepos | None = None
    repo: SupportsVersioning | None = None
    ref: str | None = None


def open_mount(mount: Mount) -> OpenedMount:
    """Open a mount.

    Raises:
        ConfigError: Its options are wrong, or its secrets stayed behind in another process.
        UntrustedConfig: It would send credentials where the user did not approve.
    """
    if mount.withheld:
        raise ConfigError(
            f"mount {mount.name!r} was made in another process with secrets ({', '.join(mount.withheld)}), "
            "which do not travel",
            hint=f"put it into {FILE_NAME}, with ${{VARIABLE}} for each secret",
        )
    check_trust(mount)
    ref = _default_ref(mount)
    root = registry.open_provider(mount.provider, _provider_options(mount), where=mount.where)
    if isinstance(root, SupportsRepos):
        return OpenedMount(root, repos=root, ref=ref)
    if is_versioned(root):
        return OpenedMount(root, repo=root, ref=ref)
    if ref is not None:
        raise ConfigError(f"{mount.where} is not versioned: option 'ref' means nothing there", hint="leave it out")
    return OpenedMount(root)


def builtin(name: str) -> Mount | None:
    """Return the built-in mount of a reserved name."""
    options = RESERVED.get(name)
    return None if options is None else Mount(name=name, provider=name, options=options, source="built-in")


def check_reserved(mount: Mount) -> None:
    """Raise `ConfigError` if a mount takes the name of a built-in one for something else.

    `s3://bucket/key` and `lakefs://repo/ref/key` are translated to these names, so their mounts have all buckets, all
    repos.
    """
    fixed = next((option for option in ("bucket", "repo") if mount.options.get(option) is not None), None)
    if mount.name in RESERVED and fixed:
        raise ConfigError(
            f"{mount.where}: {mount.name!r} is the name of a built-in mount, which has no fixed {fixed}",
            hint=f"give it another name, or leave out {fixed!r}",
        )
    if mount.name in RESERVED and mount.provider != mount.name:
        raise ConfigError(
            f"{mount.where}: {mount.name!r} is the name of a built-in mount, its provider cannot be {mount.provider!r}",
            hint="give it another name",
        )


def check_session(mount: Mount) -> None:
    """Raise `ConfigError` if a mount that code asks for could not be opened, or not be described to another process."""
    check_reserved(mount)
    registry.check_options(mount.provider, _provider_options(mount), where=mount.where)
    _default_ref(mount)
    try:
        portable(mount)
    except TypeError as error:
        raise ConfigError(f"{mount.where}: not plain data: {error}", hint="texts, numbers, lists, dicts") from None


def portable(mount: Mount) -> str:
    """Return what other processes may know of a mount, as canonical JSON: of its secrets only the names."""
    withheld = sorted({*mount.withheld, *(name for name, _ in _secrets(mount))})
    entry = {"provider": mount.provider, "options": mount.public(), "withheld": withheld}
    return msgspec.json.encode(entry, order="deterministic").decode()


def same_mount(a: Mount, b: Mount) -> bool:
    """Tell whether two mounts mean the same place with the same secrets."""
    return portable(a) == portable(b) and _secrets(a) == _secrets(b)


def _secrets(mount: Mount) -> list[tuple[str, object]]:
    return sorted(
        ((name, value) for name, value in leaves(mount.options) if isinstance(value, Secret)), key=itemgetter(0)
    )


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
