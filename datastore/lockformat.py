"""The text of a lock file: TOML, a table for each pin, sorted by name.

Pure functions; `lockfile.py` has the file. Written by hand because the standard library only reads TOML, and because a
text that is the same for the same pins is what makes a diff of it say something.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from datastore.configfile import convert
from datastore.errors import ConfigError, ValidationError
from datastore.names import is_commit_id
from datastore.urls import SCHEME, parse_location

__all__ = ["HERE", "Pin", "Pins", "check_pin_name", "format_lock", "parse_lock"]

HERE: Final = "./"
"""How the URL of data beside the lock file begins, which then means the same on every machine."""
_VERSION: Final = 1
_HEADER: Final = "# Written by ds.pin and `datastore lock`; belongs into version control.\n"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_CONFLICT: Final = re.compile(r"(?:<{7}|={7}|>{7}|\|{7})(?: |\r?$)")


class Pin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one URL led to when it was pinned.

    The fields are written in this order. The last one is needed, and in quotes, so that a file that was cut is noticed.

    Attributes:
        url: As it was asked for: `ds://…`, or `./…` for data beside the lock file.
        commit: Full id of the commit that its ref named; None where there are no versions.
        objects: How many there are in a folder.
        size: Bytes, of the object or of all in the folder.
        digest: Of the object's bytes, where it is known.
        etag: The service's tag of the object, where the digest is not known.
        listing: Of a folder: sha256 over a line of JSON for each object, `[name, digest or etag, size]`, in key order.
    """

    url: str
    commit: str | None = None
    objects: int | None = None
    size: int
    digest: str | None = None
    etag: str | None = None
    listing: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is everything under a prefix, and not one object."""
        return self.listing is not None

    @property
    def state(self) -> str:
        """What tells these bytes and names from others."""
        return f"{self.digest or self.etag or self.listing} {self.size}"

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValidationError(problem, hint="take the table from version control, or delete it and pin anew")


Pins = Mapping[str, Pin]
"""By name."""


def _problem(pin: Pin) -> str | None:
    if pin.url.startswith(SCHEME):
        parse_location(pin.url)
    elif not pin.url.startswith(HERE):
        return f"url is {pin.url!r}, which begins neither with {SCHEME} nor with {HERE}"
    if pin.commit is not None and not is_commit_id(pin.commit):
        return f"commit is {pin.commit!r}, which is no full commit id"
    for name, value in (("digest", pin.digest), ("listing", pin.listing)):
        if value is not None and not _DIGEST.fullmatch(value):
            return f"{name} is {value!r}, which is not sha256: and 64 hex digits"
    if pin.size < 0 or (pin.objects or 0) < 0:
        return "size and objects cannot be less than 0"
    if pin.is_folder != (pin.objects is not None) or pin.is_folder == (pin.digest is not None or pin.etag is not None):
        return "it has neither a digest or etag (of an object), nor a listing with objects (of a folder)"
    return None


def check_pin_name(name: str) -> str:
    """Return the name of a pin, or raise `ValidationError`.

    >>> check_pin_name("train-v2")
    'train-v2'
    """
    if not _NAME.fullmatch(name):
        rule = "1 to 64 letters, digits, '_' and '-', beginning with a letter or digit"
        raise ValidationError(f"{name[:80]!r} is not a valid name for a pin", hint=f"it is {rule}")
    return name


def format_lock(pins: Pins) -> str:
    """Return the text of a lock file: the same for the same pins, whatever their order.

    >>> print(format_lock({"train": Pin(url="ds://raw/a.csv", etag="5d41", size=5)}))
    # Written by ...
    version = 1
    <BLANKLINE>
    [pins.train]
    url = "ds://raw/a.csv"
    size = 5
    etag = "5d41"
    <BLANKLINE>
    """
    tables = [f"\n[pins.{name}]\n{_fields(pins[name])}" for name in sorted(pins)]
    return f"{_HEADER}version = {_VERSION}\n{''.join(tables)}"


def _fields(pin: Pin) -> str:
    values = msgspec.structs.asdict(pin)
    return "".join(f"{name} = {_value(value)}\n" for name, value in values.items() if value is not None)


def _value(value: str | int) -> str:
    # A JSON string is one of TOML, but for DEL, which TOML wants escaped.
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def parse_lock(data: bytes, *, where: str) -> dict[str, Pin]:
    """Return the pins of a lock file by name.

    Args:
        data: The file.
        where: Its path, for errors.

    Raises:
        ConfigError: It is none, is damaged, or has a conflict of a merge; names the line or the pin.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _foreign(where) from None
    _refuse_conflict(text, where)
    tree = _toml(text, where)
    version = tree.pop("version", None)
    tables = tree.pop("pins", {})
    if type(version) is int and version > _VERSION:
        raise ConfigError(f"{where} is of a newer version of datastore: {version}", hint="pip install -U datastore-sdk")
    if type(version) is not int or version != _VERSION or tree or not isinstance(tables, dict):
        raise _foreign(where)
    return {name: _pin(name, table, where) for name, table in cast("dict[str, object]", tables).items()}


def _refuse_conflict(text: str, where: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if _CONFLICT.match(line):
            raise ConfigError(
                f"{where}, line {number}: {line[:7]!r} is where a merge left a conflict",
                hint="keep the pins that you want, delete the lines of the merge, then run `datastore lock check`",
            )


def _toml(text: str, where: str) -> dict[str, Any]:
    import tomllib  # only who uses a lock file needs it

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # it meets numbers, and depths, that are too large in its own way
        raise ConfigError(
            f"{where} is damaged, or no lock file: {error}", hint="take it from version control"
        ) from None


def _foreign(where: str) -> ConfigError:
    return ConfigError(
        f"{where} is no lock file of datastore", hint="take it from version control, or name another: DATASTORE_LOCK"
    )


def _pin(name: str, table: object, where: str) -> Pin:
    try:
        check_pin_name(name)
    except ValidationError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None

    def place(field: str) -> str:
        return f"{where}: pins.{name}{'.' if field else ''}{field}"

    return convert(table, Pin, where=place)
