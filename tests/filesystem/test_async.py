"""Asynchronous use: inside a running loop, as zarr does it, and mixed with synchronous calls."""

import asyncio
import threading

import fsspec
import pytest

from datastore.errors import NotFound
from datastore.fs.system import DatastoreFileSystem
from datastore.threads import fan_out, in_thread

DATA = bytes(range(256)) * 4


@pytest.fixture
def afs():
    return DatastoreFileSystem(asynchronous=True)


def test_every_coroutine_does_what_the_verb_does(afs, base, tmp_path):
    a, b, folder = f"{base}/d/a", f"{base}/d/e/b", f"{base}/d"

    async def work():
        await afs._pipe({a: DATA, b: b"2"})
        assert await afs._cat_file(a, start=-5) == DATA[-5:]
        assert await afs._cat_file(a, start=3, end=9) == DATA[3:9]
        assert await afs._cat(a) == DATA
        assert await afs._cat([a, b]) == {a: DATA, b: b"2"}
        assert await afs._cat(folder, recursive=True) == {a: DATA, b: b"2"}
        assert await afs._cat([a, f"{base}/x"], on_error="omit") == {a: DATA}
        with pytest.raises(NotFound):
            await afs._cat([a, f"{base}/x"])
        found = await afs._cat_ranges([a, a, b, f"{base}/x"], [0, -4, 0, 0], [4, None, 1, 1])
        assert found[:3] == [DATA[:4], DATA[-4:], b"2"]
        assert isinstance(found[3], NotFound)
        assert await afs._info(a) == afs.info(a)
        assert await afs._size(a) == len(DATA)
        assert await afs._ls(folder, detail=False) == [a, f"{folder}/e"]
        assert await afs._find(folder) == [a, b]
        assert await afs._glob(f"{folder}/*/b") == [b]
        assert await afs._glob(f"{folder}/**") == [folder, a, f"{folder}/e", b]
        assert [path async for path, _, _ in afs._walk(folder)] == [folder, f"{folder}/e"]
        assert await afs._du(folder) == len(DATA) + 1
        assert await afs._exists(a)
        assert await afs._isfile(a)
        assert await afs._isdir(folder)
        assert not await afs._exists(f"{base}/x")
        await afs._get(folder, str(tmp_path / "out"), recursive=True)
        assert (tmp_path / "out" / "e" / "b").read_bytes() == b"2"
        await afs._put(str(tmp_path / "out"), f"{base}/up", recursive=True)
        await afs._copy(folder, f"{base}/copy", recursive=True)
        await afs._mv_file(f"{base}/copy/a", f"{base}/moved")
        await afs._mkdir(f"{base}/new")
        await afs._makedirs(f"{base}/new", exist_ok=True)
        assert await afs._find(base) == [
            f"{base}/{name}" for name in ("copy/e/b", "d/a", "d/e/b", "moved", "up/a", "up/e/b")
        ]
        with pytest.raises(FileExistsError):
            await afs._pipe_file(a, b"", mode="create")
        await afs._rm_file(a)
        await afs._rm([folder, f"{base}/up", f"{base}/copy"], recursive=True)
        assert await afs._find(base) == [f"{base}/moved"]

    asyncio.run(work())


def test_synchronous_verbs_inside_a_running_loop(fs, afs, base):
    async def work():
        fs.pipe_file(f"{base}/a", DATA)
        assert afs.cat_file(f"{base}/a") == DATA
        assert fs.find(base) == afs.find(base) == [f"{base}/a"]
        with fs.open(f"{base}/a") as f:
            assert f.read() == DATA

    asyncio.run(work())


def test_many_at_once_and_again_in_another_loop(afs, mem):
    async def work():
        names = [f"{mem}/{n}" for n in range(300)]
        await asyncio.gather(*(afs._pipe_file(name, name.encode()) for name in names))
        found = await asyncio.gather(*(afs._cat_file(name) for name in names))
        assert found == [name.encode() for name in names]
        return threading.active_count()

    before = threading.active_count()
    assert asyncio.run(work()) <= before + 64
    asyncio.run(work())


def test_bulk_verbs_inside_threads_do_not_wait_for_each_other(afs, mem):
    async def work():
        files = {f"{mem}/{n}": b"%d" % n for n in range(5)}
        await afs._pipe(files)
        found = await asyncio.gather(*(in_thread(afs.cat, list(files)) for _ in range(200)))
        assert found == [files] * 200

    asyncio.run(work())


def test_fanning_out_inside_the_pool_goes_one_by_one():
    async def work():
        def outer(n):
            return list(fan_out(lambda m: n * m, range(3), local=False))

        return await asyncio.gather(*(in_thread(outer, n) for n in range(100)))

    assert asyncio.run(work()) == [[0, n, 2 * n] for n in range(100)]


def test_the_loop_is_started_when_it_is_needed_only(mem):
    import subprocess
    import sys

    program = (
        "import threading, fsspec; fs = fsspec.filesystem('ds'); fs.ls(''); fs.exists('none/x');"
        "print(threading.active_count()); print(fsspec.asyn.sync(fs.loop, fs._exists, ''))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "True"]


def test_a_mapping_over_us(fs, base):
    mapper = fsspec.get_mapper(f"ds://{base}/m")
    mapper["a/b"] = b"1"
    assert dict(mapper) == {"a/b": b"1"}
    assert "x" not in mapper
    del mapper["a/b"]
    assert list(mapper) == []


def test_a_directory_file_system_over_us(afs, fs, base):
    fs.pipe_file(f"{base}/d/a", b"1")
    below = fsspec.filesystem("dir", path=f"{base}/d", fs=fs)
    assert below.ls("", detail=False) == ["a"]
    assert below.cat_file("a") == b"1"

    async def work():
        inner = fsspec.filesystem("dir", path=f"{base}/d", fs=afs, asynchronous=True)
        assert await inner._cat_file("a") == b"1"

    asyncio.run(work())


def test_a_cache_in_front_of_us(base, fs, tmp_path):
    fs.pipe_file(f"{base}/a", b"1")
    with fsspec.open(f"simplecache::ds://{base}/a", simplecache={"cache_storage": str(tmp_path)}) as f:
        assert f.read() == b"1"
    with fsspec.open(
        f"filecache::ds://{base}/a", filecache={"cache_storage": str(tmp_path / "2"), "check_files": True}
    ) as f:
        assert f.read() == b"1"
    import zipfile

    with fs.open(f"{base}/z.zip", "wb") as f, zipfile.ZipFile(f, "w") as archive:
        archive.writestr("in.txt", "hello")
    with fsspec.open(f"zip://in.txt::ds://{base}/z.zip") as f:
        assert f.read() == b"hello"
