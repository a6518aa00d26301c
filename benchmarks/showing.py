"""What was measured as tables: one row for each client, or one for each task."""

from collections.abc import Callable, Mapping
from importlib import import_module

from benchmarks.measuring import Measured
from benchmarks.page import table

__all__ = ["Found", "by_client", "by_task", "milliseconds", "seconds"]

Found = Measured | str
"""What was measured, or why nothing was."""


def by_client(found: Mapping[str, Found], *, notes: bool = False) -> str:
    """Return a row for each client, beside the first; a client that cannot do the task, or is not there, says so.

    Args:
        found: By module.
        notes: Whether each says what of its commit is on the disk.
    """
    results = list(found.values())
    depths = any(_depth(one) for one in results)
    header = ["client", "seconds", "CPU seconds", "times ours", "memory at most"]
    header += ["round trips in sequence"] * depths + ["after power loss"] * notes
    rows: list[list[str]] = []
    for client, one in found.items():
        label = _of(client, "LABEL") or client
        if isinstance(one, str):
            rows.append([label, _reason(one), *[""] * (len(header) - 2)])
            continue
        ratio = f"{one.wall / results[0].wall:.1f}×" if isinstance(results[0], Measured) else ""
        cells = [f"{one.wall:.2f}", f"{one.cpu:.2f}", ratio, _megabytes(one.peak)]
        rows.append([label, *cells, *[str(round(_depth(one)) or "")] * depths, *[_of(client, "NOTE")] * notes])
    return table(header, rows)


def by_task(
    found: Mapping[str, Mapping[str, Found]], titles: Mapping[str, str], *, show: Callable[[Measured], str]
) -> str:
    """Return a row for each task with a column for each client."""
    clients = list(dict.fromkeys(client for row in found.values() for client in row))
    header = ["", *(_of(client, "LABEL") or client for client in clients)]
    rows = [[titles[task], *(_cell(row.get(client, ""), show) for client in clients)] for task, row in found.items()]
    return table(header, rows)


def milliseconds(value: float) -> str:
    """Return a time in milliseconds or, if it is long, seconds.

    >>> milliseconds(0.0000123), milliseconds(0.0123), milliseconds(12.34)
    ('0.012 ms', '12 ms', '12.3 s')
    """
    if value >= 1:
        return f"{value:.3g} s"
    return f"{value * 1000:.2g} ms" if value < 0.1 else f"{value * 1000:.0f} ms"


def seconds(one: Measured) -> str:
    """Return the time of a task in a unit that fits."""
    return milliseconds(one.wall)


def _cell(one: Found, show: Callable[[Measured], str]) -> str:
    return _reason(one) if isinstance(one, str) else show(one)


def _reason(text: str) -> str:
    return "—" if not text or "has no attribute" in text else text.replace("|", "\\|")


def _depth(one: Found) -> float:
    return 0 if isinstance(one, str) else one.depth


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB"


def _of(client: str, name: str) -> str:
    try:
        return str(getattr(import_module(f"benchmarks.clients.{client}"), name, ""))
    except ImportError:
        return ""
