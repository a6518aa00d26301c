"""Processes that write, commit, merge, link and import while others collect, die, or are suspended.

`DATASTORE_STRESS=10000` makes as many commits as it says, and prints the numbers.
"""

import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from datastore.embedded.repo import EmbeddedRepo
from datastore.embedded.store import EmbeddedStore
from datastore.errors import (
    HeadMoved,
    MergeConflict,
    NotFound,
    NothingToCommit,
    Unavailable,
    UncommittedChanges,
)
from datastore.values import CommitInfo, CommitRequest
from tests.embedded.children import Child
from tests.embedded.promises import broken_promises

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="these tests fork")

WRITERS = 8
COMMITS = int(os.environ.get("DATASTORE_STRESS", "600"))
NOW = timedelta(0)
POOL = 30

Say = Callable[[str], None]


def stopped_clock() -> int:
    """Equal content gives equal entries, so equal trees: nodes and blobs that one drops another one needs."""
    return 1_700_000_000_000_000


def open_store(path: Path) -> EmbeddedStore:
    return EmbeddedStore(path, clock=stopped_clock)


def request(message: str) -> CommitRequest:
    return CommitRequest(message=message, author="test", op_id=uuid.uuid4().hex)


def content(number: int) -> bytes:
    return f"content {number} ".encode() * 50


def of_this_moment() -> int:
    """A content that all processes have in hand just now, and that nobody needs a moment later, as a rule."""
    return 1000 + int(time.monotonic() * 10)


