"""Runs one server, and ends it when the process that asked for it is gone, in whatever way it went.

`python keeper.py COMMAND…` prints the server's process id, then waits. What ends it is the end of its standard input,
which the system closes even for a process that is killed; or any byte that comes in there.
"""

import os
import subprocess
import sys
import threading

PATIENCE = 5.0
"""Seconds that a server has to end by itself."""


def run(command: list[str]) -> int:
    """Run a command until it ends or is to end; return its exit code."""
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)  # noqa: S603 - the caller's own
    sys.stdout.write(f"{server.pid}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_when_told, args=(server,), daemon=True).start()
    return server.wait()


def _end_when_told(server: "subprocess.Popen[bytes]") -> None:
    os.read(sys.stdin.fileno(), 1)  # not through a buffer, whose lock would be in the way when this process ends
    server.terminate()
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
