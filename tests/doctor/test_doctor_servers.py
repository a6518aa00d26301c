"""The doctor on real servers: they are healthy, and nothing is left behind."""

import pytest

import datastore as ds
from datastore.doctor import examine_mount
from datastore.namespace import reset_current
from tests.places import isolate

ORIGIN = "https://app.example.com"


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("DATASTORE_STORE", str(tmp_path / "store"))
    reset_current()
    yield
    reset_current()


def mount(server, **options):
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key}
    ds.mount("patient", endpoint=server.endpoint, **keys, **options)


def examined(**options):
    return {finding.check: finding for finding in examine_mount("patient", **options)}


def test_minio_is_healthy_and_lets_browsers_in(minio):
    bucket = minio.new_bucket()
    mount(minio, provider="minio", bucket=bucket, prefix="deep/")
    found = examined(origin=ORIGIN)
    assert [one for one in found.values() if one.state in {"failed", "warning"}] == []
    assert found["browser PUT"].state == found["presigned GET"].state == found["create"].state == "ok"
    assert b"<Key>" not in minio.request("GET", f"/{bucket}?list-type=2")


def test_a_server_of_which_nothing_is_known_works_with_less(versitygw):
    bucket = versitygw.new_bucket()
    mount(versitygw, provider="s3", bucket=bucket)
    found = examined(origin=ORIGIN)
    assert found["create"].state == found["match"].state == "skipped"
    assert found["write and read"].state == found["presigned PUT"].state == "ok"
    assert found["browser PUT"].state == "failed"
    assert "CORS" in found["browser PUT"].hint
    assert b"<Key>" not in versitygw.request("GET", f"/{bucket}?list-type=2")


def test_wrong_keys_are_told_with_the_cure(minio):
    mount(minio, provider="minio", bucket=minio.new_bucket())
    minio_keys = {"access_key_id": minio.access_key, "secret_access_key": "wrong"}
    ds.mount("wrong", provider="minio", endpoint=minio.endpoint, bucket="bkt", **minio_keys)
    failed = [one for one in examine_mount("wrong") if one.state == "failed"]
    assert failed
    assert any("secret_access_key" in (one.hint or "") for one in failed)


def test_an_account_asks_for_a_bucket(minio):
    bucket = minio.new_bucket()
    mount(minio, provider="minio")
    found = examined()
    assert bucket in found["buckets"].detail or "…" in found["buckets"].detail
    assert found["objects"].state == "skipped"
    assert "BUCKET" in found["objects"].hint


@pytest.mark.parametrize("fixture", ["lakefs", "lakefs_local"])
def test_lakefs_is_healthy(request, fixture):
    server = request.getfixturevalue(fixture)
    repo = server.new_repo()
    mount(server, provider="lakefs", repo=repo)
    ds.repo("patient").branch("main").objects.put("a.txt", b"text")
    found = examined()
    assert [one for one in found.values() if one.state == "failed"] == []
    assert found["branches"].detail == "1 branches: main"
    assert found["listing"].detail == "1 names: a.txt"


test_lakefs_is_healthy = pytest.mark.servers(test_lakefs_is_healthy)
