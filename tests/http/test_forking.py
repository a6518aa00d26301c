"""Processes that fork after they used the network: the child reads on its own, and the parent does not notice."""

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from datastore.errors import Unavailable
from datastore.http.engine import Engine
from datastore.http.engine import engine as process_engine
from tests.http.requests import call, get
from tests.http.wire import STALL, Pause, reply

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="these tests fork")

ROOT = Path(__file__).parents[2]
DATA = b"x" * 50_000


def in_child(work) -> int:
    """Run something in a forked child, which then ends as those of `multiprocessing` do; its process id."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            signal.alarm(30)  # a child that hangs is killed, and its status tells
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - told by the status
            code = 98
        finally:
            os._exit(code)
    return pid


def status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def good(asked):
    return reply(DATA)


def read(engine, server, times=5):
    for _ in range(times):
        assert engine.send(get(server.endpoint)).body == DATA


@pytest.fixture(params=["http", "https"])
def server(request, serve, tls, trusted):
    return serve(good, tls=tls if request.param == "https" else None)


def test_a_child_reads_while_its_parent_reads(server, engine):
    read(engine, server)
    reading = threading.Thread(target=read, args=(engine, server, 300))
    reading.start()
    children = [in_child(lambda: read(engine, server)) for _ in range(10)]
    reading.join()
    assert [status(child) for child in children] == [0] * 10
    read(engine, server)


def test_children_leave_the_connection_of_their_parent_alone(server, engine):
    """They neither use it nor say good-bye on it."""
    read(engine, server)
    assert server.connections == 1
    children = [in_child(lambda: read(engine, server)) for _ in range(6)]
    assert [status(child) for child in children] == [0] * 6
    server.wait_for(lambda: server.open_connections == 1)
    read(engine, server)
    assert server.connections == 7
    assert {asked.connection for asked in server.asked[-5:]} == {1}


def test_children_that_do_nothing(server, engine):
    read(engine, server)
    for _ in range(50):
        assert status(in_child(lambda: None)) == 0
    read(engine, server)
    assert server.connections == 1


def test_grandchildren(server, engine):
    read(engine, server)

    def work():
        read(engine, server)
        assert status(in_child(lambda: read(engine, server))) == 0
        read(engine, server)

    assert status(in_child(work)) == 0
    read(engine, server)


def test_a_bulk_of_the_parent_goes_on(serve, engine):
    server = serve(lambda asked: [Pause(0.002), reply(asked.target.encode())])
    children = []
    count = 0
    for number, response in engine.bulk(((n, call(get(f"{server.endpoint}/{n}"))) for n in range(400)), limit=16):
        assert response.body == f"/{number}".encode()
        count += 1
        if count % 40 == 0:
            children.append(in_child(lambda: engine.send(get(f"{server.endpoint}/child"))))
    assert count == 400
    assert [status(child) for child in children] == [0] * 10


def test_the_thread_waits_while_the_process_forks_and_does_not_end(server, engine):
    # While a thread ends, OpenSSL holds a lock: a child that inherits it held hangs in its first handshake.
    read(engine, server, 1)
    (thread,) = [one for one in threading.enumerate() if one.name == "datastore-http" and one is engine._loop._thread]
    children = [in_child(lambda: read(engine, server, 1)) for _ in range(5)]
    assert [status(child) for child in children] == [0] * 5
    assert engine._loop._thread is thread
    assert thread.is_alive()
    read(engine, server, 1)


def test_a_bulk_does_not_go_on_in_the_child(serve, engine):
    server = serve(lambda asked: [Pause(0.01), reply(b"x")])
    drawn = []

    def calls():
        for n in range(100):
            drawn.append(n)
            yield n, call(get(server.endpoint))

    results = engine.bulk(calls(), limit=8)
    next(results)

    def work():
        count = len(drawn)
        with pytest.raises(Unavailable, match="forked"):
            list(results)
        assert len(drawn) == count  # it drew nothing more
        results.close()
        assert len(list(engine.bulk(calls()))) == 100

    assert status(in_child(work)) == 0
    assert len(list(results)) == 99


def test_a_bulk_that_is_forgotten_in_the_child_does_not_hang_it(serve, engine):
    server = serve(lambda asked: reply(b"x") if asked.target == "/quick" else [STALL])
    results = engine.bulk(((n, call(get(f"{server.endpoint}/{'' if n else 'quick'}"))) for n in range(6)), limit=6)
    next(results)
    holder = [results]

    def work():
        holder.clear()
        assert engine.send(get(f"{server.endpoint}/quick")).body == b"x"

    del results
    assert status(in_child(work)) == 0


def test_forks_in_many_threads_at_the_same_time(serve, engine):
    """None keeps another from starting the engine again."""
    server = serve(lambda asked: [Pause(0.001), reply(b"x")])
    stop = threading.Event()
    codes, failures = [], []

    def fork():
        codes.extend(status(in_child(lambda: engine.send(get(server.endpoint)))) for _ in range(15))

    def use():
        while not stop.is_set():
            try:
                future = engine.submit(get(server.endpoint))
                assert future.result(20).body == b"x"
            except BaseException as error:  # noqa: BLE001 - told in the main thread
                failures.append(error)
                return

    users = [threading.Thread(target=use) for _ in range(3)]
    forkers = [threading.Thread(target=fork) for _ in range(4)]
    for thread in users + forkers:
        thread.start()
    for thread in forkers:
        thread.join()
    stop.set()
    for thread in users:
        thread.join()
    assert failures == []
    assert codes == [0] * 60


def test_a_fork_while_the_first_request_begins(serve):
    server = serve(lambda asked: reply(b"x"))
    for _ in range(20):
        fresh = Engine()
        first = threading.Thread(target=fresh.send, args=(get(server.endpoint),))
        first.start()
        child = in_child(lambda fresh=fresh: fresh.send(get(server.endpoint)))
        first.join()
        assert status(child) == 0
        assert fresh.send(get(server.endpoint)).body == b"x"
        fresh.close()


def test_all_engines_are_stopped(serve, engine):
    server, other = serve(lambda asked: reply(b"x")), Engine()
    for one in (engine, other):
        one.send(get(server.endpoint))

    def work():
        assert threading.active_count() <= 1 + 1  # the main thread of the child; nothing of the parent's
        for one in (engine, other):
            assert one.send(get(server.endpoint)).body == b"x"

    assert status(in_child(work)) == 0
    for one in (engine, other):
        assert one.send(get(server.endpoint)).body == b"x"
    other.close()
    assert server.connections == 4


def test_a_future_of_the_parent_ends_in_the_parent(serve, engine):
    server = serve(lambda asked: [Pause(0.2), reply(b"x")])
    future = engine.submit(get(server.endpoint))
    assert status(in_child(lambda: engine.send(get(server.endpoint)))) == 0
    assert future.result(20).body == b"x"


def _read_in_a_worker(endpoint: str) -> bytes:
    return process_engine().send(get(endpoint)).body


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes(serve, method):
    server = serve(good)
    assert _read_in_a_worker(server.endpoint) == DATA
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=multiprocessing.get_context(method)) as pool:
        assert list(pool.map(_read_in_a_worker, [server.endpoint] * 12)) == [DATA] * 12
    assert _read_in_a_worker(server.endpoint) == DATA


SCRIPT = """
import os, sys, threading, time
from datastore.calls import Call, HttpRequest
from datastore.errors import Unavailable
from datastore.http.engine import engine
get = lambda path="/": HttpRequest(what="read", method="GET", url=sys.argv[1] + path)
def read(times=3):
    for _ in range(times):
        assert engine().send(get()).size == 50_000
