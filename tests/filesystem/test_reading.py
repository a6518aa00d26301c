"""Reading bytes: slices, ranges, file objects, versions."""

import io
import pickle
import threading
from datetime import UTC, datetime, timedelta

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import Forbidden, HeadMoved, NotFound, UnsupportedOperation
from datastore.fs.files import RangedReader
from datastore.fs.ranges import plan_ranges
from datastore.fs.system import DatastoreFileSystem
from datastore.streams import BytesReader
from tests.filesystem.helpers import Wrapper

DATA = bytes(range(256)) * 40


class _Streaming(Wrapper):
    """A provider whose readers only go forward, as those of a network do."""

    class Reader(BytesReader):
        def seekable(self):
            return False

        def seek(self, *args):
            raise io.UnsupportedOperation("seek")

    reads = 0

    def read(self, key, *, range=None, if_match=None):
        type(self).reads += 1
        with super().read(key, range=range, if_match=if_match) as reader:
            whole = reader.info
            return self.Reader(whole, reader.read(), range=None)


@pytest.fixture
def file(fs, base):
    fs.pipe_file(f"{base}/data.bin", DATA)
    return f"{base}/data.bin"


@pytest.fixture
def streaming(wrapped, mem):
    _Streaming.reads = 0
    wrapped(_Streaming)
    fs = DatastoreFileSystem()
    fs.pipe_file(f"{mem}/data.bin", DATA)
    return f"{mem}/data.bin"


@pytest.mark.parametrize(
    ("start", "end"),
    [(None, None), (0, 10), (5, None), (None, 7), (-10, None), (-10, -3), (3, -3), (9999999, None), (5, 5), (7, 3)],
)
def test_slices_are_those_of_python(fs, file, start, end):
    assert fs.cat_file(file, start=start, end=end) == DATA[start:end]


def test_head_tail_and_blocks(fs, file):
    assert fs.head(file, 5) == DATA[:5]
    assert fs.tail(file, 5) == DATA[-5:]
    assert fs.read_block(file, 10, 20) == DATA[10:30]
    fs.pipe_file(file, b"one\ntwo\nthree\n")
    assert fs.read_block(file, 2, 4, delimiter=b"\n") == b"two\n"
    assert fs.read_text(file) == "one\ntwo\nthree\n"


def test_infos_have_the_keys_that_tools_look_for(fs, repo, mem):
    before = datetime.now(UTC) - timedelta(seconds=2)
    fs.pipe_file("garments@main/a.csv", b"a,b\n", metadata={"run": "12"})
    info = fs.info("garments@main/a.csv")
    assert set(info) == {
        *(
            "name",
            "size",
            "type",
            "ETag",
            "etag",
            "mtime",
            "LastModified",
            "digest",
            "commit",
            "content_type",
            "metadata",
        )
    }
    assert (info["name"], info["size"], info["type"]) == ("garments@main/a.csv", 4, "file")
    assert info["ETag"] == info["etag"]
    assert info["content_type"] == "text/csv"
    assert info["metadata"] == {"run": "12"}
    assert info["commit"] is None
    assert before < info["LastModified"] < before + timedelta(minutes=10)
    assert info["mtime"] == pytest.approx(info["LastModified"].timestamp())
    assert fs.modified("garments@main/a.csv") == fs.created("garments@main/a.csv") == info["LastModified"]
    assert fs.modified("garments@main/a.csv").tzinfo is not None
    commit = repo.branch("main").commit("first")
    assert fs.info("garments@main/a.csv")["commit"] == commit.id
    fs.pipe_file(f"{mem}/a.csv", b"a,b\n")
    assert "metadata" not in fs.info(f"{mem}/a.csv")
    assert fs.info("garments@main") == {"name": "garments@main", "size": 0, "type": "directory"}


def test_keys_of_content_change_with_the_content_only(fs, base):
    path, folder = f"{base}/d/a.bin", f"{base}/d"
    fs.pipe_file(path, b"1")
    keys = fs.ukey(path), fs.checksum(path), fs.ukey(folder)
    assert (fs.ukey(path), fs.checksum(path), fs.ukey(folder)) == keys
    fs.pipe_file(f"{base}/other.bin", b"1")
    assert fs.ukey(folder) == keys[2]
    fs.pipe_file(path, b"2")
    now = fs.ukey(path), fs.checksum(path), fs.ukey(folder)
    assert not set(now) & set(keys)


def test_a_prefix_is_no_file(fs, base):
    fs.pipe_file(f"{base}/d/a.bin", b"1")
    with pytest.raises(IsADirectoryError, match="prefix"):
        fs.open(f"{base}/d")
    with pytest.raises(FileNotFoundError):
        fs.cat_file(f"{base}/d")
    with pytest.raises(IsADirectoryError):
        fs.open(base)
    with pytest.raises(IsADirectoryError):
        fs.modified(f"{base}/d")
    with pytest.raises(NotFound):
        fs.open(f"{base}/missing")


