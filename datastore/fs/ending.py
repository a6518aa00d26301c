"""The end of a process in which pyarrow's threads may still hold our files.

pyarrow lets go of a file in a thread of its own, some time after it has handed out the data. If the interpreter ends in
that moment, the thread is torn down inside C++ and the process aborts with "terminate called without an active
exception", although all its work is done. It happens with every file system that is written in Python (2 of 60 runs
with fsspec's own local one). So the end waits, for some milliseconds, until no file is held any more.
"""

import atexit
import os
import sys
import time
import weakref

__all__ = ["watch"]

_STEP = 0.001
_LONGEST = 0.1

_held: "weakref.WeakSet[object]" = weakref.WeakSet()
_process = os.getpid()


def watch(file: object) -> None:
    """Remember that a file was handed out."""
    global _process  # noqa: PLW0603 - a forked child has handed out none
    if _process != os.getpid():
        _process = os.getpid()
        _held.clear()
    _held.add(file)


@atexit.register
def _let_go() -> None:
    if "pyarrow" not in sys.modules:
        return
    deadline = time.monotonic() + _LONGEST
    time.sleep(_STEP)
    while _held and time.monotonic() < deadline:
        time.sleep(_STEP)
    time.sleep(_STEP)  # the thread that let go of the last one needs the interpreter a moment longer
