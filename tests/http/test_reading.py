"""Readers over ranges: any way to read gives the bytes of one version, with few requests and bounded memory."""

import hashlib
import io
import os
import re
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore.calls import Call
from datastore.errors import HeadMoved, IntegrityError, NotFound, ValidationError
from datastore.http.reading import open_reader
from datastore.values import ByteRange, ObjectInfo
from tests.http.requests import get
from tests.http.wire import CLOSE, Pause, reply

MIB = 1 << 20
SIZE = 40 * MIB
DATA = hashlib.shake_256(b"reading").digest(SIZE)
ETAG = '"one"'


class Store:
    """An object behind HTTP, and what was asked of it."""

    def __init__(self, serve, data=DATA):
        self.data = data
        self.etag = ETAG
        self.fault = None
        self.server = serve(self.answer)
        self.info = ObjectInfo(key="a.bin", size=len(data), etag=ETAG, modified_us=0, identity="a")

    def answer(self, asked):
        first, last = map(int, re.findall(r"\d+", asked.headers["range"]))
        if self.etag != asked.headers["if-match"]:
            return reply(status=412)
        if self.fault is not None:
            return self.fault(asked)
        headers = {"ETag": self.etag, "Content-Range": f"bytes {first}-{last}/{len(self.data)}"}
        return reply(self.data[first : last + 1], status=206, headers=headers)

    def get(self, part, sink):
        return Call(get(self.server.endpoint, range=(part.start, part.stop), sink=sink, if_match=ETAG), finish)

    def open(self, **options):
        return open_reader(self.info, self.get, **options)

    @property
    def spans(self):
        """The ranges that were asked for, (start, size), in order of their beginning."""
        found = [map(int, re.findall(r"\d+", asked.headers["range"])) for asked in self.server.asked]
        return sorted((first, last + 1 - first) for first, last in found)


def finish(response):
    if response.status == 412:
        raise HeadMoved("it is another version by now")
    if response.status == 404:
        raise NotFound("it is gone")
    return response.body


@pytest.fixture
def store(serve):
    return Store(serve)


def test_all_at_once_is_read_in_parallel_parts(store):
    with store.open() as reader:
        assert reader.read() == DATA
    assert store.spans == [(start, 8 * MIB) for start in range(0, SIZE, 8 * MIB)]


@pytest.mark.parametrize("step", [1000, 100_000, MIB, 7 * MIB, 9 * MIB])
def test_in_sequence_each_byte_is_asked_for_once(store, step):
    with store.open() as reader:
        stop = min(SIZE, step * 300)
        got = b"".join(iter(lambda: reader.read(min(step, stop - reader.tell())), b""))
    assert got == DATA[:stop]
    position = 0
    for start, size in store.spans:
        assert start == position
        assert size <= max(8 * MIB, step)
        position += size


def test_the_first_request_is_small_and_grows_while_reading_goes_on(store):
    with store.open() as reader:
        reader.read(10)
        store.server.wait_for(lambda: len(store.server.asked) == 1)
        assert store.spans == [(0, MIB)]  # as where nothing is known of an object
        while reader.tell() < 15 * MIB:  # what is read ahead then is far from the end
            reader.read(100_000)
    sizes = [size for _, size in sorted(store.spans)]  # several are on their way: the server may see them in any order
    assert sizes == sorted(sizes)
    assert sizes[-1] == 4 * MIB


def test_after_a_jump_little_is_asked_for_again(store):
    with store.open() as reader:
        reader.seek(20 * MIB)
        reader.read(10)
    assert store.spans == [(20 * MIB, 256 << 10)]


@pytest.mark.parametrize("step", [10_000, 300_000, 1_000_000])
def test_small_steps_forward_are_reading_in_sequence(store, step):
    """As tarfile goes from header to header: what lies between is passed over, and no round trip is lost for it."""
    with store.open() as reader:
        for position in range(0, 30 * MIB, step):
            reader.seek(position)
            assert b"".join(_pieces(reader, 512)) == DATA[position : position + 512]
    assert len(store.spans) <= 14


def test_larger_steps_are_jumps_and_bring_nothing_in_between(store):
    with store.open() as reader:
        for position in range(0, 30 * MIB, 5 * MIB):
            reader.seek(position)
            reader.read(512)
    assert [size for _, size in store.spans] == [MIB] + [256 << 10] * 5


def test_a_jump_to_the_end_brings_what_is_before_it(store):
    """As zipfile looks for the table of an archive: the record at its end, then the table."""
    with store.open() as reader:
        for back in (22, 60_000, 200_000):
            reader.seek(-back, os.SEEK_END)
            assert reader.read(22) == DATA[SIZE - back :][:22]
    assert store.spans == [(SIZE - (256 << 10), 256 << 10)]


def test_what_is_here_already_is_not_asked_for(store):
    with store.open(first=DATA[:MIB]) as reader:
        assert reader.read(1000) == DATA[:1000]
        assert store.server.asked == []
        assert reader.read() == DATA[1000:]
    assert store.spans[0][0] == MIB


