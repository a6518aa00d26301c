"""What may stay and what has to go: the limit, leases, kept entries, full disks."""

import contextlib
import errno
import os
import shutil
import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

import datastore as ds
from datastore.cachestore.layout import CacheFolder
from datastore.cachestore.leases import Leases
from datastore.cachestore.store import CacheStore
from datastore.errors import Forbidden, Unavailable
from datastore.namespace import current, reset_current
from datastore.resolution import store_of
from datastore.testing.store_children import Child
from tests.resolve.helpers import MIB, evicting, gets, leaks, tree


@pytest.fixture
def limit(monkeypatch):
    """Set the limit of the cache."""

    def limit(size):
        monkeypatch.setenv("DATASTORE__CACHE__SIZE", str(size))
        reset_current()

    return limit


def put(main, count, size=MIB):
    bodies = {f"{n}.bin": os.urandom(size) for n in range(count)}
    for key, body in bodies.items():
        main.objects.put(key, body)
    return bodies


def used_in_turn(main, keys):
    """Resolve one after the other, without staying in use."""
    paths = []
    for key in keys:
        with ds.resolving(main / key) as path:
            paths.append(path)
        time.sleep(0.01)
    return paths


def test_what_was_not_used_for_longest_goes_first(limit):
    limit("5 MiB")
    main = ds.create_repo("garments").branch("main")
    put(main, 8)
    paths = used_in_turn(main, [f"{n}.bin" for n in range(8)])
    assert not paths[0].exists()
    assert paths[7].exists()
    assert ds.cache.info().size <= 5 * MIB
    order = [path.exists() for path in paths]
    assert order == sorted(order)


def test_what_this_process_resolved_stays_and_an_error_names_the_sizes(limit):
    limit("3 MiB")
    main = ds.create_repo("garments").branch("main")
    put(main, 5)
    paths = [ds.resolve(main / f"{n}.bin") for n in range(2)]
    with pytest.raises(Unavailable, match=r"no room for 1\.0 MB.* limit of 3\.1 MB.*3\.1 MB in it"):
        [ds.resolve(main / f"{n}.bin") for n in range(2, 5)]
    assert all(path.exists() for path in paths)
    assert leaks(ds.cache.path) == []


def test_an_object_larger_than_the_limit_is_refused_before_a_byte_is_asked_for(cloud, monkeypatch):
    cloud.objects.put("bucket", "a.bin", bytes(3 * MIB))
    store = CacheStore(ds.cache.path, limit=2 * MIB)
    monkeypatch.setattr("datastore.resolution.store_of", lambda namespace: store)
    with pytest.raises(Unavailable, match="no room"):
        ds.resolve("ds://cloud/a.bin")
    assert gets(cloud) == []


def test_what_is_kept_stays_until_it_is_let_go(main):
    put(main, 3)
    keep = Child(lambda say: (ds.cache.keep(main / "0.bin"), used_in_turn(main, ["1.bin", "2.bin"])))
    assert keep.lines() == ([], 0)
    ds.cache.trim(0)
    assert [entry.kept for entry in ds.cache.ls()] == [True]
    let_go = Child(lambda say: ds.cache.keep(main / "0.bin", on=False))
    assert let_go.lines() == ([], 0)
    assert ds.cache.trim(0) == MIB
    assert ds.cache.ls() == []


def test_a_lease_lasts_as_long_as_its_process(main):
    put(main, 1)

    def work(say):
        path = ds.resolve(main / "0.bin")
        say(str(path))
        time.sleep(60)

    child = Child(work)
    path = Path(child.next_line())
    assert [(entry.in_use, entry.urls) for entry in ds.cache.ls()] == [(True, ("ds://garments@main/0.bin",))]
    assert ds.cache.trim(0) == 0
    assert path.exists()
    child.kill()
    child.lines()
    assert ds.cache.trim(0) == MIB
    assert not path.exists()
    assert list((ds.cache.path / "leases").iterdir()) == []


def test_a_block_is_over_and_the_room_is_free(main):
    put(main, 1)
    with ds.resolving(main / "0.bin") as path, ds.resolving(main / "0.bin") as same:
        assert path == same
        assert ds.cache.trim(0) == 0
    assert ds.cache.trim(0) == MIB
    ds.resolve(main / "0.bin")
    with ds.resolving(main / "0.bin"):
        pass
    assert ds.cache.trim(0) == 0  # this process has it still


def test_s27_clocks_do_not_end_leases(main, monkeypatch):
    put(main, 1)
    path = ds.resolve(main / "0.bin")
    now = time.time
    for ahead in (-86400, 366 * 86400):
        monkeypatch.setattr(time, "time", lambda ahead=ahead: now() + ahead)
        ds.cache.trim(0)
        ds.cache.prune(timedelta(0))
        assert path.exists()