class Writer:
    """One process that does this and that, and says what has been acknowledged."""

    def __init__(self, repo: EmbeddedRepo, me: int, say: Say, folder: Path) -> None:
        self.repo = repo
        self.me = me
        self.mine = f"writer-{me}"
        self.say = say
        self.folder = folder
        self.random = random.Random(me * 7919 + 1)
        self.dropped: list[tuple[str, tuple[str, int]]] = []
        self.commits = 0
        self.counts: Counter[str] = Counter()

    def run(self, commits: int) -> None:
        actions = [
            self.put_and_commit,
            self.put_and_commit,
            self.put_and_commit_on_the_shared_one,
            self.put_and_reset,
            self.write_over_while_committing,
            self.drop_a_branch,
            self.build_on_what_was_dropped,
            self.merge,
            self.cherry_pick,
            self.revert,
            self.copy,
            self.link,
            self.restore_what_was_dropped,
            self.imports,
            self.delete_and_undelete,
        ]
        while self.commits < commits:
            action = self.random.choice(actions)
            try:
                action()
                self.counts[action.__name__] += 1
            except (NothingToCommit, HeadMoved, MergeConflict, UncommittedChanges) as error:
                self.counts[f"{action.__name__}: {type(error).__name__}"] += 1
        self.say(f"done {dict(sorted(self.counts.items()))}")

    def put(self, branch: str, prefix: str = "") -> tuple[str, int]:
        key = f"{prefix}{self.random.randrange(6)}"
        number = of_this_moment() if prefix or self.random.random() < 0.1 else self.random.randrange(POOL)
        self.repo.at(branch).put(key, content(number))
        return key, number

    def acknowledge(self, branch: str, info: CommitInfo, *puts: tuple[str, int]) -> None:
        self.commits += 1
        self.say(f"commit {branch} {info.id} " + " ".join(f"{key}={number}" for key, number in dict(puts).items()))

    def put_and_commit(self) -> None:
        puts = [self.put(self.mine) for _ in range(self.random.randrange(1, 4))]
        self.acknowledge(self.mine, self.repo.commit(self.mine, request("put")), *puts)

    def put_and_commit_on_the_shared_one(self) -> None:
        put = self.put("shared", f"{self.me}/")
        self.acknowledge("shared", self.repo.commit("shared", request("shared")), put)

    def put_and_reset(self) -> None:
        self.put(self.mine, "never/")
        self.repo.reset(self.mine)

    def write_over_while_committing(self) -> None:
        """Its own uncommitted key on the branch that all commit: written over and over, kept in some version."""
        for _ in range(4):
            self.repo.at("shared").put(f"hot/{self.me}", content(of_this_moment() + self.random.randrange(3)))

    def branch(self) -> str:
        name = f"hidden-{uuid.uuid4().hex[:12]}"
        self.repo.create_branch(name, self.mine, hidden=True)
        return name

    def drop_a_branch(self) -> None:
        name = self.branch()
        put = self.put(name, "dropped/")
        self.dropped.append((self.repo.commit(name, request("dropped")).id, put))
        self.repo.delete_branch(name)
        self.commits += 1

    def build_on_what_was_dropped(self) -> None:
        """It is whole, or it is not there."""
        if not self.dropped:
            return
        name = f"again-{uuid.uuid4().hex[:12]}"
        commit, dropped = self.dropped.pop()
        try:
            self.repo.create_branch(name, commit, hidden=True)
        except NotFound:
            self.counts["too late for the dropped"] += 1
            return
        put = self.put(name)
        made = self.repo.commit(name, request("again"))
        self.repo.merge(name, self.mine, request("again"), strategy="source-wins")
        self.acknowledge(self.mine, made, dropped, put)
        self.repo.delete_branch(name)

    def merge(self) -> None:
        self.acknowledge("main", self.repo.merge(self.mine, "main", request("merge"), strategy="source-wins"))

    def cherry_pick(self) -> None:
        other = f"writer-{self.random.randrange(WRITERS)}"
        if not self.dropped:
            self.acknowledge(self.mine, self.repo.cherry_pick(self.mine, other, request("pick")))
            return
        commit, dropped = self.dropped.pop()
        try:
            self.acknowledge(self.mine, self.repo.cherry_pick(self.mine, commit, request("pick")), dropped)
        except NotFound:
            self.counts["too late to pick"] += 1

    def revert(self) -> None:
        if len(self.repo.commit_of(self.mine).parents) == 1:
            self.acknowledge(self.mine, self.repo.revert(self.mine, self.mine, request("revert")))

    def copy(self) -> None:
        key, number = self.put(self.mine)
        self.repo.at(self.mine).copy(key, f"copy-{key}")
        made = self.repo.commit(self.mine, request("copy"))
        self.acknowledge(self.mine, made, (key, number), (f"copy-{key}", number))

    def link(self) -> None:
        """Of what another one has uncommitted, or had."""
        number = of_this_moment()
        info = self.repo.at(self.mine).put("to-link", content(number))
        self.repo.at(self.mine).put("to-link", content(self.random.randrange(POOL)))
        key = f"linked-{self.random.randrange(6)}"
        if self.repo.at(self.mine).link(info, key) is None:
            self.counts["too late to link"] += 1
            return
        self.acknowledge(self.mine, self.repo.commit(self.mine, request("link")), (key, number))

    def restore_what_was_dropped(self) -> None:
        if not self.dropped:
            return
        commit, dropped = self.dropped.pop()
        try:
            self.repo.restore(self.mine, "dropped/", commit)
        except NotFound:
            self.counts["too late to restore"] += 1
            return
        self.acknowledge(self.mine, self.repo.commit(self.mine, request("restore")), dropped)

    def imports(self) -> None:
        numbers = [self.random.randrange(POOL) for _ in range(self.random.randrange(1, 30))]
        files = [(self.folder / str(number), f"imported/{at}") for at, number in enumerate(numbers)]
        self.repo.at(self.mine).import_files(files)
        made = self.repo.commit(self.mine, request("import"))
        self.acknowledge(self.mine, made, *((key, number) for (_, key), number in zip(files, numbers, strict=True)))

    def delete_and_undelete(self) -> None:
        name = f"kept-{self.me}"
        self.repo.create_branch(name, self.mine)
        key, number = self.put(name)
        self.repo.delete_branch(name)
        self.repo.undelete_branch(name)
        assert self.repo.at(name).read(key).read() == content(number)
        self.repo.reset(name)
        self.repo.delete_branch(name)


def collects(path: Path, until: Path, say: Say) -> None:
    """Collect at zero grace in a loop, deleted branches after a short while."""
    store = open_store(path)
    runs, freed = 0, Counter[str]()
    while not until.exists():
        found = store.collect(grace=NOW)
        runs += 1
        for garbage in found.removed:
            freed[garbage.kind] += garbage.count
    say(f"collected {runs} {dict(sorted(freed.items()))}")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "files"
    made.mkdir()
    for number in range(POOL):
        (made / str(number)).write_bytes(content(number))
    return made


def with_alarm(work: Callable[[Say], None], seconds: int) -> Callable[[Say], None]:
    def run(say: Say) -> None:
        signal.alarm(seconds)
        work(say)

    return run


