"""Waves of column chunks: what is sent for together, what comes between, and that no byte is ever another one's."""

import io
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore.calls import Call, HttpRequest, HttpResponse
from datastore.errors import DatastoreError, Unavailable
from datastore.fs.footers import Footer, Span
from datastore.fs.foresight import TOGETHER, Foresight
from datastore.fs.merging import covering, merged
from datastore.fs.parquet import ParquetReader
from datastore.testing.scripted_s3 import Late
from datastore.values import ObjectInfo
from tests.filesystem.helpers import requests_to

TAIL = 256 << 10
BLOCK, MIB = 2 << 20, 1 << 20


def _parquet(rows, columns, groups):
    generator = np.random.default_rng(3)
    out = io.BytesIO()
    table = pa.table({f"c{n}": generator.random(rows) for n in range(columns)})
    pq.write_table(table, out, row_group_size=rows // groups, use_dictionary=False, compression="none")
    return out.getvalue()


def _chunks(body):
    return Footer(body[-TAIL:]).chunks


MANY = _parquet(50_000, 10, 50)  # chunks of 8 KB, row groups of 80 KB
WIDE = _parquet(4_000, 300, 2)  # chunks of 16 KB, row groups of 4.8 MB

# merging

_SPAN = st.tuples(st.integers(0, 400), st.integers(0, 60)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(spans=st.lists(_SPAN, max_size=30), gap=st.integers(0, 50), largest=st.integers(0, 200))
def test_any_ranges_together_give_the_bytes_of_each(spans, gap, largest):
    data = bytes(n % 251 for n in range(500))
    found, blocks = {}, merged(spans, gap=gap, largest=largest)
    for block in blocks:
        start, stop = covering([spans[at] for at in block])
        assert len(block) == 1 or stop - start <= largest
        needed = set().union(*(range(*spans[at]) for at in block))
        assert stop - start - len(needed) <= gap * (len(block) - 1)
        body = data[start:stop]
        found |= {at: body[spans[at][0] - start : spans[at][1] - start] for at in block}
    assert found == {at: data[start:stop] for at, (start, stop) in enumerate(spans)}
    assert sum(map(len, blocks)) == len(spans)


# the reader, over a wire that is none


class _Wire:
    """Answers from memory; one of every so many requests fails."""

    def __init__(self, body, failing=0):
        self.body = body
        self.failing = failing
        self.sent = []

    def get(self, wanted, sink):
        def finish(response):
            if sink is not None:
                sink[:] = response.body
            return response.body

        bounds = (wanted.start, wanted.stop)
        return Call(HttpRequest(what="read it", method="GET", url="http://localhost", range=bounds), finish)

    def submit(self, request):
        start, stop = request.range
        assert 0 <= start < stop <= len(self.body)
        self.sent.append((start, stop))
        future = Future()
        if self.failing and len(self.sent) % self.failing == 0:
            future.set_exception(Unavailable("no"))
        else:
            future.set_result(HttpResponse(status=206, headers={}, body=self.body[start:stop]))
        return future

    def bulk(self, calls, *, limit):
        assert limit > 0
        for tag, call in calls:
            try:
                yield tag, call.finish(self.submit(call.request).result())
            except DatastoreError as error:
                yield tag, error


@contextmanager
def _opened(body, *, failing=0, **constants):
    """Open a body on a wire."""
    wire = _Wire(body, failing)
    info = ObjectInfo(key="t.parquet", size=len(body), modified_us=0, etag="1", identity="1")
    with pytest.MonkeyPatch.context() as patch:
        for module in ("datastore.fs.parquet", "datastore.http.filling"):
            patch.setattr(f"{module}.engine", lambda: wire)
        for name, value in constants.items():
            patch.setattr(f"datastore.fs.parquet.{name}", value)
        with ParquetReader(info, wire.get, footer=Footer(body[-TAIL:])) as reader:
            yield reader, wire


def _read(reader, start, stop):
    reader.seek(start)
    data = b""
    while len(data) < stop - start:
        piece = reader.read(stop - start - len(data))
        assert piece
        data += piece
    return data


_READ = st.tuples(st.integers(0, 49), st.integers(0, 9), st.integers(0, 3), st.integers(-60, 60), st.integers(-60, 60))
_SIZE = st.sampled_from([1 << 12, 20_000, 1 << 17, 64 << 20])


@settings(deadline=None)
@given(
    reads=st.lists(_READ, max_size=40),
    columns=st.sets(st.integers(0, 9), max_size=5),
    held=_SIZE,
    constants=st.fixed_dictionaries({"_FIRST": _SIZE, "_BLOCK": _SIZE, "_GAP": _SIZE, "PART": _SIZE}),
    failing=st.sampled_from([0, 0, 3, 7]),
)
def test_any_reads_give_the_bytes_of_the_file_and_what_is_held_is_bounded(reads, columns, held, constants, failing):
    held, chunks = max(held, TAIL), _chunks(MANY)
    wanted = [chunks.bounds(Span(group, column, column)) for group in range(40) for column in sorted(columns)]
    for group, column, more, before, after in reads:
        start, stop = chunks.bounds(Span(group, column, min(column + more, 9)))
        wanted.append((max(start + before, 0), stop + after))
    with _opened(MANY, failing=failing, _HELD=held, **constants) as (reader, _):
        for start, stop in wanted:
            try:
                assert _read(reader, start, stop) == MANY[start:stop]
            except Unavailable:
                assert failing
            assert reader._held() <= held + 50_000  # and what is being read


def test_of_what_came_together_only_what_is_wanted_is_kept():
    chunks = _chunks(MANY)
    with _opened(MANY) as (reader, wire):
        for group in range(TOGETHER + 2):
            for column in (2, 7):
                start, stop = chunks.bounds(Span(group, column, column))
                assert _read(reader, start, stop) == MANY[start:stop]
        last = TOGETHER + 1
        together = [bounds for bounds in wire.sent if bounds[1] - bounds[0] > 2 * (stop - start)]
        assert together
        assert max(stop - start for start, stop in together) <= BLOCK
        rest = sum(
            stop - start
            for group in range(last + 1, 50)
            for start, stop in (chunks.bounds(Span(group, column, column)) for column in (2, 7))
        )
        assert reader._held() <= rest + BLOCK
        begin, end = chunks.bounds(Span(last + 1, 2, 2))
        assert _read(reader, begin, end) == MANY[begin:end]


def test_between_what_is_wanted_nothing_comes_where_a_few_requests_do():
    chunks, groups = _chunks(MANY), TOGETHER
    with _opened(MANY) as (reader, wire):
        for group in range(groups):
            for column in (2, 7):
                _read(reader, *chunks.bounds(Span(group, column, column)))
    assert sorted(wire.sent) == [
        chunks.bounds(Span(group, column, column)) for group in range(groups) for column in (2, 7)
    ]


def test_a_column_that_is_wanted_rarely_is_not_guessed_for_ever():
    chunks = _chunks(MANY)
    with _opened(MANY, _FIRST=300_000, _HELD=300_000) as (reader, wire):
        for group in range(50):
            for column in (2, 7) if group == 0 else (2,):
                start, stop = chunks.bounds(Span(group, column, column))
                assert _read(reader, start, stop) == MANY[start:stop]
    sent = [bounds for bounds in wire.sent if bounds[0] > chunks.bounds(Span(40, 0, 0))[0]]
    assert len(sent) >= 1
    assert not any(start <= chunks.bounds(Span(45, 7, 7))[0] < stop for start, stop in sent)


# what is guessed


def _guessed(foresight, chunks, group, column):
    return [*foresight.missed(Span(group, column, column), *chunks.bounds(Span(group, column, column)))]


def test_a_new_column_is_guessed_in_a_few_row_groups_and_known_ones_in_all():
    chunks = _chunks(MANY)
    foresight = Foresight(chunks)
    for column in (2, 7):
        found = _guessed(foresight, chunks, 0, column)
        assert [guess.span for guess in found] == [Span(group, column, column) for group in range(1, TOGETHER)]
        for guess in found:
            foresight.sent(guess.span)
    spans = [guess.span for guess in _guessed(foresight, chunks, TOGETHER, 2)]
    expected = [Span(group, column, column) for group in range(TOGETHER, 50) for column in (2, 7)]
    assert spans == expected[1:]


def test_small_columns_of_one_row_group_are_read_on_the_chance_after_the_second():
    chunks = _chunks(WIDE)
    foresight = Foresight(chunks)
    columns = (20, 50, 200, 60, 100)
    windows = [[guess for guess in _guessed(foresight, chunks, 0, column) if guess.chance] for column in columns]
    assert windows[:2] == [[], []]
    for (window,), column, size in zip(windows[2:], columns[2:], (MIB, 2 * MIB, 3 * MIB), strict=True):
        assert window.span.first == column + 1
        assert (window.start, window.stop) == chunks.bounds(window.span)
        assert window.stop - chunks.bounds(Span(0, column, column))[1] <= size
    assert windows[4][0].span == Span(0, 101, 199)  # 200 was asked for


def test_columns_that_came_by_chance_are_known_in_the_next_row_group():
    chunks, columns = _chunks(WIDE), range(0, 300, 20)
    with _opened(WIDE) as (reader, wire):
        for group in (0, 1):
            for column in columns:
                start, stop = chunks.bounds(Span(group, column, column))
                assert _read(reader, start, stop) == WIDE[start:stop]
            if group == 0:
                asked = len(wire.sent)
                assert sum(stop - start for start, stop in wire.sent) <= chunks.bounds(Span(0, 0, 299))[1] + 15 * 16_500
    assert asked <= 2 * 6 + 4
    later = wire.sent[asked:]
    assert sum(stop - start for start, stop in later) <= 15 * 16_500


# over a network


@pytest.mark.parametrize("columns", [["c2", "c7"], ["c1", "c5", "c8"]])
def test_columns_of_many_small_row_groups_take_few_requests(cloud, columns):
    cloud.objects.put("bucket", "t.parquet", MANY)
    for method in ("GET", "HEAD"):
        cloud.on(method, ".*", Late(0.15), times=10**9)
    with requests_to(cloud.endpoint) as seen:
        found = pd.read_parquet("ds://cloud/t.parquet", columns=columns)
    pd.testing.assert_frame_equal(found, pd.read_parquet(io.BytesIO(MANY), columns=columns))
    assert len(seen) <= 2 + len(columns) * TOGETHER + 10  # and not 50 for each
    assert sum(exchange.received for exchange in seen) <= len(MANY)
