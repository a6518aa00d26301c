"""Signing together with the engine: what a service refuses once is sent again as it wants it."""

import os
from datetime import timedelta

import pytest

from datastore.errors import Forbidden
from datastore.http.observe import observed
from datastore.providers.s3 import Options, open_mount
from datastore.secret import Secret
from datastore.testing.s3_wire import Reply
from datastore.testing.scripted_s3 import Answer, ScriptedS3, refused
from tests.places import isolate

KEYS = {"access_key_id": Secret("AKIA"), "secret_access_key": Secret("s")}


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def server():
    with ScriptedS3() as server:
        server.objects.put("bkt", "a.txt", b"text")
        yield server


def mount(server, **options):
    return open_mount(Options(endpoint=server.endpoint, bucket="bkt", **(options or KEYS)))


def content(provider, key):
    with provider.read(key) as reader:
        return reader.readall()


@pytest.mark.parametrize("hours", [-30, 2])
def test_a_clock_that_is_hours_away_costs_one_request(server, hours):
    server.clock = timedelta(hours=hours)
    provider = mount(server)
    with observed() as seen:
        assert content(provider, "a.txt") == b"text"
        provider.put("b.txt", b"more")
        assert provider.head("b.txt").size == 4
    assert [one.status for one in seen].count(403) == 1


def test_a_head_finds_out_about_the_clock_although_it_has_no_body(server):
    server.clock = timedelta(hours=2)
    assert mount(server).head("a.txt").size == 4


def test_s34_keys_that_have_ended_are_renewed_in_the_middle(server, tmp_path):
    (tmp_path / ".aws").mkdir()
    file = tmp_path / ".aws" / "credentials"
    line = "[default]\naws_access_key_id={}\naws_secret_access_key=w\naws_session_token=t\n"
    file.write_text(line.format("OLD"))
    provider = mount(server, profile="default")
    assert content(provider, "a.txt") == b"text"
    file.write_text(line.format("NEW"))
    provider.site.authorizer.source._state.looked -= 60
    server.on("GetObject", ".*", refused(400, "ExpiredToken"))
    assert content(provider, "a.txt") == b"text"
    assert ["NEW/" in one.headers["authorization"] for one in server.asked("GetObject")] == [False, False, True]


def test_s34_keys_that_end_in_the_middle_of_an_upload_are_renewed_and_it_goes_on(server, tmp_path):
    (tmp_path / ".aws").mkdir()
    file = tmp_path / ".aws" / "credentials"
    line = "[default]\naws_access_key_id={}\naws_secret_access_key=w\naws_session_token=t\n"
    file.write_text(line.format("OLD"))
    provider = mount(server, profile="default")
    provider.head("a.txt")
    file.write_text(line.format("NEW"))
    provider.site.authorizer.source._state.looked -= 60
    server.on("UploadPart", "large", refused(400, "ExpiredToken"), nth=2)
    data = os.urandom(40 << 20)
    provider.put("large", data)
    assert content(provider, "large") == data
    assert len(server.asked("CreateMultipartUpload")) == len(server.asked("CompleteMultipartUpload")) == 1
    sent = [request.query["partNumber"] for request in server.asked("UploadPart")]
    assert len(sent) == len(set(sent)) + 1
    assert {request.query["uploadId"] for request in server.asked("UploadPart")} == {
        request.query["uploadId"] for request in server.asked("CompleteMultipartUpload")
    }


def test_a_login_that_stays_expired_is_told_with_the_way_out(server, tmp_path):
    (tmp_path / ".aws").mkdir()
    keys = "[default]\naws_access_key_id=OLD\naws_secret_access_key=w\naws_session_token=t\n"
    (tmp_path / ".aws" / "credentials").write_text(keys)
    server.on("GetObject", ".*", refused(400, "ExpiredToken"), times=99)
    with pytest.raises(Forbidden, match="ExpiredToken") as caught:
        content(mount(server, profile="default"), "a.txt")
    assert "aws sso login" in caught.value.hint
    assert len(server.asked("GetObject")) < 9


def test_the_region_that_a_service_names_is_signed_for(server):
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>fsn1</Region></Error>"
    server.on("GetObject", ".*", Answer(Reply(status=400, body=body)))
    assert content(mount(server), "a.txt") == b"text"
    assert ["/fsn1/s3/" in one.headers["authorization"] for one in server.asked("GetObject")] == [False, True]


def test_an_anonymous_mount_sends_no_signature(server):
    assert content(mount(server, anonymous=True), "a.txt") == b"text"
    assert not [one for one in server.requests if "authorization" in one.headers]


def test_no_secret_reaches_an_error(server):
    server.on("GetObject", ".*", refused(403, "SignatureDoesNotMatch"), times=99)
    provider = mount(server, access_key_id=Secret("AKIA"), secret_access_key=Secret("pa55word"))
    with pytest.raises(Forbidden) as caught:
        content(provider, "a.txt")
    assert "pa55word" not in f"{caught.value!r}{caught.value.hint}{provider!r}{provider.site!r}"
