"""What is sent, what an answer leads to, and what is tried again."""

import fcntl
import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.calls import FileSlice, HttpRequest, HttpResponse, Signed
from datastore.errors import Forbidden, IntegrityError, InvalidURL, Unavailable, ValidationError
from datastore.http.curl import header_lines
from datastore.http.expectation import Wanted
from datastore.http.retry import judge
from tests.http.requests import get, post, put
from tests.http.wire import CLOSE, RESET, Pause, Wire, reply


def first_line(request: HttpRequest, serve, engine):
    server = serve(lambda asked: reply(b"done"))
    engine.send(request)
    return server


# ------------------------------------------------------------------------------------------------------- what is sent
def test_what_a_request_says_arrives(serve, engine):
    server = serve(lambda asked: reply(b"done"))
    url = f"{server.endpoint}/a%20b/./c/../d//e%2Ff?list-type=2&prefix=%C3%A4"
    engine.send(post(url, b"body", headers={"X-One": "1", "content-type": "text/csv", "X-Empty": "", "X-Blank": "  "}))
    (asked,) = server.asked
    assert asked.method == "POST"
    assert asked.target == "/a%20b/./c/../d//e%2Ff?list-type=2&prefix=%C3%A4"  # the signature is over just this
    assert asked.body == b"body"
    assert asked.headers == {
        "host": server.address,
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": "datastore",
        "x-one": "1",
        "x-empty": "",  # a signed header that is missing would break the signature
        "x-blank": "",
        "content-type": "text/csv",
        "content-length": "4",
    }
    assert len(asked.lines) == len(asked.headers)


def test_a_request_may_name_what_the_engine_would(serve, engine):
    server = serve(lambda asked: reply())
    engine.send(get(server.endpoint, headers={"user-agent": "me", "ACCEPT-ENCODING": "gzip"}))
    (asked,) = server.asked
    assert (asked.headers["user-agent"], asked.headers["accept-encoding"]) == ("me", "gzip")
    assert len(asked.lines) == len(asked.headers)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"])
def test_no_body_is_no_content_type(serve, engine, method):
    server = serve(lambda asked: reply(b"" if method == "HEAD" else b"x"))
    response = engine.send(HttpRequest(what="try", method=method, url=server.endpoint))
    (asked,) = server.asked
    assert asked.method == method
    assert "content-type" not in asked.headers
    assert "expect" not in asked.headers
    assert asked.headers.get("content-length", "0") == "0"
    assert response.body == (b"" if method == "HEAD" else b"x")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_bodies_arrive(serve, engine, tmp_path, method):
    server = serve(lambda asked: reply())
    data = os.urandom(3_000_000)
    path = tmp_path / "body"
    path.write_bytes(data)
    with path.open("rb") as file:
        for body in (data[7:-7], FileSlice(file.fileno(), 7, len(data) - 14), FileSlice(file.fileno(), 9, 0)):
            engine.send(HttpRequest(what="try", method=method, url=server.endpoint, body=body))
    assert [asked.body for asked in server.asked] == [data[7:-7], data[7:-7], b""]
    assert all("expect" not in asked.headers for asked in server.asked)


def test_handles_forget_the_request_before(serve, engine):
    """One handle is used again and again, for all kinds of requests."""
    server = serve(lambda asked: reply(b"" if asked.method == "HEAD" else b"x"))
    requests = [
        put(server.endpoint, b"body", headers={"X-A": "1"}),
        get(server.endpoint),
        HttpRequest(what="try", method="HEAD", url=server.endpoint),
        get(server.endpoint, range=(0, 1)),
        get(server.endpoint),
        post(server.endpoint, b"2"),
        get(server.endpoint, headers={"X-B": "1"}),
        HttpRequest(what="try", method="DELETE", url=server.endpoint),
        get(server.endpoint),
    ]
    for request in requests:
        assert engine.send(request).status == 200
    for asked, request in zip(server.asked, requests, strict=True):
        assert asked.method == request.method
        assert asked.body == request.body
        assert ("range" in asked.headers) == (request.range is not None)
        assert ("x-a" in asked.headers, "x-b" in asked.headers) == ("X-A" in request.headers, "X-B" in request.headers)


EVIL = ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "\r\n\r\nGET /evil HTTP/1.1", "a\0b", "a\r\n"]


