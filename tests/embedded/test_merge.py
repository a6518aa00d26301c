"""The three-way merge as a pure function, beside the plainest model of it."""

import hypothesis.strategies as st
from hypothesis import given

from datastore.embedded.merge import three_way
from datastore.embedded.nodes import Entry

KEYS = ["a", "a/b", "b", "c", "ü"]


def entry(content, time):
    return Entry(bytes([content]) * 32, content, time, "text/plain")


trees = st.dictionaries(st.sampled_from(KEYS), st.builds(entry, st.integers(0, 2), st.integers(0, 1)))


def rows(base, side):
    """What `Trees.diff` gives: whole rows that differ, sorted; time counts."""
    return [(key, base.get(key), side.get(key)) for key in sorted({*base, *side}) if base.get(key) != side.get(key)]


def merged(base, source, dest, **how):
    found = three_way(iter(rows(base, source)), iter(rows(base, dest)), **how)
    result = {key: value for key, value in {**dest, **found.edits}.items() if value is not None}
    return result, found.conflicts


def content(value):
    return None if value is None else value.digest


def contents(tree):
    return {key: value.digest for key, value in tree.items()}


@given(trees, trees, trees)
def test_each_key_goes_by_the_rule(base, source, dest):
    result, conflicts = merged(base, source, dest)
    open_keys = [key for key, *_ in conflicts]
    assert open_keys == sorted(open_keys)
    for key in KEYS:
        old, theirs, ours = base.get(key), source.get(key), dest.get(key)
        if content(theirs) == content(ours):
            assert content(result.get(key)) == content(ours)
        elif content(theirs) == content(old):
            assert result.get(key) == ours
        elif content(ours) == content(old):
            assert result.get(key) == theirs
        else:
            assert (key, old, theirs, ours) in conflicts
            assert result.get(key) == ours
            continue
        assert key not in open_keys


@given(trees, trees, trees)
def test_a_strategy_settles_everything(base, source, dest):
    plain, conflicts = merged(base, source, dest)
    for strategy, side in (("source-wins", source), ("dest-wins", dest)):
        result, left = merged(base, source, dest, strategy=strategy)
        assert left == []
        expected = dict(plain)
        for key, *_ in conflicts:
            expected.pop(key, None)
            if key in side:
                expected[key] = side[key]
        assert result == expected


@given(trees, trees, trees, st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["source", "dest"])))
def test_a_choice_goes_before_the_strategy_and_leaves_the_rest_open(base, source, dest, choose):
    _, conflicts = merged(base, source, dest)
    result, left = merged(base, source, dest, choose=choose)
    assert left == [row for row in conflicts if row[0] not in choose]
    settled, none_left = merged(base, source, dest, choose=choose, strategy="source-wins")
    assert none_left == []
    for key, _, theirs, ours in conflicts:
        if key in choose:
            assert result.get(key) == (theirs if choose[key] == "source" else ours)
        assert settled.get(key) == (ours if choose.get(key) == "dest" else theirs)


@given(trees, trees)
def test_what_only_one_side_changed_is_taken(base, source):
    for result, conflicts in (merged(base, source, base), merged(base, base, source)):
        assert (contents(result), conflicts) == (contents(source), [])


@given(trees, trees, trees)
def test_both_directions_agree_on_contents_and_conflicts(base, one, two):
    there, conflicts = merged(base, one, two)
    back, same = merged(base, two, one)
    assert [key for key, *_ in conflicts] == [key for key, *_ in same]
    if not conflicts:
        assert contents(there) == contents(back)


@given(trees, trees, trees)
def test_merging_the_result_again_changes_nothing(base, source, dest):
    result, conflicts = merged(base, source, dest)
    if not conflicts:
        again, none = merged(base, source, result)
        assert (contents(again), none) == (contents(result), [])
