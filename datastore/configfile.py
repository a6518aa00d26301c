"""Reading one configuration file: YAML, `${VAR}` interpolation, errors that name file, line or field but no values."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import msgspec
from msgspec import Struct

from datastore.errors import ConfigError, DatastoreError, UntrustedConfig, nearest
from datastore.secret import Secret, has_credentials, is_secret_name

__all__ = ["Interpolated", "convert", "fits_endpoint", "interpolate", "is_address", "parse_yaml", "read_file"]

T = TypeVar("T")

_VARIABLE = re.compile(r"\$?\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}]*))?\})?", re.ASCII)
_ADDRESS = re.compile(r"(?:https?|wss?|s?ftp)://", re.ASCII | re.IGNORECASE)
_MAX_DEPTH = 16
_MAX_VALUES = 10_000
_ENDPOINT_VARIABLES = ("_ENDPOINT", "_URL", "_ID", "_REGION")


def read_file(path: Path) -> dict[str, object]:
    """Return what a configuration file says; an empty one says nothing.

    Raises:
        ConfigError: It cannot be read, or is not a YAML mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 (byte {error.start})"
    else:
        tree = parse_yaml(text, where=str(path))
        if isinstance(tree, dict) or tree is None:
            return cast("dict[str, object]", tree or {})
        problem = "the file must hold a mapping"
    # Raised out here so that no exception in the chain holds the text, which may hold a secret.
    raise ConfigError(f"{path}: {problem}", hint="a configuration file starts with 'mounts:' or 'store:'")


def parse_yaml(text: str, *, where: str) -> object:
    """Parse a YAML document with the safe loader, or raise `ConfigError` with the number of the line, not its text."""
    import yaml  # only where there is something to parse

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            node = loader.get_single_node()
            line = _duplicate(node, set())
            if line is None:
                return None if node is None else loader.construct_document(node)
            problem = f"the same name is given twice in one mapping, again at line {line}"
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = f"not valid YAML at line {mark.line + 1}" if mark else "not valid YAML"
    except yaml.reader.ReaderError as error:
        problem = f"a character that YAML does not allow at line {text.count(chr(10), 0, int(error.position)) + 1}"
    except (yaml.YAMLError, ValueError, RecursionError):
        problem = "not valid YAML"
    raise ConfigError(f"{where}: {problem}", hint="texts with : # { } [ ] & * ! | > ' \" % @ ` belong in quotes")


def _duplicate(node: Any, seen: set[int]) -> int | None:
    """Return the line of a key that its mapping has already: YAML's own loader would let the second one win unseen."""
    if node is None or id(node) in seen or isinstance(node.value, str):
        return None
    seen.add(id(node))
    names: set[tuple[str, str]] = set()
    for child in node.value:
        if isinstance(child, tuple):
            name, value = cast("tuple[Any, Any]", child)
            if isinstance(name.value, str):
                if (name.tag, name.value) in names:
                    return int(name.start_mark.line) + 1
                names.add((name.tag, name.value))
        else:
            value = child
        if line := _duplicate(value, seen):
            return line
    return None


def is_address(name: str, value: str) -> bool:
    """Tell whether an option tells where requests go, by its name or by its value; `public_url` only makes links.

    >>> is_address("endpoint", "minio:9000"), is_address("proxy", "http://h"), is_address("public_url", "https://h")
    (True, True, False)
    """
    name = name.rpartition(".")[2].lower().replace("-", "_")
    return name != "public_url" and ("endpoint" in name or _ADDRESS.match(value) is not None)


def fits_endpoint(variable: str) -> bool:
    """Tell whether an environment variable may go into an address that a project's file gives."""
    return variable.upper().endswith(_ENDPOINT_VARIABLES)


class Interpolated(Struct, frozen=True):
    """A document with its variables filled in, and which variables each dotted field took."""

    tree: dict[str, object]
    variables: dict[str, tuple[str, ...]]


