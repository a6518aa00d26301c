"""Parquet over a network: the tail, then exactly the columns that are asked for, many chunks at a time."""

import contextlib
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore.errors import IntegrityError
from datastore.fs.footers import Footer, Span
from datastore.fs.parquet import ParquetReader
from datastore.testing.scripted_s3 import Cut, Late, Swapped
from tests.filesystem.helpers import in_rounds, requests_to

TAIL = 256 << 10
COLUMNS = [f"c{n}" for n in range(10)]


def _frame(rows, columns=10):
    generator = np.random.default_rng(7)
    return pd.DataFrame({f"c{n}": generator.random(rows) for n in range(columns)})


def _parquet(frame, **options):
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), out, **options)
    return out.getvalue()


FRAME = _frame(100_000)
BODY = _parquet(FRAME, row_group_size=10_000)


def _asked(body, columns):
    metadata = pq.read_metadata(io.BytesIO(body))
    chunks = [metadata.row_group(g).column(int(c[1:])) for g in range(metadata.num_row_groups) for c in columns]
    return sum(chunk.total_compressed_size for chunk in chunks)


@pytest.fixture
def far(cloud):
    """A server so far away that only what is sent together is answered together, with one file in it."""
    cloud.objects.put("bucket", "t.parquet", BODY)
    for method in ("GET", "HEAD"):
        cloud.on(method, ".*", Late(0.15), times=10**9)
    return "ds://cloud/t.parquet"


@pytest.mark.parametrize("columns", [["c2", "c7"], ["c0", "c9"], ["c4", "c5"], ["c3"]])
def test_two_columns_of_ten_take_four_round_trips_and_no_more_bytes_than_they_have(cloud, far, columns):
    found, seen = in_rounds(4, cloud.endpoint, lambda: pd.read_parquet(far, columns=columns))
    pd.testing.assert_frame_equal(found, FRAME[columns])
    assert sum(exchange.received for exchange in seen) <= TAIL + _asked(BODY, columns)
    assert [exchange.method for exchange in seen].count("HEAD") == 1


def test_all_columns_take_four_round_trips_too(cloud, far):
    found, seen = in_rounds(4, cloud.endpoint, lambda: pd.read_parquet(far))
    pd.testing.assert_frame_equal(found, FRAME)
    assert sum(exchange.received for exchange in seen) <= len(BODY)


def test_a_file_that_is_opened_once_takes_one_less(cloud, far, fs):
    def work():
        with fs.open("cloud/t.parquet") as f:
            return pq.ParquetFile(f, pre_buffer=True).read(columns=["c2", "c7"])

    found, _ = in_rounds(3, cloud.endpoint, work)
    assert found.num_rows == 100_000


def test_a_scan_column_by_column_is_read_ahead(cloud, far, fs):
    def work():
        with fs.open("cloud/t.parquet") as f:
            batches = pq.ParquetFile(f, pre_buffer=False).iter_batches(10_000)
            return pd.concat([batch.to_pandas() for batch in batches], ignore_index=True)

    frame, seen = in_rounds(7, cloud.endpoint, work)  # and not 100
    pd.testing.assert_frame_equal(frame, FRAME)
    assert sum(exchange.received for exchange in seen) <= TAIL + 1.2 * len(BODY)


def test_filters_and_datasets_read_the_same(cloud, far, fs):
    cut = FRAME[FRAME["c1"] > 0.99][["c1", "c8"]].reset_index(drop=True)
    found = pd.read_parquet(far, columns=["c1", "c8"], filters=[("c1", ">", 0.99)])
    pd.testing.assert_frame_equal(found, cut)
    table = pads.dataset("cloud/t.parquet", filesystem=fs).to_table(columns=["c1"], filter=pads.field("c1") > 0.99)
    assert table["c1"].to_pylist() == cut["c1"].tolist()
    assert pads.dataset("cloud/t.parquet", filesystem=fs).head(5).num_rows == 5


@pytest.mark.parametrize("order", [[9, 0, 5, 2, 7], [3], list(range(9, -1, -1))])
def test_row_groups_in_any_order(cloud, fs, order):
    cloud.objects.put("bucket", "t.parquet", BODY)
    with fs.open("cloud/t.parquet") as f:
        file = pq.ParquetFile(f)
        for group in order:
            found = file.read_row_group(group, columns=["c1", "c6"]).to_pandas()
            wanted = FRAME[["c1", "c6"]][group * 10_000 : (group + 1) * 10_000].reset_index(drop=True)
            pd.testing.assert_frame_equal(found, wanted)


