"""Which commit stands for a ref, in the text form that travels in URLs' arguments and in pickles.

`garments@main=<commit id>`, several of them separated by commas. A `+` at the end tells that the branch had uncommitted
changes when it was pinned: its reader sees them, too, and fails once the head is another commit.
"""

import inspect
import re
import threading
from collections.abc import Mapping
from typing import Any, Final

from fsspec import core
from msgspec import Struct

from datastore.bridging import serves_requests
from datastore.errors import NotFound, ValidationError
from datastore.names import is_commit_id
from datastore.namespace import Namespace, Target
from datastore.provider import Provider
from datastore.urls import SCHEME, format_location

__all__ = [
    "Pin",
    "Pins",
    "format_pins",
    "locked_target",
    "options_of",
    "parse_pins",
    "pin_name",
    "pin_of",
    "pinned_provider",
]

_FRAMES: Final = 6
"""How far up the call of fsspec is looked for."""

_ENTRY = re.compile(r"([^=,][^=]*?@.*?)=([0-9a-f]{64})(\+?)(?:,|$)", re.ASCII)


class Pin(Struct, frozen=True):
    """A commit, and whether the branch had uncommitted changes over it."""

    commit: str
    uncommitted: bool = False

    def __str__(self) -> str:
        return f"{self.commit}+" if self.uncommitted else self.commit


Pins = dict[str, Pin]
"""By `mount-or-repo@ref`."""


def parse_pins(pins: str | Mapping[str, str] | None) -> Pins:
    """Return pins that are given as text or as a mapping.

    >>> parse_pins({"garments@main": "0" * 64})["garments@main"].uncommitted
    False

    Raises:
        ValidationError: It cannot be read; names the part.
    """
    text = pins if isinstance(pins, str) else ",".join(f"{name}={commit}" for name, commit in (pins or {}).items())
    found: Pins = {}
    position = 0
    while position < len(text):
        entry = _ENTRY.match(text, position)
        if entry is None:
            raise ValidationError(
                f"pins: cannot read {text[position:][:100]!r}", hint="write garments@main=<full commit id>"
            )
        found[entry.group(1)] = Pin(entry.group(2), bool(entry.group(3)))
        position = entry.end()
    return found


def format_pins(pins: Mapping[str, Pin]) -> str:
    """Return the text form, the same for the same pins."""
    return ",".join(f"{name}={pin}" for name, pin in sorted(pins.items()))


def pin_name(target: Target) -> str:
    """Return the name under which a target's ref is pinned."""
    return format_location(target.name, target.ref, "")


class _Asked(Struct, frozen=True):
    """A URL that was resolved, and how far the call of fsspec was that asked."""

    namespace: Namespace
    url: str
    options: dict[str, Any]
    progress: int


_HERE = threading.local()


def options_of(namespace: Namespace, url: str) -> dict[str, Any]:
    """Return what a file system that serves one call on a URL is made with: the ref of the URL is resolved here, once.

    There is nothing to pin where it is unversioned, names a commit or is no URL of ours.

    Raises:
        NotFound: No such mount, repo or ref. It is said here because pyarrow, which asks for the file's info next,
            would turn the error into one of its own that says nothing.
    """
    last: _Asked | None = getattr(_HERE, "last", None)
    _HERE.last = None
    progress = _progress()
    if last and last.namespace is namespace and last.url == url and 0 < last.progress < progress:
        return last.options
    try:
        target = namespace.target(url)
        pins = _locked(namespace, url, target) if namespace.config.frozen else _pinned(target)
        options = pins or ({"once": True} if serves_requests(target.provider) else {})
    except ValidationError:  # a pattern, or the root; whoever uses it as a URL gets the good error
        return {}
    _HERE.last = _Asked(namespace, url, options, progress)
    return options


def _progress() -> int:
    """Return how far fsspec has come in the call that asks for options; 0 if it is one that asks once.

    `get_fs_token_paths` asks for the first of its URLs, then, if it was given several, for each of them: `fsspec.open`
    does so for its only one. Whoever asks for the second time is further on; a new call begins at the first again.
    No clock tells the two apart: workers on other machines may write in the meantime.
    """
    frame = inspect.currentframe()
    for _ in range(_FRAMES):
        frame = frame and frame.f_back
        if frame is not None and frame.f_code is core.get_fs_token_paths.__code__:
            return frame.f_lasti
    return 0


def _pinned(target: Target) -> dict[str, Any]:
    pin = pin_of(target)
    return {} if pin is None else {"pins": format_pins({pin_name(target): pin})}


def pin_of(target: Target) -> Pin | None:
    """Return what stands for a target's ref at this moment; None where it is unversioned, or names a commit.

    Raises:
        NotFound: No such ref.
    """
    repo, ref = target.versioned, target.ref
    if repo is None or ref is None or is_commit_id(ref):
        return None
    # First this, then the commit: otherwise what is committed in between would be seen by neither.
    try:
        uncommitted = repo.has_uncommitted(ref)  # whether it is a branch comes with the answer
    except (NotFound, ValidationError):
        uncommitted = False
    return Pin(repo.commit_of(ref).id, uncommitted)


def _locked(namespace: Namespace, url: str, target: Target) -> dict[str, Any]:
    """Return the pin of the lock file as options. Refused is nothing here: the URL may be one to write to."""
    from datastore.moving import locked

    found = locked(namespace, namespace.url(SCHEME + url)) if target.versioned is not None else None
    commit = found.pin.commit if found else None
    return {"pins": f"{pin_name(target)}={commit}"} if commit and target.ref != commit else {}


def locked_target(namespace: Namespace, path: str, target: Target, pins: Pins) -> Target:
    """Return what a frozen process has to read where a path leads: of a ref that moves, the commit of its pin.

    Args:
        namespace: Where the path means something.
        path: Stripped.
        target: What it leads to.
        pins: Those that the file system was made with.

    Raises:
        ValidationError: The lock file does not name it, or names another commit than the file system was made with.
        HeadMoved: It has no versions, and is not any more what was pinned.
    """
    from datastore.moving import hold, locked  # only a frozen process has to look

    url, pin = namespace.url(SCHEME + path), pins.get(pin_name(target))
    if pin is None or pin.uncommitted:
        return namespace.target(hold(namespace, url, anew=False).url)
    found = locked(namespace, url)
    if found is not None and found.pin.commit not in {None, pin.commit}:
        raise ValidationError(
            f"{url}: {found.name!r} pins another commit of {pin_name(target)} than this file system was made with",
            hint="read what has different pins in calls of its own, or by ds.pinned(name)",
        )
    return target


def pinned_provider(target: Target, pin: Pin) -> Provider:
    """Return the provider that shows a pinned ref: its commit, or the branch for as long as its head is that commit."""
    assert target.versioned is not None  # noqa: S101 - only what is versioned has a ref to be pinned
    assert target.ref is not None  # noqa: S101
    if pin.uncommitted:
        return target.versioned.at(target.ref, head=pin.commit)
    return target.versioned.at(pin.commit)
