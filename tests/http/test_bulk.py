"""Thousands of requests at the same time, from many threads, with many descriptors open."""

import concurrent.futures
import gc
import os
import resource
import threading
import time
import tracemalloc

import pytest

from datastore.calls import Call
from datastore.errors import DatastoreError, Forbidden, NotFound
from datastore.http.engine import Engine
from datastore.http.loop import HOST_LIMIT, Loop
from datastore.http.retry import Policy
from tests.http.requests import call, get, whole
from tests.http.wire import RESET, Pause, reply


def numbered(server, count, **options):
    return ((n, call(get(f"{server.endpoint}/{n}", **options))) for n in range(count))


def test_ten_thousand_requests_take_the_memory_of_a_few(serve, engine):
    def script(asked):
        return reply(asked.target.encode() * 100)

    server = serve(script)
    drawn = 0

    def calls():
        nonlocal drawn
        for tag, one in numbered(server, 10_000):
            drawn += 1
            assert drawn - done <= 33  # as many as are in flight, and the one that is being started
            yield tag, one

    done = 0
    server.asked = _Forgetful()
    gc.collect()
    tracemalloc.start()
    try:
        for tag, response in engine.bulk(calls(), limit=32):
            assert response.body == f"/{tag}".encode() * 100
            done += 1
            del response
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert done == 10_000
    assert peak < 8 << 20
    assert server.connections <= 32


class _Forgetful(list):
    def append(self, item):
        pass


def test_each_result_has_its_tag_and_errors_are_results(serve, engine):
    def script(asked):
        number = int(asked.target[1:])
        if number % 7 == 3:
            return reply(status=404)
        return (
            [RESET]
            if number % 11 == 5 and asked.headers.get("x-first") and asked.nth % 2
            else reply(asked.target.encode())
        )

    server = serve(script)
    results = dict(engine.bulk(numbered(server, 300, headers={"X-First": "1"})))
    assert sorted(results) == list(range(300))
    for number, result in results.items():
        if number % 7 == 3:
            assert isinstance(result, NotFound)
        else:
            assert result.body == f"/{number}".encode()


def test_a_request_that_cannot_be_signed_is_its_own_error(serve, engine):
    server = serve(lambda asked: reply(b"x"))

    def refuse(request, previous):
        raise Forbidden("no credentials")

    calls = [(n, call(get(server.endpoint, authorize=refuse if n % 2 else None))) for n in range(10)]
    results = dict(engine.bulk(calls))
    assert [isinstance(results[n], Forbidden) for n in range(10)] == [False, True] * 5


def test_other_errors_end_the_bulk(serve, engine):
    server = serve(lambda asked: reply(b"x"))

    def broken(response):
        raise KeyError("a defect")

    with pytest.raises(KeyError):
        list(engine.bulk([(1, Call(get(server.endpoint), broken))]))
    with pytest.raises(ZeroDivisionError):
        list(engine.bulk(((n, call(get(server.endpoint + f"/{1 // (5 - n)}"))) for n in range(10)), limit=2))
    assert len(list(engine.bulk(numbered(server, 5)))) == 5


def test_nothing_to_do_is_nothing(engine):
    assert list(engine.bulk([])) == []


@pytest.mark.parametrize("limit", [0, 1])
def test_one_after_the_other(serve, engine, limit):
    server = serve(lambda asked: reply(b"x"))
    with engine.observatory.watch() as seen:
        assert len(list(engine.bulk(numbered(server, 10), limit=limit))) == 10
    assert seen.depth() == 10


def test_a_bulk_keeps_to_its_limit(serve, engine):
    now = most = 0
    lock = threading.Lock()

    def script(asked):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        yield Pause(0.005)
        with lock:
            now -= 1
        yield reply(b"x")

    server = serve(script)
    assert len(list(engine.bulk(numbered(server, 200), limit=8))) == 200
    assert 1 < most <= 8
    assert server.connections <= 8


def test_a_host_is_not_sent_more_than_it_bears(serve, engine):
    now = most = 0
    lock = threading.Lock()

    def script(asked):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        yield Pause(0.05)
        with lock:
            now -= 1
        yield reply(b"x")

    server = serve(script)
    assert len(list(engine.bulk(numbered(server, 500), limit=500))) == 500
    assert most <= HOST_LIMIT