@pytest.mark.parametrize("evil", EVIL)
def test_no_header_smuggles_in_another(serve, engine, evil):
    server = serve(lambda asked: reply())
    for headers in ({"x-amz-meta-note": evil}, {f"x-{evil}": "1"}):
        with pytest.raises(ValidationError) as refused:
            engine.send(put(server.endpoint, b"body", headers=headers))
        assert "has a line break or a zero byte in it" in str(refused.value)
        signed = Signed(server.endpoint, headers)
        with pytest.raises(ValidationError):
            engine.send(get(server.endpoint, authorize=lambda request, previous, signed=signed: signed))
    assert server.asked == []
    assert engine.send(get(server.endpoint)).status == 200  # and nothing else is the worse for it


@pytest.mark.parametrize("evil", EVIL)
def test_no_etag_smuggles_in_a_header(serve, engine, evil):
    server = serve(lambda asked: reply())
    with pytest.raises(ValidationError):
        engine.send(get(server.endpoint, if_match=evil))
    assert server.asked == []


@given(st.dictionaries(st.text("Xx-1a", min_size=1, max_size=8), st.text("abc \t;:,=\"'\r\n\0ä", max_size=12)))
def test_each_header_is_one_line_or_refused(headers):
    try:
        lines = header_lines(headers, Wanted(None, None, None), sends=True)
    except ValidationError:
        assert any(set(value) & set("\r\n\0") for value in headers.values())
    else:
        assert not set("".join(lines)) & set("\r\n\0")
        own = len(lines) - len(headers)
        assert own <= 6


@pytest.mark.parametrize("value", ["ä", "日本", "\ud800"])
def test_a_header_that_http_cannot_carry_is_refused(serve, engine, value):
    server = serve(lambda asked: reply())
    with pytest.raises(ValidationError, match="write object 'a'"):
        engine.send(put(server.endpoint, headers={"x-amz-meta-note": value}))
    assert engine.send(get(server.endpoint)).status == 200


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no url",
        "http://",
        "http://[bad/",
        "ftp://host/a",
        "file:///etc/passwd",
        "gopher://host/",
        "dict://host/",
        "smb://h/a",
    ],
)
def test_what_is_no_address_is_refused_at_once(engine, url):
    with engine.observatory.watch() as seen, pytest.raises((InvalidURL, ValidationError)):
        engine.send(get(url))
    assert len(seen) == 1


def test_a_url_with_a_line_break_or_outside_of_ascii_is_refused(serve, engine):
    server = serve(lambda asked: reply())
    for path in ("/a\r\nX-Evil: 1", "/a b", "/ä", "/a\0b"):
        with pytest.raises(ValidationError):
            engine.send(get(server.endpoint + path))
    assert server.asked == []


# -------------------------------------------------------------------------------------------------------- what is back
def test_status_headers_and_body_of_the_last_answer(serve, engine):
    server = serve(
        lambda asked: [
            b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
            b'HTTP/1.1 201 Made: it\r\nETag:"1"\r\nX-Two: a\r\nx-two:  b: c \r\nContent-Length: 2\r\n\r\n{}',
        ]
    )
    response = engine.send(post(server.endpoint, b"x"))
    assert response == HttpResponse(
        status=201, headers={"etag": '"1"', "x-two": "b: c", "content-length": "2"}, body=b"{}", size=2
    )


def test_a_long_answer_to_a_post_is_whole(serve, engine):
    body = os.urandom(3 << 20)
    server = serve(lambda asked: reply(body, status=201 if asked.target == "/made" else 200))
    assert engine.send(post(server.endpoint, b"x")).body == body
    assert engine.send(post(f"{server.endpoint}/made", b"x")).body == body


def test_a_trailer_is_no_header(serve, engine):
    """Whoever comes after the body cannot say any more which version it was."""
    server = serve(
        lambda asked: (
            b'HTTP/1.1 200 OK\r\nETag: "1"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nETag: "2"\r\n\r\n'
        )
    )
    response = engine.send(get(server.endpoint))
    assert (response.body, response.headers["etag"]) == (b"abc", '"1"')


@pytest.mark.parametrize("length", [None, -1])
def test_of_the_body_of_a_refusal_only_the_beginning_is_read(serve, engine, length):
    piece = b"no! " * 65_536

    def script(asked):
        yield reply(length=-1 if length else len(piece) * 10_000, status=403, headers={"Connection": "close"})
        for _ in range(10_000):
            yield piece

    server = serve(script)
    tracemalloc.start()
    try:
        response = engine.send(get(server.endpoint))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert response.status == 403
    assert response.body.startswith(b"no! no! ")
    assert len(response.body) < 4 << 20
    assert peak < 16 << 20
    server.wait_for(lambda: server.open_connections == 0)
    assert server.open_connections == 0


