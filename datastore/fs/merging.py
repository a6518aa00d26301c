"""Which ranges of one object are read together: those that lie near each other, up to a size."""

from collections.abc import Sequence

__all__ = ["covering", "merged"]


def merged(spans: Sequence[tuple[int, int]], *, gap: int, largest: int) -> list[list[int]]:
    """Return the places of the spans by block, in the order of their bytes; each is in one block, and whole.

    Args:
        spans: First byte and end, exclusive, in any order; they may overlap.
        gap: Bytes between two spans that may be read in vain to save a read.
        largest: Bytes of a block of several spans, at most.

    >>> merged([(100, 110), (0, 10), (20, 30)], gap=16, largest=50)
    [[1, 2], [0]]
    """
    blocks: list[list[int]] = []
    first = end = 0
    for at in sorted(range(len(spans)), key=spans.__getitem__):
        start, stop = spans[at]
        if blocks and start <= end + gap and max(stop, end) - first <= largest:
            blocks[-1].append(at)
            end = max(stop, end)
        else:
            blocks.append([at])
            first, end = start, stop
    return blocks


def covering(spans: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the bytes from the first one of all spans to the end of the last.

    >>> covering([(20, 30), (0, 10)])
    (0, 30)
    """
    return min(start for start, _ in spans), max(stop for _, stop in spans)
