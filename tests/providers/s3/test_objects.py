"""Single objects on real servers: what goes over the wire, and what other tools see of it."""

import gc
import hashlib
import pickle
import urllib.request
from urllib.error import HTTPError

import pytest
from msgspec.structs import replace

from datastore.calls import FileSlice
from datastore.errors import (
    AlreadyExists,
    Forbidden,
    HeadMoved,
    InvalidURL,
    NotFound,
    TooLarge,
    UnsupportedOperation,
    ValidationError,
)
from datastore.http.engine import engine
from datastore.http.observe import observed
from datastore.http.signing import Credentials
from datastore.provider import (
    Provider,
    SupportsBuckets,
    SupportsCopy,
    SupportsLifecycle,
    SupportsMultipart,
    SupportsPresign,
    SupportsRequests,
    SupportsWriter,
)
from datastore.providers.s3.authorizing import S3Authorizer
from datastore.providers.s3.bucket import S3Provider
from datastore.providers.s3.credentials import Fixed
from datastore.providers.s3.presets import PRESETS
from datastore.secret import Secret
from datastore.testing.exam import MIB, content, payload
from datastore.transfer import copy_object
from datastore.values import CREATE, Attributes, ByteRange, Match
from tests.providers.s3.sites import boto, bucket_of, site_of


def methods(seen):
    return [exchange.method for exchange in seen]


def test_it_keeps_the_whole_contract(provider):
    for protocol in (
        Provider,
        SupportsRequests,
        SupportsWriter,
        SupportsCopy,
        SupportsMultipart,
        SupportsPresign,
        SupportsLifecycle,
    ):
        assert isinstance(provider, protocol)
    assert not isinstance(provider, SupportsBuckets)


# ------------------------------------------------------------------------------------------------------ what verbs cost
def test_small_objects_cost_one_request_each(provider):
    with observed() as seen:
        provider.put("a.csv", b"1,2\n" * 1000)
        provider.head("a.csv")
        with provider.read("a.csv") as reader:
            assert reader.read() == b"1,2\n" * 1000
        assert content(provider, "a.csv", range=ByteRange(-8)) == b"1,2\n1,2\n"
        provider.delete(["a.csv"])
    assert methods(seen) == ["PUT", "HEAD", "GET", "GET", "POST"]


def test_a_thousand_deletes_are_one_request(provider):
    calls = ((n, provider.put_call(f"n/{n:04}", b"1")) for n in range(1000))
    assert not [result for _, result in engine().bulk(calls) if isinstance(result, Exception)]
    keys = [f"n/{n:04}" for n in range(1000)]
    with observed() as seen:
        assert provider.delete(keys) == []
    assert methods(seen) == ["POST"]
    assert list(provider.list()) == []


def test_a_read_of_nothing_that_is_there_takes_two(provider):
    provider.put("empty", b"")
    with observed() as seen:
        assert content(provider, "empty") == b""
        assert content(provider, "empty", range=ByteRange(5, 9)) == b""
    assert len(seen) <= 4


def test_a_writer_of_little_is_one_request_and_none_before(provider):
    with observed() as seen:
        writer = provider.writer("a.bin")
        writer.write(b"1" * 100_000)
        assert seen == []
        writer.commit()
    assert methods(seen) == ["PUT"]


# ------------------------------------------------------------------------------------------------- with boto3 both ways
NOTES = {"run": "12", "note": "plain words", "umlaut": "ö=1; 日本", "quoted": 'a "b" \\ c'}


def test_boto3_reads_what_was_written_here(provider, server):
    data = payload(300_000)
    provider.put("folder/a b+c%20ü.csv", data, attributes=Attributes(metadata={"run": "12", "note": "plain words"}))
    provider.put("typed", data, attributes=Attributes(content_type="text/x-own; charset=utf-8"))
    client = boto(server)
    found = client.get_object(Bucket=provider.bucket_name, Key="folder/a b+c%20ü.csv")
    assert found["Body"].read() == data
    assert (found["ContentType"], found["Metadata"]) == ("text/csv", {"run": "12", "note": "plain words"})
    assert client.head_object(Bucket=provider.bucket_name, Key="typed")["ContentType"] == "text/x-own; charset=utf-8"


