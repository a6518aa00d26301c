"""Bodies that break off, change or lie: what arrives is the object that was asked for, or a clean error."""

import contextlib
import functools
import hashlib
import os
import re

import pytest
from msgspec import structs

from datastore.calls import Call, FileSlice, HttpResponse
from datastore.errors import HeadMoved, IntegrityError, NotFound, Unavailable
from datastore.http import filling
from tests.http.requests import call, get
from tests.http.wire import CLOSE, RESET, Asked, Pause, reply

SIZE = 200_000
DATA = hashlib.shake_256(b"a").digest(SIZE)
OTHER = hashlib.shake_256(b"b").digest(SIZE)
ETAG = '"one"'


def bounds(asked: Asked, size: int) -> tuple[int, int]:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.headers.get("range", "bytes=0-"))
    assert match is not None
    first, last = match.groups()
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1, size) if last else size


def head_and_body(asked: Asked, data: bytes = DATA, etag: str | None = ETAG) -> tuple[bytes, bytes]:
    """A correct answer with ranges, in two pieces."""
    headers = {} if etag is None else {"ETag": etag}
    wanted = asked.headers.get("if-match")
    if wanted not in {None, etag}:
        return reply(status=412, body=b"changed"), b""
    start, stop = bounds(asked, len(data))
    body, status = data[start:stop], 200
    if "range" in asked.headers:
        if start >= stop:
            return reply(status=416, headers={"Content-Range": f"bytes */{len(data)}"}), b""
        status, headers["Content-Range"] = 206, f"bytes {start}-{stop - 1}/{len(data)}"
    return reply(status=status, headers=headers, length=len(body)), body


def correct(asked: Asked, data: bytes = DATA, etag: str | None = ETAG) -> bytes:
    return b"".join(head_and_body(asked, data, etag))


def cut(asked: Asked, after: int, how: str = CLOSE, data: bytes = DATA, etag: str | None = ETAG):
    head, body = head_and_body(asked, data, etag)
    return [head, body[:after], Pause(0.02), how]


SINKS = ["memory", "buffer", "file"]


class Sink:
    """A place for a body, with room beyond it that must stay as it is."""

    def __init__(self, kind: str, size: int, folder):
        self.kind, self.size, self.offset = kind, size, 100
        self.frame = b"\xee" * (size + 200)
        if kind == "buffer":
            self.buffer = bytearray(self.frame)
            self.sink = memoryview(self.buffer)[self.offset : self.offset + size]
        elif kind == "file":
            self.path = folder / f"sink{len(os.listdir(folder))}"
            self.path.write_bytes(self.frame)
            self.file = self.path.open("r+b")
            self.sink = FileSlice(self.file.fileno(), self.offset, size)
        else:
            self.sink = None

    def frame_is_whole(self) -> bool:
        if self.sink is None:
            return True
        now = bytes(self.buffer) if self.kind == "buffer" else self.path.read_bytes()
        beyond = self.offset + self.size
        return now[: self.offset] == self.frame[: self.offset] and now[beyond:] == self.frame[beyond:]

    def content(self, response) -> bytes:
        """What came; the response of a request with a sink has no body."""
        if self.sink is None:
            return response.body
        assert response.body == b""
        now = self.buffer if self.kind == "buffer" else self.path.read_bytes()
        return bytes(now[self.offset : self.offset + response.size])


@pytest.fixture
def sink(tmp_path):
    made = []

    def make(kind: str, size: int = SIZE) -> Sink:
        made.append(Sink(kind, size, tmp_path))
        return made[-1]

    yield make
    for one in made:
        if one.kind == "file":
            one.file.close()


@pytest.mark.parametrize("kind", SINKS)
@pytest.mark.parametrize("how", [CLOSE, RESET])
@pytest.mark.parametrize("after", [0, 1, 16_383, 16_384, 100_000, SIZE - 1])
def test_a_body_that_breaks_off_goes_on_where_it_broke_off(serve, engine, sink, *, kind, how, after):
    server = serve(lambda asked: cut(asked, after, how) if asked.nth == 1 else correct(asked))
    target = sink(kind)
    response = engine.send(get(server.endpoint, sink=target.sink, size=SIZE))
    assert target.content(response) == DATA
    assert (response.size, response.attempts) == (SIZE, 2)
    assert target.frame_is_whole()
    again = server.asked[1].headers
    if after:
        assert (again["range"], again["if-match"]) == (f"bytes={after}-", ETAG)
    else:
        assert "range" not in again


