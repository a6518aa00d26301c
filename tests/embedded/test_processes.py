"""Many processes on one store: killed at any moment, all at once, forked in the middle of something."""

import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from datastore.embedded.repo import EmbeddedRepo
from datastore.embedded.store import EmbeddedStore
from datastore.errors import HeadMoved, MergeConflict, NothingToCommit
from datastore.values import CommitRequest
from tests.embedded.children import Child

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="these tests fork")

KILLS = 200
WRITERS = 8
ROUNDS = 25


def request(message: str) -> CommitRequest:
    return CommitRequest(message=message, author="test", op_id=uuid.uuid4().hex)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedStore:
    made = EmbeddedStore(tmp_path / "store")
    made.create_repo("garments").create_branch("exp", "main")
    return made


def endless_work(repo: EmbeddedRepo, seed: int, say: Callable[[str], None]) -> None:
    """Put, commit and merge for ever; say what has been acknowledged."""
    number = 0
    while True:
        number += 1
        key = f"{seed}/{number}"
        repo.at("exp").put(key, content(key))
        say(f"put {key}")
        if number % 2 == 0:
            say(f"commit exp {repo.commit('exp', request(key)).id} {key}")
        if number % 4 == 0:
            say(f"commit main {repo.merge('exp', 'main', request(key)).id} {key}")


def content(key: str) -> bytes:
    return key.encode() * 200


def assert_kept(repo: EmbeddedRepo, line: str) -> None:
    words = line.split()
    if words[0] == "put":
        assert repo.at("exp").read(words[1]).read() == content(words[1])
        return
    _, branch, commit, key = words
    assert commit in {info.id for info in repo.log(branch)}
    assert repo.at(commit).read(key).read() == content(key)


@pytest.mark.slow
def test_kill_9_at_200_random_moments_loses_nothing_that_was_acknowledged(store: EmbeddedStore):
    repo = store.repo("garments")
    moments = random.Random(20261121)
    acknowledged: list[str] = []
    for seed in range(KILLS):
        child = Child(lambda say, seed=seed: endless_work(store.repo("garments"), seed, say))
        # Somewhere between two lines, or before the first: as far into the work on a slow disk as on a fast one.
        child.wait_for_lines(moments.randrange(8))
        time.sleep(moments.uniform(0, 0.03))
        child.kill()
        lines, status = child.lines()
        assert status == -signal.SIGKILL, lines
        for line in lines:
            assert_kept(repo, line)
        acknowledged += lines
        if seed % 20 == 0:
            assert list(store.check(deep=False)) == []
    assert list(store.check(deep=True)) == []
    assert sum(line.startswith("commit") for line in acknowledged) > KILLS  # else nothing was tried
    for line in acknowledged:
        assert_kept(repo, line)
    repo.at("exp").put("after", b"all")
    assert repo.commit("exp", request("The store works on")).parents


def many_writers(repo: EmbeddedRepo, me: int, say: Callable[[str], None]) -> None:
    """Write and commit on a branch of one's own and on a shared one; merge the own one into main."""
    mine = f"writer-{me}"
    for number in range(ROUNDS):
        repo.at(mine).put(f"{mine}/{number}", f"{me}.{number}".encode())
        say(f"commit {mine} {repo.commit(mine, request(f'{mine} {number}')).id}")
        repo.at("exp").put(f"shared-{me}/{number}", f"{me}.{number}".encode())
        try:
            say(f"commit exp {repo.commit('exp', request(f'shared {me} {number}')).id}")
        except NothingToCommit as error:  # another process took the keys: it has to be named
            say(f"taken {str(error).rpartition('commit ')[2].split()[0]}")
        if number % 5 == 4:
            try:
                say(f"commit main {repo.merge(mine, 'main', request(f'merge {me} {number}')).id}")
            except (HeadMoved, MergeConflict) as error:
                say(f"refused {error}")


@pytest.mark.slow
def test_eight_processes_that_write_commit_and_merge_lose_no_commit(store: EmbeddedStore):
    repo = store.repo("garments")
    for me in range(WRITERS):
        repo.create_branch(f"writer-{me}", "main")
    children = [Child(lambda say, me=me: many_writers(store.repo("garments"), me, say)) for me in range(WRITERS)]
    ends = [child.lines() for child in children]
    assert [status for _, status in ends] == [0] * WRITERS, [lines[-1] for lines, _ in ends]
    logs = {branch.name: [info.id for info in repo.log(branch.name)] for branch in repo.branches()}
    for line in (line for lines, _ in ends for line in lines if line.startswith("commit")):
        _, branch, commit = line.split()
        assert commit in logs[branch]
    said = [line.split() for lines, _ in ends for line in lines]
    assert all(repo.commit_of(words[1]).message.startswith("shared") for words in said if words[0] == "taken")
    for branch in logs:  # each commit on it was acknowledged, once
        along = [info.id for info in repo.log(branch, first_parent=True) if info.parents]
        assert sorted(along) == sorted(words[2] for words in said if words[:2] == ["commit", branch])
    assert all(len(logs[f"writer-{me}"]) == ROUNDS + 1 for me in range(WRITERS))
    for me in range(WRITERS):
        for number in range(ROUNDS):
            assert repo.at("exp@").read(f"shared-{me}/{number}").read() == f"{me}.{number}".encode()
            assert repo.at("main@").read(f"writer-{me}/{number}").read() == f"{me}.{number}".encode()
    assert list(repo.uncommitted("exp")) == []
    assert list(store.check()) == []


