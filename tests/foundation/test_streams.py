"""Streams: what a body may be, and readers over memory and files."""

import array
import copy
import io
import os
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import IntegrityError, ValidationError
from datastore.streams import CHUNK, BytesReader, FileReader, HashingSink, as_bytes, body_chunks
from datastore.values import ByteRange, ObjectInfo, digest_of

DATA = bytes(range(256)) * 4


def info(size: int = len(DATA)) -> ObjectInfo:
    return ObjectInfo(key="a.bin", size=size, modified_us=0, etag="e", identity="i")


@pytest.fixture(params=["memory", "file", "part of a file"])
def reader_of(request: pytest.FixtureRequest, tmp_path: Path):
    """A function that opens `DATA`, or a range of it, from where the parameter says."""

    def opened(part: ByteRange | None = None) -> BytesReader | FileReader:
        if request.param == "memory":
            return BytesReader(info(), DATA, range=part)
        before = 0 if request.param == "file" else 5000
        path = tmp_path / "data.bin"
        path.write_bytes(b"<" * before + DATA + b">" * before)
        return FileReader(info(), os.open(path, os.O_RDONLY), offset=before, range=part)

    return opened


# --------------------------------------------------------------------------------------------------------------- bodies


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_a_file_comes_in_pieces_from_where_it_stands(tmp_path: Path, size: int):
    path = tmp_path / "body"
    path.write_bytes(b"skip" + b"x" * size)
    with path.open("rb") as file:
        file.seek(4)
        pieces = list(body_chunks(file))
    assert b"".join(pieces) == b"x" * size
    assert all(0 < len(piece) <= CHUNK for piece in pieces)
    assert b"".join(body_chunks(path)) == b"skip" + b"x" * size


@pytest.mark.parametrize("opened", [tempfile.TemporaryFile, tempfile.NamedTemporaryFile, tempfile.SpooledTemporaryFile])
def test_temporary_files_are_files(opened):
    with opened() as file:
        file.write(b"a\nb\n" * 1000)
        file.seek(0)
        assert list(body_chunks(file)) == [b"a\nb\n" * 1000]


def test_a_reader_is_a_body():
    assert b"".join(body_chunks(BytesReader(info(), DATA, range=ByteRange(4, 8)))) == DATA[4:8]


def test_pieces_of_an_iterable_come_as_they_are_taken():
    asked = []

    def endless():
        for number in range(10**9):
            asked.append(number)
            yield b"x"

    assert next(body_chunks(endless())) == b"x"
    assert asked == [0]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("text", "text"),
        (io.StringIO("text"), "text"),
        (["text"], "text"),
        ([1, 2], "int"),
        ([b"ok", None], "non-blocking"),
    ],
)
def test_what_is_not_bytes_is_refused(body, named: str):
    with pytest.raises(ValidationError, match=named):
        list(body_chunks(body))


def test_a_file_that_has_nothing_yet_is_not_taken_for_its_end():
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with os.fdopen(read_end, "rb", buffering=0) as pipe, os.fdopen(write_end, "wb", buffering=0) as source:
        source.write(b"half")
        chunks = body_chunks(pipe)
        assert next(chunks) == b"half"
        with pytest.raises(ValidationError, match="non-blocking"):
            next(chunks)


@pytest.mark.parametrize("code", ["b", "H", "i", "d"])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_view_counts_in_bytes(code: str, count: int):
    numbers = array.array(code, range(count))
    view = memoryview(numbers)
    assert len(as_bytes(view)) == count * numbers.itemsize
    assert bytes(as_bytes(view)) == numbers.tobytes()
    (piece,) = body_chunks(view)
    assert len(piece) == count * numbers.itemsize


def test_views_of_any_shape_become_flat():
    grid = memoryview(bytes(range(12))).cast("B", (3, 4))
    every_second = memoryview(bytes(range(12)))[::2]
    for view in (grid, every_second, memoryview(np.ones((2, 3)).T), memoryview(np.empty((0, 3)))):
        flat = as_bytes(view)
        assert bytes(flat) == view.tobytes()
        assert len(flat) == view.nbytes
        digest_of(flat)  # would raise BufferError for what is not contiguous


def test_a_sink_counts_and_hashes_bytes():
    sink = HashingSink()
    numbers = array.array("i", [1, 2, 3])
    for piece in (b"", b"ab", bytearray(b"c"), memoryview(b"d"), memoryview(numbers)):
        sink.update(piece)
    assert sink.size == 16
    assert sink.digest == digest_of(b"abcd" + numbers.tobytes())


# -------------------------------------------------------------------------------------------------------------- readers

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 400)),
        st.tuples(st.just("readinto"), st.integers(0, 400)),
        st.tuples(st.just("seek"), st.integers(-100, 1200), st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])),
        st.tuples(st.just("readline"), st.integers(-1, 50)),
    ),
    max_size=12,
)