@pytest.mark.parametrize("kind", SINKS)
def test_a_body_that_breaks_off_again_and_again_arrives(serve, engine, sink, kind):
    server = serve(lambda asked: cut(asked, 40_000) if asked.nth < 5 else correct(asked))
    target = sink(kind)
    response = engine.send(get(server.endpoint, sink=target.sink))
    assert target.content(response) == DATA
    assert [asked.headers.get("range") for asked in server.asked] == [
        None,
        "bytes=40000-",
        "bytes=80000-",
        "bytes=120000-",
        "bytes=160000-",
    ]


@pytest.mark.parametrize("how", [CLOSE, RESET])
@pytest.mark.parametrize("length", [-1, 10])
def test_headers_that_break_off_are_no_answer(serve, engine, length, how):
    """Cut anywhere, they look like an empty object, or like one without an etag."""
    answer = reply(b"0123456789", headers={"ETag": '"1"', "X-Other": "x"}, length=length)
    head = answer[: -len(b"0123456789")]
    after = 0

    def script(asked):
        nonlocal after
        if asked.nth % 2:
            after += 1
            return [head[: after - 1], how]
        return answer if length == 10 else [answer, CLOSE]

    server = serve(script)
    while after < len(head):
        response = engine.send(get(server.endpoint))
        assert (response.body, response.headers["x-other"]) == (b"0123456789", "x")
    assert len(server.asked) == 2 * len(head)


def test_an_empty_object_with_a_trailer_is_one(serve, engine):
    server = serve(lambda asked: reply(length=-1, headers={"Transfer-Encoding": "chunked"}) + b"0\r\nX-T: 1\r\n\r\n")
    response = engine.send(get(server.endpoint))
    assert (response.status, response.body, response.attempts) == (200, b"", 1)


@pytest.mark.parametrize("asked_for", [(1000, 150_000), (1000, None), (-150_000, None), (0, 150_000), (0, None)])
@pytest.mark.parametrize("kind", SINKS)
def test_a_range_that_breaks_off_goes_on_within_the_range(serve, engine, sink, asked_for, kind):
    server = serve(lambda asked: cut(asked, 70_000) if asked.nth == 1 else correct(asked))
    target = sink(kind)
    response = engine.send(get(server.endpoint, range=asked_for, sink=target.sink))
    assert target.content(response) == DATA[slice(*asked_for)]
    start = asked_for[0] if asked_for[0] >= 0 else SIZE + asked_for[0]
    stop = SIZE if asked_for[1] is None else asked_for[1]
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"  # of all bytes, not of the rest
    assert response.headers["content-length"] == str(stop - start)
    last = "" if asked_for[1] is None else asked_for[1] - 1
    assert server.asked[1].headers["range"] == f"bytes={start + 70_000}-{last}"


