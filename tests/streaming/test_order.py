"""The order of a stream as pure arithmetic: everything once, whoever takes it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from datastore.ranks import Rank
from datastore.streaming.order import Order
from datastore.streaming.ranks import Consumer

few = settings(max_examples=40, deadline=None)
layouts = st.fixed_dictionaries(
    {
        "rows": st.lists(st.integers(1, 9), min_size=1, max_size=25),
        "batch_size": st.integers(1, 7),
        "lanes": st.sampled_from([1, 2, 4, 12]),
        "units": st.integers(1, 4),
    }
)


def batch_of(order, epoch, batch):
    """Which rows are in a batch: unit and place."""
    found = []
    for cut in order.cuts(epoch, batch):
        flat = [(piece.unit, row) for piece in order.pieces(cut.window) for row in range(piece.start, piece.stop)]
        found += [flat[place] for place in order.rows_of(cut.window, len(flat))[cut.start : cut.stop]]
    return found


def every(layout):
    return {(unit, row) for unit, rows in enumerate(layout["rows"]) for row in range(rows)}


@few
@given(layouts, st.none() | st.integers(), st.integers(0, 3))
def test_each_row_is_in_one_batch_of_an_epoch_and_all_but_the_last_are_full(layout, seed, epoch):
    order = Order(seed=seed, **layout)
    batches = [batch_of(order, epoch, number) for number in range(order.batches)]
    rows = [row for batch in batches for row in batch]
    assert len(rows) == len(set(rows))
    assert set(rows) == every(layout)
    assert {len(batch) for batch in batches[:-1]} <= {layout["batch_size"]}
    assert 0 < len(batches[-1]) <= layout["batch_size"]


@few
@given(layouts, st.integers())
def test_without_the_last_batch_all_are_full(layout, seed):
    order = Order(seed=seed, drop_last=True, **layout)
    batches = [batch_of(order, 0, number) for number in range(order.batches)]
    assert all(len(batch) == layout["batch_size"] for batch in batches)
    assert order.batches == sum(layout["rows"]) // layout["batch_size"]
    assert len({row for batch in batches for row in batch}) == order.batches * layout["batch_size"]


@few
@given(layouts)
def test_without_a_seed_rows_stay_in_their_places(layout):
    layout = layout | {"lanes": 1}
    order = Order(seed=None, **layout)
    rows = [row for number in range(order.batches) for row in batch_of(order, 5, number)]
    assert rows == sorted(every(layout))


def test_the_same_seed_is_the_same_order_and_another_epoch_or_seed_is_another():
    def rows(seed, epoch):
        order = Order([50] * 20, batch_size=32, seed=seed, lanes=2, units=3)
        return [row for number in range(order.batches) for row in batch_of(order, epoch, number)]

    first = rows(17, 0)
    assert rows(17, 0) == first
    assert rows(17, 1) != first
    assert rows(18, 0) != first
    assert first != sorted(first)


def test_the_order_is_that_of_all_releases():
    # A state in somebody's checkpoint means these rows: whoever changes this raises state.FORMAT.
    order = Order([3, 4, 5], batch_size=5, seed=1, lanes=2, units=2)
    assert [batch_of(order, 2, number) for number in range(order.batches)] == [
        [(0, 1), (0, 2), (2, 3), (0, 0), (2, 1)],
        [(1, 2), (1, 0), (1, 3), (1, 1), (2, 4)],
        [(2, 2), (2, 0)],
    ]


@few
@given(layouts, st.integers(1, 4), st.integers(1, 4), st.integers(0, 40))
def test_ranks_and_workers_share_all_batches_and_each_rank_takes_turns(layout, ranks, workers, start):
    order = Order(seed=3, **layout)
    end = 2 * order.batches
    taken = {}
    for rank in range(ranks):
        of_rank = []
        for worker in range(workers):
            consumer = Consumer.of(Rank(rank, ranks), worker=worker, workers=workers)
            of_rank.append(list(range(start + consumer.first, end, consumer.step)))
        # A DataLoader asks its workers in turn.
        most = max(map(len, of_rank))
        taken[rank] = [batches[turn] for turn in range(most) for batches in of_rank if turn < len(batches)]
        assert taken[rank] == list(range(start + rank, end, ranks))
    assert sorted(place for places in taken.values() for place in places) == list(range(start, end))


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([2, 4, 12]), st.integers(0, 3))
def test_a_consumer_reads_its_own_lanes_only_where_their_number_divides(lanes, epoch):
    order = Order([10] * 8 * lanes, batch_size=4, seed=9, lanes=lanes, units=2)
    for step in (step for step in range(1, lanes + 1) if lanes % step == 0):
        units = []
        for first in range(step):
            windows = {cut.window for number in range(first, order.batches, step) for cut in order.cuts(epoch, number)}
            units.append({piece.unit for window in windows for piece in order.pieces(window)})
        # A unit on the border of two lanes is read for both.
        assert sum(map(len, units)) <= 8 * lanes + lanes - 1
