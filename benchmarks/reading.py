"""Ways to read, 20 ms away: seconds, requests and round trips in sequence, beside s3fs and lakefs-spec."""

import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.machine import described
from benchmarks.measuring import Measured, Task, measure
from benchmarks.places import LakeFSPlace, Place, S3Place
from benchmarks.showing import by_task, milliseconds
from datastore.testing import servers
from datastore.testing.servers import LakeFSServer, S3Server, Toxiproxy

__all__ = ["TASKS", "tables"]

LATENCY = 20
TASKS = {
    "two_columns": "`read_parquet`, 2 of 10 columns, 10 row groups",
    "all_columns": "`read_parquet`, all of them, 16 MB",
    "many_groups": "2 of 10 columns, 100 row groups",
    "wide": "2 of 1,000 columns",
    "wider": "20 of 1,000 columns",
    "many_files": "1 column of 16 files",
    "filtered": "a dataset of 16 files with a filter",
    "pieces": "64 MiB in pieces of 1 MiB",
    "ranges": "`cat_ranges`, 100 × 1 KB",
    "small": "`cat` of 200 × 10 KB",
    "listed_again": "`ls` and `info`, once more",
    "array": "`np.load`, 24 MB",
    "archive": "all of a zip, 20 × 2 MiB, as `torch.load` does",
    "members": "names in a tar of 1,000 members",
}
_CLIENTS = {"S3": ("reading_ours", "reading_s3fs"), "lakeFS, a commit": ("reading_ours", "reading_lakefs_spec")}


def tables(folder: Path, *, tasks: Sequence[str], rounds: int) -> Iterator[tuple[str, str]]:
    """Yield title and table of each service."""
    bodies = _bodies()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datastore-bench-")))
        toxiproxy = stack.enter_context(servers.start_toxiproxy(root / "toxiproxy"))
        for title, clients in _CLIENTS.items():
            place = (_s3 if title == "S3" else _lakefs)(root, stack, toxiproxy, bodies)
            found = {
                name: {
                    client: measure(
                        Task(name=name, client=client, place=place, folder=str(folder / "out")), rounds=rounds
                    )
                    for client in clients
                }
                for name in tasks
            }
            about = described([client.replace("reading_", "with_") for client in clients], folder, rounds=rounds)
            yield f"{title}, {LATENCY} ms round trip", f"{by_task(found, TASKS, show=_shown)}\n\n{about}"


def _shown(one: Measured) -> str:
    counts = f"; {one.requests:.0f} in {one.depth:.0f}" if one.requests else ""
    return f"{milliseconds(one.wall)}{counts}"


def _s3(root: Path, stack: ExitStack, toxiproxy: Toxiproxy, bodies: Mapping[str, bytes]) -> Place:
    server: S3Server = stack.enter_context(servers.start_versitygw(root / "s3"))
    bucket, proxy = server.new_bucket(), toxiproxy.proxy(server.endpoint)
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key}
    options = {"endpoint": server.endpoint, "bucket": bucket, "region": server.region}
    _fill("filling-s3", "filling-s3", bodies, provider="s3", **options, **keys)
    proxy.latency(LATENCY)
    return S3Place(endpoint=proxy.endpoint, access_key=server.access_key, secret_key=server.secret_key, bucket=bucket)


def _lakefs(root: Path, stack: ExitStack, toxiproxy: Toxiproxy, bodies: Mapping[str, bytes]) -> Place:
    import datastore as ds

    storage: list[Any] = []

    def proxied(endpoint: str) -> str:
        storage.append(toxiproxy.proxy(endpoint))
        return str(storage[-1].endpoint)

    server: LakeFSServer = stack.enter_context(servers.start_lakefs(root / "lakefs", honest=True, presigned=proxied))
    repo, endpoint = server.new_repo(), proxied(server.endpoint)
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key}
    _fill("filling", "filling@main", bodies, provider="lakefs", endpoint=server.endpoint, repo=repo, **keys)
    commit = ds.repo("filling").branch("main").commit("fill")
    for proxy in storage:
        proxy.latency(LATENCY)
    return LakeFSPlace(
        endpoint=endpoint,
        access_key=server.access_key,
        secret_key=server.secret_key,
        repo=repo,
        lakectl="",
        ref=commit.id,
    )


def _fill(mount: str, base: str, bodies: Mapping[str, bytes], **options: str) -> None:
    import datastore as ds

    ds.mount(mount, **options)
    ds.filesystem().pipe({f"{base}/{key}": body for key, body in bodies.items()})


def _bodies() -> dict[str, bytes]:
    import numpy as np

    array = io.BytesIO()
    np.save(array, np.random.default_rng(0).random(3_000_000))
    return {
        "ten.parquet": _parquet(200_000, 10, groups=10),
        "groups.parquet": _parquet(200_000, 10, groups=100),
        "wide.parquet": _parquet(4_000, 1000, groups=4),
        "big.bin": os.urandom(64 << 20),
        "a.npy": array.getvalue(),
        "model.zip": _zip(20, 2 << 20),
        "many.tar": _tar(1000, 10_000),
        **{f"set/{number:02}.parquet": _parquet(20_000, 10, groups=2) for number in range(16)},
        **{f"small/{number:03}": os.urandom(10_000) for number in range(200)},
    }


def _parquet(rows: int, columns: int, *, groups: int) -> bytes:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    out, values = io.BytesIO(), np.random.default_rng(0)
    table = pa.table({f"c{column}": values.random(rows) for column in range(columns)})
    pq.write_table(table, out, row_group_size=rows // groups)
    return out.getvalue()


def _zip(members: int, size: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(members):
            archive.writestr(f"data/{number}", os.urandom(size))
    return out.getvalue()


def _tar(members: int, size: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number in range(members):
            member = tarfile.TarInfo(f"{number:04}")
            member.size = size
            archive.addfile(member, io.BytesIO(os.urandom(size)))
    return out.getvalue()
