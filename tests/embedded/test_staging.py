"""Staged rows: what a put does to them, and what a reader sees over the committed ones."""

import sqlite3

import hypothesis.strategies as st
import pytest
from hypothesis import given

from datastore.embedded import staging
from datastore.embedded.nodes import CHUNKS, Entry
from datastore.embedded.schema import SCHEMA
from datastore.embedded.staging import decide, overlay

KEYS = ["", "a", "a/", "a/b", "a0", "b", "\ue000", "\U0010ffff", "\U0010ffffx"]
values = st.none() | st.builds(
    lambda content, time: Entry(bytes([content]) * 32, content, time, "t"), st.integers(0, 2), st.integers(0, 1)
)
trees = st.dictionaries(st.sampled_from(KEYS), values.filter(lambda value: value is not None))
edits = st.dictionaries(st.sampled_from(KEYS), values)


def same(a, b):
    return (a and a.digest) == (b and b.digest)


@given(values, values, st.booleans(), values)
def test_a_decision_leads_to_what_was_wanted(committed, row, is_staged, wanted):
    staged = (is_staged, row if is_staged else None)
    before = staged[1] if is_staged else committed
    action = decide(committed, staged, wanted)
    after = {"stage": wanted, "unstage": committed, "keep": before}[action]
    assert same(after, wanted)
    if same(wanted, committed):  # a branch that shows what is committed has no uncommitted changes
        assert action == ("unstage" if is_staged else "keep")
    elif same(wanted, before):  # the same again keeps its time
        assert action == "keep"
    if action == "unstage":
        assert is_staged


@given(trees, edits)
def test_the_overlay_is_a_dictionary_update(committed, staged):
    expected = {key: entry for key, entry in {**committed, **staged}.items() if entry is not None}
    seen = list(overlay(sorted(committed.items()), sorted(staged.items())))
    assert seen == sorted(expected.items())


def test_the_overlay_reads_no_further_than_it_is_asked():
    taken = []

    def committed():
        for number in range(100):
            taken.append(number)
            yield f"{number:03}", Entry(bytes(32), 1, 1, "t")

    steps = overlay(committed(), [("000x", None), ("500", None)])
    assert [next(steps)[0] for _ in range(3)] == ["000", "001", "002"]
    assert len(taken) < 6


@pytest.fixture
def db():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    connection.execute("INSERT INTO store (one, store_id) VALUES (1, 'x')")
    connection.execute("INSERT INTO repos VALUES (1, 'repo', 'main')")
    connection.execute("INSERT INTO branches (repo, name, head, token) VALUES (1, 'main', 'h', 1)")
    yield connection
    connection.close()


def gen(db):
    return db.execute("SELECT gen FROM branches").fetchone()[0]


def entry(content=1, **fields):
    return Entry(bytes([content]) * 32, content, 7, "text/csv", **fields)


def test_rows_come_back_as_they_went_in_and_in_order(db):
    rows = {"b": None, "a": entry(metadata='{"a":"ü"}'), "c": entry(kind=CHUNKS, extra='{"chunks":[]}')}
    staging.stage(db, 1, rows)
    staging.stage(db, 2, {"other": entry()})
    assert list(staging.rows(db, 1).items()) == sorted(rows.items())
    assert staging.row_of(db, 1, "b") == (True, None)
    assert staging.row_of(db, 1, "a") == (True, rows["a"])
    assert staging.row_of(db, 1, "x") == (False, None)
    assert staging.first_keys(db, 1, limit=2) == ["a", "b"]


@pytest.mark.parametrize("prefix", ["", "a", "a/", "\ue000", "\ud7ff", "\U0010ffff", "zzz"])
def test_rows_under_a_prefix(db, prefix):
    keys = ["a", "a/", "a/b", "a0", "\ud7ffx", "\ue000", "\U0010ffff", "\U0010ffff\U0010ffff"]
    staging.stage(db, 1, dict.fromkeys(keys, entry()))
    expected = sorted(key for key in keys if key.startswith(prefix))
    assert list(staging.rows(db, 1, prefix=prefix)) == expected
    assert staging.drop(db, 1, prefix=prefix) == len(expected)
    assert list(staging.rows(db, 1)) == sorted(set(keys) - set(expected))


@pytest.mark.parametrize("key", ["a\ud800", "\udcff"])
def test_what_is_no_unicode_is_nowhere(db, key):
    staging.stage(db, 1, {"a": entry()})
    assert staging.row_of(db, 1, key) == (False, None)
    assert staging.rows(db, 1, prefix=key) == {}
    assert staging.drop(db, 1, prefix=key) == staging.drop(db, 1, key=key) == 0


def test_only_taking_rows_away_moves_the_generation(db):
    """A commit that was prepared before must not land with what has been taken back since."""
    staging.stage(db, 1, {"a": entry(), "b": entry(), "c": entry()})
    assert gen(db) == 0
    staging.unstage(db, 1, ["a"])
    assert gen(db) == 1
    assert staging.drop(db, 1, key="b") == 1
    assert gen(db) == 2
    assert list(staging.rows(db, 1)) == ["c"]


def test_a_commit_forgets_what_it_took_and_no_more(db):
    taken = {"a": entry(1), "b": entry(1), "c": None, "d": entry(1)}
    staging.stage(db, 1, taken)
    up_to = staging.latest(db)
    staging.stage(db, 1, {"b": entry(2), "new": entry(1)})  # changed while the commit was being made
    staging.stage(db, 1, {"d": entry(2)})
    staging.stage(db, 1, {"d": entry(1)})  # and changed back to what the commit has
    staging.stage(db, 2, {"a": entry(1)})
    staging.forget_committed(db, 1, taken, up_to=up_to)
    assert staging.rows(db, 1) == {"b": entry(2), "new": entry(1)}
    assert staging.rows(db, 2) == {"a": entry(1)}


def test_rows_move_to_another_staging_area(db):
    staging.stage(db, 1, {"a": entry(), "b": None})
    staging.move(db, 1, 5)
    assert staging.rows(db, 1) == {}
    assert staging.rows(db, 5) == {"a": entry(), "b": None}