@pytest.mark.parametrize("if_match", [None, ETAG])
@pytest.mark.parametrize("honours", [True, False])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kind", SINKS)
def test_bytes_of_two_versions_are_never_mixed(serve, engine, sink, *, kind, if_match, honours, named):
    """The object is replaced after its first half was sent, on a server that honours If-Match or does not even name
    the version of what it sends then."""

    def script(asked):
        if asked.nth == 1:
            return cut(asked, SIZE // 2)
        if not honours:
            kept = {name: value for name, value in asked.headers.items() if name != "if-match"}
            asked = structs.replace(asked, headers=kept)
        return correct(asked, OTHER, '"two"' if named or honours else None)

    server = serve(script)
    target = sink(kind)
    request = get(server.endpoint, sink=target.sink, if_match=if_match)
    if if_match:
        with pytest.raises(HeadMoved, match="another version"):
            engine.send(request)
        assert len(server.asked) == 2
    else:  # nobody said which version it has to be: it is read from the beginning
        assert target.content(engine.send(request)) == OTHER
    assert target.frame_is_whole()


def test_an_object_that_changes_all_the_time_is_an_error(serve, engine):
    server = serve(lambda asked: cut(asked, 1000, etag=f'"{asked.nth}"'))
    with pytest.raises((HeadMoved, Unavailable)):
        engine.send(get(server.endpoint))
    assert len(server.asked) <= 8


def test_an_object_that_was_deleted_in_the_middle_is_not_found(serve, engine):
    server = serve(lambda asked: cut(asked, 1000) if asked.nth == 1 else reply(status=404, body=b"gone"))
    with pytest.raises(NotFound):
        engine.run(call(get(server.endpoint)))


@pytest.mark.parametrize("etag", [None, 'W/"one"', "one"])
def test_without_a_strong_etag_it_begins_from_the_beginning(serve, engine, etag):
    """A weak one, or none, does not promise that the rest is of the same bytes."""

    def script(asked):
        return cut(asked, 1000, etag=etag) if asked.nth == 1 else correct(asked, OTHER, etag)

    server = serve(script)
    assert engine.send(get(server.endpoint)).body == OTHER
    assert "range" not in server.asked[1].headers


def test_a_refusal_in_the_middle_is_waited_for(serve, engine):
    answers = {1: lambda asked: cut(asked, 1000), 2: lambda asked: reply(status=503, body=b"slow down" * 100)}
    server = serve(lambda asked: answers.get(asked.nth, correct)(asked))
    response = engine.send(get(server.endpoint))
    assert response.body == DATA
    assert server.asked[2].headers["range"] == "bytes=1000-"


@pytest.mark.parametrize("kind", SINKS)
def test_a_body_without_its_end_is_not_taken_for_complete(serve, engine, sink, kind):
    def script(asked):
        head = reply(length=-1, headers={"Transfer-Encoding": "chunked", "ETag": ETAG})
        chunk = b"%x\r\n%b\r\n" % (SIZE, DATA)
        return [head, chunk, CLOSE] if asked.nth == 1 else correct(asked)

    server = serve(script)
    target = sink(kind)
    assert target.content(engine.send(get(server.endpoint, sink=target.sink))) == DATA
    assert len(server.asked) in {2, 3}  # the server has nothing more: then from the beginning


@pytest.mark.parametrize("kind", SINKS)
def test_chunks_without_a_length_are_complete_with_their_end(serve, engine, sink, kind):
    def script(asked):
        head = reply(length=-1, headers={"Transfer-Encoding": "chunked"})
        return [head, b"%x\r\n%b\r\n" % (1000, DATA[:1000]), b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE - 1000, DATA[1000:])]

    target = sink(kind)
    assert target.content(engine.send(get(serve(script).endpoint, sink=target.sink))) == DATA


def test_a_server_that_ends_the_body_with_the_connection_is_believed_unless_the_size_is_known(serve, engine):
    server = serve(lambda asked: [b"HTTP/1.0 200 OK\r\n\r\n", DATA[:1000], CLOSE])
    assert engine.send(get(server.endpoint)).body == DATA[:1000]
    with pytest.raises(IntegrityError, match="1000 bytes came, not 200000"):
        engine.send(get(server.endpoint, size=SIZE))


@pytest.mark.parametrize("kind", SINKS)
def test_an_ignored_range_is_an_error(serve, engine, sink, kind):
    server = serve(lambda asked: reply(DATA, headers={"ETag": ETAG}))
    target = sink(kind, 1000)
    with pytest.raises(IntegrityError, match="ignores the range bytes=5000-5999"):
        engine.send(get(server.endpoint, range=(5000, 6000), sink=target.sink))
    assert target.frame_is_whole()
    assert len(server.asked) == 3


def test_a_proxy_that_ignores_a_range_once_does_no_harm(serve, engine):
    server = serve(lambda asked: reply(DATA) if asked.nth == 1 else correct(asked))
    assert engine.send(get(server.endpoint, range=(5000, 6000))).body == DATA[5000:6000]


@pytest.mark.parametrize(
    "place", ["bytes 5001-6000/200000", "bytes 5000-5998/200000", "bytes 0-999/200000", "nonsense", ""]
)
@pytest.mark.parametrize("kind", SINKS)
def test_the_bytes_of_another_place_are_an_error(serve, engine, sink, kind, place):
    server = serve(lambda asked: reply(OTHER[:1000], status=206, headers={"Content-Range": place}))
    target = sink(kind, 1000)
    with pytest.raises(IntegrityError):
        engine.send(get(server.endpoint, range=(5000, 6000), sink=target.sink))
    if target.sink is not None:  # not a byte of it was kept
        assert set(target.content(_Came(1000))) == {0xEE}
    assert target.frame_is_whole()


class _Came:
    body = b""

    def __init__(self, size):
        self.size = size


@pytest.mark.parametrize("length", [None, -1, 999, 1001, 2**40])
@pytest.mark.parametrize("sent", [999, 1001, 5000])
@pytest.mark.parametrize("kind", SINKS)
def test_a_wrong_length_never_gets_beyond_the_sink(serve, engine, sink, *, kind, sent, length):
    """1,000 bytes are wanted, whatever is promised and sent."""
    head = reply(headers={"Connection": "close"}, length=sent if length is None else length)
    server = serve(lambda asked: [head, OTHER[:sent], Pause(0.01), CLOSE])
    target = sink(kind, 1000)
    with pytest.raises((IntegrityError, Unavailable)):
        engine.send(get(server.endpoint, size=1000, sink=target.sink))
    assert target.frame_is_whole()