def wait(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""

STORIES = {
    "the child ends by sys.exit": """
        read()
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                read()
                sys.exit(0)
            wait(pid)
            read()
        """,
    "the child ends by falling off the end": """
        read()
        if (pid := os.fork()) == 0:
            read()
        else:
            wait(pid)
            read()
        """,
    "the child does nothing and ends by sys.exit": """
        read()
        for _ in range(10):
            if (pid := os.fork()) == 0:
                sys.exit(0)
            wait(pid)
        read()
        """,
    "a bulk is in flight": """
        results = engine().bulk((n, Call(get(), id)) for n in range(100))
        next(results)
        if (pid := os.fork()) == 0:
            try:
                next(results)
            except Unavailable:
                read()
                sys.exit(0)
            sys.exit(3)
        wait(pid)
        assert len(list(results)) == 99
        """,
    "a thread of the parent reads": """
        thread = threading.Thread(target=read, args=(200,))
        thread.start()
        for _ in range(10):
            if (pid := os.fork()) == 0:
                read()
                os._exit(0)
            wait(pid)
        thread.join()
        """,
    "a thread forks": """
        def fork():
            if (pid := os.fork()) == 0:
                read()
                os._exit(0)
            wait(pid)
        read()
        threads = [threading.Thread(target=fork) for _ in range(5)]
        for thread in threads:
            thread.start()
        read(20)
        for thread in threads:
            thread.join()
        """,
    "the child uses multiprocessing": """
        import multiprocessing
        read()
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=read) for _ in range(4)]
        for worker in workers:
            worker.start()
        read()
        for worker in workers:
            worker.join()
            assert worker.exitcode == 0
        """,
    "the parent ends first": """
        read()
        receiving, sending = os.pipe()
        if os.fork():
            os.close(sending)
            sys.exit(0)
        os.close(receiving)
        time.sleep(0.2)
        read()
        """,
}


@pytest.mark.parametrize("story", STORIES)
def test_without_a_warning(server, story):
    """In an interpreter to which each warning is an error."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT + textwrap.dedent(STORIES[story]), server.endpoint],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    server.wait_for(lambda: server.open_connections == 0)
    assert server.open_connections == 0
    # With TLS, the parent's first connection was used to the end: nobody said good-bye on it before.
    first = [asked.connection for asked in server.asked].count(1)
    assert first >= (3 if "bulk" not in story else 1)


@pytest.mark.parametrize("story", ["the child ends by sys.exit", "the child does nothing and ends by sys.exit"])
def test_the_parent_keeps_its_connection(server, story):
    children = 3 if "nothing" not in story else 0
    subprocess.run(
        [sys.executable, "-c", SCRIPT + textwrap.dedent(STORIES[story]), server.endpoint],
        timeout=60,
        cwd=ROOT,
        check=True,
    )
    assert server.connections == 1 + children