@pytest.mark.slow
def test_eight_writers_beside_a_collector_at_zero_grace_lose_nothing(path, folder, tmp_path):
    began = time.monotonic()
    store = open_store(path)
    repo = store.create_repo("garments")
    for branch in ("shared", *(f"writer-{me}" for me in range(WRITERS))):
        repo.create_branch(branch, "main")
    until = tmp_path / "until"
    patience = 60 + COMMITS
    collector = Child(with_alarm(lambda say: collects(path, until, say), patience))

    def writes(say: Say, me: int) -> None:
        signal.alarm(patience)
        Writer(open_store(path).repo("garments"), me, say, folder).run(COMMITS // WRITERS)

    children = [Child(lambda say, me=me: writes(say, me)) for me in range(WRITERS)]
    ends = [child.lines() for child in children]
    until.write_text("")
    (collected,), status = collector.lines()
    assert status == 0, collected
    assert [status for _, status in ends] == [0] * WRITERS, [lines[-1] for lines, _ in ends]
    took = time.monotonic() - began
    said = [line for lines, _ in ends for line in lines if line.startswith("commit ")]
    assert_acknowledged(store, said)
    store.collect(grace=NOW, keep_deleted=NOW)
    assert broken_promises(store) == []
    assert list(store.check()) == []
    assert store.collect(grace=NOW, keep_deleted=NOW, dry_run=True).removed == ()
    with store._open().db.read() as db:
        assert db.execute("SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM intents)").fetchone() == (0, 0)
    commits = COMMITS // WRITERS * WRITERS
    print(f"\n{commits} commits in {took:.0f} s ({commits / took:.0f} a second), {len(said)} acknowledged; {collected}")
    counts: Counter[str] = Counter()
    for lines, _ in ends:
        counts.update(eval(lines[-1].removeprefix("done ")))
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    store.close()


@pytest.mark.slow
def test_writers_that_are_suspended_while_others_collect_lose_nothing(path, folder):
    """Stopped anywhere but with the gate held, collected around, and woken."""
    store = open_store(path)
    repo = store.create_repo("garments")
    for branch in ("shared", *(f"writer-{me}" for me in range(WRITERS))):
        repo.create_branch(branch, "main")
    dice = random.Random(20261121)
    child = Child(lambda say: Writer(open_store(path).repo("garments"), 0, say, folder).run(10**6))
    child.wait_for_lines(1)
    stops = 0
    collector = open_store(path)
    collector._open().db._gate._timeout = 0.2  # who is stopped with the gate held is woken and left alone
    for _ in range(int(os.environ.get("DATASTORE_STRESS", "80"))):
        time.sleep(dice.uniform(0, 0.03))
        os.kill(child.pid, signal.SIGSTOP)
        try:
            collector.collect(grace=NOW)
            stops += 1
        except Unavailable:
            pass
        finally:
            os.kill(child.pid, signal.SIGCONT)
    child.kill()
    lines, _ = child.lines()
    assert stops > 10
    assert_acknowledged(store, lines)
    store.collect(grace=NOW)
    assert_acknowledged(store, lines)
    for opened in (store, collector):
        opened.close()


@pytest.mark.slow
def test_collectors_that_are_killed_at_random_moments_lose_nothing(path, folder):
    store = open_store(path)
    repo = store.create_repo("garments")
    for branch in ("shared", *(f"writer-{me}" for me in range(WRITERS))):
        repo.create_branch(branch, "main")
    writer = Child(lambda say: Writer(open_store(path).repo("garments"), 0, say, folder).run(10**6))
    dice = random.Random(20261121)

    def collects_for_ever(say: Say) -> None:
        mine = open_store(path)
        while True:
            mine.collect(grace=NOW)
            say("collected")

    for _ in range(int(os.environ.get("DATASTORE_STRESS", "60"))):
        child = Child(collects_for_ever)
        time.sleep(dice.uniform(0, 0.15))
        child.kill()
        child.lines()
    writer.kill()
    lines, _ = writer.lines()
    assert_acknowledged(store, lines)
    store.collect(grace=NOW, keep_deleted=NOW)
    assert_acknowledged(store, lines)
    assert store.collect(grace=NOW, keep_deleted=NOW, dry_run=True).removed == ()
    assert os.listdir(path / "tmp") == []
    store.close()


def assert_acknowledged(store: EmbeddedStore, lines: list[str]) -> None:
    """See that every commit that was said to be made is on its branch and whole."""
    repo = store.repo("garments")
    said = [line.split() for line in lines if line.startswith("commit ")]
    assert said, lines[-1:]
    assert not [line for line in lines if line.startswith("raised")]
    logs = {branch: {info.id for info in repo.log(branch)} for branch in {words[1] for words in said}}
    for _, branch, commit, *puts in said:
        assert commit in logs[branch]
        for key, _, number in (put.partition("=") for put in puts):
            assert repo.at(commit).read(key).read() == content(int(number)), (branch, commit, key)
    assert broken_promises(store) == []
    assert list(store.check()) == []
