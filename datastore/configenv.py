"""Overrides of the configuration by environment variables: `DATASTORE__MOUNTS__GARMENTS__REPO=garments`."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from datastore.configfile import parse_yaml
from datastore.errors import ConfigError, nearest
from datastore.secret import Secret, is_secret_name

__all__ = [
    "AUTHOR",
    "CACHE",
    "CONFIG",
    "FROZEN",
    "LOCK",
    "OFFLINE",
    "STORE",
    "apply_overrides",
    "check_short_forms",
]

AUTHOR: Final = "DATASTORE_AUTHOR"
CACHE: Final = "DATASTORE_CACHE"
CONFIG: Final = "DATASTORE_CONFIG"
FROZEN: Final = "DATASTORE_FROZEN"
LOCK: Final = "DATASTORE_LOCK"
OFFLINE: Final = "DATASTORE_OFFLINE"
STORE: Final = "DATASTORE_STORE"
_PREFIX: Final = "DATASTORE_"
_LONG: Final = "DATASTORE__"
_SHORT_FORMS: Final = frozenset({AUTHOR, CACHE, CONFIG, FROZEN, LOCK, OFFLINE, STORE})
_MOUNT_LEVELS: Final = 3
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "store": ("path",),
    "cache": ("path", "size"),
    "frozen": (),
    "offline": (),
}


def check_short_forms(environ: Mapping[str, str]) -> None:
    """Raise `ConfigError` for a variable that is nearly a short form; others with our prefix may be somebody else's."""
    unknown = [
        name for name in environ if name.startswith(_PREFIX) and not name.startswith(_LONG) and name not in _SHORT_FORMS
    ]
    if not unknown:
        return
    import difflib  # only where there is something to compare

    words = [name.removeprefix(_PREFIX) for name in _SHORT_FORMS]
    for name in sorted(unknown):
        if near := difflib.get_close_matches(name.removeprefix(_PREFIX), words, n=1, cutoff=0.75):
            raise ConfigError(f"environment variable {name} is not known", hint=f"did you mean {_PREFIX}{near[0]}?")


def apply_overrides(tree: dict[str, Any], environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Set every field of the document that a `DATASTORE__…` variable names.

    Case does not matter, nor whether `_` or `-` is written. Values are YAML; those of secrets are taken as they are. A
    mount that the document does not have is made if one of the variables gives its provider.

    Args:
        tree: The document, with `mounts` (name → options) and `store`; it is changed.
        environ: The variables.

    Returns:
        The variable that set it, for each path of names.

    Raises:
        ConfigError: A variable that names no field, or two that name the same one.
    """
    origins: dict[tuple[str, ...], str] = {}
    variables = sorted(name for name in environ if name.upper().startswith(_LONG))
    new = {_plain(name.split("__")[2]) for name in variables if _is_provider(name)}
    for variable in variables:
        path = _path(tree, variable, new)
        if other := origins.get(path):
            raise ConfigError(
                f"environment variables {other} and {variable} set the same field", hint="remove one of them"
            )
        origins[path] = variable
        text = environ[variable]
        secret = any(map(is_secret_name, path[2:]))
        _set(
            tree, path, Secret(text) if secret else parse_yaml(text, where=f"environment variable {variable}"), variable
        )
    return origins


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _is_provider(variable: str) -> bool:
    parts = variable.lower().split("__")
    return len(parts) == _MOUNT_LEVELS + 1 and parts[1] == "mounts" and parts[3] == "provider"


def _path(tree: Mapping[str, Any], variable: str, new: set[str]) -> tuple[str, ...]:
    parts = variable.split("__")[1:]
    section = _known(parts[0], ("mounts", *_FIELDS), variable, "sections")
    if section in _FIELDS:
        fields = _FIELDS[section]
        if len(parts) != 1 + bool(fields):
            example = f"{_LONG}{'__'.join([section, *fields[:1]]).upper()}=…"
            raise ConfigError(f"environment variable {variable} names no field", hint=example)
        return (section, _known(parts[1], fields, variable, "fields")) if fields else (section,)
    if len(parts) < _MOUNT_LEVELS or not all(parts):
        raise ConfigError(
            f"environment variable {variable} names no option", hint="DATASTORE__MOUNTS__<NAME>__<OPTION>=…"
        )
    mounts = tree["mounts"]
    mount = _plain(parts[1]) if _plain(parts[1]) in new else _known(parts[1], mounts, variable, "mounts")
    place: object = mounts.get(mount, {})
    path = [section, mount]
    for part in parts[2:]:
        options = cast("dict[str, object]", place) if isinstance(place, dict) else {}
        path.append(_match(part, options, variable) or part.lower().replace("-", "_"))
        place = options.get(path[-1])
    return tuple(path)


def _known(part: str, known: Iterable[str], variable: str, what: str) -> str:
    found = _match(part, known, variable)
    if found is None:
        hint = nearest(_plain(part), known, what=what)
        raise ConfigError(
            f"environment variable {variable} names {part!r}, which the configuration does not have", hint=hint
        )
    return found


def _match(part: str, known: Iterable[str], variable: str) -> str | None:
    found = [name for name in known if _plain(name) == _plain(part)]
    if len(found) > 1:
        raise ConfigError(
            f"environment variable {variable} is ambiguous: {' or '.join(sorted(found))}", hint="rename one of them"
        )
    return found[0] if found else None


def _set(tree: dict[str, Any], path: tuple[str, ...], value: object, variable: str) -> None:
    place = tree
    for name in path[:-1]:
        inner: object = place.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"environment variable {variable}: {name!r} is not a mapping", hint="set it as a whole")
        place = cast("dict[str, Any]", inner)
    place[path[-1]] = value
