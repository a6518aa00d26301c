"""What an S3 service does on bad days, by script: lost answers, errors inside answers, answers that are cut off."""

from datetime import timedelta

import pytest

from datastore.errors import AlreadyExists, DatastoreError, Forbidden, HeadMoved, IntegrityError, NotFound, Unavailable
from datastore.http import engine as http_engine
from datastore.http.engine import engine
from datastore.http.retry import Policy
from datastore.http.signing import Credentials
from datastore.providers.s3.authorizing import S3Authorizer
from datastore.providers.s3.bucket import S3Provider
from datastore.providers.s3.credentials import Fixed
from datastore.providers.s3.presets import PRESETS
from datastore.providers.s3.site import Site
from datastore.secret import Secret
from datastore.testing.exam import MIB, content, payload
from datastore.testing.scripted_s3 import (
    Chunked,
    Cut,
    ErrorInside,
    LostReply,
    Malformed,
    NoRange,
    Reset,
    ScriptedS3,
    Swapped,
    WrongRange,
    refused,
)
from datastore.values import CREATE, Attributes, Match

BUCKET = "bucket"
ALWAYS = 1000
QUICK = http_engine.Engine(policy=Policy(base=0.001, cap=0.01))  # tries as often as ever, without waiting in between


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(http_engine, "_PROCESS", [QUICK])


@pytest.fixture
def scripted():
    with ScriptedS3() as server:
        server.objects.put(BUCKET, "made", b"")
        server.objects.put(BUCKET, "with spaces/ü", b"x")
        yield server
        assert server.objects.uploads() == []


@pytest.fixture
def provider(scripted):
    keys = Credentials(access_key_id="key", secret_access_key=Secret("secret"))
    authorizer = S3Authorizer(Fixed(keys), region="us-east-1")
    site = Site(preset=PRESETS["s3"], endpoint=scripted.endpoint, authorizer=authorizer, addressing="path")
    return S3Provider(site, BUCKET)


# ----------------------------------------------------------------------------------------- lost answers to conditions
@pytest.mark.parametrize("times", [1, 2])
def test_s14_a_create_whose_answer_was_lost_knows_its_own_work(provider, scripted, times):
    scripted.on("PutObject", "a", LostReply(), times=times)
    info = provider.put("a", b"ours", mode=CREATE, attributes=Attributes(metadata={"run": "1"}))
    assert (content(provider, "a"), dict(info.metadata)) == (b"ours", {"run": "1"})
    assert info.etag == provider.head("a").etag


def test_s14_a_match_whose_answer_was_lost_knows_its_own_work(provider, scripted):
    etag = provider.put("a", b"old").etag
    scripted.on("PutObject", "a", LostReply())
    info = provider.put("a", b"new", mode=Match(etag))
    assert (content(provider, "a"), provider.head("a").etag) == (b"new", info.etag)


def test_s14_a_create_that_came_too_late_is_not_taken_for_its_own(provider, scripted):
    scripted.on("PutObject", "a", Reset())
    scripted.on("PutObject", "a", Swapped(b"theirs"), nth=2)
    with pytest.raises(AlreadyExists):
        provider.put("a", b"ours", mode=CREATE)
    assert content(provider, "a") == b"theirs"


def test_a_call_of_a_bulk_knows_its_own_work(provider, scripted):
    scripted.on("PutObject", "a/.", LostReply(), nth=2)
    calls = ((n, provider.put_call(f"a/{n}", b"1", mode=CREATE)) for n in range(4))
    results = dict(engine().bulk(calls))
    assert not [result for result in results.values() if isinstance(result, Exception)]


def test_s14_an_answer_that_never_comes_is_asked_for_afterwards(provider, scripted):
    scripted.on("PutObject", "a", LostReply(), times=ALWAYS)
    info = provider.put("a", b"ours", mode=CREATE)
    assert info.etag == provider.head("a").etag


def test_an_upload_whose_completion_was_not_answered_is_complete(provider, scripted):
    data = payload(17 * MIB)
    scripted.on("CompleteMultipartUpload", "a", LostReply())
    info = provider.put("a", data, mode=CREATE)
    assert (info.size, info.etag) == (len(data), provider.head("a").etag)
    assert content(provider, "a") == data


def test_an_upload_that_somebody_else_made_gone_is_an_error(provider, scripted):
    scripted.on("CompleteMultipartUpload", "a", refused(404, "NoSuchUpload"), times=ALWAYS)
    with pytest.raises(NotFound, match="upload"):
        provider.put("a", bytes(17 * MIB))


# ------------------------------------------------------------------------------------------- errors inside of answers
@pytest.mark.parametrize("code", ["InternalError", "SlowDown"])
def test_s33_a_completion_that_failed_after_saying_200_is_tried_again(provider, scripted, code):
    scripted.on("CompleteMultipartUpload", "a", ErrorInside(code), times=2)
    provider.put("a", bytes(17 * MIB))
    assert len(scripted.asked("CompleteMultipartUpload")) == 3


@pytest.mark.parametrize("fault", [ErrorInside(), Malformed(), refused(500, "InternalError"), Reset()])
def test_a_copy_that_failed_halfway_is_tried_again(provider, scripted, fault):
    provider.put("a.csv", b"1")
    scripted.on("CopyObject", "b.csv", fault)
    assert provider.copy("a.csv", "b.csv").etag == provider.head("b.csv").etag
    assert len(scripted.asked("CopyObject")) == 2


