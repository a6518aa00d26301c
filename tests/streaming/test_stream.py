"""What a training script sees of a stream, on the embedded store."""

import io
import json
import random
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import datastore as ds
from datastore.streaming import loading, planning, units
from tests.streaming import data

SMALL = 32 << 10
"""A window of which there are several."""


@pytest.fixture(params=data.FORMATS)
def url(request, main, monkeypatch):
    """A committed data set of each format, cut into small units."""
    target = 20_000 if request.param == "webdataset" else 4000
    monkeypatch.setattr(units, "TARGET", target)
    monkeypatch.setattr("datastore.streaming.formats.jsonlines.TARGET", target)
    data.FORMATS[request.param](main / "train")
    main.commit("Rows")
    return main / "train/"


@pytest.fixture
def table(main):
    """A committed data set in Parquet."""
    data.parquet(main / "train")
    main.commit("Rows")
    return main / "train/"


def rows_of(stream):
    return [data.numbers(batch) for batch in stream]


def flat(batches):
    return [n for batch in batches for n in batch]


def test_each_row_comes_once_per_epoch_whole_and_in_another_order(url):
    stream = ds.stream(url, shuffle=17, batch_size=64, epochs=2, window=SMALL)
    batches = rows_of(stream)
    first, second = flat(batches[:16]), flat(batches[16:])
    assert sorted(first) == sorted(second) == list(range(data.ROWS))
    assert first != second != sorted(second)
    assert [len(batch) for batch in batches] == ([64] * 15 + [40]) * 2
    assert len(stream) == 32
    assert stream.rows == data.ROWS
    assert rows_of(stream) == batches  # it begins anew


def test_without_shuffle_rows_come_in_the_order_of_keys(main):
    for write in (data.parquet, data.files):
        write(main / write.__name__)
    main.commit("Rows")
    assert flat(rows_of(ds.stream(main / "parquet/", batch_size=300))) == list(range(data.ROWS))
    keys = [row["key"] for batch in ds.stream(main / "files/") for row in batch]
    assert keys == sorted(keys)


@pytest.mark.parametrize("shuffle", [None, 5])
def test_ranks_and_workers_share_the_rows(url, shuffle):
    whole = rows_of(ds.stream(url, shuffle=shuffle, window=SMALL, epochs=2))
    for ranks, workers in ((2, 3), (4, 1), (1, 4)):
        got = {}
        for rank in range(ranks):
            stream = ds.stream(ds.stream(url).url, shuffle=shuffle, window=SMALL, epochs=2, rank=rank, world_size=ranks)
            for worker in range(workers):
                places = range(worker * ranks + rank, len(whole), ranks * workers)
                got |= dict(zip(places, map(data.numbers, stream.worker(worker, workers)), strict=True))
            assert len(stream) == len(range(rank, len(whole), ranks))
        assert [got[place] for place in range(len(whole))] == whole


def test_resumed_at_20_points_with_other_workers_it_equals_the_uninterrupted_run(url):
    options = {"shuffle": 3, "batch_size": 32, "window": SMALL, "epochs": 2}
    pinned = ds.stream(url).url
    whole = rows_of(ds.stream(pinned, **options))
    chance = random.Random(20)
    for point in [0, 1, len(whole), *(chance.randrange(len(whole)) for _ in range(17))]:
        ranks, workers = chance.choice([(1, 1), (2, 1), (3, 2), (1, 4)])
        before = ds.stream(pinned, **options)
        taking = iter(before)
        assert [data.numbers(next(taking)) for _ in range(point)] == whole[:point]
        taking.close()
        state = json.loads(json.dumps(before.state_dict()))
        got = {}
        for rank in range(ranks):
            after = ds.stream(pinned, **options, rank=rank, world_size=ranks)
            after.load_state_dict(state)
            for worker in range(workers):
                places = range(point + worker * ranks + rank, len(whole), ranks * workers)
                got |= dict(zip(places, map(data.numbers, after.worker(worker, workers)), strict=True))
        assert [got[place] for place in range(point, len(whole))] == whole[point:]


