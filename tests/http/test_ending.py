"""The end: of an engine, of what holds it, of the interpreter."""

import gc
import os
import subprocess
import sys
import textwrap
import threading
import warnings
import weakref
from pathlib import Path

import pytest

from datastore.errors import Unavailable
from datastore.http import engine as module
from datastore.http.engine import Engine
from tests.http.requests import call, get
from tests.http.wire import STALL, Pause, reply

ROOT = Path(__file__).parents[2]


def python(source: str, *arguments: str, seconds: float = 60, **environment: str) -> str:
    """Run a script in an interpreter to which each warning is an error; what it printed, if it said nothing else."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(source), *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


START = """
    import sys
    from datastore.calls import Call, HttpRequest
    from datastore.http.engine import Engine, engine
    get = lambda path="/": HttpRequest(what="read", method="GET", url=sys.argv[1] + path)
"""


def threads_of_engines() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "datastore-http"]


def test_the_process_has_one_engine_without_a_thread_until_it_is_used():
    assert module.engine() is module.engine()
    fresh = Engine()
    before = len(threads_of_engines())
    fresh.close()
    assert len(threads_of_engines()) == before


def test_a_closed_engine_begins_anew(serve, engine):
    server = serve(lambda asked: reply(b"x"))
    for n in range(1, 4):
        assert engine.send(get(server.endpoint)).body == b"x"
        assert server.connections == n
        engine.close()
        engine.close()
        server.wait_for(lambda: server.open_connections == 0)
        assert server.open_connections == 0


def test_closing_ends_what_is_in_flight(serve, engine):
    server = serve(lambda asked: [STALL])
    errors = []

    def wait():
        try:
            engine.send(get(server.endpoint))
        except Unavailable as error:
            errors.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    results = engine.bulk([(n, call(get(server.endpoint))) for n in range(3)])
    closer = threading.Timer(0.2, engine.close)
    closer.start()
    outcomes = list(results)
    thread.join(20)
    closer.join()
    assert errors == ["read object 'a': the engine was closed"]
    assert all(isinstance(error, Unavailable) for _, error in outcomes)
    assert len(outcomes) == 3


def test_an_engine_that_was_closed_is_freed(serve):
    server = serve(lambda asked: reply(b"x"))
    made = Engine()
    made.send(get(server.endpoint))
    made.close()
    seen = weakref.ref(made)
    del made
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()
    assert seen() is None
    assert [one for one in module._OPEN if one is seen()] == []


def test_two_engines_do_not_know_each_other(serve, engine):
    server = serve(lambda asked: reply(b"x"))
    other = Engine()
    engine.send(get(server.endpoint))
    other.send(get(server.endpoint))
    assert server.connections == 2
    other.close()
    assert engine.send(get(server.endpoint)).body == b"x"
    assert server.connections == 2


def test_no_file_descriptor_and_no_thread_stays(serve):
    server = serve(lambda asked: reply(b"x"))
    for _ in range(3):
        made = Engine()
        list(made.bulk(((n, call(get(server.endpoint))) for n in range(50)), limit=10))
        made.close()
    server.wait_for(lambda: server.open_connections == 0)
    threads, descriptors = len(threading.enumerate()), len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        made = Engine()
        list(made.bulk(((n, call(get(server.endpoint))) for n in range(50)), limit=10))
        made.close()
    server.wait_for(lambda: server.open_connections == 0)
    assert len(threading.enumerate()) <= threads + 10  # the server's
    assert len(os.listdir("/proc/self/fd")) <= descriptors


def test_an_interpreter_that_used_the_engine_ends_quietly(serve):
    server = serve(lambda asked: reply(b"x"))
    script = (
        START
        + """
    print(engine().send(get()).body, len(list(engine().bulk((n, Call(get(), id)) for n in range(100)))))
    """
    )
    assert python(script, server.endpoint) == "b'x' 100\n"


@pytest.mark.usefixtures("trusted")
def test_an_interpreter_that_used_tls_ends_quietly(serve, tls):
    server = serve(lambda asked: reply(b"x"), tls=tls)
    script = (
        START
        + """
    print(engine().send(get()).body)
    """
    )
    assert python(script, server.endpoint) == "b'x'\n"


IN_FLIGHT = {
    "futures": "futures = [engine().submit(get()) for _ in range(20)]",
    "bulk": "results = engine().bulk((n, Call(get('/' if n else '/quick'), id)) for n in range(20)); next(results)",
    "thread": """
    import threading
    for _ in range(5):
        threading.Thread(target=engine().send, args=(get(),), daemon=True).start()
    engine().send(get('/quick'))
    """,
    "second engine": "other = Engine(); other.submit(get()); engine().submit(get())",
    "sinks": """
    import dataclasses, msgspec
    buffers = [memoryview(bytearray(1 << 20)) for _ in range(5)]
    futures = [engine().submit(msgspec.structs.replace(get(), sink=buffer)) for buffer in buffers]
    engine().send(get('/quick'))
    """,
}


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("body", [True, False])
@pytest.mark.parametrize("kind", IN_FLIGHT)
def test_an_interpreter_ends_with_requests_in_flight(serve, tls, kind, body, secure):
    def script(asked):
        if asked.target == "/quick":
            return reply(b"x")
        return [reply(length=1 << 20), *[b"x" * 100, Pause(0.005)] * 10_000] if body else [STALL]

    server = serve(script, tls=tls if secure else None)
    what = textwrap.indent(textwrap.dedent(IN_FLIGHT[kind]), "    ")
    assert (
        python(f"{START}\n{what}\n    import time; time.sleep(0.1); print('the end')", server.endpoint) == "the end\n"
    )


def test_an_interpreter_ends_by_an_error_or_sys_exit(serve):
    server = serve(lambda asked: [STALL])
    script = (
        START
        + """
    engine().submit(get())
    sys.exit(0)
    """
    )
    assert python(script, server.endpoint) == ""


def test_requests_after_the_end_has_begun(serve):
    """Functions that were registered before ours run after it."""
    server = serve(lambda asked: reply(b"x"))
    script = (
        """
    import atexit
    atexit.register(lambda: print(engine().send(get()).body))
    """
        + START
        + """
    engine().send(get())
    """
    )
    assert python(script, server.endpoint) == "b'x'\n"


def test_nothing_is_loaded_or_opened_before_the_first_request():
    script = """
    import sys, threading
    from datastore.http.engine import engine
    engine()
    print("certifi" in sys.modules, threading.active_count())
    """
    assert python(script) == "False 1\n"
