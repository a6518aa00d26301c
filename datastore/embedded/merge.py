"""The three-way merge, as a pure function over what each side changed."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field

from datastore.embedded.nodes import Entry, same_content
from datastore.values import Side, Strategy

__all__ = ["Merged", "three_way"]

Row = tuple[str, Entry | None, Entry | None]


class Merged(Struct):
    """What to do to dest, and what nobody could decide: (key, base, source, dest)."""

    edits: dict[str, Entry | None] = field(default_factory=dict[str, Entry | None])
    conflicts: list[tuple[str, Entry | None, Entry | None, Entry | None]] = field(
        default_factory=list[tuple[str, Entry | None, Entry | None, Entry | None]]
    )


def three_way(
    source: Iterable[Row],
    dest: Iterable[Row],
    *,
    strategy: Strategy | None = None,
    choose: Mapping[str, Side] | None = None,
) -> Merged:
    """Merge what two sides did to the same base.

    A key that only the source changed is taken; one that both made the same in content is left as dest has it (their
    times may differ); any other is a conflict, settled by `choose`, then by the strategy, else returned.

    Args:
        source: Rows (key, base, source) that differ, sorted by key.
        dest: Rows (key, base, dest) that differ, sorted by key.
        strategy: Which side wins every conflict.
        choose: Which side wins the conflict of one key.
    """
    merged = Merged()
    chosen = choose or {}
    for key, base, theirs, ours, both in _joined(source, dest):
        if not both:
            merged.edits[key] = theirs
            continue
        if same_content(theirs, ours) or same_content(theirs, base):
            continue
        if same_content(ours, base):
            merged.edits[key] = theirs
            continue
        side = chosen.get(key) or (strategy and strategy.removesuffix("-wins"))
        if side == "source":
            merged.edits[key] = theirs
        elif side is None:
            merged.conflicts.append((key, base, theirs, ours))
    return merged


def _joined(
    source: Iterable[Row], dest: Iterable[Row]
) -> Iterator[tuple[str, Entry | None, Entry | None, Entry | None, bool]]:
    """Yield the source's rows, each with dest's value of the key and whether dest changed it too."""
    others = iter(dest)
    other = next(others, None)
    for key, base, theirs in source:
        while other is not None and other[0] < key:
            other = next(others, None)
        if other is not None and other[0] == key:
            yield key, base, theirs, other[2], True
        else:
            yield key, base, theirs, base, False