@pytest.mark.slow
def test_a_child_forked_while_threads_of_the_parent_write_commit_and_read_neither_hangs_nor_harms(store: EmbeddedStore):
    repo = store.repo("garments")
    repo.at("main").put("stable", b"stable")
    repo.commit("main", request("Stable"))
    stop = threading.Event()
    failures: list[BaseException] = []

    def busy(me: int) -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                repo.at("exp").put(f"parent-{me}/{number}", b"x")
                if number % 3 == 0:
                    with_skip(repo, "exp")
                repo.at("main").read("stable").read()
        except BaseException as error:  # noqa: BLE001 - judged below
            failures.append(error)

    def child(say: Callable[[str], None], number: int) -> None:
        assert repo.at("main").read("stable").read() == b"stable"
        repo.at("main").put(f"child/{number}", b"child")
        say("done")

    threads = [threading.Thread(target=busy, args=(me,)) for me in range(3)]
    for thread in threads:
        thread.start()
    try:
        ends = [Child(lambda say, number=number: child(say, number)).lines() for number in range(30)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert ends == [(["done"], 0)] * 30
    assert {change.key for change in repo.uncommitted("main")} == {f"child/{number}" for number in range(30)}
    assert list(store.check()) == []


def test_two_threads_that_fork_at_once_beside_one_that_writes(store: EmbeddedStore):
    repo = store.repo("garments")
    stop = threading.Event()
    failures: list[BaseException] = []
    ends: list[tuple[list[str], int]] = []

    def writes() -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                repo.at("exp").put(f"{number}", b"x")
        except BaseException as error:  # noqa: BLE001 - judged below
            failures.append(error)

    def child(say: Callable[[str], None], key: str) -> None:
        repo.at("main").put(key, b"child")
        say("done")

    def forks(me: int) -> None:
        ends.extend(Child(lambda say, at=at: child(say, f"{me}/{at}")).lines() for at in range(20))

    writer = threading.Thread(target=writes)
    forkers = [threading.Thread(target=forks, args=(me,)) for me in range(2)]
    for thread in (writer, *forkers):
        thread.start()
    for thread in forkers:
        thread.join()
    stop.set()
    writer.join()
    assert not failures
    assert ends == [(["done"], 0)] * 40
    assert len(list(repo.uncommitted("main"))) == 40
    assert list(store.check()) == []


def with_skip(repo: EmbeddedRepo, branch: str) -> None:
    try:
        repo.commit(branch, request("Parent"))
    except NothingToCommit:
        return


def test_a_child_forked_inside_a_transaction_of_the_parent_leaves_it_alone(store: EmbeddedStore):
    repo = store.repo("garments")
    with repo.store.db.write(durable=False) as db:
        db.execute("UPDATE store SET seq = seq + 1")
        before = db.execute("SELECT seq FROM store").fetchone()
        # SQLite's locks cannot be told apart from the parent's in such a child: it is refused, at once and in words.
        lines, _ = Child(lambda say: say(str(store.repo("garments").branches()))).lines()
        assert [line.partition(":")[0] for line in lines] == ["raised Unavailable"]
        assert db.in_transaction
    with repo.store.db.read() as db:
        assert db.execute("SELECT seq FROM store").fetchone() == before
    repo.at("main").put("a", b"a")


def test_a_child_that_outlives_the_handle_of_its_parent_loses_nothing(store: EmbeddedStore):
    """The last close deletes SQLite's log. A child must not be left writing to the deleted one."""
    repo = store.repo("garments")
    repo.at("main").put("before", b"1")
    parent_has_closed, closing = os.pipe()

    def goes_on(say: Callable[[str], None]) -> None:
        repo.at("main").put("first", b"2")
        say("wrote")
        os.read(parent_has_closed, 1)
        repo.at("main").put("second", b"3")
        say(repo.commit("main", request("By the child")).id)

    child = Child(goes_on)
    assert child.next_line() == "wrote"
    store.close()
    assert {change.key for change in repo.uncommitted("main")} == {"before", "first"}
    store.close()
    os.write(closing, b"x")
    (made,), status = child.lines()
    assert status == 0
    fresh = EmbeddedStore(store.path)  # which shares no memory with the child
    assert fresh.repo("garments").commit_of("main").id == made
    assert list(fresh.repo("garments").uncommitted("main")) == []
    assert list(fresh.check()) == []
    fresh.close()


def test_a_child_that_ends_like_a_program_does_not_disturb_its_parent(store: EmbeddedStore):
    repo = store.repo("garments")
    repo.at("main").put("before", b"1")

    def ends_with_clean_up(say: Callable[[str], None]) -> None:
        repo.at("main").put("child", b"2")
        store.close()  # what the exit handler of a program does
        say("closed")

    assert Child(ends_with_clean_up).lines() == (["closed"], 0)
    repo.at("main").put("after", b"3")
    assert len(repo.commit("main", request("All")).parents) == 1
    assert [info.key for page in repo.at("main@").list() for info in page.objects] == ["after", "before", "child"]


def test_a_writer_that_dies_with_the_gate_held_stops_nobody(store: EmbeddedStore):
    def dies_inside(say: Callable[[str], None]) -> None:
        with store.repo("garments").store.db.write(durable=False):
            say("holds the gate")
            os.kill(os.getpid(), signal.SIGKILL)

    assert Child(dies_inside).lines() == (["holds the gate"], -signal.SIGKILL)
    store.repo("garments").at("main").put("a", b"a")
