"""What calls on the embedded store cost: questions to the index, files opened and looked at; and nothing is stale."""

import errno
import os
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import fsspec
import pandas as pd
import pytest

import datastore as ds
from datastore.embedded.database import Database
from datastore.errors import IntegrityError, NotFound
from datastore.namespace import current

SMALL = {f"many/{number:04}.bin": b"object %d" % number for number in range(1000)}


@pytest.fixture
def cost(monkeypatch):
    """Count in a block: statements and transactions of the index, files opened and looked at in the store."""
    counts = Counter()

    def traced(statement):
        word = statement.split(maxsplit=1)[0]
        counts["transactions"] += statement == "BEGIN IMMEDIATE"
        counts["statements"] += word in {"SELECT", "INSERT", "UPDATE", "DELETE"}

    original = Database._connect

    def connect(self, mode):
        connection = original(self, mode)
        connection.set_trace_callback(traced)
        return connection

    monkeypatch.setattr(Database, "_connect", connect)
    store = os.environ["DATASTORE_STORE"]
    for verb in ("open", "stat"):
        monkeypatch.setattr(os, verb, _counted(getattr(os, verb), verb, store, counts))

    @contextmanager
    def block():
        counts.clear()
        yield counts
        for name in [name for name, count in counts.items() if not count]:
            del counts[name]

    return block


def _counted(call, name, store, counts):
    def counted(path, *args, **kwargs):
        counts[name] += isinstance(path, str | os.PathLike) and os.fspath(path).startswith(store)
        return call(path, *args, **kwargs)

    return counted


@pytest.fixture
def filled(cost, fs, repo):
    """A repo with an object in a file, others in a pack, all committed; the path of the commit."""
    fs.pipe({f"garments@main/{key}": data for key, data in SMALL.items()})
    fs.pipe_file("garments@main/one", b"one")
    return f"garments@{repo.branch('main').commit('all').id}"


def _opened(fs, path):
    with fs.open(path) as file:
        return file.read()


@pytest.mark.parametrize("changed", [False, True])
def test_a_call_on_a_branch_asks_the_index_once(cost, fs, filled, changed):
    if changed:
        fs.pipe_file("garments@main/one", b"new")
    verbs = {
        "info": (lambda: fs.info("garments@main/one"), {"statements": 1, "stat": 1}),
        "exists": (lambda: fs.exists("garments@main/one"), {"statements": 1, "stat": 1}),
        "isfile": (lambda: fs.isfile("garments@main/one"), {"statements": 1, "stat": 1}),
        "cat_file": (lambda: fs.cat_file("garments@main/one"), {"statements": 1, "stat": 1, "open": 1}),
        "open": (lambda: _opened(fs, "garments@main/one"), {"statements": 1, "stat": 1, "open": 1}),
    }
    for verb, (call, expected) in verbs.items():
        call()
        with cost() as counted:
            call()
        assert (verb, counted) == (verb, expected)


def test_a_call_on_a_commit_asks_nobody_about_what_was_seen(cost, fs, filled):
    fs.cat(f"{filled}/many", recursive=True)
    verbs = {
        "info": (lambda: fs.info(f"{filled}/one"), {}),
        "exists": (lambda: fs.exists(f"{filled}/one"), {}),
        "isfile": (lambda: fs.isfile(f"{filled}/one"), {}),
        "open": (lambda: _opened(fs, f"{filled}/one"), {}),
        "cat_file": (lambda: fs.cat_file(f"{filled}/one"), {"open": 1}),
        "cat_file of a pack": (lambda: fs.cat_file(f"{filled}/many/0500.bin"), {}),
    }
    for verb, (call, expected) in verbs.items():
        call()
        with cost() as counted:
            call()
        assert (verb, counted) == (verb, expected)


def test_a_url_is_resolved_once(cost, fs, filled):
    url = "ds://garments@main/one"
    fsspec.open(url).open().read()
    with cost() as counted:
        assert fsspec.open(url).open().read() == b"one"
    assert counted["statements"] == 5  # whether it is dirty, its head (3), what the key leads to
    frame = pd.DataFrame({"a": [1, 2]})
    frame.to_parquet("ds://garments@main/t.parquet")
    pd.read_parquet("ds://garments@main/t.parquet")
    with cost() as counted:
        pd.testing.assert_frame_equal(pd.read_parquet("ds://garments@main/t.parquet"), frame)
    assert counted["statements"] <= 8


