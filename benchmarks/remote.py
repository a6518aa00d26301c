"""S3 and lakeFS: servers on this machine, filled for every client alike."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.filling import fill_bucket, fill_repo, make_source
from benchmarks.machine import described
from benchmarks.measuring import Task, measure
from benchmarks.places import LakeFSPlace, Place, S3Place
from benchmarks.showing import by_client
from datastore.testing import servers

__all__ = ["TASKS", "tables"]

TASKS = {
    "download": "1 GiB download",
    "read": "1 GiB into memory",
    "upload": "1 GiB upload",
    "list_keys": "list 20,000 keys",
    "get_many": "2,000 × 10 KB out",
    "put_many": "2,000 × 10 KB in",
    "read_parquet": "read_parquet, 2 of 10 columns",
}
_S3_CLIENTS = (
    "ours",
    "with_curl",
    "with_obstore",
    "with_obstore_ranges",
    "with_pyarrow",
    "with_boto3",
    "with_boto3_crt",
    "with_s3fs",
    "with_rclone",
)
_LAKEFS_CLIENTS = ("ours", "with_lakectl", "with_lakefs_spec")


def tables(
    target: Path,
    *,
    service: str,
    tasks: Sequence[str],
    clients: Sequence[str] | None,
    rounds: int,
    latency: int,
    busy: bool,
) -> Iterator[tuple[str, str]]:
    """Yield title and table of each task."""
    chosen = clients or (_S3_CLIENTS if service == "s3" else _LAKEFS_CLIENTS)
    conditions = f"{f', {latency} ms round trip' if latency else ''}{', busy main thread' if busy else ''}"
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datastore-bench-")))
        make_source(root / "source")
        (target / "source").symlink_to(root / "source")
        place = (_s3 if service == "s3" else _lakefs)(root, stack, latency=latency)
        about = described(chosen, target, rounds=rounds)
        for name in tasks:
            found = {
                client: measure(
                    Task(name=name, client=client, place=place, folder=str(target / "out"), busy=busy), rounds=rounds
                )
                for client in chosen
            }
            yield f"{TASKS[name]}{conditions}", f"{by_client(found)}\n\n{about}"


def _s3(root: Path, stack: ExitStack, *, latency: int) -> Place:
    server = stack.enter_context(servers.start_versitygw(root / "s3"))
    bucket = server.new_bucket()
    fill_bucket(server, bucket, root / "source")
    endpoint = _delayed(server.endpoint, root, stack, latency)
    return S3Place(endpoint=endpoint, access_key=server.access_key, secret_key=server.secret_key, bucket=bucket)


def _lakefs(root: Path, stack: ExitStack, *, latency: int) -> Place:
    server = stack.enter_context(servers.start_lakefs(root / "lakefs", honest=True))
    repo = server.new_repo()
    fill_repo(server, repo, root / "source")
    if latency:
        sys.exit("presigned URLs of lakeFS name the storage behind it: no latency here yet")
    return LakeFSPlace(
        endpoint=server.endpoint,
        access_key=server.access_key,
        secret_key=server.secret_key,
        repo=repo,
        lakectl=str(servers.build("lakectl")),
    )


def _delayed(endpoint: str, root: Path, stack: ExitStack, latency: int) -> str:
    if not latency:
        return endpoint
    proxy = stack.enter_context(servers.start_toxiproxy(root / "toxiproxy")).proxy(endpoint)
    proxy.latency(latency)
    return proxy.endpoint