_CHUNK = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4), st.integers(-50, 50), st.integers(-50, 50))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reads=st.lists(_CHUNK, max_size=15), small=st.booleans())
def test_reads_at_chunks_in_any_order_give_the_bytes_of_the_file(cloud, fs, reads, small):
    cloud.objects.put("bucket", "t.parquet", BODY)
    chunks = Footer(BODY[-TAIL:]).chunks
    with fs.open("cloud/t.parquet") as f, pytest.MonkeyPatch.context() as patch:
        if small:
            for name in ("_HELD", "_FIRST", "PART"):
                patch.setattr(f"datastore.fs.parquet.{name}", 150_000)
        for group, column, more, before, after in reads:
            start, stop = chunks.bounds(Span(group, column, min(column + more, 9)))
            start, stop = max(start + before, 0), stop + after
            f.seek(start)
            assert f.read(stop - start) == BODY[start:stop]
            assert f.tell() == stop


def test_a_reader_that_looks_at_magic_and_footer_by_itself(cloud, fs):
    cloud.objects.put("bucket", "t.parquet", BODY)
    with fs.open("cloud/t.parquet") as f, requests_to(cloud.endpoint) as seen:  # as DuckDB and fastparquet do
        assert f.read(4) == b"PAR1"
        f.seek(-8, io.SEEK_END)
        size = int.from_bytes(f.read(4), "little")
        f.seek(-8 - size, io.SEEK_END)
        assert f.read(size) == BODY[-8 - size : -8]
        start, stop = Footer(BODY[-TAIL:]).chunks.bounds(Span(0, 3, 3))
        for position in range(start, stop, 10_000):
            f.seek(position)
            assert f.read(min(10_000, stop - position)) == BODY[position : min(position + 10_000, stop)]
    assert len(seen) <= 1 + 1 + 1 + 9  # magic, the first piece, the rest of its chunk, the other row groups


def test_guesses_that_are_wrong_get_fewer(cloud, fs):
    body = _parquet(_frame(400_000, 2), row_group_size=2_000)
    cloud.objects.put("bucket", "t.parquet", body)
    order = np.random.default_rng(1).permutation(200)[:60]
    with fs.open("cloud/t.parquet") as f:
        file = pq.ParquetFile(f)
        for number, group in enumerate(order):
            if number == 40:
                before = len(cloud.requests)
            file.read_row_group(int(group), columns=["c0"])
        late = len(cloud.requests) - before
    assert late <= 20 + 2


def test_a_footer_that_is_larger_than_the_tail(cloud, far):
    frame = _frame(3_000, 400)
    body = _parquet(frame, row_group_size=300)
    footer = int.from_bytes(body[-8:-4], "little")
    assert footer > TAIL
    cloud.objects.put("bucket", "wide.parquet", body)
    columns = ["c17", "c230"]
    found, seen = in_rounds(5, cloud.endpoint, lambda: pd.read_parquet("ds://cloud/wide.parquet", columns=columns))
    pd.testing.assert_frame_equal(found, frame[columns])
    assert sum(exchange.received for exchange in seen) == footer + 8 + _asked(body, columns)


def test_small_and_empty_files(cloud):
    for frame in (_frame(10), _frame(0), _frame(100, 1)):
        cloud.objects.put("bucket", "s.parquet", _parquet(frame))
        with requests_to(cloud.endpoint) as seen:
            pd.testing.assert_frame_equal(pd.read_parquet("ds://cloud/s.parquet"), frame)
        assert [exchange.method for exchange in seen] == ["HEAD", "GET"]


