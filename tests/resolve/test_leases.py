"""What processes say that they use: by a line of a list until they end, by a file for a block."""

import errno
import os
import time
from pathlib import Path

import pytest

import datastore as ds
from datastore.cachestore.layout import CacheFolder
from datastore.cachestore.leases import Leases
from datastore.errors import Unavailable
from datastore.namespace import current
from datastore.resolution import store_of
from datastore.testing.store_children import Child
from tests.resolve.helpers import evicting, leaks

_DAY = 86400


def names(count, *, first=0):
    return [f"files-{number:064x}" for number in range(first, first + count)]


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def leases(cache):
    return Leases(CacheFolder(cache))


def own(cache):
    """The folder of this process, which is the only one."""
    (folder,) = (cache / "leases").iterdir()
    return folder


def test_many_paths_of_one_process_are_one_file_that_goes_with_it(main, place):
    main.objects.put_many([(f"{n}.bin", b"%d" % n, None) for n in range(50)])

    def work(say):
        for n in range(50):
            ds.resolve(main / f"{n}.bin")
        say(str(len(list(own(place / "cache").iterdir()))))
        time.sleep(60)

    child = Child(work)
    assert child.next_line() == "1"
    ds.cache.trim(0)
    assert sum(entry.in_use for entry in ds.cache.ls()) == 50
    child.kill()
    child.lines()
    ds.cache.trim(0)
    assert ds.cache.ls() == []
    assert list((place / "cache" / "leases").iterdir()) == []


@pytest.mark.parametrize("seconds", [20 if os.environ.get("DATASTORE_STRESS") else 3])
def test_s12_an_evictor_beside_processes_that_end_never_takes_a_path_of_one_that_lives(main, seconds):
    bodies = {f"{n}.bin": os.urandom(100_000) for n in range(6)}
    for key, body in bodies.items():
        main.objects.put(key, body)
    end = time.monotonic() + seconds

    def life(first):
        """Hold more and more, all of it to the end, which comes without a word."""
        held = {}
        for turn in range(4):
            key = f"{(first + turn) % 6}.bin"
            held[key] = ds.resolve(main / key)
            assert all(path.read_bytes() == bodies[key] for key, path in held.items())
            time.sleep(0.002)
        assert all(path.read_bytes() == bodies[key] for key, path in held.items())

    def lives(number):
        def work(say):
            turn = number
            while time.monotonic() < end:
                turn += 1
                lines, status = Child(lambda _, turn=turn: life(turn)).lines()
                assert status == 0, lines
            say(f"{turn - number} lives")

        return work

    children = [*(Child(lives(n)) for n in range(4)), evicting(end), evicting(end)]
    ends = [child.lines() for child in children]
    assert [status for _, status in ends] == [0] * 6, ends
    assert sum(int(lines[0].split()[1]) for lines, _ in ends[4:]) > 100_000, ends
    ds.cache.trim(0)
    assert ds.cache.ls() == []
    assert leaks(ds.cache.path) == []


@pytest.mark.parametrize("until", ["the end of the process", "the end of a block"])
def test_whoever_begins_to_use_what_is_being_removed_is_seen_or_waits(leases, cache, monkeypatch, until):
    entry, other = names(1)[0], Leases(CacheFolder(cache))
    looked, listdir = [], os.listdir

    def look(path):
        """The user looks for removers: by now, whoever begins to remove sees the user."""
        looked.append(path)
        monkeypatch.undo()
        with other.doomed(entry) as used:
            assert used is None
            assert [name.partition(".")[0] for name in listdir(path)] == [entry]
        return listdir(path)

    monkeypatch.setattr(os, "listdir", look)
    if until == "the end of a block":
        with leases.taken(entry):
            assert looked == [str(cache / "doomed") + os.sep]
    else:
        leases.take(entry)
        assert looked == [str(cache / "doomed") + os.sep]


class Waits(Exception):
    """Somebody waits."""


def test_of_two_that_remove_the_same_the_last_one_is_waited_for(leases, cache, monkeypatch):
    entry, *others = names(2)
    one, other = (Leases(CacheFolder(cache)) for _ in range(2))

    def waits(seconds):
        raise Waits

    monkeypatch.setattr(time, "sleep", waits)
    with one.doomed(entry) as used:
        assert used == set()
        with other.doomed(entry) as same:
            assert same == set()
        with pytest.raises(Waits):
            leases.take(entry)
        leases.take(others[0])
    Leases(CacheFolder(cache)).take(entry)
    assert list((cache / "doomed").iterdir()) == []


