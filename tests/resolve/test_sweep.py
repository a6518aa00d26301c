"""Killed before each of its system calls, `resolve` leaves nothing that is wrong, and nothing that stays."""

import os
import shutil
import signal
import socket

import pytest

import datastore as ds
from datastore.cachestore.store import CacheStore
from datastore.testing import store_sweep
from datastore.testing.store_children import Child
from tests.resolve.helpers import MIB, leaks, tree

CALLS = "creat ftruncate fallocate link linkat mkdir mkdirat open openat pwrite64 pwritev rename renameat renameat2"
CALLS += " write copy_file_range sendfile chmod fchmod fchmodat fchmodat2 rmdir unlink unlinkat utimensat"
POINTS = 400 if os.environ.get("DATASTORE_STRESS") else 24

needs_strace = pytest.mark.skipif(bool(store_sweep.missing()), reason=store_sweep.missing())


def traced(work, options):
    """Do something in a child under strace; return its exit status."""
    ours, theirs = socket.socketpair()

    def ready(say):
        store_sweep._may_be_traced()
        say("ready")
        theirs.recv(1)
        work()

    child = Child(ready)
    theirs.close()
    with ours:
        assert child.next_line() == "ready"
        trace = "trace=" + ",".join(f"?{call}" for call in CALLS.split())
        tracer = store_sweep._attach(child.pid, ["-f", "-e", trace, *options])
        try:
            ours.send(b"g")
            lines, status = child.lines()
        finally:
            store_sweep._end(tracer)
    assert not lines, lines
    return status


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("story", ["file", "folder", "evict"])
def test_s11_killed_at_any_call_and_repeated_there_is_no_wrong_byte_and_no_leak(cloud, place, story):
    cache = place / "cache"
    big, small = os.urandom(17 * MIB), {f"{n}.bin": os.urandom(2000) for n in range(4)}
    cloud.objects.put("bucket", "big.bin", big)
    for name, body in small.items():
        cloud.objects.put("bucket", f"d/{name}", body)

    def work():
        if story == "file":
            ds.resolve("ds://cloud/big.bin")
        elif story == "folder":
            ds.resolve("ds://cloud/d/")
        else:
            ds.cache.trim(0)

    def prepare():
        shutil.rmtree(cache, ignore_errors=True)
        if story == "evict":
            for url in ("ds://cloud/big.bin", "ds://cloud/d/"):
                with ds.resolving(url):
                    pass

    prepare()
    log = place / "strace.log"
    assert traced(work, ["-y", "-o", str(log)]) == 0
    points = store_sweep._points(log.read_text(errors="replace"), str(cache), fault="kill")
    assert len(points) > 10
    killed = 0
    for point in points[:: max(1, -(-len(points) // POINTS))]:
        prepare()
        status = traced(work, ["-o", "/dev/null", "-e", f"inject=?{point.call}:signal=KILL:when={point.number}"])
        assert status in {0, -signal.SIGKILL}
        killed += status != 0
        assert CacheStore(cache).leases.used() == set(), point
        assert ds.cache.verify() == [], point
        with ds.resolving("ds://cloud/big.bin") as path:
            assert path.read_bytes() == big, point
        with ds.resolving("ds://cloud/d/") as path:
            assert tree(path) == small, point
        ds.cache.prune()
        left = [leak for leak in leaks(cache) if not leak.startswith("locks/")]
        assert left == [], point
    assert killed > 5
