"""Objects in parts: of all sizes, interrupted, resumed, abandoned."""

import signal
import subprocess
import sys
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from datastore.errors import AlreadyExists, DatastoreError, HeadMoved, IntegrityError, NotFound
from datastore.http.engine import engine
from datastore.http.observe import observed
from datastore.providers.s3 import multipart, resuming, uploading
from datastore.providers.s3.multipart import etag_of_parts
from datastore.providers.s3.presets import PRESETS
from datastore.testing.exam import MIB, content, payload
from datastore.values import CREATE, Attributes, ByteRange, Match, PartInfo
from tests.providers.s3.sites import boto, bucket_of, site_of

PART = 5 * MIB


def parts_of(provider, upload, data):
    pieces = [data[start : start + PART] for start in range(0, len(data), PART)] or [b""]
    calls = ((n, provider.part_call(upload, n, piece)) for n, piece in enumerate(pieces, 1))
    return [result for _, result in engine().bulk(calls)]


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 12 * MIB])
def test_parts_make_the_object(provider, size):
    data = payload(size)
    upload = provider.create_upload("folder/a.csv", attributes=Attributes(metadata={"run": "12"}))
    assert [(one.key, one.id) for one in provider.uploads("folder/")] == [("folder/a.csv", upload.id)]
    sent = parts_of(provider, upload, data)
    held = provider.parts(upload)
    assert sorted((part.number, part.size) for part in sent) == [(part.number, part.size) for part in held]
    assert list(provider.list()) == []
    info = provider.complete_upload(upload, sent)
    assert (info.size, info.content_type, dict(info.metadata)) == (size, "text/csv", {"run": "12"})
    assert info.etag == etag_of_parts(held)
    assert content(provider, "folder/a.csv") == data


@pytest.mark.parametrize("preset", ["s3", "custom"])
def test_a_large_file_goes_and_comes_in_one_piece(server, tmp_path, preset):
    provider = bucket_of(server, preset=PRESETS[preset])
    data = payload(123_000_000)
    path = tmp_path / "large.bin"
    path.write_bytes(data)
    with observed() as seen:
        from_file = provider.put("file.bin", path)
    sent = [exchange for exchange in seen if exchange.method == "PUT"]
    assert len(sent) == 15
    assert sum(exchange.sent for exchange in sent) == len(data)
    from_memory = provider.put("memory.bin", memoryview(data))
    streamed = provider.put("stream.bin", (data[at : at + 7_000_001] for at in range(0, len(data), 7_000_001)))
    assert {info.size for info in (from_file, from_memory, streamed)} == {len(data)}
    for key in ("file.bin", "memory.bin", "stream.bin"):
        assert content(provider, key) == data
    assert content(provider, "file.bin", range=ByteRange(100_000_000, 100_000_010)) == data[100_000_000:100_000_010]
    assert provider.uploads() == []


def test_boto3_sees_what_parts_made(provider, server, tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(payload(20 * MIB))
    provider.put("a.parquet", path, attributes=Attributes(metadata={"run": "12"}))
    found = boto(server).get_object(Bucket=provider.bucket_name, Key="a.parquet")
    assert found["Body"].read() == path.read_bytes()
    assert (found["ContentType"], found["Metadata"]) == ("application/vnd.apache.parquet", {"run": "12"})


def test_all_parts_but_the_last_are_equally_long(server):
    provider = bucket_of(server)
    with observed() as seen:
        writer = provider.writer("a")
        for _ in range(11):
            writer.write(bytes(3_333_333))
        writer.commit()
    sizes = [exchange.sent for exchange in seen if exchange.method == "PUT"]
    assert sorted(sizes, reverse=True) == [16 * MIB, 16 * MIB, 11 * 3_333_333 - 32 * MIB]


# ---------------------------------------------------------------------------------------------------------- conditions
def test_parts_are_published_on_a_condition(provider):
    data = payload(PART + 1)

    def uploaded():
        upload = provider.create_upload("a")
        return upload, parts_of(provider, upload, data)

    info = provider.complete_upload(*uploaded(), mode=CREATE)
    late, parts = uploaded()
    with pytest.raises(AlreadyExists):
        provider.complete_upload(late, parts, mode=CREATE)
    with pytest.raises(HeadMoved):
        provider.complete_upload(late, parts, mode=Match("0" * 32))
    provider.complete_upload(late, parts, mode=Match(info.etag))


def test_a_large_put_on_a_condition_sends_nothing_in_vain(provider):
    provider.put("a", b"1")
    with observed() as seen, pytest.raises(AlreadyExists):
        provider.put("a", bytes(20 * MIB), mode=CREATE)
    assert [exchange.method for exchange in seen] == ["HEAD"]


# ---------------------------------------------------------------------------------------------------------- going wrong
class Broken(Exception):
    """What goes wrong where the bytes come from."""


@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt, GeneratorExit])
def test_s35_whatever_goes_wrong_no_upload_stays_behind(provider, error):
    def body():
        yield bytes(40 * MIB)
        raise error

    with pytest.raises(error):
        provider.put("a", body())
    assert provider.uploads() == []
    assert list(provider.list()) == []