@pytest.mark.parametrize("fault", [ErrorInside(), Malformed(), Cut(after=200), Chunked(ended=False), Chunked()])
def test_a_listing_is_whole_or_asked_for_again(provider, scripted, fault):
    for name in ("a", "b", "c"):
        scripted.objects.put(BUCKET, f"x/{name}", b"1")
    scripted.on("ListObjectsV2", "", fault)
    assert [info.key for page in provider.list("x/") for info in page.objects] == ["x/a", "x/b", "x/c"]


def test_a_listing_that_never_works_is_no_empty_one(provider, scripted):
    scripted.on("ListObjectsV2", "", refused(403, "AccessDenied"), times=ALWAYS)
    with pytest.raises(Forbidden):
        list(provider.list())


# ------------------------------------------------------------------------------------------------------------- retries
def test_s33_a_service_that_asks_for_less_gets_it(provider, scripted):
    scripted.on("PUT", ".*", refused(503, "SlowDown"), times=3)
    scripted.on("HEAD", ".*", refused(429, "TooManyRequests", headers={"retry-after": "0"}), times=2)
    provider.put("a", b"1")
    assert provider.head("a").size == 1


def test_a_race_between_two_conditional_writes_is_run_again(provider, scripted):
    scripted.on("PutObject", "a", refused(409, "ConditionalRequestConflict"), times=2)
    provider.put("a", b"1", mode=CREATE)
    assert content(provider, "a") == b"1"


def test_missing_is_only_what_the_service_says_is_missing(provider, scripted):
    scripted.on("HEAD", "gone", refused(500, "InternalError"), times=ALWAYS)
    with pytest.raises(Unavailable):
        engine().run(provider.head_call("gone"))


def test_a_clock_that_is_wrong_is_learned(provider, scripted):
    scripted.clock = timedelta(hours=3)
    provider.put("a", b"1")
    assert content(provider, "a") == b"1"
    assert provider.head("a").size == 1


# --------------------------------------------------------------------------------------------------------------- reads
def test_a_read_that_breaks_goes_on_where_it_was(provider, scripted):
    data = payload(3 * MIB)
    scripted.objects.put(BUCKET, "a", data)
    scripted.on("GetObject", "a", Cut(after=500_000))
    scripted.on("GetObject", "a", Reset(after=100), nth=3)
    assert content(provider, "a") == data


@pytest.mark.parametrize("fault", [NoRange(), WrongRange(7)])
def test_bytes_of_another_place_are_never_taken(provider, scripted, fault):
    scripted.objects.put(BUCKET, "a", payload(3 * MIB))
    scripted.on("GetObject", "a", fault, times=ALWAYS)
    with pytest.raises((IntegrityError, Unavailable)):
        provider.read("a")


@pytest.mark.parametrize("nth", [2, 3])
def test_two_versions_are_never_mixed(provider, scripted, nth):
    scripted.objects.put(BUCKET, "a", payload(20 * MIB, seed=1))
    scripted.on("GetObject", "a", Swapped(payload(20 * MIB, seed=2)), nth=nth)
    with provider.read("a") as reader, pytest.raises(IntegrityError):
        reader.read()


def test_an_object_that_changes_between_look_and_copy_is_not_copied(provider, scripted):
    scripted.objects.put(BUCKET, "a", b"old")
    scripted.on("HeadObject", "a", Swapped(b"older"), nth=1)
    copied = provider.copy("a", "b")
    assert (copied.size, content(provider, "b")) == (5, b"older")


# ------------------------------------------------------------------------------------------------------------- cleaning
@pytest.mark.parametrize(
    "fault", [refused(403, "AccessDenied"), refused(400, "BadDigest"), refused(400, "EntityTooLarge")]
)
def test_an_upload_whose_part_is_refused_is_aborted(provider, scripted, tmp_path, fault):
    path = tmp_path / "a"
    path.write_bytes(bytes(40 * MIB))
    scripted.on("UploadPart", "a", fault, nth=2, times=ALWAYS)
    for body in (path, path.read_bytes(), iter([path.read_bytes()])):
        with pytest.raises(DatastoreError):
            provider.put("a", body)
        assert scripted.objects.uploads() == []
    assert scripted.objects.get(BUCKET, "a") is None


def test_a_delete_tells_which_keys_it_could_not_take(provider, scripted):
    for key in ("a", "b", "c"):
        provider.put(key, b"1")
    scripted.on("DeleteObjects", "", refused(403, "AccessDenied"))
    failures = provider.delete(["a", "b"])
    assert sorted(failure.key for failure in failures) == ["a", "b"]
    assert {type(failure.error) for failure in failures} == {Forbidden}
    assert provider.delete(["a", "b"]) == []
    scripted.on("DeleteObjects", "", refused(501, "NotImplemented"))
    assert provider.delete(["c", "missing"]) == []
    assert scripted.objects.get(BUCKET, "c") is None


def test_head_moved_says_what_is_there_now(provider, scripted):
    old = provider.put("a", b"old").etag
    new = provider.put("a", b"new").etag
    with pytest.raises(HeadMoved) as caught:
        provider.copy("a", "a", mode=Match(old))
    assert new in str(caught.value)