@pytest.mark.parametrize("first", [b"", DATA[5 * MIB : 6 * MIB], DATA[5 * MIB : 9 * MIB]])
def test_a_range_of_an_object(store, first):
    with store.open(range=ByteRange(5 * MIB, 8 * MIB), first=first) as reader:
        assert reader.read() == DATA[5 * MIB : 8 * MIB]
        assert reader.read() == b""
        reader.seek(-10, os.SEEK_END)
        assert reader.read(100) == DATA[8 * MIB - 10 : 8 * MIB]


def test_a_large_read_after_a_small_one_goes_straight_into_its_buffer(store):
    """Neither as one huge request nor through memory beside the buffer."""
    for before in (1, 7, 23):
        with store.open() as reader:
            for _ in range(before):
                reader.read(100_000)
            place = reader.tell()
            assert reader.read() == DATA[place:]
    assert max(size for _, size in store.spans) <= 8 * MIB


def test_readers_jump(store):
    """As Parquet's do: the end, then here and there."""
    with store.open() as reader:
        reader.seek(-8, os.SEEK_END)
        assert reader.read(8) == DATA[-8:]
        reader.seek(-2000, os.SEEK_END)
        assert reader.read(1992) == DATA[-2000:-8]
        for start in (30 * MIB, 10 * MIB, 20 * MIB):
            reader.seek(start)
            assert reader.read(500_000) == DATA[start : start + 500_000]
    assert len(store.server.asked) <= 10


steps = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), st.integers(0, 3 * MIB)),
        st.tuples(st.just("back"), st.integers(0, 3 * MIB)),
        st.tuples(st.just("read"), st.integers(0, 2 * MIB)),
        st.tuples(st.just("into"), st.integers(0, 500_000)),
        st.tuples(st.just("all"), st.just(0)),
    ),
    max_size=12,
)


@given(steps, st.integers(0, 3 * MIB), st.integers(0, 600_000))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_way_to_read_gives_the_same_bytes(serve, moves, size, head):
    data = DATA[:size]
    store, model = Store(serve, data), io.BytesIO(data)
    with store.open(first=data[:head]) as reader:
        for move, amount in moves:
            if move == "seek":
                assert reader.seek(amount) == model.seek(amount)
            elif move == "back":
                place = max(model.tell() - amount, 0)
                assert reader.seek(place) == model.seek(place)
            elif move == "into":
                buffer, expected = bytearray(amount), model.read(amount)
                count = 0
                while count < len(expected):
                    count += reader.readinto(memoryview(buffer)[count:])
                assert buffer[:count] == expected
            elif move == "all":
                assert reader.readall() == model.read()
            else:
                assert b"".join(_pieces(reader, amount)) == model.read(amount)
            assert reader.tell() == max(model.tell(), 0)


def _pieces(reader, amount):
    while amount and (piece := reader.read(amount)):
        amount -= len(piece)
        yield piece


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(store):
    with store.open() as reader:
        assert reader.read(10) == DATA[:10]
        store.etag = '"two"'
        with pytest.raises(IntegrityError, match="another version"):
            while reader.read(MIB):
                pass
    store.etag = ETAG
    with store.open() as reader:
        store.etag = '"two"'
        with pytest.raises(IntegrityError):
            reader.readall()


def test_an_object_that_is_deleted_while_it_is_read_is_not_found(store):
    with store.open() as reader:
        reader.read(10)
        store.fault = lambda asked: reply(status=404)
        with pytest.raises(NotFound):
            reader.readall()


def test_a_range_that_comes_short_is_an_error(store):
    """Of a server that promises less than was asked for, and says so."""
    info = ObjectInfo(key="a.bin", size=SIZE + 1000, etag=ETAG, modified_us=0, identity="a")
    with open_reader(info, store.get) as reader, pytest.raises(IntegrityError):
        reader.seek(SIZE - 100)
        while reader.read(1000):
            pass


def test_bodies_that_break_off_are_gone_on_with(store):
    def fault(asked):
        first, last = map(int, re.findall(r"\d+", asked.headers["range"]))
        headers = {"ETag": ETAG, "Content-Range": f"bytes {first}-{last}/{SIZE}"}
        head = reply(status=206, headers=headers, length=last + 1 - first)
        stop = first + (last + 1 - first) * 2 // 3 if asked.nth % 2 else last + 1
        return [head, DATA[first:stop], Pause(0.01), CLOSE]

    store.fault = fault
    with store.open() as reader:
        assert reader.read() == DATA


def test_a_child_process_reads_on_by_itself(store):
    with store.open() as reader:
        assert reader.read(1000) == DATA[:1000]
        pid = os.fork()
        if pid == 0:
            os._exit(0 if reader.read(MIB) + reader.read(MIB) in DATA else 1)
        assert reader.read(1000) == DATA[1000:2000]
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_many_readers_in_threads(store):
    failures = []

    def work(start):
        with store.open() as reader:
            reader.seek(start)
            if reader.read(2 * MIB) != DATA[start : start + reader.tell() - start]:
                failures.append(start)

    threads = [threading.Thread(target=work, args=(n * MIB,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_closed_reader_reads_nothing(store):
    reader = store.open()
    reader.read(10)
    reader.close()
    reader.close()
    with pytest.raises(ValidationError, match="is closed"):
        reader.read(10)


def test_an_empty_object_costs_no_request(serve):
    store = Store(serve, b"")
    with store.open() as reader:
        assert reader.read() == b""
        assert reader.read(10) == b""
    assert store.server.asked == []
