"""Row diffs find exactly the rows and cells that differ, and refuse keys that would make them lie."""

import gzip
import io
import math
import pickle
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore.errors import NotFound, UnsupportedType, ValidationError
from datastore.providers.memory import MemoryProvider
from datastore.tables import Retyped, RowChange, TableDiff, diff_tables, is_table, read_table


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def counts(diff: TableDiff) -> tuple[int, int, int, int]:
    return diff.added, diff.removed, diff.changed, diff.unchanged


def changed_cells(diff: TableDiff) -> dict[Any, dict[str, tuple[Any, Any]]]:
    """Changed rows as {key values: {column: (old, new)}}."""
    return {
        tuple(row.key.values()): {name: (row.before[name], row.after[name]) for name in row.before}
        for row in diff.rows
        if row.before is not None and row.after is not None
    }


# ---------------------------------------------------------------------------------------------- against a naive oracle

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "Int64": st.integers(-3, 3) | st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1]),
    "float64": st.integers(-3, 3).map(float) | st.floats(width=64) | st.sampled_from([0.5, -0.0, 2.0**53]),
    "Float64": st.integers(-3, 3).map(float) | st.floats(allow_nan=False),
    "str": st.text("ab é", max_size=2),
    "string": st.text("ab é", max_size=2),
    "boolean": st.booleans(),
    "category": st.sampled_from(["a", "b", "c"]),
    "datetime64[us]": st.integers(0, 3).map(lambda days: datetime(2020, 1, 1) + timedelta(days=days)),  # noqa: DTZ001
    "datetime64[ns]": st.integers(0, 3).map(lambda days: datetime(2020, 1, 1) + timedelta(days=days)),  # noqa: DTZ001
    "mixed": st.one_of(
        st.integers(0, 2), st.sampled_from(["a", "1"]), st.just(Decimal("0.5")), st.just(date(2020, 1, 1))
    ),
    "numbers": st.one_of(st.integers(0, 2), st.sampled_from([2**70, 2.0**53, 0.5]), st.just(Decimal("0.5"))),
    "list": st.lists(st.one_of(st.integers(0, 1), st.none(), st.just(math.nan)), max_size=2),
}
COMPARABLE_KEYS = [
    ("Int64", "Int64"),
    ("Int64", "float64"),
    ("Float64", "Int64"),
    ("str", "str"),
    ("str", "string"),
    ("category", "str"),
    ("datetime64[us]", "datetime64[ns]"),
    ("numbers", "numbers"),
    ("numbers", "Int64"),
]


def column(kind: str, values: list[Any]) -> pd.Series:
    if kind in {"mixed", "numbers", "list"}:
        arrays = (np.array(value, dtype=object) if isinstance(value, list) else value for value in values)
        return pd.Series(np.fromiter(arrays, dtype=object, count=len(values)), dtype=object)
    return pd.Series(values, dtype=kind)


