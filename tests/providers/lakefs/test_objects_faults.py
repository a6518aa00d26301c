"""What goes wrong on the way: URLs that have ended, hosts that cannot be reached, answers that are lost."""

import pickle

import pytest
from msgspec import structs

from datastore.errors import (
    AlreadyExists,
    DatastoreError,
    Forbidden,
    HeadMoved,
    IntegrityError,
    NotFound,
    Unavailable,
    UnsupportedOperation,
)
from datastore.http.engine import engine
from datastore.http.observe import observed
from datastore.providers.lakefs.learned import SignedUrl
from datastore.testing.exam import MIB, content, listed, payload
from datastore.values import CREATE, ByteRange, Link
from tests.providers.lakefs.middle import Middle
from tests.providers.lakefs.places import client_for, committed, repo_on


@pytest.fixture
def repo(lakefs):
    return repo_on(lakefs)


@pytest.fixture
def main(repo):
    return repo.at("main")


@pytest.fixture
def middle(lakefs):
    middle = Middle(lakefs.endpoint)
    yield middle
    middle.stop()


def _spoil_urls(client):
    """Make all kept URLs such as the object store refuses: their signature does not fit."""
    kept = client.learned.urls
    for name in list(kept._values):
        known = kept.get(name)
        kept.put(name, SignedUrl(known.url.replace("X-Amz-Signature=", "X-Amz-Signature=0"), known.expires))


def test_s34_a_url_that_ended_in_the_middle_of_a_transfer_is_asked_for_again(repo, main):
    data = payload(20 * MIB)
    main.put("large.bin", data)
    with main.read("large.bin") as reader:
        beginning = reader.read(1000)
        _spoil_urls(repo.client)
        assert beginning + reader.read() == data


def test_a_url_that_is_about_to_end_is_not_used(repo, main):
    info = main.put("a.txt", b"hello")
    main.head("a.txt")
    kept = repo.client.learned.urls
    for name in list(kept._values):
        kept.put(name, SignedUrl("http://127.0.0.1:9/never/asked", 1.0))
    assert engine().run(main.get_call(info)) == b"hello"


def test_bytes_that_are_gone_from_the_bucket_are_no_missing_key(repo, main, lakefs):
    info = main.put("a.txt", b"hello")
    address = info.identity.rpartition(" ")[2].removeprefix("s3:/")
    lakefs.storage.request("DELETE", address)
    with pytest.raises(IntegrityError, match=r"a\.txt"):
        content(main, "a.txt")
    assert main.head("a.txt").size == 5


def test_an_object_store_that_cannot_be_reached_is_gone_around(lakefs, middle):
    middle.rewrites = {lakefs.storage.address: "127.0.0.1:9"}
    repo = repo_on(lakefs, endpoint=middle.endpoint)
    main = repo.at("main")
    small, large = b"hello", payload(9 * MIB)
    main.put("small.txt", small)
    assert content(main, "small.txt") == small
    with observed() as seen:
        assert content(main, "small.txt") == small
    assert len(seen) == 2, "it is remembered"
    main.put("large.bin", large)
    assert content(main, "large.bin") == large
    with observed() as seen:
        again = dict(engine().bulk((info.key, main.get_call(info)) for page in main.list() for info in page.objects))
    assert again == {"small.txt": small, "large.bin": large}
    assert all(exchange.attempt == 1 for exchange in seen)


def test_large_objects_are_written_around_an_object_store_that_cannot_be_reached(lakefs, middle, tmp_path):
    middle.rewrites = {lakefs.storage.address: "127.0.0.1:9"}
    data = payload(66 * MIB)
    (tmp_path / "large.bin").write_bytes(data)
    for body in (tmp_path / "large.bin", iter([data[: 30 * MIB], data[30 * MIB :]])):
        main = repo_on(lakefs, endpoint=middle.endpoint).at("main")
        main.put("large.bin", body)
        assert content(main, "large.bin") == data


def test_the_doctor_tells_that_the_object_store_cannot_be_reached(lakefs, middle):
    main = repo_on(lakefs, endpoint=middle.endpoint).at("main")
    main.put("a.txt", b"hello")
    assert {finding.check: finding.state for finding in main.probe("x/", write=True)}["signed URLs"] == "ok"
    middle.rewrites = {lakefs.storage.address: "127.0.0.1:9"}
    main = repo_on(lakefs, endpoint=middle.endpoint).at("main")
    assert {finding.check: finding.state for finding in main.probe("x/", write=True)}["signed URLs"] == "skipped"
    main.put("a.txt", b"hello")
    found = {finding.check: finding for finding in main.probe("x/", write=True)}["signed URLs"]
    assert (found.state, "127.0.0.1:9" in found.detail) == ("warning", True)
    assert "presign: false" in found.hint


def test_who_insists_on_signed_urls_is_told_that_they_lead_nowhere(lakefs, middle):
    middle.rewrites = {lakefs.storage.address: "127.0.0.1:9"}
    main = repo_on(lakefs, endpoint=middle.endpoint, presign=True).at("main")
    main.put("a.txt", b"hello")
    with pytest.raises(Unavailable):
        content(main, "a.txt")


