"""What all running servers have in common: where they are, and how they end."""

import json
import secrets
from pathlib import Path
from typing import Self

from msgspec import Struct, field

from datastore.errors import Unavailable
from datastore.testing.servers.processes import Running, log_end

__all__ = ["Keys", "Server", "keys_in", "prepared"]


class Server(Struct, frozen=True, kw_only=True, eq=False):
    """A server of this machine that runs until `stop`, the end of a `with` block, or the end of this process.

    Attributes:
        kind: Its program: `versitygw`, `minio`, `lakefs`, `toxiproxy`.
        endpoint: Its URL, such as `http://127.0.0.1:34567`.
        folder: Holds its data, and is its home.
        log: The file with what it prints.
        ca_file: Of `https` servers: the certificate of the authority to verify them with, in PEM.
        running: Its process.
    """

    kind: str
    endpoint: str
    folder: Path
    log: Path
    ca_file: Path | None = None
    running: Running

    @property
    def address(self) -> str:
        """Host and port."""
        return self.endpoint.rpartition("/")[2]

    @property
    def pid(self) -> int:
        """The process id of the server itself, to kill or to pause it."""
        return self.running.pid

    def check(self) -> None:
        """Raise `Unavailable` if the server has ended."""
        if self.running.ended():
            raise Unavailable(f"{self.kind} has ended: {log_end(self.log)}", hint=f"its whole log is {self.log}")

    def stop(self) -> None:
        """End the server. Its folder stays. May be called again."""
        self.running.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{self.kind} at {self.endpoint}>"


class Keys(Struct, frozen=True):
    """Credentials that exist for one folder of one test server."""

    access_key: str = field(default_factory=lambda: f"AKIA{secrets.token_hex(8).upper()}")
    secret_key: str = field(default_factory=lambda: f"test-{secrets.token_hex(16)}")


def prepared(folder: Path) -> Path:
    """Make a server's folder if it is missing, and return its absolute path."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def keys_in(folder: Path) -> Keys:
    """Return the credentials of a server's folder, which are made up when it is used for the first time."""
    file = folder / "keys.json"
    if file.exists():
        return Keys(**json.loads(file.read_text(encoding="utf-8")))
    keys = Keys()
    file.touch(mode=0o600)
    file.write_text(json.dumps({"access_key": keys.access_key, "secret_key": keys.secret_key}), encoding="utf-8")
    return keys
