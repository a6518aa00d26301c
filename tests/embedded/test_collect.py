"""What `collect` removes and what it leaves, what it tells, and that it can be stopped anywhere."""

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
import time
import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from datastore.embedded.ballast import Ballast
from datastore.embedded.intents import Work
from datastore.embedded.store import EmbeddedStore
from datastore.errors import Forbidden, IntegrityError, NotFound, Unavailable
from datastore.processes import Process, is_gone, owner_of, scratch_name, this_process
from datastore.testing.versioning_tools import commit, contents, save
from datastore.values import Garbage
from tests.embedded.children import Child
from tests.embedded.promises import broken_promises

NOW = timedelta(0)
DAY = timedelta(days=1)


@pytest.fixture
def store(opened):
    made = opened()
    save(made.create_repo("garments"), "main", {"a.txt": b"a"})
    return made


@pytest.fixture
def repo(store):
    return store.repo("garments")


def bytes_of(folder):
    """Everything in a folder, but the memory that readers of SQLite share."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def objects(store):
    """The names of all blobs, nodes and commits on the disk."""
    return {path.name for name in ("blobs", "trees", "commits") for path in (store.path / name).rglob("?" * 64)}


def counts(found):
    return {(garbage.kind, garbage.reason.split()[0]): garbage.count for garbage in found}


def drop_a_branch(repo, objects=None):
    repo.create_branch("dropped", "main", hidden=True)
    made = save(repo, "dropped", objects or {"b.txt": b"b" * 1000})
    repo.delete_branch("dropped")
    return made.id


def make_old(store, seconds=10 * 86400):
    for name in ("blobs", "trees", "commits"):
        for path in (store.path / name).rglob("*"):
            os.utime(path, (time.time() - seconds,) * 2)


# what goes


def test_what_no_ref_leads_to_goes_and_the_rest_stays(store, repo):
    before = objects(store)
    repo.create_tag("v1", "main")
    drop_a_branch(repo)
    repo.at("main").put("never", b"n" * 500)
    repo.reset("main")
    found = store.collect(grace=NOW)
    assert not found.dry_run
    assert found.complete
    assert counts(found.removed) == {("blob", "no"): 2, ("commit", "no"): 1, ("tree", "no"): 1}
    [blobs] = [garbage for garbage in found.removed if garbage.kind == "blob"]
    assert blobs.bytes == 1500
    assert found.bytes == sum(garbage.bytes for garbage in found.removed) > 1500
    assert objects(store) == before
    assert contents(repo.at("v1")) == {"a.txt": b"a"}
    assert store.collect(grace=NOW).removed == ()


def test_uncommitted_changes_and_their_history_stay(store, repo):
    repo.at("main").put("new", b"new")
    repo.create_branch("x", "main")
    save(repo, "x", {"a.txt": b"b"})
    save(repo, "x", {"a.txt": b"c"})
    assert store.collect(grace=NOW).removed == ()
    assert contents(repo.at("main")) == {"a.txt": b"a", "new": b"new"}
    assert contents(repo.at("x~1")) == {"a.txt": b"b"}


def test_what_is_young_stays_with_all_that_it_needs(store, repo):
    dropped = drop_a_branch(repo)
    make_old(store)
    os.utime(store.path / "commits" / dropped)  # its node and blob are old: the commit holds them
    repo.at("main").put("never", b"n")
    repo.reset("main")
    found = store.collect()
    assert found.removed == ()
    assert counts(found.young) == {("blob", "no"): 1}
    repo.create_branch("again", dropped)
    assert contents(repo.at("again"))["b.txt"] == b"b" * 1000
    assert broken_promises(store) == []


def test_what_is_old_goes(store, repo):
    drop_a_branch(repo)
    make_old(store)
    assert counts(store.collect().removed) == {("blob", "no"): 1, ("commit", "no"): 1, ("tree", "no"): 1}


def test_a_clock_that_goes_wrong_removes_nothing_that_is_needed(store, repo, opened):
    repo.at("main").put("new", b"new")
    drop_a_branch(repo)
    past = opened(clock=lambda: (int(time.time()) - 86400 * 400) * 10**6)
    assert past.collect(grace=timedelta(hours=1)).removed == ()
    future = opened(clock=lambda: (int(time.time()) + 86400 * 400) * 10**6)
    assert counts(future.collect().removed) == {("blob", "no"): 1, ("commit", "no"): 1, ("tree", "no"): 1}
    assert contents(repo.at("main")) == {"a.txt": b"a", "new": b"new"}


def test_a_deleted_branch_can_be_brought_back_for_a_while(store, repo, opened):
    repo.create_branch("x", "main")
    save(repo, "x", {"b": b"b"})
    repo.at("x").put("c", b"c")
    repo.delete_branch("x")
    assert store.collect(grace=NOW).removed == ()
    repo.undelete_branch("x")
    assert contents(repo.at("x")) == {"a.txt": b"a", "b": b"b", "c": b"c"}
    repo.delete_branch("x")
    later = opened(clock=lambda: (int(time.time()) + 86400 * 31) * 10**6)
    found = later.collect(grace=NOW)
    assert counts(found.removed) == {("branch", "it"): 1, ("blob", "no"): 2, ("commit", "no"): 1, ("tree", "no"): 1}
    with pytest.raises(NotFound, match="deleted"):
        repo.undelete_branch("x")


def test_a_deleted_repo_goes_and_what_others_share_stays(store, repo):
    clothes = store.create_repo("clothes")
    save(clothes, "main", {"a.txt": b"a", "only-here": b"h"})
    store.delete_repo("clothes")
    found = store.collect(grace=NOW)
    assert counts(found.removed) == {("blob", "no"): 1, ("commit", "left"): 2, ("tree", "no"): 1}
    assert contents(repo.at("main")) == {"a.txt": b"a"}


def test_one_commit_in_two_repos_goes_when_both_have_dropped_it(store, repo):
    other = store.create_repo("clothes")
    dropped = drop_a_branch(repo)
    with repo.store.db.write(durable=False) as db:  # as an exchange of commits that keeps their ids would
        clothes = db.execute("SELECT id FROM repos WHERE name = 'clothes'").fetchone()[0]
        for commit_id in (dropped, repo.commit_of("main").id, repo.commit_of("main~1").id):
            query = "INSERT INTO commits SELECT ?, id, tree, generation, op_id, body FROM commits WHERE id = ?"
            db.execute(query, (clothes, commit_id))
    other.create_branch("here", dropped)
    store.collect(grace=NOW)
    assert contents(other.at("here")) == {"a.txt": b"a", "b.txt": b"b" * 1000}
    with pytest.raises(NotFound):
        repo.commit_of(dropped)
    other.delete_branch("here")
    store.collect(grace=NOW, keep_deleted=NOW)
    assert not (store.path / "commits" / dropped).exists()
    assert list(store.check()) == []


def test_files_that_no_row_names_go(store, repo):
    for folder, name in (("blobs/ab", "ab" + "0" * 62), ("trees", "0" * 64), ("commits", "f" * 64)):
        (store.path / folder).mkdir(exist_ok=True)
        (store.path / folder / name).write_bytes(b"left")
        (store.path / folder / "notes.txt").write_text("of a person")
    assert store.collect().removed == ()
    assert counts(store.collect(grace=NOW).removed) == {
        ("blob", "left"): 1,
        ("commit", "left"): 1,
        ("tree", "no"): 1,
    }
    assert len(list(store.path.rglob("notes.txt"))) == 3
    assert len(list(store.path.rglob("0" * 60 + "*"))) == 0


def test_a_row_without_a_file_is_no_problem_and_goes(store, repo):
    info = repo.at("main").put("never", b"never")
    repo.reset("main")
    (store.path / "blobs" / info.etag[:2] / info.etag).unlink()  # a crash of collect between file and row
    assert list(store.check()) == []
    assert repo.at("main").link(info, "linked") is None
    assert store.collect(grace=NOW).removed == (
        Garbage(kind="blob", reason="left over by a write that was interrupted", count=1, bytes=0),
    )
    repo.at("main").put("never", b"never")
    commit(repo, "main", "Put again")
    assert contents(repo.at("main@"))["never"] == b"never"


def test_a_blob_whose_row_was_lost_stays_while_it_is_needed(store, repo):
    with repo.store.db.write(durable=True) as db:
        db.execute("DELETE FROM blobs")
    assert store.collect(grace=NOW).removed == ()
    assert contents(repo.at("main")) == {"a.txt": b"a"}


def test_files_in_the_making_go_with_their_process(store):
    scratch = store.path / "tmp"
    me = this_process()
    gone = Child(lambda say: say(scratch_name())).lines()[0][0]
    mine, foreign = scratch_name(), f"{me.pid}-{me.ticks}-elsewhere-{me.boot}-00"
    earlier = f"{me.pid}-{me.ticks}-{me.space}-0123456789abcdef-00"
    reused = f"{me.pid}-{me.ticks + 1}-{me.space}-{me.boot}-00"
    old_style, old_style_gone = f"{me.pid}-0123456789abcdef", f"{gone.split('-')[0]}-0123456789abcdef"
    for name in (gone, mine, foreign, earlier, reused, old_style, old_style_gone, "notes.txt"):
        (scratch / name).write_bytes(b"12345")
    found = store.collect()
    assert found.removed == (Garbage(kind="tmp", reason="its process has ended", count=4, bytes=20),)
    assert set(os.listdir(scratch)) == {mine, foreign, old_style, "notes.txt"}
    for name in (mine, old_style):
        (scratch / name).unlink()
    os.utime(scratch / foreign, (time.time() - 2 * 86400,) * 2)
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert bool(store.collect().removed) == (uptime > 86400)  # of another container: only a day tells


def test_processes_are_told_apart():
    me = this_process()
    assert not is_gone(me, age=1e9)
    assert is_gone(Process("another boot", me.space, me.pid, me.ticks), age=0)
    assert is_gone(Process(me.boot, me.space, me.pid, me.ticks + 1), age=0)
    assert not is_gone(Process(me.boot, "another container", 1, 1), age=60)
    assert owner_of(scratch_name()) == me
    assert owner_of("notes.txt") is None
    assert Child(lambda say: say(str(this_process() == me))).lines()[0] == ["False"]


def test_no_more_than_asked_for_goes(store, repo):
    for number in range(5):
        repo.at("main").put(f"{number}", bytes([number]) * 1000)
    repo.reset("main")
    told = store.collect(grace=NOW, max_bytes=2500, dry_run=True)
    done = store.collect(grace=NOW, max_bytes=2500)
    assert told.bytes == done.bytes == 2000
    assert not told.complete
    assert not done.complete
    assert store.collect(grace=NOW).bytes == 3000


def test_more_than_one_batch(store, repo):
    repo.create_branch("dropped", "main", hidden=True)
    for number in range(600):
        repo.at("dropped").put(f"{number}", b"%d" % number)
    commit(repo, "dropped", "Many")
    repo.delete_branch("dropped")
    assert counts(store.collect(grace=NOW).removed)["blob", "no"] == 600
    assert len(objects(store)) == 4  # two commits, one node, one blob


# what it tells, and what it does not do


def test_a_dry_run_tells_the_same_and_changes_nothing(store, repo, opened):
    drop_a_branch(repo)
    repo.create_branch("x", "main")
    save(repo, "x", {"b": b"b"})
    repo.at("x").put("c", b"c")
    repo.delete_branch("x")
    (store.path / "tmp" / Child(lambda say: say(scratch_name())).lines()[0][0]).write_bytes(b"12345")
    before = bytes_of(store.path)
    told = store.collect(grace=NOW, keep_deleted=NOW, dry_run=True)
    assert bytes_of(store.path) == before
    read_only = opened(read_only=True)
    assert read_only.collect(grace=NOW, keep_deleted=NOW, dry_run=True) == told
    assert bytes_of(store.path) == before
    with pytest.raises(Forbidden, match="read"):
        read_only.collect()
    done = store.collect(grace=NOW, keep_deleted=NOW)
    assert (done.removed, done.young) == (told.removed, told.young)
    assert counts(told.removed)["branch", "it"] == 1


def test_a_store_that_was_closed_is_not_even_opened_for_writing(store, repo, opened):
    drop_a_branch(repo)
    store.close()
    before = bytes_of(store.path)
    assert opened(read_only=True).collect(grace=NOW, dry_run=True).bytes > 1000
    assert bytes_of(store.path) == before


@pytest.mark.parametrize("folder", ["trees", "commits"])
def test_nothing_goes_while_something_needed_cannot_be_read(store, repo, folder):
    drop_a_branch(repo)
    save(repo, "main", {"c": b"c"})
    tree = repo.commit_of("main").tree
    if folder == "trees":
        (store.path / "trees" / tree).unlink()
    else:
        with repo.store.db.write(durable=True) as db:
            db.execute("UPDATE commits SET body = x'00' WHERE id = ?", (repo.commit_of("main").id,))
    before = objects(store)
    with pytest.raises(IntegrityError, match="collect stops here") as told:
        store.collect(grace=NOW)
    assert "check" in str(told.value.hint)
    with pytest.raises(IntegrityError, match="collect stops here"):
        store.collect(grace=NOW, dry_run=True)
    assert objects(store) == before


def test_a_node_with_other_bytes_than_its_name_says_is_noticed(store, repo):
    save(repo, "main", {"c": b"c"})
    new, old = repo.commit_of("main").tree, repo.commit_of("main~1").tree
    target = store.path / "trees" / new
    target.chmod(0o644)
    shutil.copyfile(store.path / "trees" / old, target)
    with pytest.raises(IntegrityError, match="do not match"):
        store.collect(grace=NOW)


def test_an_empty_store(opened):
    with pytest.raises(NotFound):
        opened().collect()


# work under way


def test_intents_of_the_living_count_and_those_of_the_dead_do_not(store, repo):
    info = repo.at("main").put("never", b"never")
    repo.reset("main")

    def declares(say):
        work = Work()
        with store.repo("garments").store.db.write(durable=False) as db:
            work.begin(db)
            work.needs(db, "blob", [bytes.fromhex(info.etag)])
        say("declared")
        os.read(closing, 1)

    closing, writing = os.pipe()
    child = Child(declares)
    assert child.next_line() == "declared"
    assert store.collect(grace=NOW).removed == ()
    assert store.collect(grace=NOW, dry_run=True).removed == ()
    child.kill()
    child.lines()
    os.close(writing)
    os.close(closing)
    assert counts(store.collect(grace=NOW, dry_run=True).removed) == {("blob", "no"): 1}
    assert counts(store.collect(grace=NOW).removed) == {("blob", "no"): 1}


def test_a_commit_that_fails_leaves_no_session_behind(store, repo, monkeypatch):
    repo.at("main").put("b", b"b")

    def refuses(*args, **how):
        raise OSError(errno.EIO, "disk on fire")

    with monkeypatch.context() as patch:
        patch.setattr(type(repo.store.commit_files), "put_new", refuses)
        with pytest.raises(OSError, match="disk on fire"):
            commit(repo, "main", "All")
    with repo.store.db.read() as db:
        assert db.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
    commit(repo, "main", "All")
    with repo.store.db.read() as db:
        assert db.execute("SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM intents)").fetchone() == (0,)


def test_a_collector_that_died_is_forgotten_by_the_next_writer(store, repo):
    def dies(say):
        with store.repo("garments").store.db.write(durable=False) as db:
            Work().begin(db, collects=True)
        say("began")

    Child(dies).lines()
    repo.at("main").put("b", b"b")
    with repo.store.db.read() as db:
        assert db.execute("SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM intents)").fetchone() == (0,)


def test_a_reader_of_a_commit_that_was_collected_is_told_so(store, repo):
    reader = repo.at(drop_a_branch(repo))
    assert reader.read("b.txt").read() == b"b" * 1000
    store.collect(grace=NOW)
    with pytest.raises(NotFound, match="collected"):
        reader.read("b.txt")


def test_an_open_reader_keeps_its_bytes(store, repo):
    repo.at("main").put("b", b"b")
    with repo.at("main").read("b") as reader:
        repo.reset("main")
        assert store.collect(grace=NOW).bytes == 1
        assert reader.read() == b"b"


def test_the_memory_of_a_mark_is_bounded(tmp_path):
    from datastore.embedded.mark import _Digests

    digests = _Digests()
    tracemalloc.start()
    for _ in range(100):
        digests.add(os.urandom(32 * 1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6 / 10


# killed


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_death_at_every_step_of_collect(tmp_path):
    from tests.embedded.test_deaths import die_at

    template = EmbeddedStore(tmp_path / "template")
    repo = template.create_repo("garments")
    save(repo, "main", {"a.txt": b"a"})
    drop_a_branch(repo)
    repo.create_branch("x", "main")
    save(repo, "x", {"b": b"b"})
    repo.delete_branch("x")
    repo.at("main").put("kept", b"kept")
    template.close()
    step = 0
    while True:
        step += 1
        store = EmbeddedStore(shutil.copytree(tmp_path / "template", tmp_path / str(step)))

        def dies(say, store=store, step=step):
            die_at(step)
            store.collect(grace=NOW, keep_deleted=NOW)

        lines, status = Child(dies).lines()
        assert broken_promises(store) == []
        assert list(store.check()) == []
        assert contents(store.repo("garments").at("main")) == {"a.txt": b"a", "kept": b"kept"}
        store.collect(grace=NOW, keep_deleted=NOW)
        assert store.collect(grace=NOW, keep_deleted=NOW, dry_run=True).removed == ()
        assert len(objects(store)) == 5, lines  # two commits, one node, two blobs
        store.close()
        shutil.rmtree(store.path)
        if status == 0:
            break
    assert step > 60


# a full disk


def tmpfs(folder, size):
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    folder = tmp_path / "disk"
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and tmpfs(folder, "6m")):
        pytest.skip("a small file system can only be mounted by root")
    monkeypatch.setattr(Ballast, "size", 256 << 10)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder):
    """Leave not a single byte."""
    with (folder / "filler").open("r+b", buffering=0) as file:
        for size in (1 << 16, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


def test_a_full_disk_loses_nothing_and_collect_makes_room(small_disk, opened, monkeypatch):
    store = opened(small_disk / "store")
    repo = store.create_repo("garments")
    save(repo, "main", {"a.txt": b"a" * 10_000})
    drop_a_branch(repo, {str(number): os.urandom(10_000) for number in range(40)})
    assert (small_disk / "store" / "ballast").stat().st_size == 256 << 10
    (small_disk / "filler").write_bytes(b"x")
    with pytest.raises(Unavailable, match="full"):
        for number in range(10_000):
            repo.at("main").put(f"{number}", os.urandom(20_000))
    fill(small_disk)
    with pytest.raises(Unavailable, match="full"):
        for number in range(10_000):
            repo.create_branch(f"one-too-many-{number}", "main")
    assert contents(repo.at("main@")) == {"a.txt": b"a" * 10_000}
    with monkeypatch.context() as patch:
        patch.setattr(Ballast, "make", lambda _: False)
        found = store.collect(grace=NOW)
    assert found.bytes > 400_000
    assert not (small_disk / "store" / "ballast").exists()  # it was needed
    assert contents(repo.at("main@")) == {"a.txt": b"a" * 10_000}
    repo.at("main").put("after", b"x" * 10_000)
    made = commit(repo, "main", "Room again")
    assert repo.at(made.id).read("after").read() == b"x" * 10_000
    assert list(store.check()) == []
    (small_disk / "filler").unlink()
    repo.reset("main")
    store.collect(grace=NOW)
    assert (small_disk / "store" / "ballast").exists()


def test_a_store_without_ballast_works_and_gets_one(store):
    (store.path / "ballast").unlink()
    store.collect()
    assert (store.path / "ballast").stat().st_size == Ballast.size


def test_without_space_there_is_no_ballast(tmp_path, monkeypatch):
    monkeypatch.setattr(Ballast, "size", 1 << 60)
    ballast = Ballast(tmp_path / "ballast", scratch=tmp_path)
    assert not ballast.make()
    assert not ballast.drop()
    assert os.listdir(tmp_path) == []


# any history


KEYS = st.sampled_from(["a", "b", "c/d", "c/e"])
DATA = st.binary(min_size=1, max_size=3)
BRANCHES = ["main", "one", "two"]
BRANCH = st.sampled_from(BRANCHES)


class Histories(RuleBasedStateMachine):
    """Refs beside a model of what each has to give; after every collect all of it is there, and nothing else."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.micros = 1_700_000_000_000_000
        self.store = EmbeddedStore(Path(self.folder) / "store", clock=lambda: self.micros)
        self.repo = self.store.create_repo("garments")
        self.heads = {"main": {}}
        self.working = {"main": {}}
        self.tags = {}
        self.deleted = []

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(branch=BRANCH, key=KEYS, data=DATA)
    def put(self, branch, key, data):
        if branch in self.heads:
            self.repo.at(branch).put(key, data)
            self.working[branch] = {**self.working[branch], key: data}

    @rule(branch=BRANCH, key=KEYS)
    def delete(self, branch, key):
        if branch in self.heads:
            self.repo.at(branch).delete([key])
            self.working[branch] = {name: data for name, data in self.working[branch].items() if name != key}

    @rule(branch=BRANCH, old=KEYS, new=KEYS)
    def copy(self, branch, old, new):
        if branch in self.heads and old in self.working[branch]:
            self.repo.at(branch).copy(old, new)
            self.working[branch] = {**self.working[branch], new: self.working[branch][old]}

    @rule(branch=BRANCH)
    def commit(self, branch):
        if branch in self.heads and self.working[branch] != self.heads[branch]:
            commit(self.repo, branch, "Change")
            self.heads[branch] = self.working[branch]

    @rule(branch=BRANCH)
    def reset(self, branch):
        if branch in self.heads:
            self.repo.reset(branch)
            self.working[branch] = self.heads[branch]

    @rule(name=BRANCH, base=BRANCH)
    def create(self, name, base):
        if name not in self.heads and base in self.heads:
            self.repo.create_branch(name, base)
            self.heads[name] = self.working[name] = self.heads[base]

    @rule(name=BRANCH)
    def drop(self, name):
        if name in self.heads and name != "main":
            self.repo.delete_branch(name)
            self.deleted.append((name, self.heads.pop(name), self.working.pop(name), self.micros))

    @rule(name=BRANCH)
    def undelete(self, name):
        found = [row for row in self.deleted if row[0] == name]
        if found and name not in self.heads:
            self.repo.undelete_branch(name)
            _, self.heads[name], self.working[name], _ = found[-1]
            self.deleted.remove(found[-1])

    @rule(branch=BRANCH)
    def tag(self, branch):
        if branch in self.heads:
            name = f"v{len(self.tags)}"
            self.repo.create_tag(name, branch)
            self.tags[name] = self.heads[branch]

    @rule(days=st.integers(1, 20))
    def time_passes(self, days):
        self.micros += days * 86400 * 10**6

    @rule(keep=st.sampled_from([NOW, timedelta(days=30)]))
    def collect(self, keep):
        told = self.store.collect(grace=NOW, keep_deleted=keep, dry_run=True)
        done = self.store.collect(grace=NOW, keep_deleted=keep)
        assert told.removed == done.removed
        until = self.micros - keep // timedelta(microseconds=1)
        self.deleted = [row for row in self.deleted if row[3] > until]
        assert objects(self.store) == self.needed()

    def needed(self):
        """What the refs lead to, found by way of the public verbs."""
        with self.repo.store.db.snapshot() as db:
            heads = [row[0] for row in db.execute("SELECT head FROM branches UNION SELECT head FROM tags")]
            heads += [row[0] for row in db.execute("SELECT head FROM deleted_branches")]
            found = {row[0].hex() for row in db.execute("SELECT digest FROM staging WHERE digest IS NOT NULL")}
        for head in heads:
            for info in self.repo.log(head):
                found |= {info.id, *self.repo.store.trees.node_ids(info.tree)}
                found |= {entry.digest.hex() for _, entry in self.repo.store.trees.scan(info.tree)}
        return found

    @invariant()
    def all_is_there(self):
        for name, head in self.heads.items():
            assert contents(self.repo.at(f"{name}@")) == head
            assert contents(self.repo.at(name)) == self.working[name]
        for name, tree in self.tags.items():
            assert contents(self.repo.at(name)) == tree
        assert broken_promises(self.store) == []


@pytest.mark.slow
def test_any_history_leaves_what_is_needed_and_nothing_else():
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=int(os.environ.get("DATASTORE_STRESS", "300")) // 30,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
