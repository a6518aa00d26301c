"""The process that does one task: reads it from stdin, writes what it measured to stdout."""

import importlib
import os
import resource
import sys
import threading
import time
from pathlib import Path

import msgspec

from benchmarks.measuring import Measured, Task

__all__: list[str] = []


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _spin() -> None:
    while True:
        pass


def main() -> None:
    """Connect first, so that neither imports nor the first handshake are counted; then measure."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    client = importlib.import_module(f"benchmarks.clients.{task.client}")
    connection = client.connect(task.place)
    verb = getattr(client, task.name)
    if task.busy:
        threading.Thread(target=_spin, daemon=True).start()
    cpu, begin = _cpu(), time.perf_counter()
    result = verb(connection, Path(task.folder))
    wall = time.perf_counter() - begin
    used = _cpu() - cpu
    depth = result if isinstance(result, int) and not isinstance(result, bool) else 0
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(Measured(wall, used, depth)) + b"\n")
    sys.stdout.flush()
    os._exit(0)  # some clients' threads do not end by themselves


if __name__ == "__main__":
    main()
