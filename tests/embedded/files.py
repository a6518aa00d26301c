"""What is on the disk, to see that it stays as it is."""

from pathlib import Path

__all__ = ["listing"]


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of everything in a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }
