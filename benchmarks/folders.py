"""A prefix of a lakeFS branch as a local folder, kept up to date in both directions, beside `lakectl local`."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from benchmarks.machine import described
from benchmarks.measuring import Measured, Task, fresh, median, run
from benchmarks.places import CopiedPlace
from benchmarks.showing import Found, by_task
from datastore.testing import servers

if TYPE_CHECKING:
    from datastore import Branch

__all__ = ["FILES", "TASKS", "tables"]

FILES = 2_000
TASKS = {
    "bring": "into a new folder",
    "again": "again, when nothing changed",
    "update": "again, when ten objects changed on the branch",
    "send": "ten files changed in the folder: to the branch, with a commit",
}
_CLIENTS = ("folder_sync", "folder_loads", "folder_resolve", "folder_lakectl")


def tables(folder: Path, *, tasks: Sequence[str], rounds: int, files: int = FILES) -> Iterator[tuple[str, str]]:
    """Yield one table; each task needs the ones before it."""
    names = list(TASKS)[: 1 + max(map(list(TASKS).index, tasks))]
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datastore-bench-")))
        place = _filled(root, stack, files)
        seen: dict[str, dict[str, list[Found]]] = {name: {client: [] for client in _CLIENTS} for name in names}
        for turn in range(rounds):
            for client in _CLIENTS[turn % len(_CLIENTS) :] + _CLIENTS[: turn % len(_CLIENTS)]:
                for name, one in _round(client, place, fresh(folder), names).items():
                    seen[name][client].append(one)
        found = {name: {client: median(row) for client, row in seen[name].items()} for name in names if name in tasks}
        about = described(_CLIENTS, folder, rounds=rounds)
        yield f"{files:,} × 10 KB of a lakeFS branch as a folder", f"{by_task(found, TASKS, show=_shown)}\n\n{about}"


def _filled(root: Path, stack: ExitStack, files: int) -> CopiedPlace:
    import datastore as ds

    server = stack.enter_context(servers.start_lakefs(root / "lakefs", honest=True))
    place = CopiedPlace(
        endpoint=server.endpoint,
        access_key=server.access_key,
        secret_key=server.secret_key,
        repo=server.new_repo(),
        lakectl=str(servers.build("lakectl")),
        home="",
        branch="main",
        files=files,
    )
    keys = {"access_key_id": place.access_key, "secret_access_key": place.secret_key}
    ds.mount("filling", "lakefs", repo=place.repo, endpoint=place.endpoint, **keys)
    ds.filesystem().pipe({f"filling@main/small/{number:05}": os.urandom(10_000) for number in range(files)})
    ds.repo("filling").branch("main").commit("fill")
    return place


def _round(client: str, place: CopiedPlace, home: Path, names: Sequence[str]) -> Mapping[str, Found]:
    """Take one client through the tasks, each in a process of its own, on a branch of its own."""
    import datastore as ds

    branch = ds.repo("filling").create_branch(home.name, "main")
    place = structs.replace(place, home=str(home), branch=branch.name)
    work = home / "work"
    changed: dict[str, bytes] = {}
    found: dict[str, Found] = {}
    for name in names:
        new = {f"{number:05}": os.urandom(10_001) for number in _ten(place.files, first=int(name == "send"))}
        if name == "update":
            ds.filesystem().pipe({branch / f"small/{file}": data for file, data in new.items()})
            branch.commit("ten changed")
        if name == "send" and work.exists():
            for file, data in new.items():
                (work / file).write_bytes(data)
        found[name] = run(Task(name=name, client=client, place=place, folder=str(work)))
        changed |= new if name in {"update", "send"} and isinstance(found[name], Measured) else {}
    _check(branch, work, changed)
    return found


def _ten(files: int, *, first: int) -> range:
    return range(first, files, files // 10)


def _check(branch: "Branch", work: Path, changed: Mapping[str, bytes]) -> None:
    """See to it that what was measured was done."""
    import datastore as ds

    assert not branch.uncommitted()
    for file, data in changed.items():
        assert ds.filesystem().cat_file(branch / f"small/{file}") == data, f"{file} is not on the branch"
        assert not work.exists() or (work / file).read_bytes() == data, f"{file} is not in the folder"


def _shown(one: Measured) -> str:
    return f"{one.wall:.2f} s ({one.cpu:.2f})"