def test_the_state_of_several_ranks_counts_the_batches_of_all(table):
    pinned = ds.stream(table).url
    whole = rows_of(ds.stream(pinned, shuffle=1))
    streams = [ds.stream(pinned, shuffle=1, rank=rank, world_size=3) for rank in range(3)]
    takers = [iter(stream) for stream in streams]
    for _ in range(4):
        for taker in takers:
            next(taker)
    states = [stream.state_dict() for stream in streams]
    assert states == [streams[0].state_dict(steps=4)] * 3
    alone = ds.stream(pinned, shuffle=1)
    alone.load_state_dict(states[2])
    assert rows_of(alone) == whole[12:]
    for taker in takers:
        taker.close()


def test_a_state_is_small_and_names_what_it_is_of(main):
    key = "/".join(["ü" * 100] * 5) + "/t.parquet"
    data.frame(10).to_parquet(main / key)
    main.commit("A long name")
    stream = ds.stream(main / key, shuffle=2**200)
    state = stream.state_dict()
    assert len(json.dumps(state)) <= 4096
    assert state["url"] == stream.url == main.head.repo.at("main") / key
    stream.load_state_dict(json.loads(json.dumps(state)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": ["n"]}, "is of other columns"),
        ({"shuffle": 2}, "seed: 1, this stream has 2"),
        ({"batch_size": 8}, "batch_size: 64, this stream has 8"),
        ({"window": SMALL}, "window"),
        ({"drop_last": True}, "drop_last"),
    ],
)
def test_a_state_of_another_order_is_refused(table, change, message):
    state = ds.stream(table, shuffle=1).state_dict()
    other = ds.stream(table, **{"shuffle": 1} | change)
    with pytest.raises(ds.IntegrityError, match=message):
        other.load_state_dict(state)


def test_a_state_of_another_commit_or_of_other_objects_is_refused(main, table):
    state = ds.stream(table, shuffle=1).state_dict()
    data.frame(10).to_parquet(main / "elsewhere.parquet")
    main.commit("More")
    with pytest.raises(ds.IntegrityError, match="is of another commit") as caught:
        ds.stream(table, shuffle=1).load_state_dict(state)
    assert state["url"] in caught.value.hint
    ds.stream(state["url"], shuffle=1).load_state_dict(state)
    with pytest.raises(ds.IntegrityError, match="is of other objects"):
        ds.stream(ds.url(state["url"]) / "0.parquet", shuffle=1).load_state_dict(state)


@pytest.mark.parametrize("state", [{}, {"epoch": 1}, "text"])
def test_what_is_no_state_is_refused(table, state):
    with pytest.raises(ds.ValidationError, match="not the state"):
        ds.stream(table).load_state_dict(state)


def test_a_state_of_another_format_is_refused(table):
    stream = ds.stream(table)
    with pytest.raises(ds.ValidationError, match="format 99"):
        stream.load_state_dict(stream.state_dict() | {"format": 99})
    with pytest.raises(ds.ValidationError, match="none of an epoch"):
        stream.load_state_dict(stream.state_dict() | {"batch": 99})


def test_more_epochs_after_the_last_one(table):
    stream = ds.stream(table, shuffle=1)
    rows_of(stream)
    more = ds.stream(table, shuffle=1, epochs=2)
    more.load_state_dict(stream.state_dict())
    assert more.epoch == 1
    assert flat(rows_of(more)) == flat(rows_of(ds.stream(table, shuffle=1, epochs=2)))[data.ROWS :]


