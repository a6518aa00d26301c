"""What is given up is over: nothing of it touches the caller's buffers and files afterwards."""

import contextlib
import gc
import os
import signal
import threading
import time

import pytest

from datastore.calls import Call, FileSlice, Signed
from datastore.errors import Unavailable
from datastore.http.engine import Engine
from datastore.http.retry import Policy
from tests.http.requests import call, get, whole
from tests.http.wire import STALL, Pause, reply

MIB = 1 << 20


def slow(asked):
    """A body that takes for ever to come, byte by byte."""
    if asked.target == "/quick":
        return [reply(b"quick")]
    return [reply(length=MIB), *[b"x", Pause(0.01)] * 10_000]


def never(asked):
    return [reply(b"quick")] if asked.target == "/quick" else [STALL]


def busy(asked):
    return reply(b"quick") if asked.target == "/quick" else reply(status=503, headers={"Retry-After": "60"})


STATES = {"in the body": slow, "waiting for an answer": never, "waiting for the next attempt": busy}


@pytest.fixture(params=STATES, ids=lambda name: name.replace(" ", "-"))
def stuck(request, serve):
    """A server that keeps requests from ending, except those for /quick."""
    return serve(STATES[request.param])


def interrupt_when(true):
    """Press Ctrl-C in the main thread as soon as something is so."""

    def press():
        deadline = time.monotonic() + 20
        while not true() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