def normal(value: Any) -> Any:
    if isinstance(value, list):
        return [normal(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


Rows = dict[tuple[Any, ...], dict[str, Any]]


@st.composite
def sides(draw: st.DrawFn) -> tuple[tuple[pd.DataFrame, Rows], tuple[pd.DataFrame, Rows], list[str]]:
    keys = draw(st.lists(st.sampled_from(COMPARABLE_KEYS), min_size=1, max_size=2))
    cells = draw(st.lists(st.tuples(*[st.sampled_from(sorted(SCALARS))] * 2), max_size=3))
    result = []
    for side in (0, 1):
        kinds = {f"k{i}": pair[side] for i, pair in enumerate(keys)}
        kinds |= {f"c{i}": pair[side] if draw(st.booleans()) else pair[0] for i, pair in enumerate(cells)}
        kinds |= draw(st.sampled_from([{}, {f"only{side}": "str"}]))
        row = st.fixed_dictionaries({name: st.none() | SCALARS[kind] for name, kind in kinds.items()})
        rows: Rows = {}
        for values in draw(st.lists(row, max_size=8)):
            rows[tuple(normal(values[f"k{i}"]) for i in range(len(keys)))] = values
        names = draw(st.permutations(sorted(kinds)))
        table = pd.DataFrame({name: column(kinds[name], [values[name] for values in rows.values()]) for name in names})
        result.append((table.set_axis(range(7, 7 + len(table))), rows))
    return result[0], result[1], [f"k{i}" for i in range(len(keys))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sides())
def test_finds_what_a_naive_comparison_finds(drawn: Any) -> None:
    (before, old), (after, new), key = drawn
    shared = [name for name in after.columns if name in before.columns and name not in key]
    expected = {
        k: {
            name: (normal(old[k][name]), normal(new[k][name]))
            for name in shared
            if normal(old[k][name]) != normal(new[k][name])
        }
        for k in new
        if k in old
    }
    changed = {k: cells for k, cells in expected.items() if cells}

    diff = diff_tables(before, after, key=key, limit=100)

    assert counts(diff) == (
        len(new.keys() - old.keys()),
        len(old.keys() - new.keys()),
        len(changed),
        len(expected) - len(changed),
    )
    assert changed_cells(diff) == changed
    assert {tuple(row.key.values()) for row in diff.rows if row.kind == "added"} == new.keys() - old.keys()
    assert {tuple(row.key.values()) for row in diff.rows if row.kind == "removed"} == old.keys() - new.keys()
    for row in diff.rows:
        k = tuple(row.key.values())
        if row.kind == "added":
            assert row.after == {name: normal(value) for name, value in new[k].items() if name not in key}
    assert set(diff.columns_added) == {name for name in after.columns if name not in before.columns}
    assert set(diff.columns_removed) == {name for name in before.columns if name not in after.columns}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sides(), st.randoms(use_true_random=False))
def test_order_of_rows_and_columns_does_not_matter(drawn: Any, random: Any) -> None:
    (before, _), (after, _), key = drawn
    names = list(before.columns)
    random.shuffle(names)
    order = list(range(len(before)))
    random.shuffle(order)
    plain, shuffled = (diff_tables(side, after, key=key, limit=3) for side in (before, before[names].iloc[order]))
    assert counts(plain) == counts(shuffled)
    assert plain.rows == shuffled.rows


# ------------------------------------------------------------------------------------------------- what a reader sees


@pytest.fixture
def coats() -> TableDiff:
    before = frame(id=[1, 2, 3, 4], label=["coat", "hat", "shoe", None], price=[0.03, 2.0, 3.0, None], old=[1, 1, 1, 1])
    after = frame(
        id=[5, 4, 3, 2], aug=[1, 1, 1, 1], price=["9", None, 99.0, 2.0], label=["scarf", None, "shoe", "hat "]
    )
    return diff_tables(before, after, key="id", title="train.parquet  main..exp-1")


def test_repr_is_one_line_with_sign_and_word(coats: TableDiff) -> None:
    assert repr(coats) == "TableDiff train.parquet  main..exp-1  key=id   +1 added  -1 removed  ~2 changed"


def test_text_shows_rows_in_the_order_of_their_keys(coats: TableDiff) -> None:
    assert str(coats).splitlines()[1:] == [
        "  change     id  aug  price       label           old",
        "  - removed   1       0.03        coat            1",
        "  ~ changed   2                   'hat' → 'hat '",
        "  ~ changed   3       3.0 → 99.0",
        "  + added     5  1    9           scarf",
        "  1 row unchanged; columns +aug added, -old removed, ~price float64 → object",
        "  Next: diff.to_pandas()",
    ]


def test_fields(coats: TableDiff) -> None:
    assert counts(coats) == (1, 1, 2, 1)
    assert (coats.columns_added, coats.columns_removed) == (("aug",), ("old",))
    assert coats.columns_retyped == (Retyped("price", "float64", "object"),)
    assert coats.rows[0] == RowChange(
        kind="removed", key={"id": 1}, before={"label": "coat", "price": 0.03, "old": 1}, after=None
    )
    assert coats.rows[2] == RowChange(kind="changed", key={"id": 3}, before={"price": 3.0}, after={"price": 99.0})


def test_to_pandas_is_a_table_with_a_change_column(coats: TableDiff) -> None:
    table = coats.to_pandas()
    assert list(table.columns) == ["change", "id", "aug", "price", "label", "old"]
    assert list(table["change"]) == ["removed", "changed", "changed", "added"]
    assert list(table["price"]) == [0.03, "", "3.0 → 99.0", "9"]
    assert list(table["label"]) == ["coat", "'hat' → 'hat '", "", "scarf"]


def test_to_pandas_beside_a_column_called_change() -> None:
    diff = diff_tables(frame(id=[1], change=["a"]), frame(id=[1], change=["b"]), key="id")
    assert diff.to_pandas().to_dict("list") == {"change_": ["changed"], "id": [1], "change": ["a → b"]}


def test_to_pandas_without_rows_has_its_columns() -> None:
    assert list(diff_tables(frame(id=[1]), frame(id=[1]), key="id").to_pandas().columns) == ["change", "id"]


def test_html_has_the_same_words(coats: TableDiff) -> None:
    html = coats._repr_html_()
    for words in ("+1 added", "-1 removed", "~2 changed", "- removed", "3.0 → 99.0", "1 row unchanged"):
        assert words in html


def test_limit_keeps_the_first_of_each_kind_by_key() -> None:
    before = frame(id=range(100, 0, -1), x=0)
    after = frame(id=range(150, 50, -1), x=[1 if i % 2 else 0 for i in range(150, 50, -1)])
    diff = diff_tables(before, after, key="id", limit=2)
    assert counts(diff) == (50, 50, 25, 25)
    assert [(row.kind, row.key["id"]) for row in diff.rows] == [
        ("removed", 1),
        ("removed", 2),
        ("changed", 51),
        ("changed", 53),
        ("added", 101),
        ("added", 102),
    ]


def test_limit_zero_keeps_the_counts() -> None:
    diff = diff_tables(frame(id=[1], x=[1]), frame(id=[1], x=[2]), key="id", limit=0)
    assert (diff.changed, diff.rows) == (1, ())
    with pytest.raises(ValidationError, match="limit is -1"):
        diff_tables(frame(id=[1]), frame(id=[1]), key="id", limit=-1)


def test_pickles(coats: TableDiff) -> None:
    assert pickle.loads(pickle.dumps(coats)) == coats


# ------------------------------------------------------------------------------------------------------------ equality


def test_every_null_is_the_same_null() -> None:
    before = pd.DataFrame({"id": range(4), "x": pd.Series([None, math.nan, pd.NA, pd.NaT], dtype=object)})
    after = pd.DataFrame({"id": range(4), "x": pd.Series([math.nan, pd.NaT, None, pd.NA], dtype=object)})
    assert counts(diff_tables(before, after, key="id")) == (0, 0, 0, 4)


@pytest.mark.parametrize(
    "dtype", ["float64", "Float64", "Int64", "str", "string", "object", "category", "datetime64[ns]"]
)
def test_null_against_a_value_is_a_change(dtype: str) -> None:
    value = "2020-01-01" if dtype.startswith("date") else "1" if "str" in dtype else 1
    before, after = (frame(id=[1, 2], x=pd.Series(cells, dtype=dtype)) for cells in ([None, value], [value, None]))
    diff = diff_tables(before, after, key="id")
    assert diff.changed == 2
    assert [(row.before or {})["x"] is None for row in diff.rows] == [True, False]


def test_floats_are_compared_exactly() -> None:
    before, after = frame(id=[1, 2], x=[0.3, 0.1]), frame(id=[1, 2], x=[0.1 + 0.2, 0.1])
    assert changed_cells(diff_tables(before, after, key="id")) == {(1,): {"x": (0.3, 0.30000000000000004)}}


def test_large_integers_against_floats_are_not_rounded() -> None:
    before, after = frame(id=[1], x=[2**53 + 1]), frame(id=[1], x=[float(2**53)])
    assert diff_tables(before, after, key="id").changed == 1
    keys = diff_tables(frame(id=[2**53 + 1]), frame(id=[float(2**53)]), key="id")
    assert counts(keys) == (1, 1, 0, 0)


def test_integer_and_float_keys_match_by_value() -> None:
    before, after = frame(id=[1, 2, 3], x=[1, 1, 1]), frame(id=[1.0, 2.5, math.nan], x=[2, 1, 1])
    diff = diff_tables(before, after, key="id")
    assert counts(diff) == (2, 2, 1, 0)
    assert diff.columns_retyped == (Retyped("id", "int64", "float64"),)


def test_signed_and_unsigned_do_not_wrap() -> None:
    before = frame(id=np.array([1, 2], "int64"), x=np.array([-1, 5], "int64"))
    after = frame(id=np.array([1, 2], "uint64"), x=np.array([2**64 - 1, 5], "uint64"))
    assert changed_cells(diff_tables(before, after, key="id")) == {(1,): {"x": (-1, 2**64 - 1)}}


def test_text_never_equals_a_number() -> None:
    diff = diff_tables(frame(id=[1], x=[1]), frame(id=[1], x=["1"]), key="id")
    assert diff.changed == 1
    assert "1 → '1'" in str(diff)


def test_lists_arrays_and_structs() -> None:
    before = frame(id=[1, 2, 3], x=[np.array([1.0, math.nan]), [1, 2], None], y=[{"a": [1]}, {"a": 1}, {}])
    after = frame(id=[1, 2, 3], x=[[1.0, None], np.array([1, 3]), None], y=[{"a": np.array([1])}, {"a": 2}, {}])
    assert changed_cells(diff_tables(before, after, key="id")) == {
        (2,): {"x": ([1, 2], [1, 3]), "y": ({"a": 1}, {"a": 2})},
    }


def test_categories_compare_by_value_not_by_code() -> None:
    before = frame(id=pd.Categorical(["a", "b"]), x=pd.Categorical(["hat", None], categories=["hat", "coat"]))
    after = frame(id=pd.Categorical(["b", "a"]), x=pd.Categorical([None, "hat"], categories=["coat", "hat"]))
    assert counts(diff_tables(before, after, key="id")) == (0, 0, 0, 2)


def test_times_compare_by_instant_also_where_a_zone_has_an_hour_twice() -> None:
    times = pd.date_range("2026-10-25 00:00", periods=4, freq="30min", tz="UTC")
    before, after = (
        frame(at=times, x=times),
        frame(at=times.tz_convert("Europe/Rome"), x=times.tz_convert("Asia/Tokyo")),
    )
    diff = diff_tables(before, after, key="at")
    assert counts(diff) == (0, 0, 0, 4)
    assert [column.name for column in diff.columns_retyped] == ["at", "x"]


def test_naive_and_zoned_times_are_never_equal() -> None:
    naive = pd.to_datetime(["2020-01-01"])
    assert diff_tables(frame(id=[1], x=naive), frame(id=[1], x=naive.tz_localize("UTC")), key="id").changed == 1


def test_nanoseconds_count() -> None:
    old = pd.Series(["2020-01-01 00:00:00.000000001"], dtype="datetime64[ns]")
    new = pd.Series(["2020-01-01"], dtype="datetime64[us]")
    assert diff_tables(frame(id=[1], x=old), frame(id=[1], x=new), key="id").changed == 1


@pytest.mark.parametrize("backing", ["pyarrow", "numpy_nullable"])
def test_frames_of_other_backends_compare_with_plain_ones(backing: Any) -> None:
    plain = frame(id=[1, 2, 3], i=[1, 2, 3], f=[0.5, 1.5, None], s=["a", None, "c"], b=[True, False, True])
    other = plain.convert_dtypes(dtype_backend=backing)
    for before, after in ((plain, other), (other, plain), (other, other)):
        assert counts(diff_tables(before, after, key="id")) == (0, 0, 0, 3)
    other.loc[1, "s"] = "b"
    assert changed_cells(diff_tables(plain, other, key="id")) == {(2,): {"s": (None, "b")}}


def test_a_renamed_column_is_removed_and_added() -> None:
    diff = diff_tables(frame(id=[1], a=[1]), frame(id=[1], b=[1]), key="id")
    assert (diff.columns_added, diff.columns_removed, diff.unchanged) == (("b",), ("a",), 1)


def test_index_and_number_names_are_taken_in_stride() -> None:
    before = pd.DataFrame({0: [1, 2], 1: ["a", "b"]}, index=["x", "x"])
    after = pd.DataFrame({1: ["b", "c"], 0: [1, 2]}, index=[5, 4])
    assert changed_cells(diff_tables(before, after, key="0")) == {(1,): {"1": ("a", "b")}, (2,): {"1": ("b", "c")}}


@pytest.mark.parametrize(
    "empty", [pd.DataFrame({"id": [], "x": []}), pd.DataFrame({"id": pd.Series([], dtype="str"), "x": []})]
)
def test_empty_sides(empty: pd.DataFrame) -> None:
    full = frame(id=[1, 2], x=[1, 2])
    assert counts(diff_tables(empty, full, key="id")) == (2, 0, 0, 0)
    assert counts(diff_tables(full, empty, key="id")) == (0, 2, 0, 0)
    assert counts(diff_tables(empty, empty, key="id")) == (0, 0, 0, 0)
    assert "No rows differ" in str(diff_tables(empty, empty, key="id"))


# ---------------------------------------------------------------------------------------------------------------- keys


def test_several_key_columns() -> None:
    before, after = frame(a=[1, 1, None], b=["x", "y", "x"], v=1), frame(a=[None, 1, 2], b=["x", "x", "y"], v=[2, 1, 1])
    diff = diff_tables(before, after, key=("a", "b"))
    assert counts(diff) == (1, 1, 1, 1)
    assert [tuple(row.key.values()) for row in diff.rows] == [(1, "y"), (2, "y"), (None, "x")]
    assert "key=a,b" in repr(diff)


def test_key_values_do_not_run_together() -> None:
    before, after = frame(a=["x", "xy"], b=["yz", "z"]), frame(a=["xy", "x"], b=["z", "yz"])
    assert counts(diff_tables(before, after, key=["a", "b"])) == (0, 0, 0, 2)


def test_without_a_key_the_hint_names_columns_that_would_do() -> None:
    before = frame(weight=[0.1, 0.2], kind=["a", "a"], sku=["x", "y"], tags=[[1], [2]])
    for key in (None, ()):
        with pytest.raises(ValidationError, match="needs the key") as caught:
            diff_tables(before, before, key=key)
        assert caught.value.hint == "pass key='sku'; unique on both sides: 'sku', 'weight'"
    with pytest.raises(ValidationError) as caught:
        diff_tables(frame(a=[1, 1], b=[1, 1]), frame(a=[1, 2], b=[1, 2]), key=None)
    assert caught.value.hint == "no single column is unique on both sides; pass several, such as key=['a', 'b']"


def test_missing_key_column_names_the_side_and_the_nearest() -> None:
    with pytest.raises(ValidationError, match="key column 'skv' is missing in before and after") as caught:
        diff_tables(frame(sku=[1]), frame(sku=[1]), key="skv")
    assert caught.value.hint == "did you mean 'sku'?"
    with pytest.raises(ValidationError, match=r"key column 'sku' is missing in after\n") as caught:
        diff_tables(frame(sku=[1]), frame(sku_id=[1]), key="sku")
    assert caught.value.hint == "did you mean 'sku_id'?"


def test_duplicate_keys_are_refused_with_side_and_values() -> None:
    once, twice = frame(id=range(9), x=range(9)), frame(id=[7, 5, 7, 5, 3, 3, 1, 1, 0], x=range(9))
    with pytest.raises(ValidationError, match=r"key 'id' is not unique in after: 7, 5, 3, … 1 more") as caught:
        diff_tables(once, twice, key="id")
    assert caught.value.hint == "pass key='x'; unique on both sides: 'x'"
    with pytest.raises(ValidationError, match=r"'id', 'y' is not unique in before: null \+ a\n"):
        diff_tables(frame(id=[None, None], y="a"), frame(id=[1.0], y="a"), key=["id", "y"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ([1], ["1"], r"holds numbers in before \(int64\), text in after \(str\)"),
        ([True], [1], "holds booleans in before"),
        (pd.to_datetime(["2020"]), ["2020"], "holds times in before"),
        (pd.to_datetime(["2020"]), pd.to_datetime(["2020"]).tz_localize("UTC"), "times with a zone in after"),
        (pd.Categorical([1]), pd.Categorical(["1"]), "holds numbers in before"),
    ],
)
def test_keys_that_can_never_be_equal_are_an_error(old: Any, new: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        diff_tables(frame(id=old), frame(id=new), key="id")


def test_lists_cannot_be_keys() -> None:
    with pytest.raises(ValidationError, match="column 'id' cannot be a key"):
        diff_tables(frame(id=[[1]]), frame(id=[[1]]), key="id")


def test_two_columns_of_one_name_are_an_error() -> None:
    twice = pd.DataFrame([[1, 2, 3]], columns=["id", "a", "a"])
    with pytest.raises(ValidationError, match="after: column 'a' is there more than once"):
        diff_tables(frame(id=[1], a=[1]), twice, key="id")


def test_mixed_keys_have_an_order_too() -> None:
    keys = pd.Series([2, "b", 10, "a", date(2020, 1, 1)], dtype=object)
    one, other = (diff_tables(pd.DataFrame({"id": []}), frame(id=k), key="id") for k in (keys, keys[::-1]))
    assert one.rows == other.rows
    assert len(one.rows) == 5


# ------------------------------------------------------------------------------------------------------------- reading


@pytest.fixture
def table() -> pd.DataFrame:
    return frame(id=[1, 2, 3], name=["a", "b,\"c'", None], x=[0.1, 1e300, None])


def stored(key: str, data: bytes) -> pd.DataFrame:
    provider = MemoryProvider()
    provider.put(key, data)
    return read_table(provider, key)


def written(table: pd.DataFrame, method: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    getattr(table, method)(buffer, **options)
    return buffer.getvalue()


def ipc_stream(table: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    with pa.ipc.new_stream(sink, arrow.schema) as writer:
        writer.write_table(arrow)
    return sink.getvalue()


def test_every_known_format_gives_the_same_rows(table: pd.DataFrame) -> None:
    csv, tsv = written(table, "to_csv", index=False), written(table, "to_csv", index=False, sep="\t")
    lines = written(table, "to_json", orient="records", lines=True)
    files = {
        "a.parquet": written(table, "to_parquet"),
        "b/UPPER.PARQUET": written(table, "to_parquet"),
        "a.feather": written(table, "to_feather"),
        "a.arrow": written(table, "to_feather"),
        "stream.arrow": ipc_stream(table),
        "a.csv": csv,
        "a.csv.gz": gzip.compress(csv),
        "a.tsv": tsv,
        "a.json": written(table, "to_json", orient="records"),
        "columns.json": written(table, "to_json"),
        "a.jsonl": lines,
        "a.ndjson": lines,
        "a.jsonl.gz": gzip.compress(lines),
    }
    for key, data in files.items():
        diff = diff_tables(table, stored(key, data), key="id")
        assert counts(diff) == (0, 0, 0, 3), key
        assert (diff.columns_added, diff.columns_removed) == ((), ()), key


@pytest.mark.parametrize("key", ["notes.txt", "train", "train.parquet.gz", "csv", "a.csv/b", "a.csv.bz2"])
def test_other_extensions_are_refused_before_anything_is_read(key: str) -> None:
    assert not is_table(key)
    with pytest.raises(UnsupportedType) as caught:
        read_table(MemoryProvider(), key)
    assert repr(key) in str(caught.value)
    assert ".parquet" in str(caught.value.hint)
    assert ".csv[.gz]" in str(caught.value.hint)


@pytest.mark.parametrize(
    "key", ["a.parquet", "a.csv", "a.json", "a.jsonl", "a.feather", "a.arrow", "a.csv.gz", "a.tsv"]
)
@pytest.mark.parametrize("data", [b"", b"\x00\xff\x1f\x8b", b"ARROW1", b'{"a": ['])
def test_bytes_that_are_no_table_are_a_clear_error(key: str, data: bytes) -> None:
    if key in {"a.csv", "a.tsv"} and data in {b"ARROW1", b'{"a": ['}:
        assert len(stored(key, data)) == 0  # any line of text is a header
        return
    with pytest.raises(ValidationError, match="cannot be read as a table"):
        stored(key, data)


def test_a_missing_object_is_not_found() -> None:
    with pytest.raises(NotFound):
        read_table(MemoryProvider(), "a.csv")


def test_large_ids_survive_beside_nulls() -> None:
    ids = pd.DataFrame({"id": [1, 2], "ref": pd.array([2**60 + 1, None], dtype="Int64")})
    for key, data in {"a.parquet": written(ids, "to_parquet"), "a.csv": written(ids, "to_csv", index=False)}.items():
        assert stored(key, data)["ref"].tolist()[0] == 2**60 + 1
        assert counts(diff_tables(ids, stored(key, data), key="id")) == (0, 0, 0, 2)


def test_json_keeps_leading_zeros_and_numbers() -> None:
    table = stored("a.json", b'[{"sku": "007", "modified": 12}, {"sku": "7", "modified": 13}]')
    assert table.to_dict("list") == {"sku": ["007", "7"], "modified": [12, 13]}


@pytest.mark.parametrize("data", [b"3", b'"text"', b"null", b"[1, 2]", b"[]", b'{"a": 1}', b'[{"a": 1}, [2]]'])
def test_json_that_is_no_table_is_a_clear_error(data: bytes) -> None:
    with pytest.raises(ValidationError, match="holds neither rows nor columns"):
        stored("a.json", data)


def test_large_integers_in_json_are_not_rounded() -> None:
    lines = [
        b'{"id": 1, "ref": 1152921504606846977}\n{"id": 2, "ref": null}\n',
        b'{"id": 1, "ref": 1152921504606846976}',
    ]
    before, after = (stored("a.jsonl", data) for data in lines)
    assert changed_cells(diff_tables(before, after, key="id")) == {(1,): {"ref": (2**60 + 1, 2**60)}}


def test_a_named_index_is_a_column() -> None:
    indexed = frame(sku=["a", "b"], x=[1, 2]).set_index("sku")
    read = stored("a.parquet", written(indexed, "to_parquet"))
    assert counts(diff_tables(read, read, key="sku")) == (0, 0, 0, 2)
