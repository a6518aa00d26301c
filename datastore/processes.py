"""Which process something belongs to, told apart from a later one that got the same number.

A process is named by the boot of the machine, the namespace that its number is from (containers have their own), the
number, and when it was started, in ticks since the boot. What the system does not tell stays empty.
"""

import os
import secrets
import sys
import time
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

from datastore.durable import boot_id

__all__ = ["Process", "is_gone", "owner_of", "scratch_name", "this_process", "uptime"]

_DAY = 86400.0


class Process(Struct, frozen=True):
    """A process of this machine.

    Attributes:
        boot: Boot of the machine; '' where the system does not tell.
        space: Namespace of the number; '' as well.
        pid: Its number.
        ticks: When it was started; 0 as well.
    """

    boot: str
    space: str
    pid: int
    ticks: int


def this_process() -> Process:
    """Return the process that asks; a forked child is another one than its parent."""
    return _process(os.getpid())


@lru_cache(maxsize=4)
def _process(pid: int) -> Process:
    boot = boot_id()
    try:
        space = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        space = ""
    return Process("" if boot.startswith("process-") else boot.replace("-", "")[:16], space, pid, _started(pid))


def _started(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def is_gone(process: Process, *, age: float) -> bool:
    """Tell whether a process has ended for certain. One that is stopped, or suspended with the machine, has not.

    Nobody can look into another container of the same machine: what is from there counts as ended after a day.

    Args:
        process: The process.
        age: Seconds since it was last known to live, by a clock that may be wrong; no boot is older than the boot.
    """
    here = this_process()
    if process.boot != here.boot:
        return True
    if process.space != here.space:
        return min(age, uptime()) > _DAY
    if not _is_running(process.pid):
        return True
    ticks = _started(process.pid)
    return bool(process.ticks and ticks) and ticks != process.ticks


def uptime() -> float:
    """Return how many seconds this machine has been running, sleep included where the system tells."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


if sys.platform == "win32":

    def _is_running(pid: int) -> bool:
        import ctypes

        query, still_active = 0x1000, 259
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(query, False, pid)  # noqa: FBT003 - Windows' signature
        if not handle:
            return kernel.GetLastError() == 5  # it is there, and somebody else's
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return code.value == still_active
else:

    def _is_running(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # it is there, and somebody else's
            return True
        return True


def scratch_name() -> str:
    """Return a name for a file in the making, which tells whose it is."""
    me = this_process()
    return f"{me.pid}-{me.ticks}-{me.space}-{me.boot}-{secrets.token_hex(8)}"


def owner_of(name: str) -> Process | None:
    """Return whose file in the making this is, or None for a name that nobody here gave."""
    parts = name.split("-")
    if not parts[0].isdigit():
        return None
    here = this_process()
    if len(parts) != 5 or not parts[1].isdigit():  # of an earlier version, which gave the number alone
        return Process(here.boot, here.space, int(parts[0]), 0)
    return Process(parts[3], parts[2], int(parts[0]), int(parts[1]))
