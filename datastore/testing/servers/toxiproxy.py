"""Toxiproxy: bad networks on purpose, between a client and a server of this machine."""

import json
import secrets
from pathlib import Path
from typing import Any, Literal, Self

from msgspec import Struct

from datastore.errors import Unavailable
from datastore.testing.servers.asking import ask
from datastore.testing.servers.building import build
from datastore.testing.servers.processes import Command, launch
from datastore.testing.servers.server import Server, prepared

__all__ = ["Proxy", "Toxic", "Toxiproxy", "start_toxiproxy"]

Toxic = Literal["latency", "bandwidth", "slow_close", "timeout", "reset_peer", "slicer", "limit_data"]


class Proxy(Struct, frozen=True, eq=False):
    """A way to a server that can be made bad. What makes it bad is called a toxic.

    Attributes:
        endpoint: Where clients go, with the scheme of the server behind it.
        control: The URL of this proxy in Toxiproxy's API.
    """

    endpoint: str
    control: str

    @property
    def address(self) -> str:
        """Host and port."""
        return self.endpoint.rpartition("/")[2]

    def toxic(self, kind: Toxic, *, upstream: bool = False, toxicity: float = 1.0, **attributes: int) -> str:
        """Add a toxic, and return its name.

        Args:
            kind: One of Toxiproxy's own.
            upstream: Whether it is on the way to the server; else it is on the way back.
            toxicity: The share of connections that meet it.
            attributes: As Toxiproxy documents them.
        """
        body = {
            "name": f"{kind}-{secrets.token_hex(4)}",
            "type": kind,
            "stream": "upstream" if upstream else "downstream",
            "toxicity": toxicity,
            "attributes": attributes,
        }
        return str(_call("POST", f"{self.control}/toxics", body)["name"])

    def latency(self, milliseconds: int, *, jitter: int = 0) -> str:
        """Hold back what the server sends, by so many milliseconds, give or take the jitter."""
        return self.toxic("latency", latency=milliseconds, jitter=jitter)

    def reset_peer(self, *, after: int = 0) -> str:
        """Reset connections, after so many milliseconds."""
        return self.toxic("reset_peer", timeout=after)

    def slow(self, *, kilobytes_per_second: int) -> str:
        """Let what the server sends through at this rate only."""
        return self.toxic("bandwidth", rate=kilobytes_per_second)

    def limit_data(self, count: int) -> str:
        """Close each connection when the server has sent so many bytes on it."""
        return self.toxic("limit_data", bytes=count)

    def down(self) -> None:
        """Close all connections and refuse new ones."""
        _call("POST", self.control, {"enabled": False})

    def up(self) -> None:
        """Let connections in again, at the same address."""
        _call("POST", self.control, {"enabled": True})

    def remove(self, name: str) -> None:
        """Take a toxic away."""
        _call("DELETE", f"{self.control}/toxics/{name}")

    def clear(self) -> None:
        """Make the way good again: no toxics, and up."""
        for toxic in _call("GET", f"{self.control}/toxics"):
            self.remove(toxic["name"])
        self.up()

    def delete(self) -> None:
        """Take the proxy away. May be called again."""
        proxies, _, name = self.control.rpartition("/")
        if name in _call("GET", proxies):
            _call("DELETE", self.control)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.delete()


class Toxiproxy(Server, frozen=True, kw_only=True, eq=False):
    """A running Toxiproxy."""

    def proxy(self, upstream: str) -> Proxy:
        """Make a way to a server, at an address of its own.

        Args:
            upstream: The server's endpoint, or its host and port.
        """
        scheme, _, address = upstream.rpartition("://")
        name = f"proxy-{secrets.token_hex(6)}"
        body = {"name": name, "listen": "127.0.0.1:0", "upstream": address.rstrip("/"), "enabled": True}
        made = _call("POST", f"{self.endpoint}/proxies", body)
        return Proxy(f"{scheme or 'http'}://{made['listen']}", f"{self.endpoint}/proxies/{name}")


def start_toxiproxy(folder: Path) -> Toxiproxy:
    """Start Toxiproxy, without any proxies.

    Args:
        folder: For its log; made if missing.

    Raises:
        NotFound: There is no Go to build it.
        Unavailable: It cannot be built, or does not start.
    """
    folder = prepared(folder)
    log = folder / "log"
    binary = str(build("toxiproxy"))
    mark = secrets.token_hex(8)

    def command(port: int) -> Command:
        return Command([binary, "-host", "127.0.0.1", "-port", str(port)])

    def answers(port: int) -> bool:
        # It knows no credentials: that it is ours shows in its log, when the question arrives there.
        ask("GET", f"http://127.0.0.1:{port}/version?{mark}", greeting=True)
        return mark in log.read_text(encoding="utf-8", errors="replace")

    running = launch(command, answers, folder=folder, log=log, title="toxiproxy")
    endpoint = f"http://127.0.0.1:{running.port}"
    return Toxiproxy(kind="toxiproxy", endpoint=endpoint, folder=folder, log=log, running=running)


def _call(method: str, url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    answer = ask(method, url, body=data, headers={"Content-Type": "application/json"})
    try:
        return json.loads(answer) if answer else None
    except ValueError as error:
        raise Unavailable(f"{method} {url} is answered with what is no JSON: {answer[:100]!r}") from error
