"""Local paths out of a cache: what is there already, and what has to come from S3, beside other caches of files."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.filling import fill_bucket, fill_cached, make_source
from benchmarks.machine import described
from benchmarks.measuring import Measured, Task, measure, run
from benchmarks.places import CachedPlace, S3Place
from benchmarks.showing import by_client, by_task, milliseconds
from datastore.testing import servers

__all__ = ["TASKS", "tables"]

_WARM = {
    "warm_one": "one object of 10 KB",
    "warm_others": "another object each time",
    "warm_many": "a folder of 10,000 × 10 KB",
}
_COLD = {"cold_big": "1 GiB from S3 into an empty cache", "cold_many": "2,000 × 10 KB from S3 into an empty cache"}
TASKS = _WARM | _COLD
_WARM_CLIENTS = ("ours_resolve", "with_hf_hub", "with_pooch", "with_simplecache", "with_dvc_checkout")
_COLD_CLIENTS = ("ours_resolve", "with_pooch", "with_simplecache")
_TITLE = "what is in the cache: the first call of a process; each further one"
_TO_REACH = "To reach: 0.1 ms for an object, 50 ms for the folder, of a URL with a commit."


def tables(folder: Path, *, tasks: Sequence[str], rounds: int) -> Iterator[tuple[str, str]]:
    """Yield title and table: one of what is there already, then one for each way to bring something."""
    warm = [name for name in tasks if name in _WARM]
    if warm:
        about = described(_WARM_CLIENTS, folder, rounds=rounds)
        yield _TITLE, f"{_warm(folder / 'warm', warm, rounds=rounds)}\n\n{_TO_REACH}\n\n{about}"
    cold = [name for name in tasks if name in _COLD]
    if cold:
        about = described(_COLD_CLIENTS, folder, rounds=rounds)
        for name, text in _cold(folder / "cold", cold, rounds=rounds):
            yield _COLD[name], f"{text}\n\n{about}"


def _warm(folder: Path, tasks: Sequence[str], *, rounds: int) -> str:
    place = CachedPlace(store=str(folder / "store"), source=str(folder / "source"), home=str(folder / "caches"))
    fill_cached(folder / "store", folder / "source")
    found = {name: dict[str, Measured | str]() for name in tasks}
    for client in _WARM_CLIENTS:
        made = run(Task(name="prepare", client=client, place=place, folder=str(folder)))
        for name in tasks:
            task = Task(name=name, client=client, place=place, folder=str(folder / "out" / "none"))
            found[name][client] = made if isinstance(made, str) else measure(task, rounds=rounds)
    return by_task(found, _WARM, show=lambda one: f"{milliseconds(one.first)}; {milliseconds(one.wall)}")


def _cold(folder: Path, tasks: Sequence[str], *, rounds: int) -> Iterator[tuple[str, str]]:
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datastore-bench-")))
        make_source(root / "source")
        server = stack.enter_context(servers.start_versitygw(root / "s3"))
        bucket = server.new_bucket()
        fill_bucket(server, bucket, root / "source")
        keys = {"access_key": server.access_key, "secret_key": server.secret_key}
        place = S3Place(endpoint=server.endpoint, bucket=bucket, **keys)
        for name in tasks:
            found = {
                client: measure(
                    Task(name=name, client=client, place=place, folder=str(folder / client / "none")), rounds=rounds
                )
                for client in _COLD_CLIENTS
            }
            yield name, by_client(found)