def test_a_commit_in_between_changes_nothing(main, table):
    stream = ds.stream(table, shuffle=1)
    taking = iter(stream)
    first = [next(taking)]
    main.objects.delete([f"train/{number}.parquet" for number in range(4)])
    main.commit("Nothing is left")
    assert sorted(flat(map(data.numbers, [*first, *taking]))) == list(range(data.ROWS))
    with pytest.raises(ds.NotFound):
        ds.stream(table)


def test_uncommitted_changes_under_the_prefix_are_refused(main, table):
    data.frame(3).to_parquet(main / "other/x.parquet")
    ds.stream(table)  # those are elsewhere
    data.frame(3).to_parquet(main / "training.parquet")
    ds.stream(main / "train")
    data.frame(3).to_parquet(main / "train/new.parquet")
    with pytest.raises(ds.UncommittedChanges, match=r"train/new\.parquet") as caught:
        ds.stream(table)
    assert caught.value.keys == ("train/new.parquet",)
    assert ds.stream("ds://garments@main@/train/").rows == data.ROWS


def test_the_epoch_is_that_of_the_last_batch(table):
    stream = ds.stream(table, shuffle=1, batch_size=400, epochs=2)
    assert stream.epoch == 0
    assert [stream.epoch for _ in stream] == [0, 0, 0, 1, 1, 1]


def test_drop_last_gives_all_ranks_as_many_full_batches(table):
    pinned = ds.stream(table).url
    streams = [ds.stream(pinned, shuffle=1, drop_last=True, rank=rank, world_size=4) for rank in range(4)]
    batches = [rows_of(stream) for stream in streams]
    assert [len(own) for own in batches] == [len(stream) for stream in streams] == [3] * 4  # 15 full ones
    assert all(len(batch) == 64 for own in batches for batch in own)
    with pytest.raises(ds.ValidationError, match="no batch of 2000"):
        ds.stream(pinned, batch_size=2000, drop_last=True)


def test_leaving_the_loop_ends_the_threads(table):
    def threads():
        return [thread for thread in threading.enumerate() if thread.name.startswith("datastore-stream")]

    for _ in ds.stream(table, shuffle=1):
        assert threads()
        break
    assert threads() == []


def test_an_error_of_the_store_surfaces_and_ends_the_threads(table, monkeypatch):
    def fail(self, wanted):
        raise ds.Unavailable("the disk is gone")

    stream = ds.stream(table, shuffle=1)
    monkeypatch.setattr(planning.Source, "read", fail)
    with pytest.raises(ds.Unavailable, match="the disk is gone"):
        list(stream)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("datastore-stream")] == []


# forms


def test_columns_come_in_the_order_that_was_asked_for(table):
    (batch,) = ds.stream(table, columns=["half", "n"], batch_size=data.ROWS)
    assert list(batch) == ["half", "n"]
    (batch,) = ds.stream(table, columns=["half", "n"], batch_size=data.ROWS, as_="arrow")
    assert batch.column_names == ["half", "n"]
    assert batch.num_rows == data.ROWS


def test_forms_of_batches(table):
    numpy, arrow, rows = (next(iter(ds.stream(table, shuffle=1, as_=as_))) for as_ in ("numpy", "arrow", "rows"))
    assert numpy["n"].dtype == np.int64
    assert numpy["vector"].shape == (64, 2)
    assert numpy["n"].flags.writeable
    assert isinstance(arrow, pa.Table)
    assert arrow["n"].to_pylist() == numpy["n"].tolist() == [row["n"] for row in rows]
    assert list(rows[0]) == ["n", "text", "half", "vector"]


def test_nested_and_dotted_columns(main):
    frame = pd.DataFrame({"a": [{"b": n, "c": "x"} for n in range(5)], "a.b": range(5), "z": range(5)})
    frame.to_parquet(main / "t.parquet")
    main.commit("Nested")
    (batch,) = ds.stream(main / "t.parquet", columns=["a"], as_="rows")
    assert batch[3] == {"a": {"b": 3, "c": "x"}}
    (batch,) = ds.stream(main / "t.parquet", columns=["a.b"], as_="rows")
    assert batch[3] == {"a.b": 3}