def test_only_what_is_missing_counts_as_missing(fs, mem, monkeypatch):
    from datastore.providers.memory import MemoryProvider

    assert not fs.exists(f"{mem}/a")
    assert not fs.isfile(f"{mem}/a")
    assert not fs.lexists(f"{mem}/a")

    def refuse(self, key):
        raise Forbidden("no")

    monkeypatch.setattr(MemoryProvider, "head", refuse)
    for verb in (fs.exists, fs.isfile, fs.isdir, fs.lexists):
        with pytest.raises(Forbidden):
            verb(f"{mem}/a")


def test_cat_of_several(fs, base):
    files = {f"{base}/d/a": b"1", f"{base}/d/e/b": b"2"}
    fs.pipe(files)
    assert fs.cat(list(files)) == files
    assert fs.cat(f"{base}/d", recursive=True) == files
    assert fs.cat(f"{base}/**") == files
    missing = f"{base}/d/missing"
    with pytest.raises(NotFound):
        fs.cat([*files, missing])
    assert fs.cat([*files, missing], on_error="omit") == files
    assert isinstance(fs.cat([*files, missing], on_error="return")[missing], NotFound)


# file objects


def test_a_reader_is_a_file(fs, file):
    with fs.open(file) as f:
        assert (f.size, f.mode, f.path, f.fs) == (len(DATA), "rb", file, fs)
        assert f.readable()
        assert f.seekable()
        assert not f.writable()
        assert f.info() == f.details == fs.info(file)
        assert f.read(3) == DATA[:3]
        assert f.tell() == f.loc == 3
        assert f.seek(-4, 2) == len(DATA) - 4
        assert f.read() == DATA[-4:]
        assert f.read() == b""
        f.seek(10)
        buffer = bytearray(7)
        assert f.readinto(buffer) == 7
        assert bytes(buffer) == DATA[10:17]
    assert f.closed
    with pytest.raises(ValueError, match="closed"):
        f.read()


@pytest.mark.parametrize("compression", ["gzip", "bz2", "xz", "infer"])
def test_compression(fs, base, compression):
    path = f"{base}/a.txt.gz"
    with fs.open(path, "wt", compression=compression) as f:
        f.write("line\n" * 1000)
    assert fs.size(path) < 1000
    with fs.open(path, "rt", compression=compression) as f:
        assert f.read() == "line\n" * 1000
    with fsspec.open(f"ds://{path}", "wb", compression=compression) as f:
        f.write(b"again")
    with fsspec.open(f"ds://{path}", "rb", compression=compression) as f:
        assert f.read() == b"again"


@pytest.mark.parametrize("mode", ["r+b", "w+b", "rb+"])
def test_modes_that_an_object_cannot_have(fs, file, mode):
    with pytest.raises(UnsupportedOperation, match="mode"):
        fs.open(file, mode)
    assert fs.cat_file(file) == DATA


def test_an_open_reader_keeps_its_version(fs, base):
    path = f"{base}/a.bin"
    fs.pipe_file(path, b"a" * 300_000)
    with fs.open(path) as f:
        f.read(1)
        fs.pipe_file(path, b"b" * 300_000)
        assert f.read() == b"a" * 299_999


def test_an_open_reader_travels_with_its_position_and_version(fs, base):
    path = f"{base}/a.bin"
    fs.pipe_file(path, DATA)
    with fs.open(path) as f:
        f.seek(100)
        pickled = pickle.dumps(f)
    with pickle.loads(pickled) as again:
        assert again.tell() == 100
        assert again.read(5) == DATA[100:105]
    fs.pipe_file(path, b"other")
    with pytest.raises(HeadMoved):
        pickle.loads(pickled)
    fs.rm(path)
    with pytest.raises(HeadMoved):
        pickle.loads(pickled)


# readers that cannot seek


def test_a_stream_that_is_followed_is_read_once(streaming):
    with DatastoreFileSystem().open(streaming) as f:
        assert f.read(10) == DATA[:10]
        assert f.read() == DATA[10:]
    assert _Streaming.reads == 1


@given(st.lists(st.tuples(st.integers(0, len(DATA) + 50), st.integers(0, 3000)), max_size=8))
def test_a_stream_can_be_read_anywhere(steps):
    from datastore.providers.memory import MemoryProvider

    provider = _Streaming(MemoryProvider())
    provider.put("a", DATA)
    with RangedReader(provider, provider.read("a"), "a") as reader:
        for position, size in steps:
            reader.seek(position)
            with io.BytesIO(DATA) as wanted:
                wanted.seek(position)
                assert reader.read(size) == wanted.read(size)