def test_a_remover_that_died_is_in_nobodys_way(leases, cache):
    def work(say):
        with leases.doomed(names(1)[0]), leases.doomed(names(1, first=1)[0]):
            say("removing")
            time.sleep(60)

    child = Child(work)
    assert child.next_line() == "removing"
    child.kill()
    child.lines()
    leases.take(names(1)[0])
    assert len(list((cache / "doomed").iterdir())) == 1
    leases.sweep()
    assert list((cache / "doomed").iterdir()) == []


def test_what_cannot_be_said_to_go_stays(main, monkeypatch):
    main.objects.put("a.bin", b"a")
    with ds.resolving(main / "a.bin") as path:
        pass
    original = os.open

    def full(path, flags, *args, **kwargs):
        if f"{os.sep}doomed{os.sep}" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(path, flags, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        assert ds.cache.trim(0) == 0
        assert path.exists()
    assert ds.cache.trim(0) == 1


@pytest.mark.parametrize("written", [0, 20, 66])
def test_a_line_that_a_full_disk_cuts_is_said_otherwise_and_spoils_no_other(leases, cache, monkeypatch, written):
    before, cut, after = names(3)
    leases.take(before)
    write = os.write

    def full(fd, data):
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[:written])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        leases.take(cut)
    leases.take(after)
    assert leases.used() >= {before, cut, after}
    with leases.taken(cut):
        pass
    assert cut in leases.used()  # until this process ends, and not only for the block
    assert cut in {path.name for path in own(cache).iterdir()}


def test_where_nothing_can_be_said_nothing_is_given(main, monkeypatch):
    main.objects.put("a.bin", b"a")
    ds.resolve(main / "a.bin")
    store_of(current()).leases._declared.clear()
    original = os.open

    def full(path, flags, *args, **kwargs):
        if f"{os.sep}leases{os.sep}" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(path, flags, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        with pytest.raises(Unavailable):
            ds.resolve(main / "a.bin")
    assert ds.resolve(main / "a.bin").read_bytes() == b"a"


def elsewhere(cache):
    """Let what this process says look like what another machine says; return the folder."""
    mine = own(cache)
    pid, ticks, space, boot, token = mine.name.split("-")
    return mine.rename(mine.with_name(f"{pid}-{ticks}-{space}-{'0' * len(boot)}-{token}"))


def older(path, days):
    then = time.time() - days * _DAY
    os.utime(path, (then, then))


def test_what_another_machine_uses_is_safe_for_a_day_after_it_said_so_last(leases, cache):
    used = set(names(2))
    for name in used:
        leases.take(name)
    theirs, here = elsewhere(cache), Leases(CacheFolder(cache))
    older(theirs, 3)  # which nothing was added to since its list was begun
    older(theirs / "list", 0.9)
    assert here.used() == used
    older(theirs / "list", 1.1)
    assert here.used() == set()
    assert not theirs.exists()


def test_a_process_that_was_taken_for_ended_says_all_again(leases, cache):
    for name in names(3):
        leases.take(name)
    for path in own(cache).iterdir():
        path.unlink()
    own(cache).rmdir()
    leases.take(names(1, first=3)[0])
    assert leases.used() == set(names(4))


def test_what_is_needed_is_in_use_as_long_as_it_is(leases):
    digests = [f"sha256:{number:064x}" for number in range(3)]
    with leases.needing(digests):
        assert leases.used() == {f"objects-{digest[7:]}" for digest in digests}
    assert leases.used() == set()


def test_a_forked_child_says_for_itself_what_it_uses(leases, cache):
    leases.take(names(1)[0])

    def work(say):
        leases.take(names(1, first=1)[0])
        say("taken")
        time.sleep(60)

    child = Child(work)
    assert child.next_line() == "taken"
    assert leases.used() == set(names(2))
    child.kill()
    child.lines()
    assert leases.used() == set(names(1))
    assert len(list((cache / "leases").iterdir())) == 1


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be two users")
def test_members_of_a_group_see_what_others_use_whatever_their_umask(cache):
    cache.mkdir()
    os.chown(cache, 0, 4242)
    cache.chmod(0o2775)
    for folder in cache.parents:
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)

    def member(uid, *taken):
        def work(say):
            os.umask(0o077)
            os.setgroups([4242])
            os.setgid(4242)
            os.setuid(uid)
            mine = Leases(CacheFolder(Path(cache)))
            for name in taken:
                mine.take(name)
            say(" ".join(sorted(mine.used())))
            time.sleep(60)

        return work

    first = Child(member(4301, *names(2)))
    assert first.next_line().split() == names(2)
    second = Child(member(4302))
    assert second.next_line().split() == names(2)
    for child in (first, second):
        child.kill()
        child.lines()
