"""The three-way merge over what each side changed, and where lakeFS's own merge would go wrong: pure functions.

lakeFS (1.84, pkg/graveler/committed/merge.go) looks up a key of the base as "this one or the next", and in two places
forgets to ask which one it got. So two merges lose data without a word:

- One side adds `y`, the other removes the last keys of the repo, among them a `z` after `y` with the same content: `y`
  is left out of the merge (`handleAll`).
- Both sides add `y` with different content, and the next key of the base has the content of one of them: that is taken
  for unchanged, and the other side wins without a conflict (`handleBothKeys`).

Files of the same content are common: copies, renames, empty markers.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from datastore.errors import ValidationError
from datastore.providers.lakefs.answers import ObjectStats
from datastore.providers.lakefs.rows import DiffRow, identity, same_entry
from datastore.values import Side, Strategy

__all__ = ["Plan", "added_by_both", "check_sides", "drops_a_key", "three_way"]

Rows = Mapping[str, DiffRow]
"""What differs from the merge base to one side, by key."""

_SIDES: Final = frozenset({"source", "dest"})


class Plan(Struct, frozen=True):
    """What a merge does.

    Attributes:
        edits: What becomes of dest, by key: rows of the source side.
        conflicts: Keys that nobody settled, sorted.
        settled: Which side was taken, by key in conflict.
    """

    edits: dict[str, DiffRow]
    conflicts: list[str]
    settled: dict[str, Side]


def after(row: DiffRow) -> ObjectStats | None:
    """Return what a side has; None if it removed the key."""
    return None if row.type == "removed" else row.stats


def three_way(
    source: Rows, dest: Rows, *, strategy: Strategy | None = None, choose: Mapping[str, Side] | None = None
) -> Plan:
    """Merge what two sides did to the same base.

    A key that only the source changed is taken; one that both made the same is left; any other is a conflict, settled
    by `choose`, then by the strategy.
    """
    plan = Plan({}, [], {})
    for key, theirs in source.items():
        ours = dest.get(key)
        if ours is None:
            plan.edits[key] = theirs
            continue
        if same_entry(after(theirs), after(ours)):
            continue
        side = (choose or {}).get(key) or _side_of(strategy)
        if side is None:
            plan.conflicts.append(key)
            continue
        plan.settled[key] = side
        if side == "source":
            plan.edits[key] = theirs
    plan.conflicts.sort()
    return plan


def _side_of(strategy: Strategy | None) -> Side | None:
    return None if strategy is None else "source" if strategy == "source-wins" else "dest"


def drops_a_key(source: Rows, dest: Rows) -> bool:
    """Tell whether lakeFS might leave a key that one side added out of a merge; never False when it would."""
    return _may_drop(source, dest) or _may_drop(dest, source)


def _may_drop(adder: Rows, remover: Rows) -> bool:
    last: dict[tuple[object, ...], str] = {}
    for key, row in remover.items():
        if row.type == "removed":
            content = identity(row.stats)
            last[content] = max(last.get(content, ""), key)
    return bool(last) and any(
        row.type == "added" and last.get(identity(row.stats), "") > key for key, row in adder.items()
    )


def added_by_both(source: Rows, dest: Rows) -> list[str]:
    """Return the keys that both sides added with different content, sorted."""
    return sorted(
        key
        for key, theirs in source.items()
        if theirs.type == "added" and key in dest and not same_entry(after(theirs), after(dest[key]))
    )


def check_sides(strategy: str | None, choose: Mapping[str, str] | None) -> None:
    """Raise `ValidationError` for a strategy or a side that is none."""
    if strategy not in {None, "source-wins", "dest-wins"}:
        raise ValidationError(f"strategy {strategy!r} is not known", hint="source-wins or dest-wins")
    for key, side in (choose or {}).items():
        if side not in _SIDES:
            raise ValidationError(f"choose[{key!r}] is {side!r}", hint='"source" or "dest"')
