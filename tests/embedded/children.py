"""Forked processes that tests start, talk to, kill."""

import os
import signal
import warnings
from collections.abc import Callable

__all__ = ["Child"]


class Child:
    """A forked process that reports by lines; it never comes back into pytest."""

    def __init__(self, work: Callable[[Callable[[str], None]], None]) -> None:
        reading, writing = os.pipe()
        with warnings.catch_warnings():  # of Python 3.12 on: threads and fork, which is what is tried here
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(reading)
                signal.alarm(60)  # a hang is a failure, not a stuck test run
                work(lambda line: os.write(writing, f"{line}\n".encode()) and None)
                status = 0
            except BaseException as error:  # noqa: BLE001 - the parent judges
                os.write(writing, f"raised {type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(status)
        os.close(writing)
        self._reading = reading
        self._text = b""

    def wait_for_lines(self, count: int) -> None:
        while self._text.count(b"\n") < count and (more := os.read(self._reading, 1 << 16)):
            self._text += more

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def lines(self) -> tuple[list[str], int]:
        """Wait for its end; return its whole lines and its exit status (negative: the signal)."""
        with os.fdopen(self._reading, "rb") as file:
            text = (self._text + file.read()).decode()
        _, status = os.waitpid(self.pid, 0)
        return text.split("\n")[:-1], os.waitstatus_to_exitcode(status)

    def next_line(self) -> str:
        """Wait for one more line."""
        found = b""
        while not found.endswith(b"\n"):
            piece = os.read(self._reading, 1)
            if not piece:
                break
            found += piece
        return found.decode().rstrip("\n")
