"""What else can happen to those who resolve: the numbers are those of the table in docs/guarantees.md."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

import datastore as ds
from datastore.cachestore.contents import Contents
from datastore.cachestore.layout import CacheFolder
from datastore.cachestore.records import Records
from datastore.cachestore.store import CacheStore
from datastore.cachestore.views import Views
from datastore.namespace import current
from datastore.resolution import store_of
from datastore.testing import servers
from datastore.testing.scripted_s3 import Swapped, refused
from datastore.testing.store_children import Child
from datastore.values import digest_of
from tests.resolve.helpers import MIB, PROCESSES, census, config_of, gets, leaks, lockless, together, tree
from tests.resolve.test_wire import published

STRESS = bool(os.environ.get("DATASTORE_STRESS"))
SIZE = (200 if STRESS else 20) * MIB
PARTS = -(-SIZE // (8 * MIB))
BODY = os.urandom(20 * MIB)


def test_twelve_processes_make_one_download_as_the_server_counts_it(cloud, place):
    body = os.urandom(SIZE)
    cloud.objects.put("bucket", "a.bin", body)
    found, _ = together("ds://cloud/a.bin")
    assert [digest for digest, _ in found] == [digest_of(body)]
    assert len(gets(cloud)) == len(set(gets(cloud))) == PARTS
    assert [len(cloud.asked("HeadObject")), leaks(place / "cache")] == [PROCESSES, []]


@pytest.mark.parametrize("locks", [True, False])
def test_s08_twelve_processes_while_the_object_changes_read_one_version_each(cloud, place, monkeypatch, locks):
    versions = [os.urandom(20 * MIB) for _ in range(3)]
    cloud.objects.put("bucket", "a.bin", versions[0])
    cloud.on("GetObject", r"a\.bin", Swapped(versions[1]), nth=2)
    cloud.on("GetObject", r"a\.bin", Swapped(versions[2]), nth=5)
    if not locks:
        lockless(monkeypatch)
    found, _ = together("ds://cloud/a.bin")
    digests = {digest_of(body) for body in versions}
    assert {digest for digest, _ in found} <= digests
    assert {digest_of(body) for body in published(place)} <= digests
    assert ds.cache.verify() == []
    assert leaks(place / "cache") == []
    assert ds.resolve("ds://cloud/a.bin").read_bytes() == versions[2]


MOMENTS = {
    "the bytes are verified": (Contents, "publish"),
    "the bytes get their name": (CacheFolder, "move"),
    "the digest is noted": (Records, "save_digest"),
    "the file is made": (Views, "make_file"),
    "the folder is made": (Views, "make_tree"),
    "the URL is noted": (Records, "save_url"),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("url", ["ds://cloud/d/a.bin", "ds://cloud/d/"])
def test_s11_killed_at_any_step_and_repeated_it_leaves_the_files_of_one_that_was_not(
    cloud, place, monkeypatch, moment, url
):
    bodies = {name: os.urandom(3 * MIB) for name in ("a.bin", "b.bin", "e/c.bin")}
    for name, body in bodies.items():
        cloud.objects.put("bucket", f"d/{name}", body)
    kind, name = MOMENTS[moment]

    def work(say):
        setattr(kind, name, lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL))
        ds.resolve(url)

    _, status = Child(work).lines()
    other = {"make_file": "ds://cloud/d/", "make_tree": "ds://cloud/d/a.bin"}.get(name) == url  # which has no such step
    assert status == (0 if other else -signal.SIGKILL)
    assert set(published(place)) <= set(bodies.values())
    found = ds.resolve(url)
    assert (tree(found) == bodies) if found.is_dir() else (found.read_bytes() == bodies["a.bin"])
    ds.cache.prune()
    assert leaks(place / "cache") == []
    assert census(place / "cache") == census_of_a_clean_run(place, monkeypatch, url)


def census_of_a_clean_run(place, monkeypatch, url):
    other = CacheStore(place / "other")
    with monkeypatch.context() as patched:
        patched.setattr("datastore.resolution.store_of", lambda namespace: other)
        ds.resolve(url)
    return census(place / "other")


@pytest.mark.parametrize("seconds", [60 if STRESS else 4])
def test_s25_resolvers_and_evictors_that_are_killed_at_random_leave_nothing_to_repair(cloud, place, seconds):
    bodies = {f"{n}.bin": os.urandom(50_000 * n) for n in range(1, 8)}
    for name, body in bodies.items():
        cloud.objects.put("bucket", f"d/{name}", body)

    def work(say):
        while True:
            with ds.resolving("ds://cloud/d/") as folder:
                assert tree(folder) == bodies
            with ds.resolving("ds://cloud/d/7.bin") as path:
                assert path.read_bytes() == bodies["7.bin"]

    def evict(say):
        while True:
            ds.cache.trim(300_000)

    chance, end, killed = random.Random(25), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        children = [Child(work), Child(work), Child(work), Child(evict)]
        for child in children:
            time.sleep(chance.uniform(0.01, 0.15))
            child.kill()
        ended = [child.lines() for child in children]
        assert ended == [([], -signal.SIGKILL)] * 4
        killed += 4
        assert ds.cache.verify() == []
    assert killed >= 12
    with ds.resolving("ds://cloud/d/") as folder:
        assert tree(folder) == bodies
    ds.cache.trim(0)
    assert (leaks(place / "cache"), ds.cache.info().size) == ([], 0)


def test_s26_a_process_that_is_suspended_while_others_evict_reads_on_when_it_wakes(cloud):
    cloud.objects.put("bucket", "a.bin", BODY)

    def work(say):
        path = ds.resolve("ds://cloud/a.bin")
        say("has it")
        os.kill(os.getpid(), signal.SIGSTOP)
        say(digest_of(path.read_bytes()))

    child = Child(work)
    assert child.next_line() == "has it"
    os.waitpid(child.pid, os.WUNTRACED)
    assert ds.cache.trim(0) == 0
    os.kill(child.pid, signal.SIGCONT)
    assert child.lines() == ([digest_of(BODY)], 0)
    assert ds.cache.trim(0) == len(BODY)


def test_s40_files_that_windows_keeps_because_they_are_open_go_the_next_time(main, monkeypatch):
    main.objects.put_many([(f"d/{n}", b"%d" % n * 1000, None) for n in range(10)])
    main.objects.put("a.bin", b"a" * 1000)
    with ds.resolving(main / "d/") as folder, ds.resolving(main / "a.bin") as path:
        held = {folder / "3", path}
    unlink = os.unlink

    def refuses(name, **options):
        if os.fspath(name).rpartition(os.sep)[2] in {
            path.name for path in held
        }:  # rmtree names them within their folder
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        unlink(name, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuses)
        ds.cache.trim(0)
        assert path.read_bytes() == b"a" * 1000
        assert tree(ds.resolve(main / "d/")) == {f"{n}": b"%d" % n * 1000 for n in range(10)}
    store_of(current()).leases._for_good.clear()
    for lease in (ds.cache.path / "leases").glob("*/*"):
        lease.unlink()
    ds.cache.trim(0)
    assert ds.cache.info().size == 0


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


HARM = {
    "flipped at the beginning": lambda data: flipped(data, 0),
    "flipped in the middle": lambda data: flipped(data, len(data) // 2),
    "flipped at the end": lambda data: flipped(data, len(data) - 1),
    "half of it": lambda data: data[: len(data) // 2],
    "nothing": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("kind", ["objects", "files", "trees", "aliases", "urls"])
def test_s32_whatever_becomes_of_the_files_of_the_cache_the_bytes_are_right(cloud, main, place, kind, harm):
    bodies = {"a.bin": b"first" * 1000, "b.bin": b"other" * 1000}
    for name, body in bodies.items():
        cloud.objects.put("bucket", f"d/{name}", body)
        main.objects.put(f"d/{name}", body)
    roots = ["ds://cloud/", f"ds://garments@{main.commit('Two').id}/"]

    def right():
        for root in roots:
            assert ds.resolve(f"{root}d/a.bin").read_bytes() == bodies["a.bin"]
            assert tree(ds.resolve(f"{root}d/")) == bodies

    right()
    harmed = [path for path in (place / "cache" / kind).rglob("*") if path.is_file()]
    assert harmed
    for path in harmed:
        data = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(HARM[harm](data))
    store_of(current()).views._manifests.clear()  # as in a new process
    right()
    ds.cache.verify()
    right()


@pytest.mark.parametrize(
    "fault", [refused(503, "SlowDown"), refused(429, "TooManyRequests", headers={"retry-after": "0"})]
)
def test_s33_a_server_that_asks_for_patience_five_times_gets_it_and_each_part_comes_once(cloud, quick, place, fault):
    cloud.objects.put("bucket", "a.bin", BODY)
    cloud.on("GET", ".*", fault, times=5)
    cloud.on("HEAD", ".*", fault)
    assert ds.resolve("ds://cloud/a.bin").read_bytes() == BODY
    assert len(gets(cloud)) == len(set(gets(cloud))) + 5
    assert leaks(place / "cache") == []


def test_s34_keys_that_end_in_the_middle_of_a_download_are_renewed_and_it_goes_on(cloud, place):
    (place / ".aws").mkdir()
    keys = place / ".aws" / "credentials"
    line = "[default]\naws_access_key_id={}\naws_secret_access_key=w\naws_session_token=t\n"
    keys.write_text(line.format("OLD"))
    ds.mount("profile", "s3", bucket="bucket", endpoint=cloud.endpoint, region="us-east-1", profile="default")
    cloud.objects.put("bucket", "a.bin", BODY)
    provider = current().target("ds://profile/a.bin").provider
    provider.head("a.bin")
    keys.write_text(line.format("NEW"))
    provider.site.authorizer.source._state.looked -= 60  # or it would not look again so soon
    cloud.on("GetObject", r"a\.bin", refused(400, "ExpiredToken"), nth=2)
    assert ds.resolve("ds://profile/a.bin").read_bytes() == BODY
    asked = cloud.asked("GetObject")
    assert len(asked) == len({request.headers["range"] for request in asked}) + 1
    assert len({request.headers["if-match"] for request in asked}) == 1
    assert {request.headers["authorization"].partition("Credential=")[2][:4] for request in asked} == {"OLD/", "NEW/"}


# offline


@pytest.fixture
def own_server(request, place, built_servers):
    """A server of this test alone, which it may stop, and the URL of its bucket or branch."""
    built_servers("versitygw", *(["lakefs"] if request.param == "lakefs" else []))
    start = {"versitygw": servers.start_versitygw, "lakefs": servers.start_lakefs}[request.param]
    with start(place / "server") as server:
        yield server, config_of(server, place / "datastore.yaml")


READ = """
import hashlib, sys
import datastore as ds
for url in sys.argv[1:]:
    try:
        path = ds.resolve(url)
    except ds.NotCached as error:
        print("lacks", str(error).split("'")[1])
    else:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        print("has", *(hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in files if file.is_file()))
