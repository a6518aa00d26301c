"""The process that does one task: reads it from stdin, writes what it measured to stdout."""

import importlib
import os
import resource
import sys
import threading
import time
from pathlib import Path

import msgspec
from msgspec import structs

from benchmarks.measuring import Measured, Task

__all__: list[str] = []


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak() -> int:
    """Bytes of memory at most. Linux counts to `ru_maxrss` of a process what its parent had; VmHWM is its own."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        own = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except OSError:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(own, children) * 1024


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
    found = result if isinstance(result, Measured) else Measured(wall, used, depth)
    found = structs.replace(found, peak=_peak())
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(found) + b"\n")
    sys.stdout.flush()
    os._exit(0)  # some clients' threads do not end by themselves


if __name__ == "__main__":
    main()