@pytest.mark.parametrize("changed", [False, True])
def test_many_at_once_cost_a_few_questions(cost, fs, filled, changed, tmp_path):
    if changed:
        fs.pipe({f"garments@main/{key}": b"new" for key in list(SMALL)[:10]})
    expected = {f"garments@main/{key}": data for key, data in SMALL.items()}
    expected |= {f"garments@main/{key}": b"new" for key in list(SMALL)[: 10 * changed]}
    fs.cat(list(expected))
    with cost() as counted:
        assert fs.cat(list(expected)) == expected
    assert counted["statements"] <= 10
    assert counted["open"] <= 1 + 10 * changed  # each new object is in a file
    with cost() as counted:
        fs.get("garments@main/many", str(tmp_path / "out"), recursive=True)
    assert counted["statements"] <= 14
    found = {f"garments@main/many/{path.name}": path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == expected


def test_an_upload_or_a_copy_of_many_is_a_few_transactions(cost, fs, repo, mem, tmp_path):
    fs.pipe({f"{mem}/{key}": data for key, data in SMALL.items()}, content_type="image/png")
    with cost() as counted:
        fs.copy(f"{mem}/many", "garments@main/copied", recursive=True)
    assert counted["transactions"] <= 8
    assert len(list((Path(os.environ["DATASTORE_STORE"]) / "packs").glob("*.pack"))) == 1
    assert fs.cat("garments@main/copied", recursive=True) == {
        f"garments@main/copied/{key.removeprefix('many/')}": data for key, data in SMALL.items()
    }
    assert fs.info("garments@main/copied/0001.bin")["content_type"] == "image/png"
    fs.get("garments@main/copied", str(tmp_path / "out"), recursive=True)
    with cost() as counted:
        fs.put(str(tmp_path / "out"), "garments@main/put", recursive=True)
    assert counted["transactions"] <= 8


def test_what_goes_during_a_copy_is_left_out_and_the_rest_comes(fs, repo, mem, monkeypatch):
    fs.pipe({f"{mem}/many/{number}": b"%d" % number for number in range(10)})
    provider = type(current().target(f"{mem}/x").provider)
    original = provider.read

    def read(self, key, **options):
        if key == "many/5":
            self.delete(["many/5"])
        if key == "many/7" and not done:
            done.append(key)
            self.put("many/7", b"another")
        return original(self, key, **options)

    done = []
    monkeypatch.setattr(provider, "read", read)
    fs.copy(f"{mem}/many", "garments@main/many", recursive=True)
    expected = {f"garments@main/many/{number}": b"%d" % number for number in range(10) if number != 5}
    assert fs.cat("garments@main/many", recursive=True) == expected | {"garments@main/many/7": b"another"}


def elsewhere(script):
    """Run some lines in another process, on the same store."""
    lines = "import os, fsspec, datastore as ds\nfs = fsspec.filesystem('ds')\n"
    subprocess.run([sys.executable, "-c", lines + script], check=True, timeout=60)


def _seen(fs):
    """What each way of looking sees of one object."""
    path = "garments@main/one"
    ways = [
        lambda: fs.cat_file(path),
        lambda: _opened(fs, path),
        lambda: fs.cat([path, "garments@main/two"])[path],
        lambda: fsspec.open(f"ds://{path}").open().read(),
    ]
    return {way() for way in ways}, fs.info(path)["size"]


def test_what_another_process_does_is_seen_at_once(fs, repo):
    fs.pipe({"garments@main/one": b"one", "garments@main/two": b"two"})
    assert _seen(fs) == ({b"one"}, 3)
    elsewhere("fs.pipe_file('garments@main/one', b'newer')")
    assert _seen(fs) == ({b"newer"}, 5)
    elsewhere("ds.repo('garments').branch('main').commit('c')")
    assert _seen(fs) == ({b"newer"}, 5)
    elsewhere("fs.pipe_file('garments@main/one', b'last one'); ds.repo('garments').branch('main').commit('d')")
    elsewhere(
        "from datetime import timedelta; from datastore.namespace import current\n"
        "current().store.collect(grace=timedelta(0))"
    )
    assert _seen(fs) == ({b"last one"}, 8)
    elsewhere(
        "import pathlib; from datastore.namespace import current\n"
        "current().close(); [p.unlink() for p in pathlib.Path(os.environ['DATASTORE_STORE']).glob('meta.db*')]\n"
        "current().store.repair()"
    )
    assert _seen(fs) == ({b"last one"}, 8)


def test_a_branch_or_repo_that_is_made_again_is_another_one(fs, repo):
    repo.create_branch("work")
    fs.pipe_file("garments@work/one", b"one")
    fs.pipe_file("garments@main/one", b"one")
    assert fs.cat_file("garments@work/one") == b"one"
    elsewhere("ds.repo('garments').delete_branch('work')")
    assert not fs.exists("garments@work/one")
    elsewhere("ds.repo('garments').create_branch('work'); fs.pipe_file('garments@work/one', b'again')")
    assert fs.cat_file("garments@work/one") == b"again"

    elsewhere("ds.delete_repo('garments')")
    for look in (fs.info, fs.cat_file, fs.open, lambda path: fsspec.open(f"ds://{path}")):
        with pytest.raises(NotFound):
            look("garments@main/one")
    assert not fs.exists("garments@main/one")
    with pytest.raises(NotFound):
        ds.repo("garments")
    elsewhere("ds.create_repo('garments'); fs.pipe_file('garments@main/one', b'new repo')")
    assert fs.cat_file("garments@main/one") == b"new repo"
    elsewhere("ds.delete_repo('garments')")
    ds.mount("garments", "memory", name="instead")
    fs.pipe_file("garments/one", b"in memory")
    assert fs.cat_file("garments/one") == b"in memory"


def test_a_store_that_is_gone_is_nothing(fs, repo):
    fs.pipe_file("garments@main/one", b"one")
    assert fs.exists("garments@main/one")
    shutil.rmtree(os.environ["DATASTORE_STORE"])
    assert not fs.exists("garments@main/one")
    with pytest.raises(NotFound):
        fs.cat_file("garments@main/one")


def test_many_are_of_one_moment_and_what_was_collected_meanwhile_is_read_as_it_is(fs, repo):
    fs.pipe({f"garments@main/{number}": b"old %d" % number for number in range(100)})
    readers = current().target("garments@main/").provider.read_many([str(number) for number in range(100)])
    with next(readers) as reader:
        assert reader.read() == b"old 0"
    fs.pipe_file("garments@main/1", b"new")
    with next(readers) as reader:
        assert reader.read() == b"old 1"
    fs.pipe({f"garments@main/{number}": b"new %d" % number for number in range(2, 100)})
    current().store.collect(grace=timedelta(0))
    assert {next(readers).read() for _ in range(10)} <= {
        text % number for number in range(2, 12) for text in (b"old %d", b"new %d")
    }
    fs.rm("garments@main/50")
    assert [reader.read() for reader in readers if reader is not None][-1] == b"new 99"


@pytest.mark.parametrize("failure", [errno.EXDEV, errno.EOPNOTSUPP, None])
@pytest.mark.skipif(not hasattr(os, "copy_file_range"), reason="no such call here")
def test_a_large_object_arrives_whole_where_the_kernel_stops_copying(fs, repo, tmp_path, monkeypatch, failure):
    data = os.urandom(40 << 20)
    fs.pipe_file("garments@main/large", data)
    original, calls = os.copy_file_range, []

    def copy(*args):
        calls.append(args)
        if len(calls) == 2:
            if failure is None:
                return 0
            raise OSError(failure, os.strerror(failure))
        return original(*args)

    monkeypatch.setattr(os, "copy_file_range", copy)
    fs.get_file("garments@main/large", str(tmp_path / "large"))
    assert len(calls) == 2
    assert (tmp_path / "large").read_bytes() == data


@pytest.mark.skipif(not hasattr(os, "copy_file_range"), reason="no such call here")
def test_a_full_disk_or_a_cut_blob_leaves_no_file(fs, repo, tmp_path, monkeypatch):
    fs.pipe_file("garments@main/large", os.urandom(2 << 20))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="space"):
        patch.setattr(os, "copy_file_range", full)
        fs.get_file("garments@main/large", str(tmp_path / "large"))

    def cut(*_):
        blob = next(path for path in Path(os.environ["DATASTORE_STORE"], "blobs").rglob("*") if path.is_file())
        blob.chmod(0o644)
        os.truncate(blob, 1 << 20)
        return 0

    monkeypatch.setattr(os, "copy_file_range", cut)
    with pytest.raises(IntegrityError):
        fs.get_file("garments@main/large", str(tmp_path / "large"))
    assert list(tmp_path.iterdir()) == []
