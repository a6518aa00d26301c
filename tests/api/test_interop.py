"""Hand-off objects: the clients that people know, for what a mount sees."""

import builtins
import importlib
import pickle

import pytest

import datastore as ds
from datastore import registry
from datastore.interop import connection_of, lakefs_client
from datastore.namespace import current

pytest.importorskip("boto3", reason="the extra `interop` is not installed")
SECRET = "planted-secret-4711"


@pytest.fixture(autouse=True)
def reachable(monkeypatch):
    monkeypatch.setitem(registry._BUILTIN, "reachable", "tests.api.reachable")


@pytest.fixture
def mount():
    return ds.mount(
        "raw",
        "reachable",
        endpoint="https://s3.example.com:9000",
        access_key_id="AKIA1",
        secret_access_key=SECRET,
        path_style=True,
    )


def signed(client):
    return client.generate_presigned_url("get_object", Params={"Bucket": "acme", "Key": "a b.csv"})


def test_boto3_reaches_the_same_service_with_the_same_keys(mount):
    client = mount.boto3()
    assert client.meta.endpoint_url == "https://s3.example.com:9000"
    assert client.meta.region_name == "eu-central-1"
    assert signed(client).startswith("https://s3.example.com:9000/acme/a%20b.csv?")
    assert "AKIA1" in signed(client)
    assert client.meta.config.request_checksum_calculation == "when_required"


def test_temporary_keys_bring_their_token():
    found = ds.mount("tmp", "reachable", access_key_id="AKIA1", secret_access_key=SECRET, token="tok-1")
    assert "X-Amz-Security-Token=tok-1" in signed(found.boto3()) or "x-amz-security-token=tok-1" in signed(
        found.boto3()
    )
    assert found.s3fs().token == "tok-1"
    assert found.boto3().meta.endpoint_url == "https://s3.eu-central-1.amazonaws.com"


def test_anonymous_access_signs_nothing():
    found = ds.mount("open", "reachable", endpoint="https://s3.example.com")
    assert "?" not in signed(found.boto3())
    assert found.s3fs().anon


def test_keys_of_the_environment_are_not_taken_instead(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA-OTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    found = ds.mount("open", "reachable", endpoint="https://s3.example.com")
    assert "AKIA-OTHER" not in signed(found.boto3())


def test_s3fs(mount):
    fs = mount.s3fs()
    assert (fs.key, fs.secret, fs.endpoint_url, fs.anon) == ("AKIA1", SECRET, "https://s3.example.com:9000", False)
    assert mount.s3fs() is not fs


def test_lakefs_client_and_its_s3_gateway():
    key = ds.mount(
        "lake", "reachable", service="lakefs", endpoint="https://lake", access_key_id="AKIA1", secret_access_key=SECRET
    )
    connection = connection_of(current().root("lake"), title="lake")
    configuration = lakefs_client(connection).objects_api.api_client.configuration
    assert (configuration.host, configuration.username, configuration.password) == (
        "https://lake/api/v1",
        "AKIA1",
        SECRET,
    )
    assert signed(key.boto3()).startswith("https://lake/acme/a%20b.csv?")
    token = ds.mount("lake-jwt", "reachable", service="lakefs", endpoint="https://lake", token="jwt")
    connection = connection_of(current().root("lake-jwt"), title="lake")
    configuration = lakefs_client(connection).objects_api.api_client.configuration
    assert (configuration.access_token, configuration.username) == ("jwt", None)
    with pytest.raises(ds.UnsupportedOperation, match="key pair"):
        token.boto3()


def test_what_is_reached_otherwise_says_so(repo, mount, place):
    ds.mount("team", "embedded", path=str(place / "team"))
    team, raw = ds.mounts()[1], ds.mounts()[0]
    assert (raw, team.name) == (mount, "team")
    for call in (team.boto3, team.s3fs, repo.lakefs_client):
        with pytest.raises(ds.UnsupportedOperation, match="neither by S3 nor by lakeFS"):
            call()
    with pytest.raises(ds.UnsupportedOperation, match="not on a lakeFS server"):
        lakefs_client(connection_of(current().root("raw"), title="raw"))


@pytest.mark.parametrize("missing", ["boto3", "s3fs", "lakefs_sdk"])
def test_a_missing_extra_is_named(mount, monkeypatch, missing):
    def gone(name, *args):
        if name.partition(".")[0] == missing:
            raise ImportError(f"No module named {name!r}")
        return importlib.import_module(name, *args)

    monkeypatch.setattr("datastore.interop.import_module", gone)
    lake = ds.mount("lake", "reachable", service="lakefs", endpoint="https://lake", token="jwt")
    connection = connection_of(current().root(lake.name), title="lake")
    call = {"boto3": mount.boto3, "s3fs": mount.s3fs, "lakefs_sdk": lambda: lakefs_client(connection)}[missing]
    with pytest.raises(ds.UnsupportedOperation, match="is not installed") as caught:
        call()
    assert caught.value.hint == "pip install 'datastore-sdk[interop]'"


def test_a_mount_is_a_handle_without_secrets(mount, monkeypatch):
    assert mount / "2026" / "a.csv" == "ds://raw/2026/a.csv"
    assert mount.url == "ds://raw/"
    assert mount == ds.mounts()[0] == pickle.loads(pickle.dumps(mount))
    assert len({mount, ds.mounts()[0]}) == 1
    shown = f"{mount!r} {mount.options} {pickle.dumps(mount)} {connection_of(current().root('raw'), title='')!r}"
    assert SECRET not in shown
    assert "provider='reachable'" in shown


def test_nothing_of_the_extra_is_loaded_before_it_is_asked_for(mount, monkeypatch):
    loaded = builtins.__import__

    def watch(name, *args, **how):
        assert name.partition(".")[0] not in {"boto3", "s3fs", "lakefs_sdk"}
        return loaded(name, *args, **how)

    monkeypatch.setattr(builtins, "__import__", watch)
    assert ds.mount("more", "reachable") in ds.mounts()


def test_boto3_and_s3fs_see_what_is_on_a_real_server(versitygw):
    bucket = versitygw.new_bucket()
    found = ds.mount(
        "gw",
        "reachable",
        endpoint=versitygw.endpoint,
        access_key_id=versitygw.access_key,
        secret_access_key=versitygw.secret_key,
        path_style=True,
        region=versitygw.region,
    )
    client, fs = found.boto3(), found.s3fs()
    client.put_object(Bucket=bucket, Key="dir/a.txt", Body=b"by boto3")
    assert fs.cat_file(f"{bucket}/dir/a.txt") == b"by boto3"
    fs.pipe_file(f"{bucket}/b.txt", b"by s3fs")
    assert client.get_object(Bucket=bucket, Key="b.txt")["Body"].read() == b"by s3fs"
