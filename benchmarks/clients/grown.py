"""The verbs of versioning on a repo with many entries: each several times, right after the store is opened and again.

"Opened" is a new mount, so nothing of the trees is in memory; the imports are, and the file system's cache is warm.
"""

import os
import random
import secrets
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

import datastore as ds
from benchmarks.filling import grown_key
from benchmarks.measuring import Measured
from benchmarks.places import GrownPlace, Place

LABEL = "datastore"
TIMES = 5


class Grown(Struct, frozen=True):
    """The place, and a repo to prepare things with."""

    place: GrownPlace
    prepared: ds.Repo


def connect(place: Place) -> Grown:
    """Open the store to prepare with; this reads a branch that has nothing to do with what is measured."""
    assert isinstance(place, GrownPlace)
    os.sync()
    return Grown(place, _opened(place))


def _opened(place: GrownPlace) -> ds.Repo:
    name = f"m{secrets.token_hex(4)}"
    ds.mount(name, "embedded", path=place.store, repo="grown")
    return ds.repo(name)


def _staged(connection: Grown, *, odd: bool = False) -> str:
    """A new branch with ten scattered changes to even or odd entries: four others, four new ones, two deletions."""
    name = secrets.token_hex(4)
    made = connection.prepared.create_branch(name, "main")
    keys = [grown_key(at) for at in random.sample(range(odd, connection.place.count, 2), 10)]
    fs = ds.filesystem()
    fs.pipe({made / (key if at < 4 else f"{key}.new"): name.encode() for at, key in enumerate(keys[:8])})
    fs.rm([made / key for key in keys[8:]])
    return name


def _committed(connection: Grown, *, odd: bool = False) -> str:
    name = _staged(connection, odd=odd)
    connection.prepared.branch(name).commit("ten changes")
    return name


def _measured(
    connection: Grown,
    act: Callable[[ds.Repo, Any], Any],
    prepare: Callable[[Grown], Any] = lambda _: None,
    *,
    times: int = TIMES,
) -> Measured:
    firsts: list[float] = []
    agains: list[float] = []
    for _ in range(times + 1):  # what is imported late comes with the first, which is left out
        things = prepare(connection), prepare(connection)
        repo = _opened(connection.place)
        firsts.append(_seconds(act, repo, things[0]))
        files, written = _files(connection), _written()
        agains.append(_seconds(act, repo, things[1]))
        written, files = _written() - written, _files(connection) - files
    return Measured(statistics.median(agains[1:]), first=statistics.median(firsts[1:]), written=written, files=files)


def _seconds(act: Callable[[ds.Repo, Any], Any], repo: ds.Repo, thing: Any) -> float:
    begin = time.perf_counter()
    act(repo, thing)
    return time.perf_counter() - begin


def _files(connection: Grown) -> int:
    return sum(len(names) for _, _, names in os.walk(connection.place.store))


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def branch(connection: Grown, folder: Path) -> Measured:
    return _measured(connection, lambda repo, name: repo.create_branch(name, "main"), lambda _: secrets.token_hex(4))


def commit(connection: Grown, folder: Path) -> Measured:
    return _measured(connection, lambda repo, name: repo.branch(name).commit("ten changes"), _staged)


def diff(connection: Grown, folder: Path) -> Measured:
    return _measured(connection, lambda repo, name: repo.diff("main", name), _committed)


def merge(connection: Grown, folder: Path) -> Measured:
    def both(connection: Grown) -> tuple[str, str]:
        return _committed(connection), _committed(connection, odd=True)

    return _measured(connection, lambda repo, names: repo.merge(names[0], names[1]), both)


def status(connection: Grown, folder: Path) -> Measured:
    return _measured(connection, lambda repo, name: repo.branch(name).uncommitted(), _staged)


def lookup(connection: Grown, folder: Path) -> Measured:
    key, fs = grown_key(connection.place.count // 2), ds.filesystem()
    return _measured(connection, lambda repo, _: fs.info(repo.branch("main") / key))


def prefix(connection: Grown, folder: Path) -> Measured:
    key, fs = grown_key(connection.place.count // 2), ds.filesystem()
    under = key.rpartition("/")[0]
    return _measured(connection, lambda repo, _: fs.ls(repo.branch("main") / under, detail=False))


def everything(connection: Grown, folder: Path) -> Measured:
    fs = ds.filesystem()
    return _measured(connection, lambda repo, _: fs.find(repo.branch("main") / ""), times=1)