def test_s33_a_host_that_has_too_much_to_do_is_sent_less(serve, engine):
    """It bears four at a time. All arrive, and most without having been refused."""
    now = refusals = 0
    lock = threading.Lock()

    def script(asked):
        nonlocal now, refusals
        with lock:
            now += 1
            full = now > 4
            refusals += full
        yield Pause(0.002)
        with lock:
            now -= 1
        yield reply(status=503) if full else reply(b"x")

    server = serve(script)
    patient = Engine(policy=Policy(base=0.001, cap=0.05, attempts={**Policy().attempts, "slow": 40}))
    try:
        results = list(patient.bulk(numbered(server, 600), limit=64))
    finally:
        patient.close()
    assert {getattr(result, "status", result) for _, result in results} == {200}
    assert refusals < 600


def test_requests_from_many_threads(serve, engine):
    server = serve(lambda asked: reply(asked.target.encode()))

    def work(thread: int) -> int:
        for n in range(40):
            path = f"/{thread}/{n}"
            assert engine.send(get(server.endpoint + path)).body == path.encode()
        found = dict(engine.bulk(((n, call(get(f"{server.endpoint}/{thread}/bulk/{n}"))) for n in range(40)), limit=4))
        assert all(result.body == f"/{thread}/bulk/{n}".encode() for n, result in found.items())
        futures = [engine.submit(get(f"{server.endpoint}/{thread}/future/{n}")) for n in range(40)]
        assert [f.result(20).body for f in futures] == [f"/{thread}/future/{n}".encode() for n in range(40)]
        return thread

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(work, range(12))) == list(range(12))
    assert len(server.asked) == 12 * 120


def test_the_first_requests_of_many_threads_use_one_engine(serve):
    """A second thread of the engine would be stopped by no fork."""
    server = serve(lambda asked: reply(b"x"))
    for _ in range(20):
        fresh, barrier = Engine(), threading.Barrier(8)

        def work(fresh=fresh, barrier=barrier):
            barrier.wait()
            fresh.send(get(server.endpoint))

        threads = [threading.Thread(target=work) for _ in range(8)]
        before = threading.active_count()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(thread.name == "datastore-http" for thread in threading.enumerate()) <= before
        assert len([thread for thread in threading.enumerate() if thread.name == "datastore-http"]) == 1 + _others()
        fresh.close()


def _others() -> int:
    from datastore.http import engine as module

    return len(module._OPEN) - 1


def test_a_future_that_was_cancelled_harms_nobody(serve, engine):
    server = serve(lambda asked: [Pause(0.1), reply(b"x")])
    futures = [engine.submit(get(server.endpoint)) for _ in range(5)]
    assert all(future.cancel() for future in futures)
    assert engine.send(get(server.endpoint)).body == b"x"


def steps_while_idle(engine, server, monkeypatch) -> int:
    """How often the engine wakes up in a third of a second in which nothing happens."""
    steps = []
    step = Loop._step
    monkeypatch.setattr(Loop, "_step", lambda self: (steps.append(self), step(self)))
    engine.send(get(server.endpoint))
    time.sleep(0.2)
    steps.clear()
    time.sleep(0.3)
    return len(steps)


def test_an_idle_engine_sleeps(serve, engine, monkeypatch):
    server = serve(lambda asked: reply(b"x"))
    assert steps_while_idle(engine, server, monkeypatch) < 5


def test_two_thousand_open_descriptors(serve, engine, monkeypatch):
    """`select` knows descriptors below 1,024 only, and would spin."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3000:
        pytest.skip("the system does not allow as many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (3000, hard))
    taken = []
    try:
        taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(2000)]
        server = serve(lambda asked: [Pause(0.01), reply(b"x")])
        results = list(engine.bulk(numbered(server, 300), limit=32))
        assert {getattr(result, "body", result) for _, result in results} == {b"x"}
        assert steps_while_idle(engine, server, monkeypatch) < 5
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_errors_of_a_bulk_are_typed(engine):
    results = list(engine.bulk([(n, Call(get("http://127.0.0.1:1/"), whole)) for n in range(3)]))
    assert all(isinstance(error, DatastoreError) for _, error in results)
