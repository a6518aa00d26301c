"""What the verbs cost: requests, and round trips in sequence."""

import itertools
import time

import pytest
from msgspec import structs

from datastore.errors import DatastoreError
from datastore.http.engine import engine
from datastore.http.observe import observed
from datastore.providers.lakefs.repo import LakeFSRepo
from datastore.values import CREATE, ByteRange
from tests.providers.lakefs.middle import Middle
from tests.providers.lakefs.places import client_for, committed, repo_on


@pytest.fixture
def repo(lakefs):
    return repo_on(lakefs)


@pytest.fixture
def main(repo):
    main = repo.at("main")
    main.put("warm.txt", b"the process has asked for configuration, repo and branch")
    main.head("warm.txt")
    return main


def _put_all(main, keys):
    calls = ((key, main.put_call(key, key.encode())) for key in keys)
    for _, result in engine().bulk(calls):
        assert not isinstance(result, DatastoreError)


def test_one_request_for_each_small_verb(main):
    with observed() as seen:
        main.put("a.txt", b"hello")
    assert [exchange.method for exchange in seen] == ["POST"]
    with observed() as seen:
        main.head("a.txt")
    assert len(seen) == 1
    with observed() as seen:
        list(main.list())
    assert len(seen) == 1
    with observed() as seen:
        main.put("b.txt", b"hello", mode=CREATE)
    assert len(seen) == 1


def test_a_small_read_is_one_look_and_one_get(main):
    main.put("a.txt", b"hello")
    with observed() as seen, main.read("a.txt") as reader:
        assert reader.read() == b"hello"
    assert len(seen) == 2
    with observed() as seen, main.read("a.txt", range=ByteRange(1, 3)) as reader:
        assert reader.read() == b"el"
    assert len(seen) == 2


def test_bytes_come_from_the_object_store_and_no_credentials_go_there(main, lakefs):
    main.put("a.txt", b"hello")
    before = len(lakefs.calls())
    info = main.head("a.txt")
    call = main.get_call(info)
    signed = call.request.authorize(call.request, None)
    assert signed.url.startswith(lakefs.storage.endpoint)
    assert not {name.lower() for name in signed.headers} & {"authorization", "cookie"}
    assert engine().run(call) == b"hello"
    assert lakefs.calls()[before:] == ["StatObject"]


def test_a_commit_is_known_for_ever(repo, main):
    fixed = committed(repo, {"a.txt": b"hello", "b.txt": b"more"})
    assert fixed.head("a.txt").commit is not None
    with observed() as seen:
        fixed.head("a.txt")
        repo.at(fixed.head("a.txt").commit).head("a.txt")
    assert len(seen) == 0
    list(fixed.list())
    with observed() as seen:
        fixed.head("b.txt")
    assert len(seen) == 0


def test_a_new_handle_of_a_known_branch_asks_nothing_more(repo, main):
    with observed() as seen:
        repo.at("main").head("warm.txt")
    assert len(seen) == 1


def test_a_thousand_are_deleted_at_once(main):
    keys = [f"many/{n:04}" for n in range(1500)]
    _put_all(main, keys)
    with observed() as seen:
        assert not main.delete(keys)
    assert len(seen) == 3
    assert [info.key for page in main.list() for info in page.objects] == ["warm.txt"]


def test_many_are_read_with_hardly_more_than_one_request_each(repo, main):
    keys = [f"many/{n:04}" for n in range(400)]
    _put_all(main, keys)
    infos = [info for page in main.list("many/") for info in page.objects]
    with observed() as seen:
        got = dict(engine().bulk((info.key, main.get_call(info)) for info in infos))
    assert got == {key: key.encode() for key in keys}
    assert len(seen) <= 400 + 6


def test_a_few_of_many_do_not_ask_for_all(main):
    keys = [f"many/{n:04}" for n in range(300)]
    _put_all(main, keys)
    infos = {info.key: info for page in main.list("many/") for info in page.objects}
    with observed() as seen:
        for key in (keys[200], keys[100], keys[299], keys[0], keys[150]):
            assert engine().run(main.get_call(infos[key])) == key.encode()
    assert sum(exchange.received for exchange in seen if "objects/ls" in exchange.url) < 20_000


LAYOUTS = {
    "flat": [f"flat/{n:05}" for n in range(3200)],
    "three": sorted(f"three/d{n % 3}/{n:05}" for n in range(3200)),
    "forty": sorted(f"forty/d{n % 40:02}/{n:05}" for n in range(9000)),
}


@pytest.fixture(scope="module")
def full(lakefs):
    """A branch with many keys, all of the same bytes."""
    repo = repo_on(lakefs)
    main, remote = repo.at("main"), repo._remote
    main.put("a", b"1")
    one = remote.run(remote.stat_call("main", "a"))
    calls = (remote.stage_call("main", structs.replace(one, path=key)) for keys in LAYOUTS.values() for key in keys)
    assert sum(1 for _ in remote.each(calls)) == sum(map(len, LAYOUTS.values()))
    main.delete(["a"])
    return main


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_long_listing_takes_its_pages_and_few_requests_more(full, layout):
    keys = LAYOUTS[layout]
    depths: list[int] = []
    for _ in range(3):  # answers take a millisecond: a busy machine may begin one late that need not wait
        with observed() as seen:
            pages = list(full.list(f"{layout}/"))
        assert [info.key for page in pages for info in page.objects] == keys
        assert len(seen) <= len(keys) // 1000 + 1 + 1 + 5
        depths.append(seen.depth())
    assert min(depths) <= len(keys) // 1000 + 2  # is it a branch?
    with observed() as seen:
        rest = [info.key for page in full.list(f"{layout}/", start_after=keys[1500]) for info in page.objects]
    assert rest == keys[1501:]
    assert len(seen) <= len(rest) // 1000 + 1 + 1 + 5


def test_a_listing_of_everything_is_in_order(full):
    assert [info.key for page in full.list() for info in page.objects] == sorted(itertools.chain(*LAYOUTS.values()))
    assert [page.prefixes for page in full.list(delimiter="/")] == [["flat/", "forty/", "three/"]]


def test_a_long_listing_is_asked_for_side_by_side(full, lakefs):
    middle = Middle(lakefs.endpoint)
    main = LakeFSRepo(client_for(lakefs, endpoint=middle.endpoint), full._remote.name).at("main")
    listing = main.list("forty/")
    taken = [next(listing) for _ in range(4)]
    deadline = time.monotonic() + 60

    def asked():
        return sum("objects/ls" in path for _, path, _ in middle.requests)

    while asked() < 4 + 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert asked() >= 6, "pages are on their way that nobody has asked for yet"
    taken += listing
    assert [info.key for page in taken for info in page.objects] == LAYOUTS["forty"]
    middle.stop()


def test_a_copy_is_a_look_and_a_name(repo, main):
    main.put("a.bin", bytes(1 << 20))
    with observed() as seen:
        main.copy("a.bin", "b.bin")
        main.link(main.head("a.bin"), "c.bin")
    assert len(seen) == 4
    assert sum(exchange.sent for exchange in seen) < 5000


def test_a_writer_of_little_is_one_request(main):
    with observed() as seen:
        writer = main.writer("a.txt")
        writer.write(b"hello")
        writer.commit()
    assert len(seen) == 1
