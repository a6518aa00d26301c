"""What the doctor finds out about an S3 service: real ones as their rows say, bad ones found out."""

from datetime import timedelta

import pytest

from datastore.http.signing import Credentials
from datastore.providers.s3.authorizing import S3Authorizer
from datastore.providers.s3.credentials import Fixed
from datastore.providers.s3.presets import PRESETS
from datastore.providers.s3.probing import probe, sweep
from datastore.providers.s3.site import Site
from datastore.secret import Secret
from datastore.testing.r2_rules import R2Rules
from datastore.testing.scripted_s3 import ScriptedS3, refused

FOLDER = "data/.doctor/"
KEYS = Credentials(access_key_id="AKIAPROBE", secret_access_key=Secret("pa55word"))


def site(row, endpoint, keys=KEYS, *, region="us-east-1"):
    authorizer = S3Authorizer(Fixed(keys), region=region)
    return Site(preset=PRESETS[row], endpoint=endpoint, authorizer=authorizer, addressing="path")


def keys_of(server):
    return Credentials(access_key_id=server.access_key, secret_access_key=Secret(server.secret_key))


def probed(place, bucket, *, write=True):
    return {finding.check: finding for finding in probe(place, bucket, FOLDER, write=write)}


@pytest.fixture
def scripted():
    with ScriptedS3() as server:
        yield server


def test_minio_does_what_its_row_says(minio):
    place, bucket = site("minio", minio.endpoint, keys_of(minio)), minio.new_bucket()
    found = probed(place, bucket)
    assert {finding.state for finding in found.values()} == {"ok"}
    assert found["condition: complete create"].detail == "is kept"
    assert found["condition: copy create"].detail == "is not kept, as is known"


def test_r2_does_what_its_row_says(versitygw):
    with R2Rules(versitygw.endpoint, access_key=versitygw.access_key, secret_key=versitygw.secret_key) as r2:
        place = site("r2", r2.endpoint, keys_of(versitygw), region="auto")
        found = probed(place, versitygw.new_bucket())
    assert {finding.state for finding in found.values()} == {"ok"}
    assert found["condition: copy create"].detail == found["condition: put match"].detail == "is kept"
    assert found["condition: complete create"].detail == "is not kept, as is known"
    assert found["versioning"].detail == "none: NotImplemented"


def test_of_an_unknown_service_more_is_told_than_is_relied_on(versitygw):
    found = probed(site("custom", versitygw.endpoint, keys_of(versitygw)), versitygw.new_bucket())
    assert found["endpoint"].state == "warning"
    assert "provider" in found["endpoint"].hint
    assert found["condition: put create"].detail == "is kept, but 'custom' does not rely on it"


@pytest.mark.parametrize("versioning", [False, True])
def test_nothing_is_left_behind(minio, versioning):
    bucket = minio.new_bucket()
    if versioning:
        body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        minio.request("PUT", f"/{bucket}?versioning", body=body)
    place = site("minio", minio.endpoint, keys_of(minio))
    minio.request("PUT", f"/{bucket}/data/mine", body=b"1")
    assert probed(place, bucket)["versioning"].detail == ("enabled" if versioning else "off")
    sweep(place, bucket, FOLDER)
    versions = minio.request("GET", f"/{bucket}?versions").decode()
    assert versions.count("<Key>") == versions.count("<Key>data/mine</Key>") == 1
    assert b"<Upload>" not in minio.request("GET", f"/{bucket}?uploads")


def test_who_may_only_look_writes_nothing(scripted):
    found = probed(site("minio", scripted.endpoint), "b", write=False)
    assert not [request for request in scripted.requests if request.method not in {"GET", "HEAD"}]
    assert not [check for check in found if check.startswith("condition")]


def test_a_service_that_ignores_conditions_is_found_out(scripted, monkeypatch):
    monkeypatch.setattr(scripted.objects, "_refused", lambda _: None)
    found = probed(site("minio", scripted.endpoint), "b")
    assert found["condition: put create"].state == "failed"
    assert "ignored" in found["condition: put create"].detail
    assert found["condition: put create"].hint


@pytest.mark.parametrize(("status", "code", "word"), [(403, "AccessDenied", "bucket"), (404, "NoSuchBucket", "exist")])
def test_a_bucket_that_is_closed_or_missing_is_told(scripted, status, code, word):
    scripted.on("HeadBucket", "", refused(status, code), times=9)
    found = probed(site("minio", scripted.endpoint), "gone")
    assert found["bucket"].state == "failed"
    assert word in found["bucket"].detail
    assert "versioning" not in found


@pytest.mark.parametrize(("minutes", "state"), [(0, "ok"), (5, "warning"), (-120, "failed")])
def test_a_clock_that_is_wrong_is_told(scripted, minutes, state):
    scripted.clock = timedelta(minutes=minutes)
    found = probed(site("minio", scripted.endpoint), "b", write=False)["clock"]
    assert found.state == state
    assert bool(found.hint) == (state != "ok")


def test_who_asks_is_told_without_the_secret(scripted):
    found = probed(site("minio", scripted.endpoint), "b", write=False)
    told = " ".join(finding.detail for finding in found.values())
    assert "AKIAPROBE" in told
    assert "pa55word" not in told
    assert "anonymous" in probed(site("minio", scripted.endpoint, None), "b", write=False)["credentials"].detail
