"""Keeps objects from ever being freed in a process."""

import ctypes

__all__ = ["leak"]


def leak(*things: object) -> None:
    """Hold on to objects until the process ends, past the point where the interpreter frees everything."""
    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
