"""Many processes and threads resolve the same at once; some are killed."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import datastore as ds
from datastore.http.observe import observed
from datastore.namespace import reset_current
from datastore.testing.scripted_s3 import Slow, Stall
from datastore.testing.store_children import Child
from datastore.values import digest_of
from tests.resolve.helpers import MIB, gets, leaks, lockless, together, tree

SIZE = (200 if os.environ.get("DATASTORE_STRESS") else 20) * MIB


def mounted(kind, request, body):
    """A mount on a real server with one object, as the URL of it."""
    server = request.getfixturevalue(kind)
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key, "endpoint": server.endpoint}
    if kind == "lakefs":
        ds.mount("real", "lakefs", repo=server.new_repo(), **keys)
        url = ds.url("ds://real@main/big.bin")
    else:
        ds.mount("real", "s3", bucket=server.new_bucket(), region=server.region, **keys)
        url = ds.url("ds://real/big.bin")
    ds.filesystem().pipe_file(str(url), body)
    return url


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["versitygw", "minio", "lakefs"])
def test_twelve_processes_resolve_one_object_with_one_download(kind, request, place):
    body = os.urandom(SIZE)
    url = mounted(kind, request, body)
    parts = -(-SIZE // (8 * MIB))
    found, downloads = together(url)
    assert [digest for digest, _ in found] == [digest_of(body)]
    assert downloads == parts
    assert leaks(place / "cache") == []
    if kind == "lakefs":  # the same bytes under a commit, after they were resolved on a branch
        commit = ds.repo("real").branch("main").commit("One")
        with observed() as seen:
            assert digest_of(ds.resolve(f"ds://real@{commit.id}/big.bin").read_bytes()) == digest_of(body)
        assert len([one for one in seen if one.received > MIB]) == 0
        with observed() as seen:
            ds.resolve(f"ds://real@{commit.id}/big.bin")
        assert list(seen) == []


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["versitygw", "lakefs"])
def test_a_folder_on_a_real_server(kind, request):
    url = mounted(kind, request, b"big")
    root = str(url).removesuffix("big.bin")
    bodies = {f"d/{n}.bin": b"%d" % n * 1000 for n in range(50)}
    ds.filesystem().pipe({f"{root}{name}": body for name, body in bodies.items()})
    with observed() as seen:
        folder = ds.resolve(root)
    assert tree(folder) == {**bodies, "big.bin": b"big"}
    if kind == "lakefs":
        commit = ds.repo("real").branch("main").commit("One")
        assert ds.resolve(f"ds://real@{commit.id}/") == ds.resolve(root)
        with observed() as seen:
            assert tree(ds.resolve(f"ds://real@{commit.id}/")) == tree(folder)
        assert list(seen) == []
        with observed() as seen:
            ds.resolve(root)
        assert len(seen) <= 3  # whether it is a branch with changes, and its commit; no listing


def test_s10_with_locks_that_do_nothing_all_get_right_bytes(cloud, place, monkeypatch):
    body = os.urandom(SIZE)
    cloud.objects.put("bucket", "a.bin", body)
    lockless(monkeypatch)
    found, downloads = together("ds://cloud/a.bin", 16)
    assert {digest for digest, _ in found} == {digest_of(body)}
    assert len({path for _, path in found}) == 1
    assert downloads > 3  # they do get into each other's way
    assert leaks(place / "cache") == []
    assert ds.cache.verify() == []


def test_s10_folders_with_locks_that_do_nothing(cloud, place, monkeypatch):
    bodies = {f"{n}.bin": os.urandom(3000) for n in range(30)}
    for name, body in bodies.items():
        cloud.objects.put("bucket", f"d/{name}", body)
    lockless(monkeypatch)

    def work(say):
        say("right" if tree(ds.resolve("ds://cloud/d/")) == bodies else "wrong")

    children = [Child(work) for _ in range(8)]
    assert [child.lines() for child in children] == [(["right"], 0)] * 8
    assert leaks(place / "cache") == []
    assert ds.cache.verify() == []


def test_threads_of_one_process_download_once(cloud):
    body = os.urandom(3 * MIB)
    cloud.objects.put("bucket", "a.bin", body)
    with ThreadPoolExecutor(16) as pool:
        paths = set(pool.map(lambda _: ds.resolve("ds://cloud/a.bin"), range(32)))
    assert len(paths) == 1
    assert len(gets(cloud)) == 1


def test_s22_a_child_that_was_forked_while_the_parent_downloads_gets_right_bytes(cloud):
    body = os.urandom(20 * MIB)
    cloud.objects.put("bucket", "a.bin", body)
    cloud.on("GetObject", r"a\.bin", Slow(piece=MIB, pause=0.02), times=10)
    with ThreadPoolExecutor(1) as pool:
        parent = pool.submit(ds.resolve, "ds://cloud/a.bin")
        while not gets(cloud):
            time.sleep(0.01)

        def work(say):
            say(digest_of(ds.resolve("ds://cloud/a.bin").read_bytes()))

        children = [Child(work) for _ in range(3)]
        assert [child.lines() for child in children] == [([digest_of(body)], 0)] * 3
        assert parent.result().read_bytes() == body


def killed_after(cloud, place, body, parts):
    """Let a process die that downloads, when some parts of 8 MiB are here and the others hang."""
    cloud.objects.put("bucket", "a.bin", body)
    cloud.on("GetObject", r"a\.bin", Stall(after=MIB), nth=parts + 1, times=100)

    def work(say):
        say("begins")
        ds.resolve("ds://cloud/a.bin")

    child = Child(work, seconds=30)
    child.next_line()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (
        len(gets(cloud)) < -(-len(body) // (8 * MIB)) or parts_here(place, len(body)) < parts
    ):
        time.sleep(0.01)
    child.kill()
    assert child.lines()[1] == -signal.SIGKILL
    assert parts_here(place, len(body)) == parts
    cloud._rules.clear()
    cloud.requests.clear()


def parts_here(place, size):
    found = 0
    for path in Path(place, "cache", "partial").glob("*"):
        with path.open("rb") as file:
            file.seek(size)
            found += sum(file.read())
    return found


@pytest.mark.parametrize("parts", [0, 3, 6])
def test_s11_a_downloader_that_is_killed_leaves_what_the_next_one_uses(cloud, place, parts):
    body = os.urandom(50 * MIB)  # seven parts
    killed_after(cloud, place, body, parts)
    assert ds.resolve("ds://cloud/a.bin").read_bytes() == body
    assert len(gets(cloud)) == 7 - parts
    assert all("if-match" in request.headers for request in cloud.requests if request.operation == "GetObject")
    ds.cache.prune()
    assert leaks(place / "cache") == []


def test_s11_of_many_that_want_what_a_dead_one_left_one_takes_it(cloud, place, monkeypatch):
    body = os.urandom(20 * MIB)
    killed_after(cloud, place, body, 2)
    lockless(monkeypatch)
    found, _ = together("ds://cloud/a.bin", 6)
    assert {digest for digest, _ in found} == {digest_of(body)}
    ds.cache.prune()
    assert leaks(place / "cache") == []


def test_s23_a_spawned_process_with_nothing_but_the_environment_finds_the_same(main, place):
    import subprocess
    import sys

    main.objects.put("a.bin", b"x" * 100)
    path = ds.resolve(main / "a.bin")
    program = "import sys, datastore as ds; print(ds.resolve(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(main / "a.bin")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(path)
    reset_current()