def test_what_boto3_wrote_is_read_here(provider, server):
    data = payload(3 * MIB)
    boto(server).put_object(
        Bucket=provider.bucket_name,
        Key="folder/a b+c%20ü.csv",
        Body=data,
        ContentType="application/x-theirs",
        Metadata={"run": "12", "note": "plain words"},
    )
    info = provider.head("folder/a b+c%20ü.csv")
    assert (info.size, info.content_type) == (len(data), "application/x-theirs")
    assert dict(info.metadata) == {"run": "12", "note": "plain words"}
    assert info.etag == hashlib.md5(data).hexdigest()
    assert content(provider, "folder/a b+c%20ü.csv") == data


def test_metadata_of_all_kinds_come_back(provider):
    metadata = {**NOTES, "Run ID": "Capital", "empty": "", "lines": "a\nb", "blanks": " a ", "ü": "name"}
    put = provider.put("a", b"1", attributes=Attributes(metadata=metadata))
    assert dict(put.metadata) == dict(provider.head("a").metadata) == metadata
    copied = provider.copy("a", "b")
    assert dict(copied.metadata) == dict(provider.head("b").metadata) == metadata


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_a_body_that_changed_on_its_way_is_refused(provider, tmp_path, kind, monkeypatch):
    # The proof is made of other bytes than those that are sent.
    from datastore.providers.s3 import proving, putting

    monkeypatch.setattr(putting, "proof_headers", lambda _body, proof: proving.proof_headers(b"other", proof))
    path = tmp_path / "a"
    path.write_bytes(b"these bytes")
    with pytest.raises(OSError, match=r"BadDigest|Mismatch"):
        provider.put("a", path if kind == "file" else path.read_bytes())
    assert list(provider.list()) == []


# ---------------------------------------------------------------------------------------------------------- conditions
def test_conditional_writes_leave_no_trace_in_the_metadata(provider):
    info = provider.put("a", b"1", mode=CREATE, attributes=Attributes(metadata={"run": "1"}))
    assert dict(info.metadata) == dict(provider.head("a").metadata) == {"run": "1"}
    second = provider.put("a", b"2", mode=Match(info.etag))
    assert dict(second.metadata) == {}
    with pytest.raises(AlreadyExists):
        provider.put("a", b"3", mode=CREATE)
    with pytest.raises(HeadMoved):
        provider.put("a", b"3", mode=Match(info.etag))
    with pytest.raises(HeadMoved):
        provider.put("missing", b"3", mode=Match(info.etag))


def test_a_service_that_is_not_known_to_keep_conditions_says_so(server):
    provider = bucket_of(server, preset=PRESETS["custom"])
    assert (provider.capabilities.create, provider.capabilities.match) == (False, False)
    provider.put("a", b"1", mode=CREATE)
    with pytest.raises(AlreadyExists):
        provider.put("a", b"2", mode=CREATE)
    with pytest.raises(UnsupportedOperation, match="custom"):
        provider.put("a", b"2", mode=Match("x"))
    assert provider.put_call("b", b"1", mode=CREATE) is None
    with pytest.raises(AlreadyExists):
        provider.copy("a", "a", mode=CREATE)
    assert content(provider, "a") == b"1"


def test_conditions_that_only_single_puts_keep_hold_for_large_bodies(server, tmp_path):
    row = replace(site_of(server).preset, complete=PRESETS["custom"].complete)
    provider = bucket_of(server, preset=row)
    data = payload(17 * MIB)
    path = tmp_path / "large.bin"
    path.write_bytes(data)
    with observed() as seen:
        provider.put("a", path, mode=CREATE)
        provider.put("b", iter([data]), mode=CREATE)
    assert methods(seen) == ["PUT", "HEAD", "PUT"]
    for body in (path, data, iter([data])):
        with pytest.raises(AlreadyExists):
            provider.put("a", body, mode=CREATE)
    upload = provider.create_upload("c")
    with pytest.raises(UnsupportedOperation):
        provider.complete_upload(upload, [], mode=CREATE)
    provider.abort_upload(upload)
    provider.copy("a", "d", mode=CREATE)
    with pytest.raises(AlreadyExists):
        provider.copy("b", "d", mode=CREATE)
    assert {content(provider, key) for key in "abd"} == {data}