def test_without_signed_urls_everything_goes_through_the_server(lakefs):
    repo = repo_on(lakefs, presign=False)
    main, large = repo.at("main"), payload(9 * MIB)
    main.put("large.bin", large)
    main.head("large.bin")
    before = len(lakefs.calls())
    assert content(main, "large.bin") == large
    calls = lakefs.calls()[before:]
    assert set(calls) == {"StatObject", "GetObject"}


@pytest.mark.parametrize("size", [5, 9 * MIB], ids=["upload", "link"])
def test_a_lost_answer_to_create_is_no_conflict_with_oneself(lakefs, middle, size):
    main = repo_on(lakefs, endpoint=middle.endpoint).at("main")
    main.put("warm", b"")
    middle.lose = {"POST": 1} if size == 5 else {"PUT": 1}
    info = main.put("a.bin", payload(size), mode=CREATE)
    assert info == main.head("a.bin")
    assert content(main, "a.bin") == payload(size)
    with pytest.raises(AlreadyExists):
        main.put("a.bin", payload(size), mode=CREATE)


def test_a_lost_answer_does_not_hide_that_somebody_else_was_first(lakefs, middle):
    repo = repo_on(lakefs, endpoint=middle.endpoint)
    repo.at("main").put("a.bin", b"other")
    middle.lose = {"POST": 1}
    with pytest.raises(AlreadyExists):
        repo.at("main").put("a.bin", b"mine", mode=CREATE)
    assert content(repo.at("main"), "a.bin") == b"other"


def test_lost_answers_to_other_verbs_are_made_up_for(lakefs, middle):
    main = repo_on(lakefs, endpoint=middle.endpoint).at("main")
    main.put("a", b"1")
    for verb in ("GET", "POST", "PUT"):
        middle.lose = {verb: 1}
        main.copy("a", "b")
        assert not main.delete(["b"])
        main.put("c", verb.encode())
        assert (content(main, "c"), listed(main)) == (verb.encode(), ["a", "c"])


def test_an_upload_in_parts_whose_end_is_lost_is_complete(lakefs, middle, monkeypatch):
    repo = repo_on(lakefs, endpoint=middle.endpoint)
    main = repo.at("main")
    upload = main.create_upload("a.bin")
    part = engine().run(main.part_call(upload, 1, payload(5 * MIB)))
    middle.lose = {"PUT": 1}
    info = main.complete_upload(upload, [part])
    assert info == main.head("a.bin")
    assert content(main, "a.bin") == payload(5 * MIB)


def test_a_branch_that_is_mistyped_is_not_made(repo):
    wrong = repo.at("mian")
    attempts = [
        lambda: wrong.put("a.txt", b"1"),
        lambda: wrong.put("a.txt", payload(9 * MIB)),
        lambda: wrong.writer("a.txt"),
        lambda: wrong.delete(["a.txt"]),
        lambda: wrong.copy("a.txt", "b.txt"),
        lambda: wrong.create_upload("a.txt"),
        lambda: wrong.presign("PUT", "a.txt"),
        lambda: wrong.head("a.txt"),
        lambda: list(wrong.list()),
        lambda: engine().run(wrong.put_call("a.txt", b"1")),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound) as caught:
            attempt()
        assert "'mian'" in str(caught.value)
        assert "'main'" in str(caught.value.hint)
    assert [branch.name for branch in repo.branches(hidden=True)] == ["main"]


def test_a_branch_that_was_deleted_meanwhile_is_not_there(repo):
    repo.create_branch("exp", "main")
    exp = repo.at("exp")
    exp.put("a.txt", b"1")
    repo.delete_branch("exp")
    for attempt in (lambda: exp.put("b.txt", b"1"), lambda: exp.delete(["a.txt"]), lambda: exp.head("a.txt")):
        with pytest.raises(NotFound) as caught:
            attempt()
        assert "exp" in str(caught.value) + str(caught.value.hint)


def test_a_repo_that_is_not_there_is_named(lakefs, repo):
    from datastore.providers.lakefs.repo import LakeFSRepo

    missing = LakeFSRepo(repo.client, repo.name[:-1] + "x").at("main")
    for attempt in (lambda: missing.head("a"), lambda: missing.put("a", b"1"), lambda: missing.delete(["a"])):
        with pytest.raises(NotFound, match=missing._remote.name):
            attempt()


def test_deleting_one_key_leaves_those_that_begin_like_it(main):
    for key in ("haz/ab", "haz/abc", "haz/ab/c"):
        main.put(key, b"1")
    assert not main.delete(["haz/ab"])
    assert listed(main) == ["haz/ab/c", "haz/abc"]