@given(OPERATIONS, st.integers(-1100, 1100), st.none() | st.integers(-1100, 1100))
def test_readers_do_what_bytesio_does(
    tmp_path_factory: pytest.TempPathFactory, operations, start: int, stop: int | None
):
    path = tmp_path_factory.getbasetemp() / "data.bin"
    path.write_bytes(b"<<" + DATA + b">>")
    part = ByteRange(start, stop)
    with (
        BytesReader(info(), DATA, range=part) as memory,
        FileReader(info(), os.open(path, os.O_RDONLY), offset=2, range=part) as file,
        io.BytesIO(DATA[start:stop]) as model,
    ):
        for name, *arguments in operations:
            results = [outcome(stream, name, arguments) for stream in (memory, file, model)]
            assert results[0] == results[1] == results[2], (name, arguments)
            assert memory.tell() == file.tell() == model.tell()


def outcome(stream: io.IOBase, name: str, arguments: list[int]) -> object:
    try:
        if name == "readinto":
            buffer = bytearray(arguments[0])
            return stream.readinto(buffer), bytes(buffer)
        if name == "seek" and arguments[1] != os.SEEK_SET:  # BytesIO stops at 0 where files say no
            base = stream.tell() if arguments[1] == os.SEEK_CUR else stream.seek(0, os.SEEK_END)
            return stream.seek(max(base + arguments[0], 0))
        return getattr(stream, name)(*arguments)
    except ValueError:
        return "refused"


def test_a_buffer_of_numbers_is_filled_by_its_bytes(reader_of):
    numbers = array.array("i", [0] * 10)
    with reader_of() as reader:
        assert reader.readinto(numbers) == 40
        assert reader.tell() == 40
    assert numbers.tobytes() == DATA[:40]


def test_readers_work_under_wrappers(reader_of):
    with io.BufferedReader(reader_of(ByteRange(10, 900))) as buffered:
        assert buffered.peek(1)[:1] == DATA[10:11]
        assert buffered.read(100) == DATA[10:110]
        buffered.seek(-10, os.SEEK_END)
        assert buffered.read() == DATA[890:900]


def test_wrong_positions_are_refused(reader_of):
    with reader_of() as reader:
        reader.seek(7)
        for arguments in ((-1,), (-8, os.SEEK_CUR), (-2000, os.SEEK_END), (0, 9)):
            with pytest.raises(ValidationError):
                reader.seek(*arguments)
        assert reader.tell() == 7


def test_a_closed_reader_refuses_everything(reader_of):
    reader = reader_of()
    reader.read(1)
    reader.close()
    reader.close()
    for use in (
        lambda: reader.read(1),
        reader.read,
        lambda: reader.readinto(bytearray(1)),
        reader.tell,
        lambda: reader.seek(0),
    ):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_a_closed_reader_never_touches_a_descriptor_that_is_another_file_by_now(tmp_path: Path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "other").write_bytes(b"other")
    fd = os.open(tmp_path / "mine", os.O_RDONLY)
    reader = FileReader(info(4), fd)
    reader.close()
    again = os.open(tmp_path / "other", os.O_RDONLY)
    try:
        assert again == fd
        with pytest.raises(ValueError, match="closed"):
            reader.read()
        reader.close()
        assert os.read(again, 5) == b"other"
    finally:
        os.close(again)


def test_two_readers_of_one_descriptor_do_not_move_each_other(tmp_path: Path):
    (tmp_path / "data").write_bytes(DATA)
    fd = os.open(tmp_path / "data", os.O_RDONLY)
    with FileReader(info(), fd) as one, FileReader(info(), os.dup(fd)) as other:
        assert (one.read(10), other.read(20), one.read(10)) == (DATA[:10], DATA[:20], DATA[10:20])


@pytest.mark.parametrize("size", [0, 500])
def test_a_file_that_became_shorter_is_an_error_and_not_a_short_read(tmp_path: Path, size: int):
    (tmp_path / "data").write_bytes(DATA[:size])
    path = tmp_path / "data"
    with FileReader(info(), os.open(path, os.O_RDONLY)) as reader, pytest.raises(IntegrityError, match=r"'a\.bin'"):
        reader.read()
    with FileReader(info(), os.open(path, os.O_RDONLY), range=ByteRange(900)) as reader, pytest.raises(IntegrityError):
        reader.read(1)


def test_a_file_is_read_in_large_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data").write_bytes(b"x" * 5_000_000)
    steps = []
    preadv = os.preadv
    monkeypatch.setattr("datastore.streams.read_at", lambda fd, view, at: steps.append(at) or preadv(fd, [view], at))
    with FileReader(info(5_000_000), os.open(tmp_path / "data", os.O_RDONLY)) as reader:
        assert len(reader.read()) == 5_000_000
    assert len(steps) == 1


def test_a_dropped_reader_closes_its_file(tmp_path: Path):
    (tmp_path / "data").write_bytes(DATA)
    fd = os.open(tmp_path / "data", os.O_RDONLY)
    reader = FileReader(info(), fd)
    del reader
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)


def test_a_reader_does_not_pickle(reader_of):
    with reader_of() as reader:
        for attempt in (pickle.dumps, copy.copy):
            with pytest.raises(TypeError, match="hand on its key"):
                attempt(reader)