# --------------------------------------------------------------------------------------------------- what is repeated
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_until_it_has_passed(serve, engine, status):
    server = serve(lambda asked: reply(b"busy", status=status) if asked.nth < 4 else reply(b"done"))
    response = engine.send(get(server.endpoint))
    assert (response.body, response.attempts) == (b"done", 4)


def test_what_does_not_pass_is_handed_over(serve, engine):
    server = serve(lambda asked: reply(b"still busy", status=500))
    response = engine.send(get(server.endpoint))
    assert (response.status, response.body, response.attempts) == (500, b"still busy", 8)


def test_s33_a_server_that_says_when_is_asked_then(serve, engine):
    def script(asked):
        times.append(asked)
        return reply(status=429, headers={"Retry-After": "1"}) if asked.nth == 1 else reply()

    times = []
    with engine.observatory.watch() as seen:
        engine.send(get(serve(script).endpoint))
    assert seen[1].begin - seen[0].end >= 1


def test_a_server_that_wants_too_much_patience_is_given_up(serve, engine):
    server = serve(lambda asked: reply(status=503, headers={"Retry-After": "3600"}))
    assert engine.send(get(server.endpoint)).status == 503
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_post_is_not_repeated_when_it_may_have_been_carried_out(serve, engine, status):
    server = serve(lambda asked: reply(status=status))
    assert engine.send(post(server.endpoint, b"x")).status == status
    assert len(server.asked) == 1
    assert engine.send(post(server.endpoint, b"x", repeatable=True)).attempts == 8


@pytest.mark.parametrize("how", [CLOSE, RESET])
@pytest.mark.parametrize("used", [True, False])
def test_a_post_whose_answer_is_lost_is_sent_once(serve, engine, how, used):
    """Also on a connection that was used before, where libcurl would try again by itself."""
    server = serve(lambda asked: [how] if asked.method == "POST" else reply())
    if used:
        engine.send(get(server.endpoint))
    with pytest.raises(Unavailable):
        engine.send(post(server.endpoint, b"commit"))
    assert [asked.method for asked in server.asked].count("POST") == 1


@pytest.mark.parametrize("how", [CLOSE, RESET])
def test_a_put_whose_answer_is_lost_is_sent_again(serve, engine, how, tmp_path):
    data = os.urandom(1 << 20)
    path = tmp_path / "body"
    path.write_bytes(data)
    for_file = {}
    with path.open("rb") as file:
        for body in (data, FileSlice(file.fileno(), 0, len(data))):
            server = serve(lambda asked: [how] if asked.nth < 3 else reply())
            assert engine.send(put(server.endpoint, body)).status == 200
            for_file[type(body)] = {asked.body for asked in server.asked}
    assert set(map(frozenset, for_file.values())) == {frozenset({data})}


def test_a_post_that_was_not_sent_is_tried_again(engine):
    with engine.observatory.watch() as seen, pytest.raises(Unavailable):
        engine.send(post("http://127.0.0.1:1/", b"x"))
    assert len(seen) == 5


def test_an_answer_that_is_to_be_asked_for_again_leaves_nothing_behind(serve, engine):
    """S3 says 200 and then, in the body, that it failed; half a listing is no XML."""

    def wary(request, response):
        return "retry" if b"<Error>" in response.body else judge(request, response)

    server = serve(lambda asked: reply(b"<Error>" + b"x" * 100) if asked.nth % 3 else reply(b"<Done/>"))
    for request in (post(server.endpoint, b"x", judge=wary), get(server.endpoint, judge=wary)):
        response = engine.send(request)
        assert (response.body, response.size) == (b"<Done/>", 7)
    assert all("range" not in asked.headers for asked in server.asked)
    assert [asked.body for asked in server.asked] == [b"x"] * 3 + [b""] * 3


def test_a_judge_or_a_place_that_makes_no_sense_harms_nobody_else(serve, engine):
    def broken(request, response):
        raise KeyError("code")

    def script(asked):
        return reply(status=302, headers={"Location": "http://[bad/"}) if asked.target == "/bad" else reply(b"done")

    server = serve(script)
    with pytest.raises(KeyError):
        engine.send(get(server.endpoint, judge=broken))
    assert engine.send(get(f"{server.endpoint}/bad", follow=True)).status == 302
    with pytest.raises(AttributeError):
        engine.send(get(server.endpoint, headers={"X-Number": 1}))
    assert engine.send(get(server.endpoint)).body == b"done"