"""


def read(*urls, **environment):
    """Resolve in a new process, which has nothing but the cache and the configuration."""
    command = [sys.executable, "-W", "error", "-c", READ, *map(str, urls)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=os.environ | environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.servers
@pytest.mark.parametrize("own_server", ["versitygw", "lakefs"], indirect=True)
def test_offline_with_the_servers_stopped_what_was_resolved_is_read_and_what_was_not_is_named(own_server):
    server, root = own_server
    ds.filesystem().pipe(
        {f"{root}d/{n}.bin": b"%d" % n for n in range(5)} | {f"{root}a.bin": b"a", f"{root}b.bin": b"b"}
    )
    urls = [f"{root}a.bin", f"{root}d/"]
    fixed = []
    if ds.url(root).ref:
        commit = ds.repo("data").branch("main").commit("One").id
        fixed = [ds.url(url).at(commit) for url in urls]
    before = read(*urls, *fixed)
    assert len(before) == len(urls) + len(fixed)
    server.stop()
    lacking = [f"{root}b.bin", f"{root}e/"]
    assert read(*urls, *fixed, *lacking, DATASTORE_OFFLINE="1") == [*before, *(f"lacks {url}" for url in lacking)]
    assert read(*fixed) == before[len(urls) :]  # which ask nobody, so that nothing has to be set