@pytest.mark.parametrize("kind", SINKS)
def test_an_endless_body_is_not_read_to_the_end(serve, engine, sink, kind):
    def script(asked):
        yield reply(
            length=-1, status=206, headers={"Transfer-Encoding": "chunked", "Content-Range": "bytes 0-999/1000"}
        )
        while True:
            yield b"%x\r\n%b\r\n" % (SIZE, DATA)

    server = serve(script)
    target = sink(kind, 5000)
    with pytest.raises(IntegrityError, match="more bytes"):
        engine.send(get(server.endpoint, range=(0, 1000), sink=target.sink))
    assert target.frame_is_whole()
    server.wait_for(lambda: server.open_connections == 0)
    assert server.open_connections == 0


def test_a_sink_without_a_size_known_before_takes_less(serve, engine, sink):
    target = sink("file", 5000)
    server = serve(lambda asked: reply(DATA[:10]))
    response = engine.send(get(server.endpoint, sink=target.sink))
    assert target.content(response) == DATA[:10]
    assert target.frame_is_whole()


def test_the_body_of_a_refusal_does_not_go_into_the_sink(serve, engine, sink):
    for statuses in (frozenset({200}), frozenset({200, 404})):
        for kind in ("buffer", "file"):
            target = sink(kind, 1000)
            response = engine.send(
                get(serve(lambda asked: reply(b"not here", status=404)).endpoint, sink=target.sink, statuses=statuses)
            )
            assert (response.status, response.body, response.size) == (404, b"not here", 8)
            assert set(target.content(_Came(1000))) == {0xEE}


@pytest.mark.parametrize("text", ["9" * 5000, "-1", "ten", "1e3", ""])
def test_nonsense_about_the_length_breaks_nothing(serve, engine, text):
    def script(asked):
        if asked.target == "/good":
            return correct(asked)
        return [reply(length=-1, headers={"Content-Length": text, "Connection": "close"}), DATA[:10], CLOSE]

    server = serve(script)
    with contextlib.suppress(IntegrityError, Unavailable):
        assert engine.send(get(server.endpoint + "/bad")).body in {DATA[:10], b""}
    assert engine.send(get(server.endpoint + "/good")).body == DATA


@pytest.mark.parametrize("place", [f"bytes 0-9/{'9' * 5000}", f"bytes 0-{'9' * 5000}/*"])
def test_nonsense_about_the_place_breaks_nothing(serve, engine, place):
    server = serve(lambda asked: reply(DATA[:10], status=206, headers={"Content-Range": place}))
    with pytest.raises(IntegrityError):
        engine.send(get(server.endpoint, range=(0, 10)))


@pytest.fixture
def _small_parts(monkeypatch):
    monkeypatch.setattr(filling, "parts", functools.partial(filling.parts, size=10_000))


def finish(response: HttpResponse) -> bytes:
    if response.status == 412:
        raise HeadMoved("it is another version by now")
    return response.body


def part_of(server):
    def get_part(part, sink):
        return Call(get(server.endpoint, range=(part.start, part.stop), sink=sink, if_match=ETAG), finish)

    return get_part


@pytest.mark.usefixtures("_small_parts")
def test_parallel_ranges_of_one_object(serve, engine):
    """Every third answer breaks off, and the object arrives."""
    server = serve(lambda asked: cut(asked, 3000) if asked.nth % 3 == 0 else correct(asked))
    buffer, seen = bytearray(SIZE), []
    filling.fill(part_of(server), memoryview(buffer), start=0, stop=SIZE, using=engine, told=seen.append)
    assert bytes(buffer) == DATA
    assert sum(seen) == SIZE
    assert all(asked.headers["if-match"] == ETAG for asked in server.asked)


@pytest.mark.usefixtures("_small_parts")
@pytest.mark.parametrize("honours", [True, False])
def test_parallel_ranges_of_an_object_that_is_replaced_are_an_error(serve, engine, honours):
    def script(asked):
        if asked.nth <= 5:
            return correct(asked)
        if not honours:
            asked = structs.replace(asked, headers={"range": asked.headers["range"]})
        return correct(asked, OTHER, '"two"')

    with pytest.raises(HeadMoved):
        filling.fill(part_of(serve(script)), memoryview(bytearray(SIZE)), start=0, stop=SIZE, using=engine)