# --------------------------------------------------------------------------------------------------------- credentials
class Signer:
    """Signs with a number that grows; fails at some attempts."""

    def __init__(self, *, fails=()):
        self.previous = []
        self.threads = []
        self.fails = fails

    def __call__(self, request, previous):
        self.previous.append(previous)
        self.threads.append(threading.current_thread())
        if len(self.previous) in self.fails:
            raise Forbidden("the token has expired", hint="log in again")
        return Signed(f"{request.url}?n={len(self.previous)}", {"Authorization": f"number {len(self.previous)}"})


def expired(request, response):
    return "reauthorize" if response.status == 401 else judge(request, response)


def test_each_attempt_is_signed_anew(serve, engine):
    server, signer = serve(lambda asked: reply(status=500) if asked.nth < 3 else reply()), Signer()
    engine.send(get(server.endpoint + "/a", authorize=signer))
    assert [(asked.target, asked.headers["authorization"]) for asked in server.asked] == [
        ("/a?n=1", "number 1"),
        ("/a?n=2", "number 2"),
        ("/a?n=3", "number 3"),
    ]
    assert signer.previous == [None, None, None]
    assert signer.threads[0] is threading.current_thread()
    assert {thread.name for thread in signer.threads[1:]} == {"datastore-authorize"}


def test_credentials_that_are_refused_are_renewed_once(serve, engine):
    server, signer = serve(lambda asked: reply(b"expired", status=401, headers={"Date": "now"})), Signer()
    response = engine.send(get(server.endpoint, authorize=signer, judge=expired))
    assert (response.status, response.attempts) == (401, 2)
    assert signer.previous[0] is None
    assert signer.previous[1].headers["date"] == "now"


def test_credentials_that_were_renewed_are_used(serve, engine):
    data = b"x" * 100_000

    def script(asked):
        if asked.headers["authorization"] == "number 1":
            return [reply(headers={"ETag": '"1"'}, length=len(data)), data[:500], Pause(0.02), CLOSE]
        if asked.headers["authorization"] == "number 2":
            return reply(b"expired", status=401)
        return reply(data[500:], status=206, headers={"ETag": '"1"', "Content-Range": "bytes 500-99999/100000"})

    server, signer = serve(script), Signer()
    assert engine.send(get(server.endpoint, authorize=signer, judge=expired)).body == data
    assert [asked.headers.get("range") for asked in server.asked] == [None, "bytes=500-", "bytes=500-"]
    assert [previous and previous.status for previous in signer.previous] == [None, None, 401]


def test_without_credentials_there_is_nothing_to_renew(serve, engine):
    server = serve(lambda asked: reply(status=401))
    assert engine.send(get(server.endpoint, judge=expired)).attempts == 1


@pytest.mark.parametrize("fails", [1, 2, 3])
def test_an_error_of_the_signer_is_the_error_of_the_request(serve, engine, fails):
    server = serve(lambda asked: reply(status=500))
    with pytest.raises(Forbidden, match="the token has expired"):
        engine.send(get(server.endpoint, authorize=Signer(fails=[fails])))
    assert len(server.asked) == fails - 1
    future_error = Signer(fails=[2])
    future = engine.submit(get(server.endpoint, authorize=future_error))
    assert isinstance(future.exception(20), Forbidden)


def test_a_signer_may_use_the_engine_itself(serve, engine):
    server = serve(
        lambda asked: reply(b"token") if asked.target == "/token" else reply(status=500 if asked.nth < 4 else 200)
    )

    def authorize(request, previous):
        token = engine.send(get(f"{server.endpoint}/token")).body
        return Signed(request.url, {"Authorization": token.decode()})

    assert engine.send(get(f"{server.endpoint}/a", authorize=authorize)).status == 200
    assert {asked.headers.get("authorization") for asked in server.asked if asked.target == "/a"} == {"token"}


# ----------------------------------------------------------------------------------------------------------- redirects
def test_a_read_is_redirected_and_another_host_gets_no_credentials(serve, engine):
    data = b"x" * 1000
    there = serve(lambda asked: reply(data[10:20], status=206, headers={"Content-Range": "bytes 10-19/1000"}))
    here = serve(lambda asked: reply(status=307, headers={"Location": f"{there.endpoint}/b"}))
    request = get(f"{here.endpoint}/a", headers={"X-Token": "t"}, authorize=Signer(), range=(10, 20), follow=True)
    assert engine.send(request).body == data[10:20]
    (asked,) = there.asked
    assert (asked.target, asked.headers["range"]) == ("/b", "bytes=10-19")
    assert {"authorization", "x-token"}.isdisjoint(asked.headers)
    assert here.asked[0].headers["authorization"] == "number 1"