def test_columns_that_are_not_needed_are_not_read(main, monkeypatch):
    table = pa.table({"n": range(1000), "big": [bytes(1000)] * 1000})
    with ds.filesystem().open(main / "t.parquet", "wb") as file:
        pq.write_table(table, file, compression="none", use_dictionary=False, row_group_size=100)
    main.commit("Wide")
    seen = []
    original = planning.Source.read

    def read(self, wanted):
        found = original(self, wanted)
        seen.append(sum(map(len, found)))
        return found

    monkeypatch.setattr(planning.Source, "read", read)
    assert flat(batch["n"].tolist() for batch in ds.stream(main / "t.parquet", columns=["n"])) == list(range(1000))
    assert sum(seen) < 200_000  # of a million


def test_one_object_and_files_that_other_engines_leave_out(main, table):
    assert ds.stream(main / "train/0.parquet").rows == 250
    main.objects.put("train/_SUCCESS", b"")
    main.objects.put("train/.crc", b"x")
    main.objects.put("train/_temporary/0.parquet", b"x")
    main.objects.put("_sounds/_noise/1.wav", b"x")
    main.objects.put("_sounds/.DS_Store", b"x")
    data.frame(7).to_parquet(main / "_frame.parquet")
    main.commit("Spark was here")
    assert ds.stream(table).rows == ds.stream(main / "train").rows == data.ROWS
    assert ds.stream(main / "_sounds/").rows == 1
    assert ds.stream(main / "_frame.parquet").rows == 7


def test_several_formats_are_refused_unless_one_is_named(main, table):
    main.objects.put("train/readme.md", b"Rows.")
    main.commit("Text")
    with pytest.raises(ds.ValidationError, match=r"several formats.*readme\.md"):
        ds.stream(table)
    assert ds.stream(table, format="parquet").rows == data.ROWS
    assert ds.stream(table, format="files").rows == 5


def test_columns_and_options_that_do_not_fit_are_refused(main, table):
    data.files(main / "files")
    main.commit("Files")
    for url, options, message in (
        (table, {"columns": ["N"]}, "no column 'N'"),
        (table, {"columns": "n"}, "no list"),
        (table, {"columns": ["n", "n"]}, "no list"),
        (table, {"decode": "pil"}, "decode= is for files"),
        (table, {"as_": "torch"}, "not known"),
        (table, {"format": "csv"}, "format='csv' is not known"),
        (table, {"batch_size": 0}, "batch_size=0"),
        (table, {"shuffle": True}, "no seed"),
        (main / "files/", {"columns": ["n"]}, "no columns"),
        (main / "files/", {"as_": "numpy"}, "as rows"),
        (main / "files/", {"decode": "torch"}, "not known"),
    ):
        with pytest.raises(ds.ValidationError, match=message):
            ds.stream(url, **options)
    with pytest.raises(ds.NotFound, match="nothing"):
        ds.stream(main / "nothing/")


def test_files_of_different_columns_are_refused_and_their_common_ones_can_be_read(main, table):
    pd.DataFrame({"n": [1], "text": ["one"]}).to_parquet(main / "train/9.parquet")
    main.commit("Narrow")
    with pytest.raises(ds.ValidationError, match=r"9\.parquet.*'half'"):
        ds.stream(table)
    assert ds.stream(table, columns=["text", "n"]).rows == data.ROWS + 1


def test_files_that_are_not_what_their_names_say(main):
    for name in ("a.parquet", "b.arrow", "c.jsonl", "d.tar", "e.jsonl.gz", "f.jsonl.zst"):
        main.objects.put(name, b"neither this nor that, and long enough for any header" * 20)
    main.commit("Nonsense")
    for name in ("a.parquet", "b.arrow", "c.jsonl", "d.tar", "e.jsonl.gz", "f.jsonl.zst"):
        with pytest.raises(ds.IntegrityError, match=name):
            ds.stream(main / name)