def test_strings_lists_and_dictionaries(cloud):
    table = pa.table(
        {
            "text": [f"text {n % 7}" for n in range(50_000)],
            "list": [[n, n + 1] for n in range(50_000)],
            "struct": [{"a": n, "b": str(n)} for n in range(50_000)],
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=5_000, compression="none")
    cloud.objects.put("bucket", "n.parquet", out.getvalue())
    for columns in (["text"], ["list", "struct"], ["struct.b"], None):
        found = pq.read_table("fsspec+ds://cloud/n.parquet", columns=columns)
        assert found.equals(pq.read_table(io.BytesIO(out.getvalue()), columns=columns))


@pytest.mark.parametrize(
    "body",
    [b"", b"PAR1", b"no parquet" * 100_000, BODY[:-4] + b"PAR2", b"x" * (1 << 20) + b"\xff\xff\xff\xff" + b"PAR1"],
)
def test_what_is_no_parquet_file_is_said_by_its_reader(cloud, fs, body):
    cloud.objects.put("bucket", "no.parquet", body)
    with fs.open("cloud/no.parquet") as f:
        assert f.read() == body
    with pytest.raises(pa.ArrowInvalid):
        pd.read_parquet("ds://cloud/no.parquet")


def test_one_version_or_none(cloud, far):
    other = _parquet(FRAME + 1, row_group_size=10_000)
    for nth in (1, 2, 5):
        cloud.objects.put("bucket", "t.parquet", BODY)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cloud, "_rules", [])
            cloud.on("GetObject", "t.parquet", Swapped(other), nth=nth)
            with contextlib.suppress(IntegrityError):
                found = pd.read_parquet(far, columns=["c2", "c7"])
                assert any(found.equals((FRAME + add)[["c2", "c7"]]) for add in (0, 1))


def test_a_new_version_is_read_by_the_next_call(cloud, far):
    for add in range(3):
        cloud.objects.put("bucket", "t.parquet", _parquet(FRAME + add, row_group_size=10_000))
        pd.testing.assert_frame_equal(pd.read_parquet(far, columns=["c5"]), (FRAME + add)[["c5"]])


@pytest.mark.parametrize("after", [0, 10_000, 100_000])
def test_chunks_that_break_off_are_no_matter(cloud, after):
    cloud.objects.put("bucket", "t.parquet", BODY)
    cloud.on("GetObject", "t.parquet", Cut(after=after), times=7)
    pd.testing.assert_frame_equal(pd.read_parquet("ds://cloud/t.parquet", columns=["c2"]), FRAME[["c2"]])


def test_what_is_held_ahead_is_bounded(cloud, fs, monkeypatch):
    monkeypatch.setattr("datastore.fs.parquet._HELD", 1 << 20)
    monkeypatch.setattr("datastore.fs.parquet._FIRST", 1 << 20)
    cloud.objects.put("bucket", "t.parquet", BODY)
    most = 0
    original = ParquetReader._send

    def send(self, wanted):
        nonlocal most
        piece = original(self, wanted)
        most = max(most, self._held())
        return piece

    monkeypatch.setattr(ParquetReader, "_send", send)
    with fs.open("cloud/t.parquet") as f:
        assert pq.ParquetFile(f).read(columns=["c2", "c3", "c7"]).num_rows == 100_000
    assert 0 < most <= (1 << 20) + 8 * 10_000 * 2


def test_pyarrow_is_not_loaded_for_others():
    import subprocess
    import sys

    program = (
        "import sys, fsspec, datastore as ds\n"
        "from datastore.testing.scripted_s3 import ScriptedS3\n"
        "with ScriptedS3() as server:\n"
        "    server.objects.put('bucket', 't.parquet', bytes(9_000_000) + b'\\x10\\0\\0\\0PAR1')\n"
        "    ds.mount('cloud', 's3', bucket='bucket', endpoint=server.endpoint, region='x',\n"
        "             access_key_id='k', secret_access_key='s')\n"
        "    with fsspec.open('ds://cloud/t.parquet') as f:\n"
        "        f.seek(5); print(len(f.read(1_000_000)))\n"
        "print('pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1000000", "False"]


def test_where_chunks_are(cloud):
    chunks = Footer(BODY[-TAIL:]).chunks
    for group in range(10):
        for column in range(10):
            start, stop = chunks.bounds(Span(group, column, column))
            for place in ((start, stop), (start, start + 1), (stop - 1, stop)):
                assert chunks.span_of(*place) == Span(group, column, column)
    start, stop = chunks.bounds(Span(3, 2, 5))
    assert chunks.span_of(start, stop) == Span(3, 2, 5)
    assert chunks.span_of(start, chunks.bounds(Span(4, 0, 0))[1]) is None
    assert chunks.span_of(0, 4) is None
    assert chunks.span_of(len(BODY) - 10, len(BODY)) is None
    assert Footer(BODY[-100:]).chunks is None
    assert Footer(b"").chunks is None