@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt])
def test_a_file_that_cannot_be_read_to_its_end_leaves_no_upload(provider, tmp_path, monkeypatch, error):
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(40 * MIB))
    send = multipart.proof_headers

    def failing(body, proof):
        if body.offset > 20 * MIB:
            raise error
        return send(body, proof)

    monkeypatch.setattr(multipart, "proof_headers", failing)
    with pytest.raises(error):
        provider.put("a", path)
    assert provider.uploads() == []


def test_a_file_that_becomes_shorter_is_no_object(provider, tmp_path, monkeypatch):
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(40 * MIB))
    begin = uploading.begin

    def begun(*args, **more):
        path.write_bytes(bytes(10 * MIB))
        return begin(*args, **more)

    monkeypatch.setattr(uploading, "begin", begun)
    with pytest.raises(IntegrityError, match="shorter"):
        provider.put("a", path)
    assert provider.uploads() == []


def test_an_upload_that_is_gone_says_so(provider):
    upload = provider.create_upload("a")
    provider.abort_upload(upload)
    provider.abort_upload(upload)
    part = PartInfo(number=1, etag="0" * 32, size=PART)
    for verb in (
        lambda: provider.parts(upload),
        lambda: engine().run(provider.part_call(upload, 1, b"1")),
        lambda: provider.complete_upload(upload, [part]),
    ):
        with pytest.raises(NotFound):
            verb()


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_parts_have_numbers_from_1_to_10000(provider, number):
    upload = provider.create_upload("a")
    with pytest.raises(ValueError, match="10,000"):
        provider.part_call(upload, number, b"1")
    provider.abort_upload(upload)


# ------------------------------------------------------------------------------------------------------------ resuming
@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.csv"
    path.write_bytes(payload(44 * MIB))  # six parts
    return path


def interrupt(monkeypatch, after):
    """Let the upload fail when this many parts have been sent, one after the other."""
    send, sent = resuming.send_parts, []
    monkeypatch.setattr(uploading, "PARALLEL", 1)  # a part that arrives after an abort revives an upload of versitygw

    def failing(*args, told, **more):
        def telling(part, piece):
            if told is not None:
                told(part, piece)
            sent.append(part)
            if len(sent) >= after:
                raise Broken

        return send(*args, told=telling, **more)

    monkeypatch.setattr(resuming, "send_parts", failing)
    return sent


def sizes_sent(seen):
    return sum(exchange.sent for exchange in seen if "partNumber" in exchange.url)


@pytest.mark.parametrize("preset", ["s3", "custom"])
@pytest.mark.parametrize("kept", [True, False], ids=["journal", "no journal"])
def test_what_was_sent_is_not_sent_again(server, large, tmp_path, preset, kept):
    provider = bucket_of(server, preset=PRESETS[preset])
    journal = tmp_path / "journal" if kept else None
    attributes = Attributes(metadata={"run": "12"})
    with pytest.MonkeyPatch.context() as patch:
        done = interrupt(patch, after=2)
        with pytest.raises(Broken):
            provider.put_resumed("a.csv", large, attributes=attributes, journal=journal)
    (upload,) = provider.uploads()
    held = sum(part.size for part in provider.parts(upload))
    assert held == sum(part.size for part in done) == 16 * MIB
    with observed() as seen:
        info = provider.put_resumed("a.csv", large, attributes=attributes, journal=journal)
    assert sizes_sent(seen) == 28 * MIB
    assert (info.size, dict(info.metadata), info.content_type) == (44 * MIB, {"run": "12"}, "text/csv")
    assert content(provider, "a.csv") == large.read_bytes()
    assert provider.uploads() == []
    assert journal is None or not journal.exists()


@pytest.mark.parametrize("kept", [True, False], ids=["journal", "no journal"])
def test_a_file_that_changed_meanwhile_is_sent_as_it_is_now(provider, large, tmp_path, kept):
    journal = tmp_path / "journal" if kept else None
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, after=3)
        with pytest.raises(Broken):
            provider.put_resumed("a.csv", large, journal=journal)
    data = bytearray(large.read_bytes())
    data[5] ^= 1
    large.write_bytes(data)
    provider.put_resumed("a.csv", large, journal=journal)
    assert content(provider, "a.csv") == data


@pytest.mark.parametrize("text", [b"", b"garbage\n", b'{"wish":{}}\n', b"\xff\n"])
def test_a_journal_that_says_nothing_is_begun_anew(provider, large, tmp_path, text):
    journal = tmp_path / "journal"
    journal.write_bytes(text)
    provider.put_resumed("a.csv", large, journal=journal)
    assert content(provider, "a.csv") == large.read_bytes()


def test_a_journal_of_another_upload_is_not_followed(provider, large, tmp_path):
    journal = tmp_path / "journal"
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, after=1)
        with pytest.raises(Broken):
            provider.put_resumed("other.csv", large, journal=journal)
    (other,) = provider.uploads()
    provider.put_resumed("a.csv", large, journal=journal)
    assert provider.uploads() == [other]
    provider.abort_upload(other)


