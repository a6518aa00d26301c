"""Connections to the index: transactions, threads, errors in words, reading without a trace."""

import gc
import os
import sqlite3
import threading

import pytest

from datastore.embedded import database as module
from datastore.embedded.database import Database
from datastore.embedded.gate import Gate
from datastore.embedded.schema import APPLICATION_ID, SCHEMA_VERSION
from datastore.errors import ConfigError, Forbidden, IntegrityError, Unavailable
from tests.embedded.children import Child
from tests.embedded.files import listing


@pytest.fixture
def path(tmp_path):
    (tmp_path / "locks").mkdir()
    Database.create(tmp_path / "meta.db", store_id="an id")
    return tmp_path / "meta.db"


@pytest.fixture
def opened(path):
    made = []

    def open_it(**how):
        made.append(Database(path, gate=Gate(path.parent / "locks" / "write.lock"), **how))
        return made[-1]

    yield open_it
    for database in made:
        database.close()


def seq(database):
    with database.read() as db:
        return db.execute("SELECT seq FROM store").fetchone()[0]


def count_up(database, **how):
    with database.write(durable=False, **how) as db:
        db.execute("UPDATE store SET seq = seq + 1")


def test_a_write_is_seen_by_everybody(opened):
    one, two = opened(), opened()
    count_up(one)
    count_up(two)
    assert (seq(one), seq(two)) == (2, 2)


def test_an_exception_rolls_back_and_nothing_follows(opened):
    database, followed = opened(), []

    def fails():
        with database.write(durable=True, then=lambda: followed.append("then")) as db:
            db.execute("UPDATE store SET seq = 7")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert (seq(database), followed) == (0, [])
    count_up(database, then=lambda: followed.append("then"))
    assert (seq(database), followed) == (1, ["then"])


def test_what_follows_happens_after_the_commit_and_under_the_gate(opened, path):
    database, other = opened(), Gate(path.parent / "locks" / "write.lock", timeout=0.05)
    seen = []

    def then():
        seen.append(seq(opened()))
        with pytest.raises(Unavailable), other.held():
            pass

    count_up(database, then=then)
    assert seen == [1]


def test_a_snapshot_shows_one_state(opened):
    reader, writer = opened(), opened()
    with reader.snapshot() as db:
        before = db.execute("SELECT seq FROM store").fetchone()
        count_up(writer)
        assert db.execute("SELECT seq FROM store").fetchone() == before
    assert seq(reader) == 1


def test_threads_never_share_a_connection_at_a_time(opened):
    database, together, lent = opened(), threading.Barrier(5), []

    def works():
        with database.read() as db:
            together.wait()
            lent.append(db)
            together.wait()

    threads = [threading.Thread(target=works) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, lent))) == 5
    with database.read() as db:
        assert any(db is one for one in lent)  # and they are used again


def test_closing_while_others_write_is_harmless(opened):
    database, failures, stop = opened(), [], threading.Event()

    def works():
        try:
            for _ in range(150):
                count_up(database)
        except OSError as error:
            failures.append(error)

    def closes():
        while not stop.is_set():
            database.close()

    writers = [threading.Thread(target=works) for _ in range(3)]
    closer = threading.Thread(target=closes)
    for thread in (*writers, closer):
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    closer.join()
    assert failures == []
    assert seq(database) == 450


def test_the_last_close_writes_the_log_back(opened, path):
    database = opened()
    count_up(database)
    database.close()
    database.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["locks", "meta.db"]
    assert seq(database) == 1


def test_handles_that_are_dropped_without_a_close_do_not_stay_open(path):
    for _ in range(3):
        count_up(Database(path, gate=Gate(path.parent / "locks" / "write.lock")))
        gc.collect()
    last = Database(path, gate=Gate(path.parent / "locks" / "write.lock"))
    assert seq(last) == 3
    last.close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["locks", "meta.db"]  # nobody else had it open


def test_a_long_log_is_written_back(opened, path, monkeypatch):
    monkeypatch.setattr(module, "_CHECKPOINT_BYTES", 50_000)
    database = opened()
    for _ in range(100):
        count_up(database)
        assert path.with_name("meta.db-wal").stat().st_size <= 50_000
    assert seq(database) == 100


# errors


def test_a_missing_index_is_not_made_anew(opened, path):
    path.unlink()
    with pytest.raises(IntegrityError, match=r"lost its index meta\.db"):
        seq(opened())
    assert not path.exists()