@contextlib.contextmanager
def within(seconds):
    """No timing is asserted but that it does not wait for what will never come."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def assert_left_alone(buffer, server, engine):
    """Nothing writes into it any more, it belongs to nobody else, and the engine goes on working."""
    buffer[:] = b"\xee" * len(buffer)
    assert engine.send(get(f"{server.endpoint}/quick")).body == b"quick"
    time.sleep(0.05)
    assert set(buffer) == {0xEE}


def test_ctrl_c_ends_a_request(stuck, engine):
    buffer = bytearray(MIB)
    pressed = interrupt_when(lambda: len(stuck.asked) > 0)
    with within(15), pytest.raises(KeyboardInterrupt):
        engine.run(call(get(stuck.endpoint, sink=memoryview(buffer))))
    pressed.join()
    assert_left_alone(buffer, stuck, engine)


def test_ctrl_c_ends_a_bulk(stuck, engine):
    buffers = [bytearray(MIB) for _ in range(8)]
    pressed = interrupt_when(lambda: len(stuck.asked) >= 8)
    with within(15), pytest.raises(KeyboardInterrupt):
        for _ in engine.bulk((n, call(get(stuck.endpoint, sink=memoryview(buffers[n])))) for n in range(8)):
            pass
    pressed.join()
    for buffer in buffers:
        assert_left_alone(buffer, stuck, engine)


def test_ctrl_c_while_a_request_is_signed(serve, engine):
    server = serve(lambda asked: reply(b"quick"))

    def slowly(request, previous):
        time.sleep(20)
        return Signed(request.url, {})

    pressed = interrupt_when(lambda: True)
    with within(15), pytest.raises(KeyboardInterrupt):
        engine.send(get(server.endpoint, authorize=slowly))
    pressed.join()
    assert server.asked == []
    assert engine.send(get(server.endpoint)).body == b"quick"


def test_ctrl_c_at_any_moment_leaves_the_engine_whole(serve, engine):
    """Between two instructions of ours, wherever that is."""
    server = serve(lambda asked: reply(b"x" * 1000))
    presses = 0
    for n in range(60):
        timer = threading.Timer(0.0005 * (n % 20), os.kill, (os.getpid(), signal.SIGINT))
        buffer = bytearray(1000)
        try:
            timer.start()
            for _ in range(50):
                engine.send(get(server.endpoint, sink=memoryview(buffer)))
                for _ in engine.bulk(((i, call(get(server.endpoint))) for i in range(8)), limit=3):
                    pass
            timer.join()
        except KeyboardInterrupt:
            presses += 1
        finally:
            try:
                timer.join()
            except KeyboardInterrupt:
                presses += 1
        buffer.extend(b"1")  # nobody holds on to it
    assert engine.send(get(server.endpoint)).size == 1000
    assert presses > 30


@pytest.mark.parametrize("ended", [0, 3])
def test_closing_a_bulk_cancels_what_is_in_flight(stuck, engine, ended):
    buffers = [bytearray(MIB) for _ in range(12)]
    drawn = []

    def calls():
        for n in range(1000):
            drawn.append(n)
            if n < ended:
                yield n, call(get(f"{stuck.endpoint}/quick"))
            else:
                yield n, call(get(stuck.endpoint, sink=memoryview(buffers[n])))

    results = engine.bulk(calls(), limit=8 - ended if not ended else 8)
    with within(15):
        if ended:
            for _ in range(ended):
                tag, response = next(results)
                assert (tag < ended, response.body) == (True, b"quick")
        else:
            thread = threading.Timer(0.1, lambda: None)
            thread.start()
            thread.join()
        results.close()
    assert len(drawn) <= 12
    for buffer in buffers:
        assert_left_alone(buffer, stuck, engine)


def test_an_error_in_the_loop_around_a_bulk_cancels_it(stuck, engine, tmp_path):
    path = tmp_path / "sink"
    with path.open("w+b") as file, pytest.raises(ZeroDivisionError), within(15):
        sinks = [None, *[FileSlice(file.fileno(), n * MIB, MIB) for n in range(6)]]
        calls = (
            (n, call(get(f"{stuck.endpoint}/{'' if sink else 'quick'}", sink=sink))) for n, sink in enumerate(sinks)
        )
        with contextlib.closing(engine.bulk(calls)) as results:
            for _ in results:
                1 / 0  # noqa: B018
    path.write_bytes(b"")
    engine.send(get(f"{stuck.endpoint}/quick"))
    time.sleep(0.05)
    assert path.read_bytes() == b""


def test_a_bulk_that_is_forgotten_is_cancelled(stuck, engine):
    """In a cycle, so that the collector finds it, in whatever thread it runs."""
    for _ in range(5):
        results = engine.bulk(((n, call(get(f"{stuck.endpoint}/{'' if n else 'quick'}"))) for n in range(6)), limit=6)
        next(results)
        cycle = [results]
        cycle.append(cycle)
        del results, cycle
        engine.submit(get(f"{stuck.endpoint}/quick")).add_done_callback(lambda _: gc.collect())
        assert engine.send(get(f"{stuck.endpoint}/quick")).body == b"quick"
    gc.collect()
    assert engine.send(get(f"{stuck.endpoint}/quick")).body == b"quick"
    # Of 25, as many as were open at the same time: where the machine is busy, those of two bulks.
    stuck.wait_for(lambda: stuck.open_connections <= 12)
    assert stuck.open_connections <= 12


def test_requests_that_wait_for_a_place_are_cancelled_too(serve):
    small = Engine(policy=Policy(base=0.001, cap=0.01))
    server = serve(never)
    try:
        results = small.bulk(
            ((n, call(get(f"{server.endpoint}/{'' if n else 'quick'}"))) for n in range(400)), limit=400
        )
        assert next(results)[0] == 0
        with within(15):
            results.close()
        assert small.send(get(f"{server.endpoint}/quick")).body == b"quick"
        assert len(server.asked) < 200
    finally:
        small.close()


def test_a_request_that_is_being_signed_again_when_it_is_cancelled_is_not_sent(serve, engine):
    server = serve(lambda asked: reply(b"quick") if asked.target == "/quick" else reply(status=500))
    signing, go_on = threading.Event(), threading.Event()

    def authorize(request, previous):
        if server.asked:
            signing.set()
            go_on.wait(20)
        return Signed(request.url, {})

    request = get(server.endpoint, authorize=authorize, sink=memoryview(bytearray(5)))
    quick = call(get(f"{server.endpoint}/quick"))

    def calls():
        yield 0, Call(request, whole)
        signing.wait(20)
        yield 1, quick

    results = engine.bulk(calls())
    assert next(results)[0] == 1
    with within(15):
        results.close()
    go_on.set()
    assert engine.send(quick.request).body == b"quick"
    time.sleep(0.05)
    assert [asked.target for asked in server.asked].count("/") == 1


def test_other_requests_do_not_notice(serve, engine):
    server = serve(lambda asked: [Pause(0.3), reply(b"quick")] if asked.target == "/quick" else slow(asked))
    futures = [engine.submit(get(f"{server.endpoint}/quick")) for _ in range(5)]
    results = engine.bulk(((n, call(get(server.endpoint))) for n in range(5)), limit=4)
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        next(results)
    timer.join()
    assert {future.result(20).body for future in futures} == {b"quick"}


def test_what_was_cancelled_says_so(serve, engine):
    server = serve(never)
    future = engine.submit(get(server.endpoint))
    server.wait_for(lambda: len(server.asked) == 1)
    engine.close()
    assert isinstance(future.exception(20), Unavailable)