@pytest.mark.parametrize("seconds", [20 if os.environ.get("DATASTORE_STRESS") else 3])
def test_s12_an_evictor_beside_readers_never_takes_a_file_that_is_leased(main, seconds):
    bodies = put(main, 4, size=100_000)
    main.objects.put_many([(f"d/{n}", b"%d" % n * 50, None) for n in range(20)])
    folder = {f"{n}": b"%d" % n * 50 for n in range(20)}
    end = time.monotonic() + seconds

    def read(number):
        def work(say):
            turn = number
            while time.monotonic() < end:
                turn += 1
                key = f"{turn % 4}.bin"
                with ds.resolving(main / key) as path:
                    assert path.read_bytes() == bodies[key]
                    time.sleep(0.002)
                    assert path.read_bytes() == bodies[key]
                if turn % 5 == 0:
                    with ds.resolving(main / "d/") as path:
                        assert tree(path) == folder
            say(f"{turn - number} turns")

        return work

    children = [*(Child(read(n)) for n in range(6)), evicting(end), evicting(end)]
    ends = [child.lines() for child in children]
    assert [status for _, status in ends] == [0] * 8, ends
    assert sum(int(lines[0].split()[1]) for lines, _ in ends[6:]) > 100_000, ends
    ds.cache.trim(100_000)
    assert ds.cache.info().size <= 100_000
    assert leaks(ds.cache.path) == []


def test_prune_removes_what_nobody_used_and_what_was_left(main, place):
    put(main, 2)
    used_in_turn(main, ["0.bin", "1.bin"])
    (place / "cache" / "tmp").mkdir(exist_ok=True)
    (place / "cache" / "tmp" / f"999999-1-{'0' * 10}-{'0' * 16}-ab").write_bytes(bytes(1000))
    old = time.time() - 3 * 86400
    for entry in ds.cache.ls()[1:]:
        os.utime(entry.path.parents[1], (old, old))
    os.utime(next((place / "cache" / "tmp").iterdir()), (old, old))
    assert ds.cache.prune(timedelta(days=2)) == MIB + 1000
    assert len(ds.cache.ls()) == 1
    assert ds.cache.prune(timedelta(0)) == MIB
    assert ds.cache.info().size == 0


def test_info_and_ls_tell_what_is_there(main, cloud):
    cloud.objects.put("bucket", "d/a.bin", bytes(1000))
    put(main, 1)
    ds.resolve("ds://cloud/d/")
    with ds.resolving(main / "0.bin"):
        pass
    info = ds.cache.info()
    noted = len(next((ds.cache.path / "trees").glob("*/*/manifest")).read_bytes())
    assert (info.entries, info.size, info.in_use, info.kept, info.pending) == (
        2,
        MIB + 1000 + noted,
        1000 + noted,
        0,
        0,
    )
    assert info.path == ds.cache.path
    shown = {entry.path.name: (entry.size, entry.urls) for entry in ds.cache.ls()}
    assert shown == {"d": (1000 + noted, ("ds://cloud/d/",)), "0.bin": (MIB, ("ds://garments@main/0.bin",))}


def test_the_estimate_of_what_is_there_follows_what_comes_and_goes(limit):
    limit("50 MiB")
    main = ds.create_repo("garments").branch("main")
    put(main, 4)
    used_in_turn(main, [f"{n}.bin" for n in range(4)])
    space = store_of(current()).space
    assert space.used() == ds.cache.info().size == 4 * MIB
    ds.cache.trim("2 MiB")
    assert space.used() == ds.cache.info().size == 2 * MIB


# disks


@pytest.fixture
def small_disk(place, monkeypatch):
    """A cache on a disk of 24 MiB."""
    folder = place / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={24 * MIB}", "tmpfs", folder]
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    done = subprocess.run(command, capture_output=True, text=True, check=False) if root else None
    if done is None or done.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    monkeypatch.setenv("DATASTORE_CACHE", str(folder / "cache"))
    reset_current()
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_s21_a_full_disk_makes_room_first_and_says_what_lacks_then(small_disk):
    main = ds.create_repo("garments").branch("main")
    bodies = put(main, 6, size=4 * MIB)
    used_in_turn(main, bodies)  # six do not fit: what is not in use makes room
    assert len(list((small_disk / "cache" / "objects").glob("*/*"))) < 6
    held = ds.resolve(main / "5.bin")
    rest = small_disk / "rest"
    with rest.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(MIB))
    with pytest.raises(Unavailable, match=r"no room for 4\.2 MB.*free"):
        ds.resolve(main / "0.bin")
    assert held.read_bytes() == bodies["5.bin"]
    assert leaks(small_disk / "cache") == []
    rest.unlink()
    assert ds.resolve(main / "0.bin").read_bytes() == bodies["0.bin"]