def test_a_wrong_key_pair_is_told_once(lakefs):
    from datastore.providers.lakefs.credentials import Login
    from datastore.secret import Secret

    repo = repo_on(lakefs)
    client = type(repo.client)(repo.client.url, Login(access_key_id=lakefs.access_key, secret=Secret("wr0ng-s3cret")))
    with observed() as seen, pytest.raises(Forbidden) as caught:
        type(repo)(client, repo.name).at("main").head("a")
    assert len(seen) == 1
    assert "wr0ng" not in str(caught.value) + str(caught.value.hint)


def test_an_error_of_the_middle_of_nowhere_pickles(main):
    with pytest.raises(NotFound) as caught:
        main.head("nothing.txt")
    main.put("nothing.text", b"1")
    assert "nothing.text" in str(pickle.loads(pickle.dumps(caught.value)).hint)


# bytes of other places


@pytest.fixture
def bucket(lakefs):
    bucket = lakefs.storage.new_bucket()
    lakefs.storage.request("PUT", f"/{bucket}/raw/a.csv", body=b"first")
    return bucket


def _outside(bucket, data=b"first", key="taken/a.csv"):
    import hashlib

    from datastore.values import ObjectInfo

    etag = hashlib.md5(data).hexdigest()
    link = Link(url="ds://raw/a.csv", etag=etag, address=f"s3://{bucket}/raw/a.csv")
    return ObjectInfo(
        key=key, size=len(data), modified_us=0, etag=etag, identity="x", content_type="text/csv", link=link
    )


def test_data_outside_is_linked_and_read(main, bucket):
    (linked,) = main.link_outside([_outside(bucket)])
    assert (linked.key, linked.size, linked.content_type) == ("taken/a.csv", 5, "text/csv")
    assert content(main, "taken/a.csv") == b"first"
    assert listed(main) == ["taken/a.csv"]
    assert main.head("taken/a.csv").identity == linked.identity


def test_data_outside_that_changed_is_never_other_bytes(main, bucket, lakefs):
    main.link_outside([_outside(bucket)])
    lakefs.storage.request("PUT", f"/{bucket}/raw/a.csv", body=b"other")
    with pytest.raises(IntegrityError, match="changed"):
        content(main, "taken/a.csv")


def test_what_cannot_be_linked_leaves_nothing(main, bucket):
    for info in (
        _outside(bucket, b"never these"),
        _outside("no-such-bucket-anywhere"),
        structs.replace(_outside(bucket), link=Link(url="ds://x/y", etag="1", address="gs://bucket/x")),
        structs.replace(_outside(bucket), link=Link(url="ds://x/y", etag="1")),
    ):
        with pytest.raises(UnsupportedOperation):
            main.link_outside([_outside(bucket, key="first"), info] if info.link.address[:2] != "s3" else [info])
        assert listed(main) == []


def test_committed_bytes_of_another_repo_are_linked_and_others_are_not(lakefs, repo):
    source = repo_on(lakefs)
    fixed = committed(source, {"a.csv": b"1,2\n"})
    main = repo.at("main")
    with observed() as seen:
        linked = main.link(fixed.head("a.csv"), "b.csv")
    assert linked is not None
    assert sum(exchange.sent for exchange in seen) < 1000
    assert content(main, "b.csv") == b"1,2\n"
    source.at("main").put("new.csv", b"3,4\n")
    assert main.link(source.at("main").head("new.csv"), "c.csv") is None
    other = client_for(lakefs, endpoint=lakefs.endpoint.replace("127.0.0.1", "localhost"))
    assert type(repo)(other, repo.name).at("main").link(fixed.head("a.csv"), "d.csv") is None


def test_a_pinned_branch_that_moved_is_told(repo, main):
    committed(repo, {"a": b"1"})
    head = repo.commit_of("main").id
    pinned = repo.at("main", head=head)
    pinned.put("b", b"2")
    assert content(pinned, "a") + content(pinned, "b") == b"12"
    committed(repo, {"c": b"3", "d": b"4"})
    for verb in (
        lambda: pinned.head("a"),
        lambda: pinned.read("a"),
        lambda: pinned.put("e", b"5"),
        lambda: pinned.delete(["a"]),
        lambda: list(pinned.list()),
        lambda: pinned.copy("a", "e"),
        lambda: pinned.writer("e"),
    ):
        with pytest.raises(HeadMoved, match=head[:8]):
            verb()
    assert listed(main) == ["a", "b", "c", "d"]


def test_a_range_of_nothing_in_bulk_is_nothing(main):
    infos = [main.put("a", b"123"), main.put("empty", b"")]
    for info in infos:
        for wanted in (ByteRange(1, 1), ByteRange(9, 12)):
            assert engine().run(main.get_call(info, range=wanted)) == b""


def test_an_object_that_was_replaced_is_not_given_for_the_old_one(lakefs):
    main = repo_on(lakefs, presign=False).at("main")
    info = main.put("a", b"old")
    main.put("a", b"new")
    with pytest.raises(HeadMoved):
        engine().run(main.get_call(info))
    main.delete(["a"])
    with pytest.raises(DatastoreError):
        engine().run(main.get_call(info))
