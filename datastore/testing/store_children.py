"""Forked processes that tests start, talk to, kill, or let die in the middle of a step."""

import contextlib
import os
import signal
import socket
import sqlite3
import warnings
from collections.abc import Callable

from datastore.embedded.database import Database

__all__ = ["Child", "Say", "die_at"]

Say = Callable[[str], None]
_CALLS = ("open", "write", "fsync", "replace", "rename", "mkdir", "chmod", "unlink")


class Child:
    """A forked process that reports by lines; it never comes back into the caller's code.

    Args:
        work: What it does; called with a function that reports one line.
        seconds: After these it is ended: a hang is a failure, not a stuck test run.
    """

    def __init__(self, work: Callable[[Say], None], *, seconds: int = 60) -> None:
        # A socket, because a fault that is injected into `write` must not reach the report.
        ours, theirs = socket.socketpair()
        with warnings.catch_warnings():  # of Python 3.12 on: threads and fork, which is what is tried here
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                ours.close()
                signal.alarm(seconds)
                work(lambda line: theirs.sendall(f"{line}\n".encode()))
                status = 0
            except BaseException as error:  # noqa: BLE001 - the parent judges
                with contextlib.suppress(OSError):  # nobody may be listening any more
                    theirs.sendall(f"raised {type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(status)
        theirs.close()
        self._socket = ours
        self._text = b""

    def __del__(self) -> None:
        if hasattr(self, "_socket"):
            self._socket.close()

    def _more(self) -> bool:
        try:
            piece = self._socket.recv(1 << 16)
        except ConnectionResetError:  # it was killed with something unread
            piece = b""
        self._text += piece
        return bool(piece)

    def wait_for_lines(self, count: int) -> None:
        """Wait until it has reported so many lines, or has ended."""
        while self._text.count(b"\n") < count and self._more():
            pass

    def next_line(self) -> str:
        """Wait for one more line and take it; empty if it has ended."""
        while b"\n" not in self._text and self._more():
            pass
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def kill(self) -> None:
        """End it as the machine would."""
        os.kill(self.pid, signal.SIGKILL)

    def lines(self) -> tuple[list[str], int]:
        """Wait for its end; return the whole lines that nobody took and its exit status (negative: the signal)."""
        while self._more():
            pass
        self._socket.close()
        _, status = os.waitpid(self.pid, 0)
        return self._text.decode().split("\n")[:-1], os.waitstatus_to_exitcode(status)


def die_at(step: int) -> None:
    """Make this process kill itself before its n-th call of the system or statement of SQL."""
    left = [step]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(original: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **how: object) -> object:
            count()
            return original(*args, **how)

        return call

    for name in _CALLS:
        setattr(os, name, counted(getattr(os, name)))
    connect = Database._connect  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - a death is arranged from inside

    def connected(*args: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args)  # pyright: ignore[reportArgumentType] - passed on as they are
        connection.set_trace_callback(count)
        return connection

    Database._connect = connected  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