def test_decoding_by_suffix(main):
    data.webdataset(main / "shards")
    data.files(main / "files")
    main.commit("Files")
    decode = {"json": json.loads, ".bin": int}
    row = next(iter(ds.stream(main / "shards/", decode=decode)))[0]
    assert row["seg.json"] == {"n": 0}
    assert isinstance(row["txt"], bytes)
    assert {row["data"] for batch in ds.stream(main / "files/", decode=decode) for row in batch} == set(
        range(data.ROWS)
    )
    row = next(iter(ds.stream(main / "shards/", columns=["txt"])))[0]
    assert list(row) == ["__key__", "txt"]


def test_images(main):
    pil = pytest.importorskip("PIL.Image")
    picture = io.BytesIO()
    pil.new("RGB", (3, 2), (255, 0, 0)).save(picture, "png")
    main.objects.put("img/1.PNG", picture.getvalue())
    main.objects.put("img/1.txt", b"red")
    main.commit("A picture")
    (batch,) = ds.stream(main / "img/", decode="pil")
    assert batch[0]["data"].size == (3, 2)
    assert batch[1]["data"] == b"red"


def test_json_lines_have_one_type_for_each_name(main):
    main.objects.put("a.jsonl", b'{"x": 1}\n\n{"x": null, "y": "s"}\n')
    main.objects.put("b.jsonl", b'{"x": 2.5}\n')
    main.commit("Lines")
    found = [batch["x"].tolist() for batch in ds.stream("ds://garments@main/", batch_size=2)]
    assert found[1] == [2.5]
    assert found[0][0] == 1.0
    assert np.isnan(found[0][1])
    main.objects.put("c.jsonl", b'{"x": {"z": 1}}\n')
    main.commit("Other lines")
    with pytest.raises(ds.ValidationError, match="different types"):
        ds.stream("ds://garments@main/")
    assert ds.stream("ds://garments@main/", columns=["y"]).rows == 4
    main.objects.put("times/a.jsonl", b'{"t": "2026-11-21", "u": [{"v": "2026-11-21"}]}\n')
    main.objects.put("times/b.jsonl", b'{"t": "unknown", "u": [{"v": "never"}]}\n')
    main.commit("Texts that look like times")
    (batch,) = ds.stream(main / "times/", as_="rows")
    assert batch[0] == {"t": "2026-11-21", "u": [{"v": "2026-11-21"}]}


# memory


def test_rows_that_are_held_stay_within_the_window(main, monkeypatch):
    table = pa.table({"n": range(64_000), "v": np.random.default_rng(0).random(64_000)})
    with ds.filesystem().open(main / "t.parquet", "wb") as file:
        pq.write_table(table, file, row_group_size=500, use_dictionary=False)
    main.commit("Many row groups")
    held, peak = {}, []
    want, used = loading._Loader.want, loading._Loader.used

    def note(loader):
        held[id(loader)] = sum(
            part.stop - part.start for window in loader._futures for part in loader._order.pieces(window)
        )
        peak.append(held[id(loader)])

    monkeypatch.setattr(loading._Loader, "want", lambda self, cuts: (want(self, cuts), note(self))[0])
    monkeypatch.setattr(loading._Loader, "used", lambda self, cuts: (used(self, cuts), note(self))[0])
    window = 160_000  # ten thousand rows
    stream = ds.stream(main / "t.parquet", shuffle=1, window=window)
    assert sum(len(batch["n"]) for batch in stream) == 64_000
    assert 5_000 < max(peak) <= 10_000 * 1.25
    peak.clear()
    for worker in range(4):
        assert sum(1 for _ in stream.worker(worker, 4)) == 250
    assert max(peak) <= 10_000 / 4 * 1.5
    assert peak[-1] == 0