@pytest.mark.parametrize("data", [b"", b"not a database at all" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_what_is_no_index_is_left_as_it_is(opened, path, data):
    path.write_bytes(data)
    before = listing(path.parent)
    for read_only in (True, False):
        with pytest.raises(IntegrityError):
            seq(opened(read_only=read_only))
    assert path.read_bytes() == data
    assert listing(path.parent) == before


def test_an_index_of_another_program(opened, path):
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(IntegrityError, match="not the index of a store"):
        seq(opened())


def test_an_index_of_a_later_version(opened, path):
    other = sqlite3.connect(path)
    other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    other.close()
    with pytest.raises(ConfigError, match=f"version {SCHEMA_VERSION + 1}") as caught:
        seq(opened())
    assert "upgrade" in str(caught.value.hint)


def test_a_damaged_page_is_an_integrity_error(opened, path):
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="damaged"):
        seq(opened())


def test_a_full_disk(opened):
    database = opened()

    def fills():
        with database.write(durable=False) as db:
            db.execute("PRAGMA max_page_count = 1")
            for number in range(1000):
                db.execute("INSERT INTO staging (token, key, seq) VALUES (1, ?, 1)", ("x" * 500 + str(number),))

    with pytest.raises(Unavailable, match="full") as caught:
        fills()
    assert "nothing was changed" in str(caught.value.hint)
    with database.read() as db:
        assert db.execute("SELECT count(*) FROM staging").fetchone() == (0,)


def test_an_index_that_may_not_be_written_to(opened):
    database = opened()

    def writes():
        with database.write(durable=False) as db:
            db.execute("PRAGMA query_only = 1")
            db.execute("UPDATE store SET seq = 1")

    with pytest.raises(Forbidden):
        writes()


def test_a_statement_that_fails_leaves_the_connection_usable(opened):
    database = opened()

    def fails():
        with database.write(durable=False) as db:
            db.execute("UPDATE store SET seq = 5")
            db.execute("SELECT * FROM nowhere")

    with pytest.raises(IntegrityError, match="no such table"):
        fails()
    count_up(database)
    assert seq(database) == 1


def test_the_tables_are_marked_as_ours(opened):
    with opened().read() as db:
        assert db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA foreign_keys").fetchone() == (1,)


# reading only


def test_reading_leaves_no_trace_beside_a_writer(opened, path):
    writer = opened()
    count_up(writer)
    before = listing(path.parent)
    reader = opened(read_only=True)
    assert seq(reader) == 1
    assert listing(path.parent) == before
    count_up(writer)
    assert seq(reader) == 2


def test_reading_leaves_no_trace_in_a_closed_store(opened, path):
    count_up(writer := opened())
    writer.close()
    before = listing(path.parent)
    reader = opened(read_only=True)
    assert seq(reader) == 1
    reader.close()
    assert listing(path.parent) == before


def test_a_reader_follows_a_writer_that_comes_and_goes(opened):
    reader, writer = opened(read_only=True), opened()
    for number in range(1, 5):
        count_up(writer)
        assert seq(reader) == number
        writer.close()
        assert seq(reader) == number


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_a_reader_follows_writers_of_other_processes(opened):
    reader = opened(read_only=True)

    def writes(say):
        database = opened()
        count_up(database)
        database.close()  # the last one: the files beside the index go away
        say("done")

    for number in range(1, 4):
        assert Child(writes).lines() == (["done"], 0)
        assert seq(reader) == number


def test_a_reader_without_locks_notices_that_the_file_changed(opened, path):
    reader = opened(read_only=True)

    def reads_while_somebody_writes():
        with reader.read() as db:
            db.execute("SELECT seq FROM store").fetchone()
            writer = opened()
            count_up(writer)
            writer.close()

    with pytest.raises(Unavailable, match="changed while it was read"):
        reads_while_somebody_writes()
    assert seq(reader) == 1


def test_a_copy_made_in_the_middle_is_refused(opened, path):
    count_up(opened())
    (path.parent / "meta.db-shm").rename(path.parent / "gone")
    before = listing(path.parent)
    with pytest.raises(Unavailable, match="copied while it was in use"):
        seq(opened(read_only=True))
    assert listing(path.parent) == before
    (path.parent / "gone").rename(path.parent / "meta.db-shm")


def test_two_openings_of_one_process_do_not_disturb_each_other(opened):
    """SQLite's locks are the process': closing one descriptor of the file must not let go of another's."""
    one, two = opened(), opened()
    with one.snapshot() as db:
        db.execute("SELECT seq FROM store").fetchone()
        count_up(two)
        two.close()
        count_up(opened())
        assert db.execute("SELECT seq FROM store").fetchone() == (0,)
    assert seq(one) == 2