def test_redirects_come_to_an_end(serve, engine):
    server = serve(lambda asked: reply(status=302, headers={"Location": f"/{asked.nth}"}))
    assert engine.send(get(server.endpoint, follow=True)).status == 302
    assert len(server.asked) == 6


def test_who_does_not_follow_sees_the_redirect(serve, engine):
    server = serve(lambda asked: reply(status=302, headers={"Location": "/b"}))
    assert engine.send(get(server.endpoint)).headers["location"] == "/b"
    assert engine.send(put(server.endpoint, b"x", follow=True)).status == 302
    assert [asked.target for asked in server.asked] == ["/", "/"]


def test_what_failed_behind_a_redirect_begins_at_its_beginning(serve, engine):
    """The place may be good for once only, as presigned URLs are."""

    def script(asked):
        if asked.target in {"/a?n=1", "/a?n=2"}:
            return reply(status=302, headers={"Location": f"/there{asked.nth}"})
        return reply(status=500) if asked.nth == 2 else reply(b"done")

    server = serve(script)
    assert engine.send(get(server.endpoint + "/a", authorize=Signer(), follow=True)).body == b"done"
    assert [asked.target for asked in server.asked] == ["/a?n=1", "/there1", "/a?n=2", "/there3"]


# --------------------------------------------------------------------------------------------- the files of the caller
def test_a_full_disk_is_the_callers_error_at_once(serve, engine):
    server = serve(lambda asked: reply(b"x" * 100_000))
    with Path("/dev/full").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left on device"):
        engine.send(get(server.endpoint, sink=FileSlice(file.fileno(), 0, 100_000)))
    assert len(server.asked) == 1
    assert engine.send(get(server.endpoint)).size == 100_000


def closed_descriptor(tmp_path) -> int:
    with (tmp_path / "closed").open("wb") as file:
        number = fcntl.fcntl(file.fileno(), fcntl.F_DUPFD, 900)  # not the next that somebody gets
    os.close(number)
    return number


def test_a_closed_sink_is_the_callers_error_at_once(serve, engine, tmp_path):
    server = serve(lambda asked: reply(b"x" * 1000))
    with pytest.raises(OSError, match="Bad file descriptor"):
        engine.send(get(server.endpoint, sink=FileSlice(closed_descriptor(tmp_path), 0, 1000)))
    released = memoryview(bytearray(1000))
    released.release()
    with pytest.raises(ValueError, match="released"):
        engine.send(get(server.endpoint, sink=released))
    with pytest.raises(TypeError, match="read-only"):
        engine.send(get(server.endpoint, sink=memoryview(bytes(1000))))
    assert len(server.asked) <= 3


def test_a_body_that_cannot_be_read_is_the_callers_error_at_once(serve, engine, tmp_path):
    server = serve(lambda asked: reply())
    with pytest.raises(OSError, match="Bad file descriptor"):
        engine.send(put(server.endpoint, FileSlice(closed_descriptor(tmp_path), 0, 1000)))
    assert engine.send(get(server.endpoint)).status == 200
    assert len([asked for asked in server.asked if asked.method == "PUT"]) <= 1


def test_a_file_that_became_shorter_is_not_sent_as_a_shorter_object(serve, engine, tmp_path):
    received = []

    def script(asked):
        received.append(len(asked.body))
        return reply()

    server = serve(script)
    path = tmp_path / "body"
    path.write_bytes(b"x" * 1000)
    with path.open("rb") as file, pytest.raises(IntegrityError, match="became shorter"):
        engine.send(put(server.endpoint, FileSlice(file.fileno(), 0, 2000)))
    server.wait_for(lambda: server.open_connections == 0)
    assert all(count < 2000 for count in received)
    assert len(received) <= 1


def test_an_error_does_not_hold_on_to_the_buffer(serve, engine):
    server = serve(lambda asked: [RESET])
    buffer = bytearray(1000)
    with pytest.raises(Unavailable):
        engine.send(get(server.endpoint, sink=memoryview(buffer)))
    buffer.extend(b"x")  # a view that is still alive would forbid it


def test_a_server_that_refuses_a_large_body_early_is_heard(engine):
    """It answers and closes while the body is still on its way."""
    server = Wire(lambda asked: [reply(b"<Code>AccessDenied</Code>", status=403), Pause(0.2), CLOSE], early=True)
    try:
        response = engine.send(put(server.endpoint, b"x" * (64 << 20)))
    finally:
        server.close()
    assert (response.status, response.body, len(server.asked)) == (403, b"<Code>AccessDenied</Code>", 1)
