"""The lock file on the disk: read again where it changed, replaced as a whole, by one process at a time."""

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from datastore.config import LOCK_NAME
from datastore.durable import disk_errors, fsync_file
from datastore.errors import ConfigError, Forbidden, InvalidURL, NotFound, Unavailable, ValidationError, nearest
from datastore.flocks import is_at, try_lock
from datastore.lockformat import HERE, Pin, Pins, format_lock, parse_lock
from datastore.namespace import Namespace
from datastore.partfile import PartFile, landing_of
from datastore.urls import DatasetURL, Location, parse_location, to_url

__all__ = ["LockFile", "lock_of"]

_PATIENCE: Final = 30.0
"""Seconds; a turn takes some milliseconds."""
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
_LOCAL: Final = "local"
_read: dict[Path, tuple[tuple[int, int, int], dict[str, Pin]]] = {}


def lock_of(namespace: Namespace) -> "LockFile":
    """Return the lock file of this process; it need not be there.

    Raises:
        ConfigError: The working directory is gone.
    """
    path = namespace.config.lock
    if path is None:
        raise ConfigError("the working directory is gone, and no lock file is named", hint="set DATASTORE_LOCK")
    return LockFile(path, namespace)


class LockFile:
    """A lock file.

    Args:
        path: Where it is, or would be made.
        namespace: Where the URLs in it mean something.
    """

    def __init__(self, path: Path, namespace: Namespace) -> None:
        self.path = path
        self._namespace = namespace

    def read(self) -> Pins:
        """Return the pins by name; none if there is no file.

        Raises:
            ConfigError: The file is damaged; names the line or the pin.
        """
        with disk_errors(self.path.parent):
            try:
                found = self.path.stat()
                stamp = found.st_mtime_ns, found.st_size, found.st_ino
                known = _read.get(self.path)
                if known is None or known[0] != stamp:
                    known = _read[self.path] = stamp, parse_lock(self.path.read_bytes(), where=str(self.path))
            except FileNotFoundError:
                return {}
        return known[1]

    def pin(self, name: str) -> Pin:
        """Return one pin.

        Raises:
            NotFound: There is none of this name; says which are near.
        """
        return self.one_of(self.read(), name)

    def one_of(self, pins: Pins, name: str) -> Pin:
        """Return one of the pins that were read; errors as in `pin`."""
        if name not in pins:
            hint = nearest(name, pins, what="names") if pins else "ds.pin(url, name=…) makes one"
            raise NotFound(f"{self.path} has no pin {name!r}", hint=hint)
        return pins[name]

    def refuse_frozen(self, *, hint: str = "run it without DATASTORE_FROZEN") -> None:
        """Raise `Forbidden` if this process is frozen: it does not change the file."""
        if self._namespace.config.frozen:
            raise Forbidden(f"{self.path} is not changed: this process is frozen", hint=hint)

    def change(self, decide: Callable[[Pins], Pins]) -> Pins:
        """Replace the pins by what a function makes of them, and return that; no other process comes in between.

        Raises:
            ConfigError: The file is damaged, or its folder is not there.
        """
        if not self.path.parent.is_dir():
            raise ConfigError(f"{self.path.parent} is no folder", hint="make it, or correct DATASTORE_LOCK")
        with disk_errors(self.path.parent), _turn(self.path):
            before = self.read()
            after = decide(before)
            if after != before:
                _replace(self.path, format_lock(after).encode())
            return after

    def written(self, url: DatasetURL) -> str:
        """Return how a URL is written into the file: on this machine's disk, seen from there if it is below.

        Raises:
            ValidationError: It is no text that a file can hold.
        """
        text = str(url)
        try:
            text.encode()
        except UnicodeEncodeError:
            message = f"{text!r} has a lone surrogate, and cannot be written down"
            raise ValidationError(message, hint="rename the object") from None
        folder = self.path.parent.as_posix().strip("/")
        below = url.key.removeprefix(f"{folder}/") if folder else url.key
        return f"{HERE}{below}" if url.mount == _LOCAL and below not in {url.key, ""} else text

    def url(self, pin: Pin) -> DatasetURL:
        """Return the URL of a pin, as it was asked for."""
        return self._namespace.url(self._text(pin))

    def location(self, pin: Pin, *, nested: bool) -> Location | None:
        """Return the parts of the URL of a pin, if its mount is one of several repos as `nested` says; else None."""
        return _location(self._text(pin), nested)

    def _text(self, pin: Pin) -> str:
        below = pin.url.removeprefix(HERE)
        return pin.url if below == pin.url else str(to_url(f"{self.path.parent.as_posix()}/{below}"))


@lru_cache(maxsize=1024)
def _location(url: str, nested: bool) -> Location | None:  # noqa: FBT001 - the key of the cache
    try:
        return parse_location(url, nested=nested)
    except InvalidURL:
        return None


def _replace(path: Path, data: bytes) -> None:
    landing = landing_of(path)
    if landing is None:
        raise ConfigError(f"{path} is a device, not a file", hint=f"name a file: DATASTORE_LOCK={LOCK_NAME}")
    part = PartFile(landing)
    try:
        part.write(data)
        fsync_file(part.fd)
        part.publish()
    finally:
        part.discard()


@contextmanager
def _turn(path: Path) -> Generator[None]:
    """Keep other processes, and threads, from changing the file.

    A file beside it is locked, because the file itself is replaced. Who is done deletes it; who got the lock of one
    that was deleted in the meantime tries again.
    """
    busy = path.with_name(f".{path.name}.busy")
    fd = _locked(busy)
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes nothing that is open
            busy.unlink()
        os.close(fd)


def _locked(busy: Path) -> int:
    end = time.monotonic() + _PATIENCE
    while True:
        fd = os.open(busy, _FLAGS, 0o666)
        try:
            if try_lock(fd) and is_at(fd, str(busy)):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        if time.monotonic() > end:
            raise Unavailable(
                f"{busy} has been locked by another process for {_PATIENCE:.0f} seconds", hint="see who holds it"
            )
        time.sleep(0.005)
