import logging
import sys
import threading
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.calls import FileSlice, Signed
from datastore.errors import Unavailable
from datastore.http.engine import engine as process_engine
from datastore.http.observe import Exchange, Exchanges, observed
from tests.http.requests import call, get, post, put
from tests.http.wire import RESET, reply

SECRET = "s3cr3tPlanted"


def exchange(begin: float, end: float) -> Exchange:
    return Exchange(method="GET", url="u", status=200, sent=0, received=0, begin=begin, end=end, attempt=1)


def longest(exchanges) -> int:
    """The same by trying everything."""
    best = {}
    for one in sorted(exchanges, key=lambda one: (one.end, one.begin)):
        best[id(one)] = 1 + max(
            (best[id(other)] for other in exchanges if id(other) in best and other.end <= one.begin), default=0
        )
    return max(best.values(), default=0)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10)), max_size=12))
def test_depth_is_the_longest_chain(spans):
    exchanges = Exchanges(exchange(begin, begin + length) for begin, length in spans)
    assert exchanges.depth() == longest(exchanges)


def test_requests_side_by_side_are_one_round_trip():
    assert Exchanges(exchange(0, 1) for _ in range(20_000)).depth() == 1
    assert Exchanges(exchange(n, n + 1) for n in range(20_000)).depth() == 20_000


def test_exchanges_are_seen_while_the_block_runs(serve):
    server = serve(lambda asked: reply(b"abc"))
    with observed() as seen:
        process_engine().send(get(server.endpoint + "/1"))
        with observed() as inner:
            process_engine().send(put(server.endpoint + "/2", b"12345"))
    process_engine().send(get(server.endpoint + "/3"))
    assert [(one.method, one.status, one.sent, one.received, one.attempt) for one in seen] == [
        ("GET", 200, 0, 3, 1),
        ("PUT", 200, 5, 3, 1),
    ]
    assert [one.url for one in inner] == [server.endpoint + "/2"]
    assert seen.depth() == 2


def test_each_attempt_is_an_exchange(serve, engine):
    server = serve(lambda asked: [RESET] if asked.nth == 1 else reply(status=503) if asked.nth == 2 else reply())
    with engine.observatory.watch() as seen:
        engine.send(get(server.endpoint))
    assert [(one.status, one.attempt, bool(one.problem)) for one in seen] == [
        (0, 1, True),
        (503, 2, False),
        (200, 3, False),
    ]
    counters = engine.observatory.counters
    assert (counters.requests, counters.retries) == (3, 2)


def test_counters_count_bytes(serve, engine, tmp_path):
    server = serve(lambda asked: reply(b"12345"))
    path = tmp_path / "body"
    path.write_bytes(b"x" * 1000)
    with path.open("rb") as file:
        engine.send(put(server.endpoint, FileSlice(file.fileno(), 100, 700)))
    engine.send(post(server.endpoint, b"abc"))
    counters = engine.observatory.counters
    assert (counters.requests, counters.sent, counters.received) == (2, 703, 10)


def test_watchers_come_and_go_in_many_threads(serve, engine):
    server = serve(lambda asked: reply())

    def work():
        for _ in range(20):
            with engine.observatory.watch() as seen:
                engine.send(get(server.endpoint))
            counts.append(len(seen))

    counts = []
    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == 120
    assert min(counts) >= 1


def test_no_secret_is_in_any_log(serve, engine, caplog):
    """Neither of headers nor of URLs, of requests that succeed, are refused, break, or never begin."""
    server = serve(lambda asked: [RESET] if asked.target.startswith("/reset") else reply(status=403, body=b"no"))
    signed = f"?X-Amz-Signature={SECRET}&X-Amz-Security-Token={SECRET}&X-Amz-Credential={SECRET}"

    def authorize(request, previous):
        return Signed(request.url + signed, {"Authorization": SECRET, "x-amz-security-token": SECRET})

    with caplog.at_level(logging.DEBUG):
        for path in ("/a", "/reset"):
            for authorized in (None, authorize):
                request = get(server.endpoint + path + signed, headers={"Authorization": SECRET}, authorize=authorized)
                if path == "/a":
                    engine.send(request)
                    continue
                with pytest.raises(Unavailable) as refused:
                    engine.send(request)
                assert SECRET not in f"{refused.value!r} {refused.value} {refused.value.hint} {refused.value.__notes__}"
        with pytest.raises(Unavailable) as refused:
            engine.send(get(f"http://me:{SECRET}@127.0.0.1:1/{signed}"))
    assert SECRET not in str(refused.value)
    assert "403" in caplog.text
    assert "/reset" in caplog.text
    assert SECRET not in caplog.text
    assert SECRET not in repr(Signed(SECRET, {SECRET: SECRET}))


def test_no_secret_of_a_proxy_is_shown(serve, engine, caplog, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://me:{SECRET}@127.0.0.1:1")
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable) as refused:
        engine.send(get("http://example.invalid/a"))
    assert SECRET not in caplog.text + str(refused.value) + str(refused.value.hint)


class _Spans:
    """What `opentelemetry.trace` offers, as far as it is used."""

    def __init__(self):
        self.spans = []
        self.module = types.ModuleType("opentelemetry.trace")
        self.module.get_tracer = lambda name: self
        self.module.SpanKind = types.SimpleNamespace(CLIENT="client")

    def start_as_current_span(self, name, *, kind, attributes):
        span = _Span(name, kind, dict(attributes))
        self.spans.append(span)
        return span


class _Span:
    def __init__(self, name, kind, attributes):
        self.name, self.kind, self.attributes, self.error = name, kind, attributes, None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, at):
        self.error = error

    def set_attribute(self, name, value):
        self.attributes[name] = value


@pytest.fixture
def spans(monkeypatch):
    made = _Spans()
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", made.module)
    return made.spans


def test_a_traced_application_sees_requests_as_spans(serve, engine, spans):
    server = serve(lambda asked: reply(status=503) if asked.nth == 1 else reply(b"abc"))
    engine.run(call(get(f"{server.endpoint}/a?X-Amz-Signature={SECRET}")))
    (span,) = spans
    assert (span.name, span.kind) == ("GET", "client")
    assert span.attributes == {
        "http.request.method": "GET",
        "url.full": f"{server.endpoint}/a?X-Amz-Signature=***",
        "datastore.what": "read object 'a'",
        "http.response.status_code": 200,
        "http.response.body.size": 3,
        "http.request.resend_count": 1,
    }


def test_a_span_has_the_error_of_its_request(engine, spans):
    with pytest.raises(Unavailable):
        engine.send(get("http://127.0.0.1:1/"))
    assert isinstance(spans[0].error, Unavailable)