# -------------------------------------------------------------------------------------------------------------- errors
def test_errors_name_what_is_missing(server):
    provider = S3Provider(site_of(server), "never-made")
    for verb in (
        lambda: provider.put("a", b"1"),
        lambda: provider.read("a"),
        lambda: list(provider.list()),
        lambda: provider.create_upload("a"),
        provider.uploads,
        provider.lifecycle,
    ):
        with pytest.raises(NotFound, match="never-made"):
            verb()
    (failure,) = provider.delete(["a"])
    assert isinstance(failure.error, NotFound)


@pytest.mark.parametrize(
    ("key", "secret"), [("unknown", "x" * 40), (None, "wrong-secret")], ids=["unknown key", "wrong secret"]
)
def test_refused_credentials_are_forbidden_and_never_shown(server, key, secret):
    keys = Credentials(access_key_id=key or server.access_key, secret_access_key=Secret(secret))
    site = replace(site_of(server), authorizer=S3Authorizer(Fixed(keys), region=server.region))
    provider = S3Provider(site, server.new_bucket())
    for verb in (lambda: provider.put("a", b"1"), lambda: provider.read("a"), lambda: list(provider.list())):
        with pytest.raises(Forbidden) as caught:
            verb()
        assert secret not in f"{caught.value!r} {caught.value} {caught.value.hint}"
    assert secret not in f"{provider!r} {site!r} {provider.head_call('a')!r}"


def test_an_anonymous_mount_reads_nothing_that_is_not_public(server):
    bucket = server.new_bucket()
    site = replace(site_of(server), authorizer=S3Authorizer(Fixed(None), region=server.region))
    with pytest.raises(Forbidden):
        S3Provider(site, bucket).read("a")
    with pytest.raises(UnsupportedOperation):
        S3Provider(site, bucket).presign("GET", "a")


@pytest.mark.parametrize("key", ["", "a//b", "/a", "a/./b", "../a", "a/"])
def test_names_that_may_not_be_written_are_never_taken_for_others(provider, key):
    provider.put("a/b", b"1")
    with pytest.raises(NotFound):
        provider.head(key)
    with pytest.raises(NotFound):
        provider.read(key)
    with pytest.raises(NotFound):
        provider.copy(key, "c")
    with pytest.raises(InvalidURL):
        provider.put(key, b"2")
    assert provider.delete([key]) == []
    assert content(provider, "a/b") == b"1"


def test_a_prefix_counts_for_the_length_of_a_key(server):
    provider = bucket_of(server, prefix="p" * 100 + "/")
    with pytest.raises(TooLarge, match="prefix"):
        provider.put("/".join(["n" * 92] * 10 + ["m"]), b"1")


# ------------------------------------------------------------------------------------------------------- calls in bulk
def test_calls_do_what_verbs_do(provider, tmp_path):
    data = payload(100_000)
    put = engine().run(provider.put_call("a.bin", data, attributes=Attributes(metadata={"run": "1"})))
    head = engine().run(provider.head_call("a.bin"))
    assert (put.etag, put.identity, dict(put.metadata)) == (head.etag, head.identity, {"run": "1"})
    assert engine().run(provider.get_call(head)) == data
    assert engine().run(provider.get_call(head, range=ByteRange(-10))) == data[-10:]
    assert engine().run(provider.get_call(head, range=ByteRange(50, 50))) == b""
    buffer = bytearray(100)
    assert engine().run(provider.get_call(head, range=ByteRange(5, 105), sink=memoryview(buffer))) == b""
    assert buffer == data[5:105]
    with (tmp_path / "copy").open("wb+") as file:
        engine().run(provider.get_call(head, sink=FileSlice(file.fileno(), 0, head.size)))
        engine().run(provider.put_call("b.bin", FileSlice(file.fileno(), 10, 1000)))
    assert (tmp_path / "copy").read_bytes() == data
    assert content(provider, "b.bin") == data[10:1010]


def test_a_call_reads_one_version_or_nothing(provider):
    old = provider.put("a", b"old version")
    provider.put("a", b"new")
    for range_ in (None, ByteRange(1, 3), ByteRange(2, 2), ByteRange(8, None)):
        with pytest.raises(HeadMoved):
            engine().run(provider.get_call(old, range=range_))
    provider.delete(["a"])
    with pytest.raises(HeadMoved):
        engine().run(provider.get_call(old))


