"""How a stream is made where several processes train together."""

import pickle
import sys
from types import SimpleNamespace

import pytest

import datastore as ds
from datastore.ranks import Rank, rank_of
from tests.streaming import data


@pytest.fixture
def table(main):
    """A committed data set."""
    data.parquet(main / "train")
    main.commit("Rows")
    return main / "train/"


class Torch:
    """`torch.distributed` as a stub: what rank 0 sends is in `sent`, and the others receive it."""

    def __init__(self, rank, world, sent):
        self.rank, self.world, self.sent = rank, world, sent

    def is_available(self):
        return True

    def is_initialized(self):
        return True

    def get_rank(self):
        return self.rank

    def get_world_size(self):
        return self.world

    def broadcast_object_list(self, box, src):
        assert src == 0
        if self.rank == 0:
            self.sent.append(pickle.dumps(box))
        else:
            box[:] = pickle.loads(self.sent.pop(0))


@pytest.fixture
def as_rank(monkeypatch):
    """Make this process one of two ranks of an initialised torch.distributed: `as_rank(1)`."""
    sent = []
    return lambda rank: monkeypatch.setitem(sys.modules, "torch.distributed", Torch(rank, 2, sent))


def test_several_ranks_refuse_a_branch_and_take_a_commit_or_tag(main, table):
    main.head.repo.create_tag("v1", "main")
    for url in (table, "ds://garments/train/", "ds://garments@main~0/train/", "ds://garments@main@/train/"):
        with pytest.raises(ds.ValidationError, match="another commit for each rank"):
            ds.stream(url, rank=0, world_size=2)
    for url in (table.at("v1"), table.at(main.head.id), table.at(main.head.id[:12]), table.at("v1~0")):
        assert ds.stream(url, rank=1, world_size=2).url == table.at(main.head.id)


def test_the_rank_comes_from_the_environment(table, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ds.ValidationError, match="another commit for each rank"):
        ds.stream(table)
    assert "rank 1 of 2" in repr(ds.stream(ds.repo("garments").at("main") / "train/"))
    assert "rank" not in repr(ds.stream(table, rank=0, world_size=1))


def test_where_a_rank_is_looked_for():
    slurm = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4"}
    assert rank_of({}) == Rank(0, 1)
    assert rank_of({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}) == Rank(0, 1)  # a batch script, one process
    assert rank_of(slurm) == Rank(3, 4)
    assert rank_of({"RANK": "1", "WORLD_SIZE": "2"} | slurm) == Rank(1, 2)
    torch = SimpleNamespace(get_rank=lambda: 5, get_world_size=lambda: 6)
    assert rank_of(slurm, torch=torch) == Rank(5, 6)
    assert rank_of(slurm, torch=torch, rank=0, world_size=3) == Rank(0, 3)
    for environment in ({"RANK": "one", "WORLD_SIZE": "2"}, {"RANK": "2", "WORLD_SIZE": "2"}):
        with pytest.raises(ds.ValidationError, match="RANK"):
            rank_of(environment)
    with pytest.raises(ds.ValidationError, match="go together"):
        rank_of({}, rank=1)


def test_two_ranks_and_a_commit_in_between_train_on_the_same_rows(main, table, as_rank):
    as_rank(0)
    first = ds.stream(table, shuffle=1)
    data.frame(500).to_parquet(main / "train/0.parquet")
    main.commit("Other rows")
    as_rank(1)
    second = ds.stream(table, shuffle=1)
    assert second.url == first.url
    rows = [n for stream in (first, second) for batch in stream for n in data.numbers(batch)]
    assert sorted(rows) == list(range(data.ROWS))


def test_a_rank_that_makes_a_stream_of_its_own_waits_for_nobody(table, as_rank):
    as_rank(1)  # where it would receive what nobody has sent
    assert len(ds.stream(table, rank=0, world_size=1)) == 16


def test_what_fails_on_rank_0_fails_everywhere(main, table, as_rank):
    data.frame(5).to_parquet(main / "train/new.parquet")
    for rank in (0, 1):
        as_rank(rank)
        with pytest.raises(ds.UncommittedChanges, match=r"new\.parquet"):
            ds.stream(table)


def test_a_bucket_is_refused_or_compared_with_what_rank_0_sees(as_rank, monkeypatch):
    bucket = ds.mount("raw", "memory", name="ranks")
    data.files(bucket / "train")
    with pytest.raises(ds.ValidationError, match="has no versions"):
        ds.stream(bucket / "train/", rank=0, world_size=2)
    as_rank(0)
    first = ds.stream(bucket / "train/", shuffle=1)
    as_rank(1)
    second = ds.stream(bucket / "train/", shuffle=1)
    rows = [n for stream in (first, second) for batch in stream for n in data.numbers(batch)]
    assert sorted(rows) == list(range(data.ROWS))
    as_rank(0)
    ds.stream(bucket / "train/")
    ds.filesystem().pipe_file(str(bucket / "train/more"), b"1")
    as_rank(1)
    with pytest.raises(ds.IntegrityError, match="does not show the same objects"):
        ds.stream(bucket / "train/")


def test_an_object_that_changes_in_a_bucket_is_an_error_and_never_other_rows():
    bucket = ds.mount("raw", "memory", name="changing")
    data.parquet(bucket / "train")
    stream = ds.stream(bucket / "train/", batch_size=100)
    state = stream.state_dict()
    taking = iter(stream)
    assert data.numbers(next(taking)) == list(range(100))
    taking.close()
    ds.filesystem().cp_file(str(bucket / "train/0.parquet"), str(bucket / "train/2.parquet"))
    with pytest.raises(ds.HeadMoved):
        list(stream)
    with pytest.raises(ds.IntegrityError, match="is of other objects"):
        ds.stream(bucket / "train/", batch_size=100).load_state_dict(state)


# torch


@pytest.fixture
def torch(monkeypatch):
    """`torch.utils.data` as a stub; torch itself is not installed where these tests run."""

    class IterableDataset:
        pass

    stub = SimpleNamespace(IterableDataset=IterableDataset, info=None)
    stub.get_worker_info = lambda: stub.info
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(utils=SimpleNamespace(data=stub)))
    monkeypatch.setitem(sys.modules, "torch.utils.data", stub)
    return stub


def test_workers_of_a_data_loader_share_the_batches(table, torch):
    stream = ds.stream(table, shuffle=1)
    whole = [data.numbers(batch) for batch in stream]
    dataset = stream.torch()
    assert isinstance(dataset, torch.IterableDataset)
    assert len(dataset) == len(whole) == 16
    got = {}
    for worker in range(3):
        copy = pickle.loads(pickle.dumps(dataset))
        assert isinstance(copy, torch.IterableDataset)
        torch.info = SimpleNamespace(id=worker, num_workers=3)
        got |= dict(zip(range(worker, 16, 3), map(data.numbers, copy), strict=True))
    assert [got[place] for place in range(16)] == whole
    torch.info = None
    assert [data.numbers(batch) for batch in dataset] == whole
    # The main process counts what it has had of its workers.
    resumed = ds.stream(table, shuffle=1)
    resumed.load_state_dict(stream.state_dict(steps=5))
    assert [data.numbers(batch) for batch in resumed] == whole[5:]


def test_without_torch_the_way_out_is_named(table, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.data", None)
    with pytest.raises(ds.UnsupportedOperation, match="torch is not installed"):
        ds.stream(table).torch()
