"""Which commit stands for a ref, in the text form that travels in URLs' arguments and in pickles.

`garments@main=<commit id>`, several of them separated by commas. A `+` at the end tells that the branch had uncommitted
changes when it was pinned: its reader sees them, too, and fails once the head is another commit.
"""

import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from datastore.errors import NotFound, ValidationError
from datastore.names import is_commit_id
from datastore.namespace import Namespace, Target
from datastore.provider import Provider, SupportsRequests
from datastore.urls import format_location

__all__ = ["Pin", "Pins", "format_pins", "options_of", "parse_pins", "pin_name", "pinned_provider"]

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
    """A URL that was resolved over a network, and when."""

    namespace: Namespace
    url: str
    options: dict[str, Any]
    requests: int
    when: float

    def fits(self, namespace: Namespace, url: str) -> bool:
        """Tell whether it is still good for the same URL."""
        same = self.namespace is namespace and self.url == url and self.requests == _requests_made()
        return same and time.monotonic() - self.when < _SOON


_HERE = threading.local()
_SOON = 0.1


def options_of(namespace: Namespace, url: str) -> dict[str, Any]:
    """Return what a file system that serves one call on a URL is made with: the ref of the URL is resolved here, once.

    There is nothing to pin where it is unversioned, names a commit or is no URL of ours.

    Raises:
        NotFound: No such mount, repo or ref. It is said here because pyarrow, which asks for the file's info next,
            would turn the error into one of its own that says nothing.
    """
    last: _Asked | None = getattr(_HERE, "last", None)
    _HERE.last = None
    try:
        target = namespace.target(url)
        if not isinstance(target.provider, SupportsRequests):
            return _pinned(target, remote=False)
        # fsspec.open asks twice in a row. As long as no request was made since, nothing can have been written from
        # here; and whoever asks for the third time means another call.
        if last and last.fits(namespace, url):
            return last.options
        options = _pinned(target, remote=True) or {"once": True}
    except ValidationError:  # a pattern, or the root; whoever uses it as a URL gets the good error
        return {}
    _HERE.last = _Asked(namespace, url, options, _requests_made(), time.monotonic())
    return options


def _pinned(target: Target, *, remote: bool) -> dict[str, Any]:
    repo, ref = target.versioned, target.ref
    if repo is None or ref is None or is_commit_id(ref):
        return {}
    # First this, then the commit: otherwise what is committed in between would be seen by neither.
    if remote:
        try:
            uncommitted = repo.has_uncommitted(ref)  # whether it is a branch comes with the answer
        except (NotFound, ValidationError):
            uncommitted = False
    else:
        uncommitted = repo.is_branch(ref) and repo.has_uncommitted(ref)
    return {"pins": f"{pin_name(target)}={Pin(repo.commit_of(ref).id, uncommitted)}"}


def _requests_made() -> int:
    from datastore.http.engine import engine  # whoever has such a provider has loaded it

    return engine().observatory.counters.requests


def pinned_provider(target: Target, pin: Pin) -> Provider:
    """Return the provider that shows a pinned ref: its commit, or the branch for as long as its head is that commit."""
    assert target.versioned is not None  # noqa: S101 - only what is versioned has a ref to be pinned
    assert target.ref is not None  # noqa: S101
    if pin.uncommitted:
        return target.versioned.at(target.ref, head=pin.commit)
    return target.versioned.at(pin.commit)