def test_s21_a_download_larger_than_the_disk_is_refused_before_a_byte_is_asked_for(small_disk, cloud_on):
    cloud_on.objects.put("bucket", "a.bin", bytes(30 * MIB))
    with pytest.raises(Unavailable, match="no room"):
        ds.resolve("ds://cloud/a.bin")
    assert gets(cloud_on) == []
    assert leaks(small_disk / "cache") == []


@pytest.fixture
def cloud_on(small_disk, request):
    return request.getfixturevalue("cloud")


def test_s30_a_cache_on_a_disk_that_is_only_read_gives_what_it_has_and_writes_nothing(small_disk, cloud_on):
    main = ds.create_repo("garments").branch("main")
    bodies = put(main, 2, size=MIB) | {"d/c.bin": b"c"}
    main.objects.put("d/c.bin", b"c")
    commit = main.commit("Two").id
    cloud_on.objects.put("bucket", "a.bin", b"cloud")
    cloud_on.objects.put("bucket", "b.bin", b"not resolved")
    roots = [f"ds://garments@{commit}", "ds://garments@main"]
    urls = [f"{root}/{key}" for root in roots for key in ("0.bin", "1.bin", "d/")] + ["ds://cloud/a.bin"]

    def work(say):
        for url in urls:
            path = ds.resolve(url)
            say(str(path))
            assert path.is_dir() or path.read_bytes() in {*bodies.values(), b"cloud"}
        with ds.resolving("ds://cloud/a.bin"), pytest.raises(Forbidden, match="Read-only"):
            ds.resolve("ds://cloud/b.bin")

    def before(say):
        for url in urls:
            say(str(ds.resolve(url)))

    first, _ = Child(before).lines()
    assert len(first) == len(urls)
    shutil.rmtree(small_disk / "cache" / "leases")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    try:
        assert Child(work).lines() == (first, 0)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)


@pytest.mark.parametrize("call", ["chmod", "replace", "link", "mkdir"])
def test_s02_a_disk_that_fails_at_any_step_publishes_nothing(main, monkeypatch, place, call):
    main.objects.put("d/a.bin", b"x" * 100)
    main.objects.put("d/b.bin", b"y" * 100)
    original = getattr(os, call)
    left = [0]

    def failing(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*args, **kwargs)

    for nth in range(1, 12):
        left[0] = nth
        with monkeypatch.context() as patched:
            patched.setattr(os, call, failing)
            with contextlib.suppress(Unavailable):
                assert tree(ds.resolve(main / "d/")) == {"a.bin": b"x" * 100, "b.bin": b"y" * 100}
        assert ds.cache.verify() == []
        assert tree(ds.resolve(main / "d/")) == {"a.bin": b"x" * 100, "b.bin": b"y" * 100}
        assert leaks(place / "cache") == []
        store_of(current()).leases._declared.clear()
        for kept in (place / "cache" / "leases").glob("*/*"):
            kept.unlink()
        ds.cache.prune(timedelta(0))


# shared by a group


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be two users")
def test_a_group_shares_a_cache_whatever_the_umask_of_its_members(main, place, monkeypatch):
    put(main, 2, size=1000)
    cache = place / "cache"
    cache.mkdir()
    os.chown(cache, 0, 4242)
    cache.chmod(0o2775)
    for folder in [place, *place.parents]:
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)

    def member(uid):
        def work(say):
            os.umask(0o077)
            os.setgroups([4242])
            os.setgid(4242)
            os.setuid(uid)
            store = store_of(current())
            digest = make(store, uid)
            say(str(digest))
            store.leases._mine()
            say(str(ds.cache.info().entries))

        return work

    def make(store, uid):
        from datastore.cachestore.store import Wanted
        from datastore.providers.memory import MemoryProvider

        provider = MemoryProvider()
        same, own = provider.put("same", b"s" * 100), provider.put("own", b"%d" % uid)
        paths = [
            Path(store.get_file(provider, Wanted(info.key, info), link="auto", take=store.leases.take)[0])
            for info in (same, own)
        ]
        assert [path.read_bytes() for path in paths] == [b"s" * 100, b"%d" % uid]
        return paths[0]

    first, second = Child(member(4301)).lines(), Child(member(4302)).lines()
    assert (first[1], second[1]) == (0, 0), (first, second)
    assert first[0][0] == second[0][0]
    assert second[0][1] == "3"


def test_threads_that_begin_at_once_say_in_one_place_what_they_use(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    for turn in range(20):
        cache = tmp_path / str(turn)
        leases = Leases(CacheFolder(cache))
        start = threading.Barrier(8)

        def use(number, leases=leases, start=start):
            start.wait()
            for _ in range(20):
                with leases.taken("files-a"):
                    assert "files-a" in leases.used()
            leases.take(f"files-{number % 2}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(use, range(8)))
        assert leases.used() == {"files-0", "files-1"}
        assert len(list((cache / "leases").iterdir())) == 1
