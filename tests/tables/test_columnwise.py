"""Of two Parquet files only the columns that may differ are decoded; what comes out is what reading all of it gives."""

import io
import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore.errors import DatastoreError, ValidationError
from datastore.providers.memory import MemoryProvider
from datastore.tables import TableDiff, columnwise, diff_objects, diff_tables, read_table
from datastore.tables.columnwise import changed_columns

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Int64": st.none() | st.integers(-2, 2) | st.just(2**53 + 1),
    "int64": st.integers(-2, 2),
    "float64": st.sampled_from([0.0, -0.0, 1.0, math.nan, 0.5]),
    "Float64": st.none() | st.sampled_from([0.0, 1.0]),
    "string": st.none() | st.text("ab", max_size=1),
    "boolean": st.none() | st.booleans(),
    "category": st.none() | st.sampled_from(["a", "b"]),
    "datetime64[us]": st.none() | st.sampled_from([pd.Timestamp("2020-01-01"), pd.Timestamp("2021-01-01")]),
    "object": st.none() | st.lists(st.none() | st.integers(0, 1), max_size=2),
}
INDEXES: list[dict[str, Any]] = [{}, {"index": False}, {"named": True}, {"start": 5}]


def stored(table: pd.DataFrame, *, named: bool = False, start: int = 0, **how: Any) -> bytes:
    if named:
        table = table.set_index("n")
    elif start:
        table = table.set_axis(range(start, start + len(table)))
    buffer = io.BytesIO()
    table.to_parquet(buffer, **how)
    return buffer.getvalue()


def outcome(old: bytes, new: bytes, key: Any, *, whole: bool) -> TableDiff | tuple[type, str, str | None]:
    provider = MemoryProvider()
    provider.put("old.parquet", old)
    provider.put("new.parquet", new)
    try:
        if whole:
            return diff_tables(*(read_table(provider, f"{side}.parquet") for side in ("old", "new")), key=key)
        return diff_objects((provider, "old.parquet"), (provider, "new.parquet"), key=key)
    except DatastoreError as error:
        return type(error), error.message, error.hint


@st.composite
def versions(draw: st.DrawFn) -> tuple[bytes, bytes, list[str]]:
    kinds = {"k": draw(st.sampled_from(["int64", "Int64", "float64", "string"]))}
    kinds |= {f"c{at}": draw(st.sampled_from(sorted(VALUES))) for at in range(draw(st.integers(0, 3)))}
    rows = draw(st.lists(st.fixed_dictionaries({name: VALUES[kind] for name, kind in kinds.items()}), max_size=6))
    if draw(st.booleans()):
        kinds["k"] = "int64"
        for at, row in enumerate(rows):
            row["k"] = at
    old = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kinds[name]) for name in kinds})
    change = draw(st.sampled_from(["none", "cells", "reorder", "drop", "type", "extra"]))
    if change == "cells" and rows:
        name = draw(st.sampled_from(sorted(kinds)))
        rows[draw(st.integers(0, len(rows) - 1))][name] = draw(VALUES[kinds[name]])
    elif change == "reorder":
        rows = draw(st.permutations(rows))
    elif change == "drop":
        rows = rows[1:]
    elif change == "type":
        name = draw(st.sampled_from(sorted(kinds)))
        kinds[name] = {"int64": "float64", "Int64": "Float64", "category": "string"}.get(kinds[name], kinds[name])
    new = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kinds[name]) for name in kinds})
    if change == "extra":
        new.insert(0, "only", 1)
    how: list[dict[str, Any]] = [
        draw(st.sampled_from(INDEXES)) | draw(st.sampled_from([{}, {"compression": None}, {"row_group_size": 2}]))
        for _ in (0, 1)
    ]
    if draw(st.integers(0, 3)):
        how[1] = how[0]
    sides = (side.assign(n=range(len(side))) for side in (old, new))
    before, after = (stored(side, **options) for side, options in zip(sides, how, strict=True))
    return before, after, draw(st.sampled_from([["k"], ["k", "c0"], ["n"], ["nope"]]))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(versions())
def test_the_same_comes_out_as_of_the_whole_tables(drawn: tuple[bytes, bytes, list[str]]) -> None:
    old, new, key = drawn
    assert outcome(old, new, key, whole=False) == outcome(old, new, key, whole=True)


def table(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"id": range(rows), "name": [f"item {at}" for at in range(rows)], "price": 0.5, "stock": 1})


def test_what_did_not_change_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = table(1000), table(1000)
    new.loc[17, "price"] = 0.75
    read: list[list[str]] = []
    real = columnwise.parquet_frame

    def watched(data: bytes, columns: list[str] | None = None) -> pd.DataFrame:
        found = real(data, columns)
        read.extend([list(found.columns)] if len(found) else [])
        return found

    monkeypatch.setattr(columnwise, "parquet_frame", watched)
    diff = outcome(stored(old), stored(new), "id", whole=False)
    assert isinstance(diff, TableDiff)
    assert (diff.changed, diff.unchanged) == (1, 999)
    assert diff.columns == ("name", "price", "stock")
    assert sorted(read) == [["id"], ["price"], ["price"]]


def test_a_key_that_may_differ_is_read_in_full() -> None:
    old, new = table(10), table(10)
    new.loc[3, "id"] = 30
    assert changed_columns(stored(old), stored(new), ["id"]) is None
    assert changed_columns(stored(old), stored(new), ["name"]) == ["id"]


def test_a_key_that_is_not_unique_has_the_hint_of_the_whole_tables() -> None:
    old = table(4)
    with pytest.raises(ValidationError, match=r"'stock' is not unique in before: 1") as caught:
        diff_tables(old, old, key="stock")
    found = outcome(stored(old), stored(old), "stock", whole=False)
    assert found == (ValidationError, caught.value.message, caught.value.hint)