def interpolate(tree: Mapping[str, object], environ: Mapping[str, str], *, where: str, project: bool) -> Interpolated:
    """Fill in `${VAR}` and `${VAR:-default}` in every text value; `$${` stands for a literal `${`.

    What comes in stays one text: it is never read as YAML. A value that took a variable whose name looks secret is a
    `Secret`.

    Args:
        tree: The parsed document.
        environ: Where the variables are.
        where: The file, for errors.
        project: Whether the file came with a project, so that only harmless variables may go into addresses.

    Raises:
        ConfigError: A variable is missing and has no default, or a `${` is malformed.
        UntrustedConfig: A project's file wants another variable inside an address.
    """
    variables: dict[str, tuple[str, ...]] = {}
    count = 0

    def fill(field: str, text: str) -> object:
        names: list[str] = []
        filled = _VARIABLE.sub(lambda match: _value_of(match, names, environ, f"{where}: {field}"), text)
        if not names:
            return filled
        variables[field] = tuple({*variables.get(field, ()), *names})
        if project and (
            is_address(field, text) or is_address(field, filled) or field.endswith(("public_url", "public-url"))
        ):
            _check_address(field, filled, names, where)
        return Secret(filled) if any(map(is_secret_name, names)) else filled

    def walk(value: object, field: str, depth: int) -> object:
        nonlocal count
        count += 1
        # Aliases can make a file of a few lines stand for billions of values, or for itself.
        if depth > _MAX_DEPTH or count > _MAX_VALUES:
            raise ConfigError(f"{where}: {field[:80]} is nested too deeply or too large")
        if isinstance(value, str):
            return fill(field, value)
        if isinstance(value, list):
            return [walk(item, field, depth + 1) for item in cast("list[object]", value)]
        if isinstance(value, dict):
            return walk_mapping(cast("dict[object, object]", value), field, depth)
        return value

    def walk_mapping(mapping: Mapping[Any, object], field: str, depth: int) -> dict[str, object]:
        for name in mapping:
            if not isinstance(name, str):
                raise ConfigError(
                    f"{where}: {field or 'the file'} has a name that is not text", hint="put names in quotes"
                )
        return {name: walk(item, f"{field}.{name}" if field else name, depth + 1) for name, item in mapping.items()}

    return Interpolated(walk_mapping(tree, "", 0), variables)


def _value_of(match: re.Match[str], names: list[str], environ: Mapping[str, str], where: str) -> str:
    if match.group().startswith("$$"):
        return match.group()[1:]
    name, default = match.group("name"), match.group("default")
    if name is None:
        raise ConfigError(
            f"{where} has a malformed '${{'", hint="write ${NAME} or ${NAME:-default}; $${ for a literal ${"
        )
    names.append(name)
    value = environ.get(name)
    if default is not None:
        return value or default  # as the shell does: an empty variable takes the default
    if value is None:
        raise ConfigError(
            f"{where} needs the environment variable {name}", hint=f"set it, or write ${{{name}:-default}}"
        )
    return value


def _check_address(field: str, filled: str, names: list[str], where: str) -> None:
    for name in names:
        if not fits_endpoint(name):
            raise UntrustedConfig(
                f"{where}: {field} wants the environment variable {name} inside an address",
                hint=f"addresses in a project's file take only variables that end in {', '.join(_ENDPOINT_VARIABLES)}",
            )
    if has_credentials(filled):
        raise UntrustedConfig(
            f"{where}: {field} would carry credentials inside an address (from {', '.join(names)})",
            hint="give the address without them",
        )


_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_MISSING = re.compile(r"Object missing required field `(.*)`")


def convert(value: object, kind: type[T], *, where: Callable[[str], str], also: tuple[str, ...] = ()) -> T:
    """Convert plain data to a msgspec Struct, or raise `ConfigError` in our own words, which never quote a value.

    Args:
        value: Plain data, with `Secret` objects where a secret is.
        kind: The Struct. Its fields may be of type `Secret` and `Path`.
        where: Makes "<place>: <field>" of a dotted field.
        also: Further names that a hint about an unknown one may propose.
    """
    try:
        return msgspec.convert(value, kind, dec_hook=_decode)
    except msgspec.ValidationError as error:
        problem = _explain(error, kind, where=where, also=also)
    raise problem  # outside, so that the original, which may quote a value, is not in the chain


def _decode(kind: type[Any], value: object) -> object:
    kinds = get_args(kind) or (kind,)  # msgspec hands over `Secret | None` as it is
    if isinstance(value, tuple(one for one in kinds if isinstance(one, type))):
        return value
    for own in (Secret, Path):
        if own in kinds and isinstance(value, str):
            return own(value)
    raise TypeError("Expected `str`, got `Secret`" if isinstance(value, Secret) else "Expected `str`")


def _explain(
    error: msgspec.ValidationError, kind: type[Any], *, where: Callable[[str], str], also: tuple[str, ...]
) -> ConfigError:
    what, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    if unknown := _UNKNOWN.fullmatch(what):
        name = unknown.group(1)
        known = [*cast("tuple[str, ...]", kind.__struct_encode_fields__), *also] if not path else []
        field = f"{path}.{name}" if path else name
        hint = nearest(name, known, what="names") or (None if known or path else "it takes no options")
        return ConfigError(f"{where(field)} is not known", hint=hint)
    if missing := _MISSING.fullmatch(what):
        field = f"{path}.{missing.group(1)}" if path else missing.group(1)
        return ConfigError(f"{where(field)} is missing")
    if isinstance(error.__cause__, DatastoreError):
        return ConfigError(f"{where(path)}: {error.__cause__.message}", hint=error.__cause__.hint)
    if what.endswith("got `Secret`"):
        hint = "give it a plain value: by its name, its variable or its form this one is a secret"
        return ConfigError(f"{where(path)} is shown to people, but holds a secret", hint=hint)
    if what.startswith("Expected"):
        return ConfigError(f"{where(path)}: {what[0].lower()}{what[1:]}")
    return ConfigError(f"{where(path)} has a value that is not allowed")
