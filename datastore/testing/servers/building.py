"""Builds the servers from the Go modules in `modules/`, once for each user.

What is built is pinned by `go.mod` and `go.sum`; what was built is kept in the user's cache folder, or in the folder
that `DATASTORE_SERVERS` names. When those files or Go change, it is built anew.
"""

import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Final, Literal

import platformdirs
from msgspec import Struct

from datastore.errors import Unavailable
from datastore.testing.servers.golang import Go, environment, find_go

__all__ = ["NAMES", "Name", "build", "is_built"]

Name = Literal["versitygw", "minio", "lakefs", "lakectl", "toxiproxy"]

_MODULES: Final = Path(__file__).parent / "modules"
_LONGEST_BUILD: Final = 3600.0  # seconds; several builders may queue up behind one another
_EXE: Final = ".exe" if os.name == "nt" else ""
# Of whoever started this process: a test that gives itself another home shall not build anew.
_CACHE: Final = platformdirs.user_cache_path("datastore", appauthor=False) / "servers"


class _Recipe(Struct, frozen=True, kw_only=True):
    title: str
    folder: str  # below `modules/`
    module: str  # whose version is told
    package: str  # below the module
    minutes: int
    version_variable: str = ""  # to be set by the linker


_LAKEFS: Final = "github.com/treeverse/lakefs"
_RECIPES: Final[Mapping[Name, _Recipe]] = {
    "versitygw": _Recipe(
        title="versitygw",
        folder="versitygw",
        module="github.com/versity/versitygw",
        package="/cmd/versitygw",
        minutes=2,
    ),
    "minio": _Recipe(title="MinIO", folder="minio", module="github.com/minio/minio", package="", minutes=4),
    "lakefs": _Recipe(
        title="lakeFS",
        folder="lakefs",
        module=_LAKEFS,
        package="/cmd/lakefs",
        minutes=3,
        version_variable=f"{_LAKEFS}/pkg/version.Version",  # without it clients meet the version "dev"
    ),
    "lakectl": _Recipe(
        title="lakectl",
        folder="lakefs",
        module=_LAKEFS,
        package="/cmd/lakectl",
        minutes=2,
        version_variable=f"{_LAKEFS}/pkg/version.Version",
    ),
    "toxiproxy": _Recipe(
        title="toxiproxy",
        folder="toxiproxy",
        module="github.com/Shopify/toxiproxy/v2",
        package="/cmd/server",
        minutes=1,
    ),
}
NAMES: Final = tuple(_RECIPES)


def build(name: Name) -> Path:
    """Return the path of a server's binary; the first call builds it, which takes minutes and is told on stderr.

    Raises:
        NotFound: There is no Go that could build it.
        Unavailable: The build failed, as it does where no Go module proxy can be reached.
    """
    go = find_go(_needed_go(name))
    target = _target(name, go)
    if not target.exists():
        with _one_builder(target.parent):
            if not target.exists():  # somebody else built it meanwhile
                _build(name, go, target)
    return target


def is_built(name: Name) -> bool:
    """Tell whether `build` would return at once.

    Raises:
        NotFound: There is no Go, so that nobody knows which build would be the right one.
    """
    return _target(name, find_go(_needed_go(name))).exists()


@cache
def _manifest(folder: str) -> str:
    return (_MODULES / folder / "go.mod").read_text(encoding="utf-8")


def _needed_go(name: Name) -> str:
    return _first(r"^go (\S+)$", name)


def _version(name: Name) -> str:
    return _first(rf"\s{re.escape(_RECIPES[name].module)} v(\S+)", name)


def _first(pattern: str, name: Name) -> str:
    match = re.search(pattern, _manifest(_RECIPES[name].folder), re.MULTILINE)
    assert match is not None, f"{pattern!r} in {name}'s go.mod"
    return match[1]


def _target(name: Name, go: Go) -> Path:
    place = os.environ.get("DATASTORE_SERVERS")
    sums = (_MODULES / _RECIPES[name].folder / "go.sum").read_bytes()
    digest = hashlib.sha256(f"{go.version}\0{_manifest(_RECIPES[name].folder)}\0".encode() + sums).hexdigest()
    return (Path(place).absolute() if place else _CACHE) / f"{name}-{digest[:16]}{_EXE}"


@contextmanager
def _one_builder(folder: Path) -> Generator[None]:
    """Wait until nobody else builds. SQLite's lock is let go on every system when its holder dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"no place for builds: {error}", hint="name another one with DATASTORE_SERVERS") from error
    with closing(sqlite3.connect(folder / "lock", timeout=_LONGEST_BUILD, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise Unavailable(f"the builds in {folder} cannot be locked: {error}") from error
        yield


def _build(name: Name, go: Go, target: Path) -> None:
    recipe = _RECIPES[name]
    version = _version(name)
    sys.stderr.write(
        f"building {recipe.title} {version} from source with {go.version}, about {recipe.minutes} min, once\n"
    )
    sys.stderr.flush()
    for left in target.parent.glob("building-*"):  # by a builder that died: this one is alone
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=target.parent) as folder:
        for file in ("go.mod", "go.sum"):
            shutil.copyfile(_MODULES / recipe.folder / file, Path(folder) / file)
        made = Path(folder) / target.name
        flags = [f"-ldflags=-X {recipe.version_variable}={version}"] if recipe.version_variable else []
        flags += ["-trimpath", "-mod=readonly", "-buildvcs=false", "-o", str(made)]
        command = [str(go.command), "build", *flags, recipe.module + recipe.package]
        _run_go(command, folder=folder, title=f"{recipe.title} {version}")
        made.replace(target)


def _run_go(command: list[str], *, folder: str, title: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - Go, with arguments from this module
            command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_LONGEST_BUILD,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"building {title} took more than {_LONGEST_BUILD:.0f} s") from error
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if not line.startswith("go: downloading ")]
        raise Unavailable(
            f"building {title} failed: {' | '.join(told[-5:])}",
            hint="Go fetches modules from where GOPROXY says: is that to be reached from here? Is the disk full?",
        )
