"""`python -m benchmarks s3|lakefs|stream`: starts the servers, fills them, measures every client, prints one table."""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

from benchmarks import streams
from benchmarks.filling import fill_bucket, fill_repo, make_source
from benchmarks.measuring import Measured, Task, measure
from benchmarks.places import LakeFSPlace, Place, S3Place
from datastore.testing import servers

TASKS = {
    "download": "1 GiB download",
    "read": "1 GiB into memory",
    "upload": "1 GiB upload",
    "list_keys": "list 20,000 keys",
    "get_many": "2,000 × 10 KB out",
    "put_many": "2,000 × 10 KB in",
    "read_parquet": "read_parquet, 2 of 10 columns",
}
S3_CLIENTS = (
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
LAKEFS_CLIENTS = ("ours", "with_lakectl", "with_lakefs_spec")


def main() -> None:
    """Parse the arguments and run."""
    if sys.argv[1:2] == ["stream"]:
        streams.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("service", choices=["s3", "lakefs"])
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--clients", nargs="+", default=None, help="modules of benchmarks.clients")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--latency", type=int, default=0, help="milliseconds of round trip to the server")
    parser.add_argument("--folder", help="where downloads go, for example on a tmpfs")
    parser.add_argument("--busy", action="store_true", help="with a thread of pure Python beside it")
    arguments = parser.parse_args()
    clients = arguments.clients or (S3_CLIENTS if arguments.service == "s3" else LAKEFS_CLIENTS)
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datastore-bench-")))
        make_source(root / "source")
        target = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.folder, prefix="datastore-bench-")))
        (target / "source").symlink_to(root / "source")
        place = (_s3 if arguments.service == "s3" else _lakefs)(root, stack, latency=arguments.latency)
        for name in arguments.tasks:
            found = {
                client: measure(
                    Task(name=name, client=client, place=place, folder=str(target / "out"), busy=arguments.busy),
                    rounds=arguments.rounds,
                )
                for client in clients
            }
            _print(TASKS[name], found, latency=arguments.latency, busy=arguments.busy)


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


def _print(title: str, found: "dict[str, Measured | str]", *, latency: int, busy: bool) -> None:
    base = found.get("ours")
    print(f"\n### {title}{f', {latency} ms round trip' if latency else ''}{', busy main thread' if busy else ''}\n")
    print("| client | seconds | CPU seconds | times ours | round trips in sequence |\n|---|---:|---:|---:|---:|")
    for client, result in found.items():
        _print_row(import_label(client), result, base if isinstance(base, Measured) else None)
    sys.stdout.flush()


def import_label(client: str) -> str:
    """Return the name of a client for people."""
    try:
        return str(import_module(f"benchmarks.clients.{client}").LABEL)
    except ImportError:
        return client


def _print_row(label: str, result: "Measured | str", base: Measured | None) -> None:
    if isinstance(result, str):
        print(f"| {label} | {'—' if 'has no attribute' in result else result} | | | |")
        return
    cells = (
        f"{result.wall:.2f}",
        f"{result.cpu:.2f}",
        f"{result.wall / base.wall:.1f}×" if base else "",
        str(result.depth or ""),
    )
    print(f"| {label} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
