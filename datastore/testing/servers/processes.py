"""Starts a server process on a free port of this machine, and waits until it answers."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from msgspec import Struct

from datastore.errors import Unavailable
from datastore.testing.servers import keeper as keeper_program
from datastore.testing.servers.keeper import PATIENCE

__all__ = ["Command", "Running", "launch", "log_end"]

_TRIES: Final = 5
_STARTUP: Final = 60.0  # seconds; a second is usual
_POLL: Final = 0.02
_TAKEN: Final = ("address already in use", "port is already in use", "only one usage of each socket address")


class Command(Struct, frozen=True):
    """What to start: arguments, and the variables that it gets beside `PATH` and its like."""

    arguments: Sequence[str]
    variables: Mapping[str, str] = {}


class Running:
    """A server process that runs until `stop`, or until this process ends, in whatever way.

    Attributes:
        port: Where it listens on 127.0.0.1.
        pid: Its process id.
    """

    def __init__(self, keeper: "subprocess.Popen[bytes]", *, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid
        self._keeper = keeper

    def ended(self) -> bool:
        """Tell whether it has ended."""
        return self._keeper.poll() is not None

    def stop(self) -> None:
        """End it, and wait until it has. May be called again."""
        assert self._keeper.stdin is not None
        if not self._keeper.stdin.closed:
            try:
                # A byte, because a forked child of ours may hold the pipe open.
                self._keeper.stdin.write(b".")
                self._keeper.stdin.close()
            except BrokenPipeError:
                pass  # it has ended by itself
        self._keeper.wait(2 * PATIENCE)


def launch(
    command: Callable[[int], Command], answers: Callable[[int], bool], *, folder: Path, log: Path, title: str
) -> Running:
    """Start a server on a free port, and return when it answers there.

    Args:
        command: Makes the command for a port.
        answers: Tells whether *this* server, and not another one, answers at a port; may raise `OSError`.
        folder: Its working directory and home.
        log: The file for what it prints; begun anew.
        title: For errors.

    Raises:
        Unavailable: It ended at once, or does not answer within a minute.
    """
    for tries_left in reversed(range(_TRIES)):
        running = _start(command(port := _free_port()), port=port, folder=folder, log=log)
        try:
            if _answers_in_time(running, answers, log):
                return running
        except BaseException:
            running.stop()
            raise
        ended = running.ended()
        running.stop()
        # Between our look and its own start somebody else may have taken the port.
        if not (tries_left and _port_was_taken(log)):
            told = log_end(log)
            what = "ended at once" if ended else f"does not answer on port {port} after {_STARTUP:.0f} s"
            raise Unavailable(f"{title} {what}: {told}", hint=f"its whole log is {log}")
    raise AssertionError("the last try returns or raises")


def _start(command: Command, *, port: int, folder: Path, log: Path) -> Running:
    with log.open("wb") as output:
        # A session of its own: Ctrl-C is for us, who then end it in good order.
        keeper = subprocess.Popen(  # noqa: S603 - this Python, and a binary that we built
            [sys.executable, "-I", "-S", keeper_program.__file__, *command.arguments],
            cwd=folder,
            env=_plain_environment(folder) | dict(command.variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    assert keeper.stdout is not None
    with keeper.stdout as told:
        pid = told.readline()
    if not pid:
        Running(keeper, port=port, pid=-1).stop()
        raise Unavailable(f"{command.arguments[0]} cannot be run: {log_end(log)}")
    return Running(keeper, port=port, pid=int(pid))


def _port_was_taken(log: Path) -> bool:
    told = log.read_text(encoding="utf-8", errors="replace").lower()
    return any(words in told for words in _TAKEN)


def log_end(log: Path) -> str:
    """Return the last lines of a log, as one line."""
    return " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]) or "it printed nothing"


def _answers_in_time(running: Running, answers: Callable[[int], bool], log: Path) -> bool:
    until = time.monotonic() + _STARTUP
    # Toxiproxy does not end when it cannot listen.
    while time.monotonic() < until and not running.ended() and not _port_was_taken(log):
        try:
            if answers(running.port):
                return True
        except OSError:
            pass  # not yet
        time.sleep(_POLL)
    return False


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return cast("int", listening.getsockname()[1])


def _plain_environment(folder: Path) -> dict[str, str]:
    """Return what every program needs; nothing of the user's credentials, proxies or configuration."""
    names = ("PATH", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LANG")
    return {name: os.environ[name] for name in names if name in os.environ} | {
        "HOME": str(folder),
        "USERPROFILE": str(folder),
    }
