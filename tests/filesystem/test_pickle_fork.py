"""Workers: forked and spawned processes read the same bytes, with no hang and no secret."""

import multiprocessing
import os
import pickle
import threading

import fsspec
import pandas as pd
import pytest

from datastore.fs.system import DatastoreFileSystem

MAIN = "garments@main"
_TIMEOUT = 60


def _read(fs, path):
    return fs.cat_file(path), fs.find("garments@main"), fs.pins


def _read_open(file):
    with file:
        return file.read()


def _read_async(fs, path):
    return fsspec.asyn.sync(fs.loop, fs._cat_file, path)


@pytest.fixture
def commit(repo):
    fsspec.filesystem("ds").pipe({f"{MAIN}/a": b"1" * 100_000, f"{MAIN}/b": b"2"})
    return repo.branch("main").commit("first")


@pytest.fixture(params=["fork", "spawn"])
def workers(request):
    context = multiprocessing.get_context(request.param)
    with context.Pool(2) as pool:
        yield pool
        pool.terminate()


def test_workers_read_what_is_pinned_here(commit, repo, workers):
    fs = fsspec.url_to_fs(f"ds://{MAIN}/a")[0]
    with fs.open(f"{MAIN}/a") as f:
        f.seek(99_990)
        DatastoreFileSystem().pipe_file(f"{MAIN}/a", b"other")
        repo.branch("main").commit("second")
        data, names, pins = workers.apply_async(_read, (fs, f"{MAIN}/a")).get(_TIMEOUT)
        assert data == b"1" * 100_000
        assert names == [f"{MAIN}/a", f"{MAIN}/b"]
        assert pins == f"{MAIN}={commit.id}"
        assert workers.apply_async(_read_open, (f,)).get(_TIMEOUT) == b"1" * 10
    assert workers.apply_async(_read_async, (fs, f"{MAIN}/b")).get(_TIMEOUT) == b"2"


def test_an_instance_made_before_a_fork_works_after_it(commit):
    fs = DatastoreFileSystem()
    fsspec.asyn.sync(fs.loop, fs._cat, [f"{MAIN}/a", f"{MAIN}/b"])  # loop and threads are running
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def child():
        fs.pipe_file(f"{MAIN}/c", b"3")
        queue.put(
            (
                fs.cat_file(f"{MAIN}/b"),
                fs.cat([f"{MAIN}/b", f"{MAIN}/c"]),
                fsspec.asyn.sync(fs.loop, fs._cat_file, f"{MAIN}/b"),
                fsspec.asyn.sync(fs.loop, fs._ls, MAIN, detail=False),
            )
        )

    process = context.Process(target=child)
    process.start()
    process.join(_TIMEOUT)
    assert process.exitcode == 0
    one, several, by_loop, names = queue.get()
    assert one == by_loop == b"2"
    assert several == {f"{MAIN}/b": b"2", f"{MAIN}/c": b"3"}
    assert names == [f"{MAIN}/{name}" for name in "abc"]
    assert fs.cat_file(f"{MAIN}/c") == b"3"


def test_forks_while_other_threads_read_do_not_hang(commit):
    fs = fsspec.url_to_fs(f"ds://{MAIN}/a")[0]
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            fs.info(f"{MAIN}/a")
            fs.cat_file(f"{MAIN}/b")

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    context = multiprocessing.get_context("fork")
    try:
        for _ in range(10):
            process = context.Process(target=lambda: os._exit(0 if fs.cat_file(f"{MAIN}/b") == b"2" else 1))
            process.start()
            process.join(_TIMEOUT)
            assert process.exitcode == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_an_open_reader_is_shared_with_a_forked_child(commit):
    with DatastoreFileSystem().open(f"{MAIN}/a") as f:
        f.read(10)
        child = os.fork()
        if child == 0:
            os._exit(0 if f.read() == b"1" * 99_990 else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert f.read() == b"1" * 99_990


def test_an_instance_pickles_small_and_keeps_what_it_is(commit):
    for options in ({}, {"asynchronous": True}, {"pins": f"{MAIN}={commit.id}"}):
        fs = DatastoreFileSystem(**options)
        pickled = pickle.dumps(fs)
        again = pickle.loads(pickled)
        assert (again, again.pins, again.asynchronous) == (fs, fs.pins, fs.asynchronous)
        assert len(pickled) < 1000


def test_json_goes_there_and_back(commit):
    fs = fsspec.url_to_fs(f"ds://{MAIN}/a")[0]
    again = DatastoreFileSystem.from_json(fs.to_json())
    assert again == fs
    assert again.cat_file(f"{MAIN}/b") == b"2"


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # dask's own
def test_dask_workers_read_and_write(repo):
    import dask.dataframe as dd

    frame = pd.DataFrame({"a": range(100), "k": list("ab") * 50})
    dd.from_pandas(frame, npartitions=3).to_parquet(f"ds://{MAIN}/dask", compute_kwargs={"scheduler": "processes"})
    assert fsspec.filesystem("ds").exists(f"{MAIN}/dask/part.0.parquet")
    repo.branch("main").commit("dask")
    found = dd.read_parquet(f"ds://{MAIN}/dask").compute(scheduler="processes")
    assert sorted(found["a"]) == list(range(100))