def test_an_upload_that_was_aborted_meanwhile_is_begun_anew(provider, large, tmp_path):
    journal = tmp_path / "journal"
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, after=1)
        with pytest.raises(Broken):
            provider.put_resumed("a.csv", large, journal=journal)
    for upload in provider.uploads():
        provider.abort_upload(upload)
    provider.put_resumed("a.csv", large, journal=journal)
    assert content(provider, "a.csv") == large.read_bytes()


def test_other_attributes_than_those_of_the_beginning_are_not_passed_over(provider, large):
    with pytest.MonkeyPatch.context() as patch:
        interrupt(patch, after=1)
        with pytest.raises(Broken):
            provider.put_resumed("a.csv", large, attributes=Attributes(metadata={"run": "1"}))
    with pytest.raises(IntegrityError, match="attributes"):
        provider.put_resumed("a.csv", large, attributes=Attributes(metadata={"run": "2"}))


CHILD = """
import os, sys
from pathlib import Path
from tests.providers.s3.sites import VERSITYGW
from datastore.http.signing import Credentials
from datastore.providers.s3 import resuming
from datastore.providers.s3.authorizing import S3Authorizer
from datastore.providers.s3.bucket import S3Provider
from datastore.providers.s3.credentials import Fixed
from datastore.providers.s3.site import Site
from datastore.secret import Secret
endpoint, key, secret, bucket, path, journal = sys.argv[1:]
source = Fixed(Credentials(access_key_id=key, secret_access_key=Secret(secret)))
site = Site(preset=VERSITYGW, endpoint=endpoint, authorizer=S3Authorizer(source, region="us-east-1"), addressing="path")
note = resuming._Journal.note
def dying(self, part, piece):
    note(self, part, piece)
    if self.path.read_bytes().count(b"\\n") == 4:
        os.kill(os.getpid(), 9)
resuming._Journal.note = dying
S3Provider(site, bucket).put_resumed("a.csv", Path(path), journal=Path(journal))
"""


def test_s35_a_killed_process_leaves_what_the_next_one_goes_on_with(versitygw, large, tmp_path):
    provider, journal = bucket_of(versitygw), tmp_path / "journal"
    arguments = [versitygw.endpoint, versitygw.access_key, versitygw.secret_key, provider.bucket_name]
    root = Path(__file__).parents[3]
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CHILD), *arguments, str(large), str(journal)], cwd=root, check=False
    )
    assert child.returncode == -signal.SIGKILL
    with observed() as seen:
        provider.put_resumed("a.csv", large, journal=journal)
    assert sizes_sent(seen) <= 44 * MIB - 20 * MIB  # three parts, perhaps the short one among them
    assert content(provider, "a.csv") == large.read_bytes()


# ------------------------------------------------------------------------------------------------------- server copies
def test_what_is_too_large_for_one_copy_is_copied_in_parts(server):
    row = replace(site_of(server).preset, copy_bytes=10 * MIB)
    provider = bucket_of(server, preset=row)
    data = payload(12 * MIB)
    provider.put("a.csv", data, attributes=Attributes(metadata={"run": "1"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datastore.providers.s3.copying._PART", 5 * MIB)
        with observed() as seen:
            copied = provider.copy("a.csv", "b.json")
    assert sum(exchange.sent for exchange in seen) < 10_000
    assert (copied.content_type, dict(copied.metadata)) == ("application/json", {"run": "1"})
    assert content(provider, "b.json") == data
    assert provider.uploads() == []


@pytest.mark.parametrize("size", [0, 100, 6 * MIB])
def test_a_copy_on_a_condition_stays_on_the_service(provider, size):
    data = payload(size)
    provider.put("a.csv", data)
    with observed() as seen:
        copied = provider.copy("a.csv", "b.csv", mode=CREATE)
    assert sum(exchange.sent for exchange in seen) < 1000
    with pytest.raises(AlreadyExists):
        provider.copy("a.csv", "b.csv", mode=CREATE)
    with pytest.raises(HeadMoved):
        provider.copy("a.csv", "b.csv", mode=Match("0" * 32))
    provider.copy("a.csv", "b.csv", mode=Match(copied.etag))
    assert content(provider, "b.csv") == data


def test_a_copy_of_what_is_not_there_leaves_no_upload(provider):
    for mode in (CREATE, Match("0" * 32)):
        with suppress(DatastoreError):
            provider.copy("missing", "b", mode=mode)
        with pytest.raises(NotFound):
            provider.head("b")


def test_headers_of_other_tools_go_with_a_copy(provider, server):
    boto(server).put_object(
        Bucket=provider.bucket_name, Key="a.csv", Body=b"1", ContentType="text/csv", CacheControl="max-age=60"
    )
    provider.copy("a.csv", "b.json")
    found = boto(server).head_object(Bucket=provider.bucket_name, Key="b.json")
    assert (found["CacheControl"], found["ContentType"]) == ("max-age=60", "application/json")
