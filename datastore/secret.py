"""A text that is never shown, with the rule which options hold one."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from hmac import compare_digest
from typing import Any, Final, NoReturn, cast

from datastore.errors import ConfigError, UnsupportedOperation

__all__ = ["Secret", "has_credentials", "hide", "is_secret_name", "leaves", "public"]

_MASK: Final = "***"
_SECRET_NAME = re.compile(
    r"secret|passw|passphrase|token|credential"
    r"|(?:access|account|api|encryption|master|private|shared|signing)[_-]?key"
    r"|(?:^|[_-])(?:auth|authorization|connection[_-]string|cookie|dsn|pat|sas)$",
    re.ASCII | re.IGNORECASE,
)
_CREDENTIALS_IN_URL = re.compile(
    r"://[^/?#\s]*@|[?&][\w.-]*(?:signature|sig|token|secret|password|credential)[\w.-]*=",
    re.ASCII | re.IGNORECASE,
)


class Secret:
    """A text that shows as `***` and does not travel in pickles.

    >>> secret = Secret("s3cr3t")
    >>> f"{secret} {secret!r} {secret:>5}", secret == Secret("s3cr3t")
    ('*** *** ***', True)
    >>> secret.reveal()
    's3cr3t'
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, at the moment when it is sent to where it belongs."""
        return self._text

    def __repr__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        # A width would tell nothing; slicing specs such as `.3` would fail on something that is not a str.
        return _MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce_ex__(self, protocol: object, /) -> NoReturn:
        raise UnsupportedOperation(
            "a secret does not travel in pickles",
            hint="name it as ${VARIABLE} in a configuration file that both processes can read",
        )

    def __getstate__(self) -> NoReturn:
        self.__reduce_ex__(None)


def is_secret_name(name: str) -> bool:
    """Tell whether an option or an environment variable of this name holds a secret.

    >>> [
    ...     name
    ...     for name in ("secret_access_key", "sas-token", "R2_ACCESS_KEY_ID", "bucket", "PWD")
    ...     if is_secret_name(name)
    ... ]
    ['secret_access_key', 'sas-token', 'R2_ACCESS_KEY_ID']
    """
    return _SECRET_NAME.search(name) is not None


def has_credentials(text: str) -> bool:
    """Tell whether a text is a URL that carries credentials.

    >>> (
    ...     has_credentials("https://me:pw@host/x"),
    ...     has_credentials("https://host/x?X-Amz-Signature=1"),
    ...     has_credentials("https://host"),
    ... )
    (True, True, False)
    """
    return _CREDENTIALS_IN_URL.search(text) is not None


def hide(value: object, *, field: str, secret: bool = False) -> object:
    """Return a value of the configuration with its secret texts wrapped, at any depth.

    Args:
        value: Plain data as YAML gives it; paths become texts, tuples lists.
        field: Dotted name, whose last part decides.
        secret: Whether something above it is secret already.

    Raises:
        ConfigError: A secret that is no text (`password: 0123` would have become another number).
    """
    secret = secret or is_secret_name(field.rpartition(".")[2])
    if isinstance(value, os.PathLike):
        value = os.fspath(cast("os.PathLike[str]", value))
    if isinstance(value, str):
        return Secret(value) if secret or has_credentials(value) else value
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(name): hide(item, field=f"{field}.{name}", secret=secret) for name, item in items}
    if isinstance(value, (list, tuple)):
        return [hide(item, field=field, secret=secret) for item in cast("Sequence[object]", value)]
    if secret and not isinstance(value, (Secret, bool, type(None))):
        raise ConfigError(f"{field} looks like a secret, which has to be text", hint="put the value in quotes")
    return value


def public(value: object) -> Any:
    """Return a value without the secrets in it: they are left out, not masked.

    >>> public({"bucket": "b", "token": Secret("x"), "more": {"password": Secret("y"), "n": [1]}})
    {'bucket': 'b', 'more': {'n': [1]}}
    """
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return {name: public(item) for name, item in items if not isinstance(item, Secret)}
    if isinstance(value, (list, tuple)):
        return [public(item) for item in cast("Sequence[object]", value) if not isinstance(item, Secret)]
    return value


def leaves(value: object, field: str = "") -> Iterator[tuple[str, object]]:
    """Yield (dotted name, value) of everything in nested options that is neither mapping nor list.

    >>> list(leaves({"a": 1, "b": {"c": ["x", "y"]}}))
    [('a', 1), ('b.c', 'x'), ('b.c', 'y')]
    """
    if isinstance(value, Mapping):
        for name, item in cast("Mapping[str, object]", value).items():
            yield from leaves(item, f"{field}.{name}" if field else name)
    elif isinstance(value, (list, tuple)):
        for item in cast("Sequence[object]", value):
            yield from leaves(item, field)
    else:
        yield field, value
