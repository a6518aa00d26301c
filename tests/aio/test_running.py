"""Threads are bounded and never wait for each other; what is given up is over, here and in the thread."""

import asyncio
import contextlib
import contextvars
import multiprocessing
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import datastore as ds
from datastore import aio
from datastore.aio import running
from datastore.stopping import Stop, Stopped, check
from datastore.testing.scripted_s3 import Late, Stall
from tests.resolve.helpers import leaks

MIB = 1 << 20


async def until(true):
    """Wait for what is about to become so, without blocking the loop."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def test_the_loop_goes_on_while_a_call_is_under_way(cloud):
    cloud.objects.put("bucket", "a.bin", b"1")
    cloud.on("GET", ".*", Stall(), times=100)

    async def story():
        waiting = asyncio.ensure_future(aio.resolve("ds://cloud/a.bin"))
        await until(lambda: cloud.asked("GetObject"))
        assert ds.url("ds://cloud/a.bin")  # and synchronous calls work meanwhile
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(story())


def test_200_at_once_take_a_bounded_number_of_threads_and_come_to_an_end(cloud, place):
    for n in range(200):
        cloud.objects.put("bucket", f"d/{n:03}", b"%d" % n)
    cloud.on("GET", ".*", Late(0.01), times=10**9)
    most = 0

    async def story():
        nonlocal most
        urls = [f"ds://cloud/d/{n:03}" for n in range(200)]
        working = asyncio.gather(*map(aio.resolve, urls))
        while not working.done():
            most = max(most, sum("datastore-aio" in thread.name for thread in threading.enumerate()))
            await asyncio.sleep(0.001)
        assert [path.read_bytes() for path in await working] == [b"%d" % n for n in range(200)]
        folders = await asyncio.gather(*(aio.resolve("ds://cloud/d/") for _ in range(200)))
        assert len(set(folders)) == 1

    asyncio.run(story())
    assert 1 < most <= 64


def test_many_at_once_that_fan_out_themselves_do_not_wait_for_each_other(cloud):
    """Threads of one kind wait for threads of another kind, and those for nobody."""
    for n in range(3):
        cloud.objects.put("bucket", f"d/{n}", b"%d" % n)

    async def story():
        done = await asyncio.gather(*(aio.sync("ds://cloud/d/", f"./out-{n}/") for n in range(100)))
        assert [len(one.added) for one in done] == [3] * 100
        files = {f"cloud/up/{n}": b"1" for n in range(5)}
        fs = ds.filesystem()
        await asyncio.gather(*(aio.call(fs.pipe, files) for _ in range(100)))
        assert len(fs.find("cloud/up")) == 5

    asyncio.run(story())


def test_loops_within_calls_do_not_wait_for_threads_that_never_come():
    def within(n):
        return asyncio.run(aio.call(lambda: n))

    async def story():
        assert await asyncio.gather(*(aio.call(within, n) for n in range(200))) == list(range(200))

    asyncio.run(story())


def test_a_call_has_the_context_of_its_caller():
    user = contextvars.ContextVar("user")

    async def story(name):
        user.set(name)
        await asyncio.sleep(0)
        assert await aio.call(user.get) == name
        await aio.call(user.set, "other")
        assert user.get() == name

    async def all_of_them():
        await asyncio.gather(*(story(f"u{n}") for n in range(20)))

    asyncio.run(all_of_them())


def test_errors_arrive_as_they_are():
    async def story():
        with pytest.raises(ZeroDivisionError):
            await aio.call(divmod, 1, 0)
        with pytest.raises(RuntimeError, match="StopIteration"):  # which no future can carry
            await aio.call(next, iter(()))

    asyncio.run(story())


def test_a_cancelled_download_lets_go_of_its_requests_and_leaves_no_leak(cloud, place):
    cloud.objects.put("bucket", "a.bin", bytes(40 * MIB))
    cloud.on("GetObject", ".*", Stall(after=1000), times=10**9)

    async def story():
        task = asyncio.ensure_future(aio.resolve("ds://cloud/a.bin"))
        await until(lambda: len(cloud.asked("GetObject")) > 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(aio.resolve("ds://cloud/a.bin"), 0.2)
        await until(lambda: not in_threads())

    asyncio.run(story())
    assert {name.partition("/")[0] for name in leaks(place / "cache")} <= {"partial"}  # from where it goes on


def test_a_cancelled_download_stops_asking(cloud):
    for n in range(1000):
        cloud.objects.put("bucket", f"d/{n}", b"1")
    cloud.on("GetObject", ".*", Late(0.2), times=10**9)

    async def story():
        task = asyncio.ensure_future(aio.resolve("ds://cloud/d/"))
        await until(lambda: cloud.asked("GetObject"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not in_threads())

    asyncio.run(story())
    assert len(cloud.asked("GetObject")) <= 200  # those that were on their way


def in_threads():
    """Tell whether a thread is at work for somebody."""

    def frames(frame):
        while frame is not None:
            yield frame
            frame = frame.f_back

    stacks = [stack for thread, stack in sys._current_frames().items() if thread != threading.get_ident()]
    return any(frame.f_code.co_filename == running.__file__ for stack in stacks for frame in frames(stack))


@pytest.mark.parametrize("verb", ["cat", "find", "put_file"])
def test_what_works_in_several_threads_or_in_bulk_stops_too(cloud, verb, place):
    for n in range(300):
        cloud.objects.put("bucket", f"d/{n}", bytes(1000))
    (place / "big").write_bytes(bytes(50 * MIB))
    calls = {
        "cat": ("cloud/d", {"recursive": True}),
        "find": ("cloud/d", {}),
        "put_file": (str(place / "big"), {"rpath": "cloud/big"}),
    }
    cloud.on("PUT" if verb == "put_file" else "GET", ".*", Stall(), nth=1 if verb != "cat" else 2, times=10**9)
    first, more = calls[verb]

    async def story():
        task = asyncio.ensure_future(aio.call(getattr(ds.filesystem(), verb), first, **more))
        await until(lambda: len(cloud.requests) > 1 or (verb == "find" and cloud.requests))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not in_threads())

    asyncio.run(story())


def test_what_has_not_begun_never_does():
    begun = []

    async def story():
        gate = threading.Event()
        holding = [asyncio.ensure_future(aio.call(gate.wait)) for _ in range(64)]
        await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(aio.call(begun.append, n)) for n in range(5)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in done)
        gate.set()
        await asyncio.gather(*holding)

    asyncio.run(story())
    assert begun == []


class Block:
    """A context manager that takes its time."""

    def __init__(self):
        self.entered, self.left = threading.Event(), threading.Event()
        self.go, self.error = threading.Event(), None

    def __enter__(self):
        self.entered.set()
        self.go.wait(30)
        return self

    def __exit__(self, kind, error, trace):
        self.error = kind
        self.left.set()


@pytest.mark.parametrize("done", [False, True])
def test_a_block_that_is_given_up_while_it_is_entered_is_left_again(done):
    """Also if it was entered already when the task is cancelled, and the loop had not heard of it."""
    block = Block()

    async def story():
        task = asyncio.ensure_future(running.enter(block))
        await until(block.entered.is_set)
        if done:
            block.go.set()
            time.sleep(0.1)  # noqa: ASYNC251 - the loop stands still meanwhile
        task.cancel()
        block.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(block.left.is_set)

    asyncio.run(story())
    assert block.error is asyncio.CancelledError


def test_a_transaction_whose_task_is_cancelled_discards_everything(place):
    ds.create_repo("garments")
    repo = aio.repo("garments")

    async def write():
        async with repo.transaction(message="Never") as tx:
            await tx.branch.objects.put("a", b"1")
            await asyncio.sleep(60)

    async def story():
        task = asyncio.ensure_future(write())
        await until(lambda: len(repo.sync.branches(hidden=True)) == 2)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [branch.name for branch in await repo.branches(hidden=True)] == ["main"]

    asyncio.run(story())


def test_an_iterator_that_is_given_up_is_closed_in_its_turn():
    closed = threading.Event()
    go = threading.Event()

    def numbers():
        try:
            yield 1
            go.wait(30)
            yield 2
        finally:
            closed.set()

    async def story():
        steps = running.each(numbers)
        assert await anext(steps) == 1
        waiting = asyncio.ensure_future(anext(steps))
        await asyncio.sleep(0.02)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not closed.is_set()  # the thread is in the middle of it
        go.set()
        await until(closed.is_set)
        async for number in running.each(numbers):
            assert number == 1
            break

    asyncio.run(story())


def test_each_thread_is_told_once_so_that_it_can_tidy_up():
    stop, told = Stop(), []

    def work():
        try:
            check()
        finally:
            told.append(True)
            check()

    assert stop.ask()
    with pytest.raises(Stopped):
        stop.run(work)
    assert told == [True]
    check()  # outside of the call there is nothing to stop
    over = Stop()
    assert over.run(over.end)
    assert not over.ask()


def test_a_program_that_is_interrupted_ends(cloud):
    """Its threads are joined at the end: one that waited for the network would keep it."""
    cloud.objects.put("bucket", "a.bin", bytes(MIB))
    cloud.on("GetObject", ".*", Stall(), times=10**9)
    program = f"""
        import asyncio, os, signal, threading
        import datastore as ds
        from datastore import aio

        ds.mount("cloud", "s3", bucket="bucket", endpoint={cloud.endpoint!r}, region="x",
                 access_key_id="k", secret_access_key="s")

        async def main():
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            await aio.resolve("ds://cloud/a.bin")

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted")
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.stdout, done.returncode) == ("interrupted\n", 0), done.stderr


def _in_child(queue):
    async def work():
        return [branch.name for branch in await aio.repo("garments").branches()]

    queue.put(asyncio.run(work()))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(place):
    ds.create_repo("garments")

    async def story():
        assert await aio.call(threading.current_thread) is not threading.main_thread()

    asyncio.run(story())
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert queue.get() == ["main"]


def test_the_same_handle_serves_one_loop_after_the_other(place):
    ds.create_repo("garments")
    repo = aio.repo("garments")
    for _ in range(3):
        assert [branch.name for branch in asyncio.run(repo.branches())] == ["main"]
    with contextlib.suppress(TimeoutError):
        asyncio.run(asyncio.wait_for(repo.branches(), 0))
