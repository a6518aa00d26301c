"""Files that several threads share: each reads where it wanted to, and not where another one went."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pandas as pd
import pytest

import datastore as ds
from datastore.errors import NotFound
from datastore.fs.pins import parse_pins
from datastore.handoff import choosing
from datastore.handoff.finding import find
from datastore.handoff.shared import SharedFiles
from datastore.namespace import current

DATA = os.urandom(1 << 20)


@pytest.fixture
def files(main):
    """The files of one object."""
    main.objects.put("d/year=2026/a b.csv", DATA)
    main.commit("Bytes")
    return SharedFiles(find(current(), main / "d/", parse_pins(None)))


@pytest.fixture
def _often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_often")
def test_going_somewhere_and_reading_there_are_one_step(files):
    file = files.open(files.urls[0])

    def wrong(thread):
        count = 0
        for n in range(400):
            place = (thread * 7919 + n * 104_729) % (len(DATA) - 100)
            file.seek(place)
            count += file.read(100) != DATA[place : place + 100]
        return count

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(wrong, range(8))) == 0


def test_threads_that_read_on_take_turns(files):
    file = files.open(files.urls[0])
    file.seek(0)
    with ThreadPoolExecutor(4) as pool:
        parts = [pool.submit(file.read, 1000).result() for _ in range(20)]
    assert b"".join(parts) == DATA[:20_000]
    assert file.read(10) == DATA[20_000:20_010]
    assert file.tell() == 20_010
    file.close()
    assert file.closed


def test_what_a_query_was_made_for_is_all_there_is(files):
    [url] = files.urls
    assert url.endswith("://year=2026/a b.csv")
    assert (files.glob(url), files.isfile(url), files.exists(url), files.isdir(url)) == ([url], True, True, False)
    assert files.size(url) == len(DATA)
    assert files.modified(url).tzinfo is not None
    assert files.glob(url + "x") == []
    with pytest.raises(NotFound):
        files.open(url + "x")


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
def test_large_data_and_many_threads(main, monkeypatch, name):
    monkeypatch.setattr(choosing, "LOCAL", -1)
    frame = pd.DataFrame({f"c{n}": range(n, 100_000 + n) for n in range(8)})
    if name == "t.parquet":
        frame.to_parquet(main / name, index=False, row_group_size=10_000)
    elif name == "t.csv":
        frame.to_csv(main / name, index=False)
    else:
        frame[:20_000].to_json(main / name, orient="records", lines=True)
    main.commit("Rows")
    with duckdb.connect() as con:
        con.execute("SET threads = 8")
        for _ in range(2):
            [(total, rows)] = ds.sql(
                f"SELECT sum(c0 + c3 + c7), count(*) FROM '{main / name}'", connection=con
            ).fetchall()
            assert total == sum(3 * n + 10 for n in range(rows))
            assert rows == (20_000 if name == "t.jsonl" else 100_000)