def test_very_large_bodies_are_no_single_call(provider, tmp_path):
    with (tmp_path / "sparse").open("wb+") as file:
        file.truncate(65 * MIB)
        assert provider.put_call("a", FileSlice(file.fileno(), 0, 65 * MIB)) is None


# ------------------------------------------------------------------------------------------------------------ handles
def test_equal_handles_are_equal_and_travel(server):
    one = bucket_of(server, prefix="a/")
    same = S3Provider(site_of(server), one.bucket_name, prefix="a/")
    other = S3Provider(site_of(server), one.bucket_name, prefix="b/")
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    with pytest.raises(UnsupportedOperation):  # fixed keys are secrets
        pickle.dumps(one)
    anonymous = replace(one.site, authorizer=S3Authorizer(Fixed(None), region="us-east-1"))
    handle = S3Provider(anonymous, one.bucket_name, prefix="a/")
    assert pickle.loads(pickle.dumps(handle)) == handle


def test_an_object_of_another_mount_is_copied_on_the_service(server):
    one, other = bucket_of(server, prefix="in/"), bucket_of(server)
    one.put("a.csv", payload(MIB), attributes=Attributes(metadata={"run": "1"}))
    with observed() as seen:
        copied = other.copy_from(one, "a.csv", "b.json")
    assert methods(seen) == ["HEAD", "PUT"]
    assert (copied.content_type, dict(copied.metadata)) == ("application/json", {"run": "1"})
    assert content(other, "b.json") == payload(MIB)
    with observed() as seen:
        copy_object(one, "a.csv", other, "c.csv")
    assert sum(exchange.sent + exchange.received for exchange in seen) < 10_000
    assert content(other, "c.csv") == payload(MIB)
    stranger = S3Provider(replace(one.site, endpoint="https://elsewhere.example"), one.bucket_name)
    assert other.copy_from(stranger, "a.csv", "d") is None


# ------------------------------------------------------------------------------------------------------------ presign
def fetch(request, *, data=None):
    wanted = urllib.request.Request(request.url, data=data, method=request.method, headers=dict(request.headers))
    with urllib.request.urlopen(wanted) as answer:
        return answer.read(), answer.headers


def test_others_get_put_look_and_delete_with_a_presigned_request(provider):
    attributes = Attributes(content_type="text/x-own", metadata={"run": "12"})
    fetch(provider.presign("PUT", "folder/a b+ü.csv", attributes=attributes), data=b"theirs")
    info = provider.head("folder/a b+ü.csv")
    assert (info.content_type, dict(info.metadata)) == ("text/x-own", {"run": "12"})
    assert fetch(provider.presign("GET", "folder/a b+ü.csv"))[0] == b"theirs"
    assert fetch(provider.presign("HEAD", "folder/a b+ü.csv"))[1]["content-length"] == "6"
    fetch(provider.presign("DELETE", "folder/a b+ü.csv"))
    assert list(provider.list()) == []
    fetch(provider.presign("PUT", "b.csv"), data=b"1")
    assert provider.head("b.csv").content_type == "text/csv"


def test_a_presigned_request_is_for_what_it_says_and_ends(provider):
    provider.put("a", b"1")
    request = provider.presign("GET", "a", expires=60)
    assert "Signature" not in repr(request)
    elsewhere = replace(request, url=request.url.replace("/a?", "/b?"))
    with pytest.raises(HTTPError, match="403"):
        fetch(elsewhere)
    for seconds in (0, 8 * 24 * 3600):
        with pytest.raises(ValidationError):
            provider.presign("GET", "a", expires=seconds)


def test_parts_are_sent_by_others(provider):
    upload = provider.create_upload("a.bin")
    data = payload(6 * MIB)
    for number, piece in ((1, data[: 5 * MIB]), (2, data[5 * MIB :])):
        _, headers = fetch(provider.presign_part(upload, number), data=piece)
        assert headers["etag"]
    parts = provider.parts(upload)
    assert [(part.number, part.size) for part in parts] == [(1, 5 * MIB), (2, MIB)]
    provider.complete_upload(upload, parts)
    assert content(provider, "a.bin") == data


def test_a_dropped_writer_leaves_nothing_behind(provider):
    writer = provider.writer("a")
    writer.write(bytes(33 * MIB))
    assert len(provider.uploads()) == 1
    del writer
    gc.collect()
    provider.close()
    assert provider.uploads() == []
