"""The writer gate: who is kept out, who is let in, and what a fork or a kill leaves of it."""

import os
import signal
import threading

import pytest

from datastore.embedded.database import Database
from datastore.embedded.gate import Gate
from datastore.errors import Unavailable
from tests.embedded.children import Child

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "locks").mkdir()
    return tmp_path / "locks" / "write.lock"


def is_free(path, *, timeout=5.0):
    gate = Gate(path, timeout=timeout)
    try:
        with gate.held():
            return True
    finally:
        gate.close()


@needs_fork
def test_two_processes_exclude_each_other_and_the_error_names_the_holder(path):
    go_reading, go_writing = os.pipe()

    def holds(say):
        with Gate(path).held():
            say("holds")
            os.read(go_reading, 1)
        say("let go")

    child = Child(holds)
    assert child.next_line() == "holds"
    with pytest.raises(Unavailable, match=f"process {child.pid}"):
        is_free(path, timeout=0.1)
    os.write(go_writing, b"x")
    assert child.lines() == (["let go"], 0)
    assert is_free(path)


@needs_fork
def test_many_processes_count_without_losing_one(path, tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")

    def counts(say):
        gate = Gate(path)
        for _ in range(100):
            with gate.held():
                counter.write_text(str(int(counter.read_text()) + 1))

    children = [Child(counts) for _ in range(4)]
    assert [child.lines() for child in children] == [([], 0)] * 4
    assert counter.read_text() == "400"


def test_threads_of_one_process_exclude_each_other(path):
    gate, inside, seen = Gate(path), [0], []

    def works():
        for _ in range(200):
            with gate.held():
                inside[0] += 1
                seen.append(inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=works) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 800
    gate.close()


def test_a_thread_that_waits_too_long_is_told_so(path):
    gate = Gate(path, timeout=0.05)
    with gate.held(), pytest.raises(Unavailable, match="another thread"), gate.held():
        pytest.fail("the gate is not reentrant")
    assert is_free(path)


def test_an_exception_lets_go(path):
    with pytest.raises(KeyError), Gate(path).held():
        raise KeyError
    assert is_free(path, timeout=0.1)


@needs_fork
def test_a_killed_holder_stops_nobody(path):
    def dies(say):
        with Gate(path).held():
            say("holds")
            signal.pause()

    child = Child(dies)
    assert child.next_line() == "holds"
    child.kill()
    assert child.lines() == ([], -signal.SIGKILL)
    assert is_free(path)


@needs_fork
def test_a_child_forked_by_the_holder_holds_nothing(path):
    gate = Gate(path, timeout=0.1)
    database = Database(path.parent.parent / "meta.db", gate=gate)  # it tells its gate of a fork

    def waits(say):
        say("waits")
        signal.pause()

    with gate.held():
        child = Child(waits)
        assert child.next_line() == "waits"
        with pytest.raises(Unavailable):
            is_free(path, timeout=0.1)
    assert is_free(path, timeout=0.1)
    child.kill()
    child.lines()
    del database


@needs_fork
def test_a_child_does_not_keep_the_gate_of_its_dead_parent(path):
    def dies_after_forking(say):
        gate = Gate(path)
        database = Database(path.parent.parent / "meta.db", gate=gate)
        with gate.held():
            grandchild = os.fork()
            if grandchild == 0:
                signal.alarm(20)
                signal.pause()
            say(str(grandchild))
            os.kill(os.getpid(), signal.SIGKILL)
        del database

    child = Child(dies_after_forking)
    grandchild = int(child.next_line())
    try:
        # The pipe stays open in the grandchild: wait for the death, not for the end of the lines.
        _, status = os.waitpid(child.pid, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        assert is_free(path)
    finally:
        os.kill(grandchild, signal.SIGKILL)


@needs_fork
def test_a_child_that_leaves_the_block_of_its_parent_lets_go_of_nothing(path):
    gate = Gate(path)
    database = Database(path.parent.parent / "meta.db", gate=gate)
    with gate.held():
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            with pytest.raises(Unavailable):
                is_free(path, timeout=0.1)
    if pid == 0:
        os._exit(0)
    assert is_free(path, timeout=0.1)
    del database


def test_closing_waits_for_the_thread_that_is_inside(path):
    gate = Gate(path)
    inside, leave = threading.Event(), threading.Event()
    failures = []

    def holds():
        try:
            with gate.held():
                inside.set()
                leave.wait()
        except OSError as error:
            failures.append(error)

    holder = threading.Thread(target=holds)
    holder.start()
    inside.wait()
    closer = threading.Thread(target=gate.close)
    closer.start()
    closer.join(0.05)
    with pytest.raises(Unavailable):  # closing the descriptor would have let go of the lock
        is_free(path, timeout=0.05)
    leave.set()
    holder.join()
    closer.join()
    assert failures == []
    with gate.held():
        pass
    gate.close()