def test_a_stream_never_mixes_versions(streaming):
    fs = DatastoreFileSystem()
    with fs.open(streaming) as f:
        f.seek(5000)
        assert f.read(10) == DATA[5000:5010]
        fs.pipe_file(streaming, DATA[::-1])
        f.seek(0)
        with pytest.raises(HeadMoved):
            f.raw.read(10)


def test_parquet_over_a_stream(wrapped, mem):
    import pandas as pd

    wrapped(_Streaming)
    frame = pd.DataFrame({"a": range(1000), "b": list("xy") * 500})
    frame.to_parquet(f"ds://{mem}/a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(f"ds://{mem}/a.parquet"), frame)


# ranges


def test_ranges_of_several_objects(fs, base):
    a, b, missing = f"{base}/a", f"{base}/b", f"{base}/missing"
    fs.pipe({a: DATA, b: DATA[::-1]})
    found = fs.cat_ranges([a, b, a, a, missing, a], [0, 5, 100, -7, 0, 4], [10, 9, 120, None, 5, 2])
    assert found[:4] == [DATA[:10], DATA[::-1][5:9], DATA[100:120], DATA[-7:]]
    assert isinstance(found[4], NotFound)
    assert found[5] == b""
    with pytest.raises(NotFound):
        fs.cat_ranges([a, missing], 0, 5, on_error="raise")
    assert fs.cat_ranges([], [], []) == []
    assert fs.cat_ranges([a, a], np.array([0, 3]), (2, 5)) == [DATA[:2], DATA[3:5]]


def test_ranges_that_lie_near_are_one_read(fs, mem, counts):
    path = f"{mem}/a"
    fs.pipe_file(path, DATA)
    counts.clear()
    assert fs.cat_ranges([path] * 3, [0, 50, 200], [10, 60, 210]) == [DATA[0:10], DATA[50:60], DATA[200:210]]
    assert counts == {"read": 1}
    counts.clear()
    assert fs.cat_ranges([path] * 3, [0, 50, 200], [10, 60, 210], max_gap=40) == [
        DATA[0:10],
        DATA[50:60],
        DATA[200:210],
    ]
    assert counts["read"] == 2


def test_ranges_of_one_object_are_of_one_version(fs, mem, monkeypatch):
    from datastore.providers.memory import MemoryProvider

    path, original = f"{mem}/a", MemoryProvider.read
    fs.pipe_file(path, DATA)

    def read_then_change(self, key, **options):
        found = original(self, key, **options)
        self.put("a", DATA[::-1])
        return found

    monkeypatch.setattr(MemoryProvider, "read", read_then_change)
    first, second = fs.cat_ranges([path] * 2, [0, 5000], [10, 5010], max_gap=0)
    assert first == DATA[:10]
    assert isinstance(second, HeadMoved)


_bound = st.one_of(st.none(), st.integers(-60, 60))


@given(st.lists(st.tuples(st.sampled_from("ab"), _bound, _bound)), st.integers(0, 20))
def test_every_plan_gives_the_slices_of_python(wanted, gap):
    from datastore.fs.ranges import Ranges

    data = bytes(range(50))
    paths, starts, stops = [w[0] for w in wanted], [w[1] for w in wanted], [w[2] for w in wanted]
    blocks = plan_ranges(paths, starts, stops, max_gap=gap)
    read = [data[slice(*block.range.bounds(len(data)))] for block in blocks]
    ranges = Ranges(blocks, starts=starts, stops=stops, places={}, versions={})
    assert ranges.cut(read, on_error="raise") == [data[start:stop] for _, start, stop in wanted]
    assert len(blocks) <= len(wanted)


# threads


def test_network_providers_are_asked_in_parallel(wrapped, mem):
    together = threading.Barrier(4, timeout=20)

    class Slow(Wrapper):
        @property
        def capabilities(self):
            import msgspec

            return msgspec.structs.replace(super().capabilities, local=False)

        def read(self, key, **options):
            together.wait()
            return super().read(key, **options)

    wrapped(Slow)
    fs = DatastoreFileSystem()
    files = {f"{mem}/{n}": b"%d" % n for n in range(4)}
    fs.pipe(files)
    assert fs.cat(list(files)) == files  # would wait for ever, one by one


def test_threads_share_one_instance(fs, base):
    path = f"{base}/a.bin"
    fs.pipe_file(path, DATA)
    found, instances = [], set()

    def read():
        mine = fsspec.filesystem("ds")
        instances.add(id(mine))
        found.append(mine.cat_file(path))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [DATA] * 8
    assert instances == {id(fs)}
