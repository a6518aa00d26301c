"""The plan of a merge, and when lakeFS itself would get it wrong: against a model of both."""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from datastore.providers.lakefs.rows import DiffRow, _Side, same_entry
from datastore.providers.lakefs.threeway import added_by_both, drops_a_key, three_way

trees = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz"), max_size=6)


def rows(base, side):
    """What differs from one tree to another, as the server tells it."""
    found = {}
    for key in sorted({*base, *side}):
        if base.get(key) != side.get(key):
            kind = "added" if key not in base else "removed" if key not in side else "changed"
            found[key] = DiffRow(path=key, type=kind, right=_Side(checksum=side.get(key) or base[key], mtime=0))
    return found


def merged(base, source, dest, strategy):
    """A three-way merge, said as plainly as possible: (tree, conflicts)."""
    tree, conflicts = {}, []
    for key in sorted({*base, *source, *dest}):
        old, theirs, ours = base.get(key), source.get(key), dest.get(key)
        if theirs in {ours, old}:
            value = ours
        elif ours == old:
            value = theirs
        else:
            conflicts += [key] if strategy is None else []
            value = theirs if strategy == "source-wins" else ours
        if value is not None:
            tree[key] = value
    return tree, conflicts


class Conflicting(Exception):
    """The server meets a conflict that no strategy settles."""


def as_lakefs(base, source, dest, strategy):
    """What pkg/graveler/committed/merge.go does with single keys; the fault is that `content` may be of a later key."""
    names, tree = sorted(base), {}
    for key in sorted({*source, *dest}):
        at = bisect_left(names, key)
        near = names[at] if at < len(names) else None
        content = base.get(near)
        if key in source and key in dest:
            tree[key] = of_both(source[key], dest[key], content, strategy)
            continue
        value, mine = (source[key], "source-wins") if key in source else (dest[key], "dest-wins")
        alone = not any(left >= key for left in (dest if key in source else source))
        if content == value and (alone or near == key):
            continue
        if near == key and strategy is None:
            raise Conflicting
        if near != key or strategy == mine:
            tree[key] = value
    return tree


def of_both(theirs, ours, content, strategy):
    if theirs == ours or ours == content != theirs:
        return theirs
    if theirs == content:
        return ours
    if strategy is None:
        raise Conflicting
    return theirs if strategy == "source-wins" else ours


@given(trees, trees, trees, st.sampled_from([None, "source-wins", "dest-wins"]))
def test_the_plan_is_the_merge(base, source, dest, strategy):
    plan = three_way(rows(base, source), rows(base, dest), strategy=strategy)
    tree, conflicts = merged(base, source, dest, strategy)
    assert plan.conflicts == conflicts
    if not conflicts:
        made = dest | {key: row.right.checksum for key, row in plan.edits.items()}
        gone = {key for key, row in plan.edits.items() if row.type == "removed"}
        assert {key: value for key, value in made.items() if key not in gone} == tree


@given(trees, trees, trees, st.sampled_from([None, "source-wins", "dest-wins"]))
def test_where_no_trap_is_seen_lakefs_is_right(base, source, dest, strategy):
    theirs, ours = rows(base, source), rows(base, dest)
    tree, conflicts = merged(base, source, dest, strategy)
    twins = added_by_both(theirs, ours) if strategy else []
    if conflicts or drops_a_key(theirs, ours) or _next_is_alike(base, twins, theirs, ours):
        return
    assert as_lakefs(base, source, dest, strategy) == tree


def _next_is_alike(base, twins, theirs, ours):
    """As `merging._goes_wrong` asks the server."""
    for key in twins:
        after = [name for name in sorted(base) if name > key][:1]
        if after and base[after[0]] in {theirs[key].right.checksum, ours[key].right.checksum}:
            return True
    return False


def test_the_model_of_lakefs_has_its_faults():
    assert as_lakefs({"a": "1", "z": "2"}, {"a": "1"}, {"a": "1", "y": "2", "z": "2"}, None) == {"a": "1"}
    assert as_lakefs({"z": "2"}, {"k": "2", "z": "2"}, {"k": "3", "z": "2"}, None) == {"k": "3", "z": "2"}


def test_time_and_place_are_no_part_of_an_entry():
    one, two = (
        DiffRow(path=path, type="added", right=_Side(checksum="c", mtime=at)) for path, at in (("a", 1), ("b", 2))
    )
    assert same_entry(one.stats, two.stats)
    assert not same_entry(one.stats, DiffRow(path="a", type="added", size_bytes=1, right=_Side("c", 1)).stats)
