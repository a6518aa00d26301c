"""Mounts of S3: options, whole accounts, buckets, rules of buckets."""

import pickle

import pytest
from msgspec.structs import replace

from datastore.errors import (
    AlreadyExists,
    ConfigError,
    Conflict,
    DatastoreError,
    InvalidURL,
    NotFound,
    UnsupportedOperation,
    ValidationError,
)
from datastore.http.observe import observed
from datastore.provider import Provider, SupportsBuckets, SupportsLifecycle
from datastore.providers.s3.account import S3Account
from datastore.providers.s3.bucket import S3Provider
from datastore.providers.s3.cors import CorsRule
from datastore.providers.s3.presets import PRESETS
from datastore.registry import check_options, open_provider
from datastore.testing.exam import content, listed, model
from datastore.values import CREATE, LifecycleRule
from tests.providers.s3.sites import boto, bucket_of, options_of, site_of

KEYS = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "the-secret"}


def mount(name="s3", **options):
    return open_provider(name, options, where="mount 'x'")


# ------------------------------------------------------------------------------------------------------------- options
@pytest.fixture(autouse=True)
def _no_ambient_settings(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "options", "url"),
    [
        ("s3", {"bucket": "raw", "region": "eu-central-1"}, "https://raw.s3.eu-central-1.amazonaws.com/a%20b/k"),
        ("s3", {"bucket": "with.dots"}, "https://s3.us-east-1.amazonaws.com/with.dots/a%20b/k"),
        ("s3", {"bucket": "raw", "prefix": "2026"}, "https://raw.s3.us-east-1.amazonaws.com/2026/a%20b/k"),
        ("s3", {"bucket": "raw", "addressing": "path"}, "https://s3.us-east-1.amazonaws.com/raw/a%20b/k"),
        ("minio", {"bucket": "dev", "endpoint": "http://127.0.0.1:9000/"}, "http://127.0.0.1:9000/dev/a%20b/k"),
        (
            "r2",
            {"bucket": "media", "account_id": "0" * 32, "jurisdiction": "eu"},
            f"https://{'0' * 32}.eu.r2.cloudflarestorage.com/media/a%20b/k",
        ),
        ("hetzner", {"bucket": "raw", "region": "fsn1"}, "https://fsn1.your-objectstorage.com/raw/a%20b/k"),
        ("tigris", {"bucket": "raw"}, "https://raw.t3.storage.dev/a%20b/k"),
    ],
)
def test_a_mount_is_where_its_options_say(name, options, url):
    with observed() as seen:
        provider = mount(name, **KEYS, **options)
        assert provider.head_call("a b/k").request.url == url
    assert seen == []


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"bucket": "a/b"}, "bucket"),
        ({"bucket": "../x"}, "bucket"),
        ({"bucket": ""}, "bucket"),
        ({"bucket": "raw", "prefix": "/a"}, "prefix"),
        ({"bucket": "raw", "prefix": "a//b"}, "prefix"),
        ({"prefix": "a/"}, "prefix"),
        ({"public_url": "https://x.example"}, "public_url"),
        ({"bucket": "raw", "sse": "rot13"}, "sse"),
        ({"bucket": "raw", "sse_kms_key_id": "k"}, "sse"),
        ({"bucket": "raw", "sse": "AES256", "sse_customer_key": "x"}, "contradict"),
        ({"bucket": "raw", "sse_customer_key": "c2hvcnQ="}, "32 bytes"),
        ({"bucket": "raw", "endpoint": "http://127.0.0.1:1", "sse": "AES256"}, "sse"),
        ({"bucket": "raw", "endpoint": "http://127.0.0.1:1", "requester_pays": True}, "requester_pays"),
        ({"bucket": "raw", "endpoint": "ftp://127.0.0.1"}, "endpoint"),
        ({"bucket": "raw", "anonymous": True}, "contradict"),
        ({"bucket": "raw", "buket": "x"}, "bucket"),
    ],
)
def test_options_that_cannot_be_are_told_when_the_mount_is_opened(options, word):
    with pytest.raises(ConfigError) as caught:
        mount(**KEYS, **options)
    assert word in f"{caught.value} {caught.value.hint}"
    assert "the-secret" not in f"{caught.value!r} {caught.value.hint}"


def test_a_customer_key_is_not_sent_in_the_clear():
    with pytest.raises(ConfigError, match="clear"):
        mount("hetzner", **KEYS, bucket="raw", endpoint="http://fsn1.your-objectstorage.com", sse_customer_key="A" * 44)


def test_secrets_of_options_are_secrets():
    options = check_options("s3", {**KEYS, "sse_customer_key": "A" * 43 + "="}, where="mount 'x'")
    assert "the-secret" not in repr(options)
    assert "AAAA" not in repr(options)


def test_what_every_request_of_a_mount_carries_shows_no_secret():
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    provider = mount(**KEYS, bucket="raw", requester_pays=True, sse_customer_key=key)
    call = provider.put_call("a", b"1")
    assert call.request.headers["x-amz-request-payer"] == "requester"
    assert key not in repr(call.request)
    sent = call.request.authorize(call.request, None).headers
    assert sent["x-amz-server-side-encryption-customer-key"] == key
    assert sent["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
    with pytest.raises(UnsupportedOperation):
        provider.presign("GET", "a")


@pytest.mark.parametrize("sse", ["AES256", "aws:kms"])
def test_a_service_is_asked_to_encrypt_what_is_written(sse):
    more = {"sse_kms_key_id": "key-1"} if sse == "aws:kms" else {}
    provider = mount(**KEYS, bucket="raw", sse=sse, **more)
    headers = provider.put_call("a", b"1").request.headers
    assert headers["x-amz-server-side-encryption"] == sse
    assert headers.get("x-amz-server-side-encryption-aws-kms-key-id") == more.get("sse_kms_key_id")
    assert not [name for name in provider.head_call("a").request.headers if "encryption" in name]
    assert "x-amz-server-side-encryption" in provider.presign("PUT", "a").headers


def test_an_endpoint_of_the_environment_counts_for_s3_alone(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:7070")
    assert mount(**KEYS, bucket="raw").head_call("k").request.url == "http://127.0.0.1:7070/raw/k"
    assert "hetzner" not in mount("hetzner", **KEYS, bucket="raw", region="fsn1").head_call("k").request.url
    assert "fsn1" in mount("hetzner", **KEYS, bucket="raw", region="fsn1").head_call("k").request.url


def test_public_urls_are_told():
    provider = mount(**KEYS, bucket="raw", prefix="media/", public_url="https://media.example.com/")
    assert provider.public_url("a b/ü.png") == "https://media.example.com/a%20b/%C3%BC.png"
    assert mount(**KEYS, bucket="raw").public_url("a") is None
    assert provider.address("a.png") == "s3://raw/media/a.png"


def test_other_clients_learn_how_to_get_there():
    connection = mount(**KEYS, bucket="raw", prefix="2026", region="eu-central-1").connection()
    assert (connection.endpoint, connection.region, connection.place) == ("", "eu-central-1", "raw/2026/")
    assert (connection.access_key_id, connection.path_style) == ("AKIAEXAMPLE", False)
    assert "the-secret" not in repr(connection)
    assert mount("minio", **KEYS, endpoint="http://127.0.0.1:1").connection().endpoint == "http://127.0.0.1:1"


# ------------------------------------------------------------------------------------------------------------ accounts
@pytest.fixture
def account(server):
    return open_provider("s3", options_of(server), where="mount 's3'")


@pytest.fixture
def three(account, server):
    names = [server.new_bucket() for _ in range(3)]
    for name in names:
        for key in ("a", "b/c", "b/d"):
            account.put(f"{name}/{key}", key.encode())
    return sorted(names)


def test_a_mount_without_a_bucket_has_them_all(account, three):
    assert isinstance(account, Provider)
    assert isinstance(account, SupportsBuckets)
    assert not isinstance(account, SupportsLifecycle)
    keys = [f"{name}/{key}" for name in three for key in ("a", "b/c", "b/d")]
    assert [key for key in listed(account) if key in keys] == keys
    assert set(listed(account, delimiter="/")) >= {f"{name}/" for name in three}
    assert content(account, f"{three[0]}/b/c") == b"b/c"
    account.copy(f"{three[0]}/a", f"{three[1]}/copied", mode=CREATE)
    assert content(account, f"{three[1]}/copied") == b"a"
    assert account.delete([f"{name}/a" for name in three] + ["a", f"{three[0]}/", "", "no bucket!/a"]) == []
    assert [key for key in listed(account, "bucket-") if key in keys] == [key for key in keys if not key.endswith("/a")]


@pytest.mark.parametrize("delimiter", [None, "/", "b"])
def test_a_listing_of_all_buckets_agrees_with_a_dictionary(server, delimiter):
    account = S3Account(site_of(server))
    names = [f"{server.new_bucket()}-{end}" for end in ("x", "x-1", "x.1")]
    for name in names:
        account.create_bucket(name)
        for key in ("a", "b/c", "b/d"):
            account.put(f"{name}/{key}", b"1")
    keys = [f"{name}/{key}" for name in names for key in ("a", "b/c", "b/d")]
    for name in names:
        for prefix in (name, name[:-1], f"{name}/", f"{name}/b", f"{name}/b/"):
            among = listed(account, prefix)
            for after in (None, f"{name}/a", f"{name}/b/c", f"{name}/b/", f"{name}/", name):
                found = listed(account, prefix, delimiter=delimiter, start_after=after)
                assert found == model(among, prefix, delimiter=delimiter, start_after=after), (prefix, after)
    assert set(keys) <= set(listed(account))


@pytest.mark.parametrize("key", ["a", "bucket", "bucket/", "/a", "no bucket!/a", "a?x/b", "..//b"])
def test_a_key_without_a_bucket_is_none(account, key):
    with pytest.raises(InvalidURL):
        account.put(key, b"1")
    for verb in (account.head, account.read):
        with pytest.raises(NotFound):
            verb(key)
    assert account.delete([key]) == []


def test_buckets_come_and_go(account, server):
    name = f"{server.new_bucket()}-made"
    made = account.create_bucket(name)
    assert made.name == name
    assert made.created_us > 0
    assert name in [bucket.name for bucket in account.buckets()]
    with pytest.raises(AlreadyExists):
        account.create_bucket(name)
    account.bucket(name).put("a", b"1")
    with pytest.raises(Conflict):
        account.delete_bucket(name)
    account.bucket(name).delete(["a"])
    account.delete_bucket(name)
    assert name not in [bucket.name for bucket in account.buckets()]
    with pytest.raises(NotFound):
        account.delete_bucket(name)
    for bad in ("A_B!", "x", "a/b", ""):
        with pytest.raises(DatastoreError):
            account.create_bucket(bad)


def test_uploads_of_all_buckets_are_found(account, three):
    upload = account.create_upload(f"{three[1]}/b/new")
    assert [one.key for one in account.uploads(f"{three[1]}/")] == [f"{three[1]}/b/new"]
    assert f"{three[1]}/b/new" in [one.key for one in account.uploads()]
    account.abort_upload(upload)
    assert account.uploads(f"{three[1]}/") == []


def test_accounts_are_equal_by_service_and_user(server):
    assert S3Account(site_of(server)) == S3Account(site_of(server))
    assert S3Account(site_of(server)) != S3Account(replace(site_of(server), endpoint="https://elsewhere.example"))
    with pytest.raises(UnsupportedOperation):
        pickle.dumps(S3Account(site_of(server)))


# --------------------------------------------------------------------------------------------------------------- rules
def test_rules_are_kept_beside_those_of_others(minio):
    provider = bucket_of(minio)
    assert provider.lifecycle() == []
    provider.delete_lifecycle(["missing"])
    temp = LifecycleRule(name="temp", prefix="temp/", expire_days=1)
    old = LifecycleRule(name="old", noncurrent_days=30, enabled=False)
    assert provider.set_lifecycle([temp]) == [temp]
    assert sorted(provider.set_lifecycle([old]), key=lambda rule: rule.name) == [old, temp]
    longer = replace(temp, expire_days=7)
    assert longer in provider.set_lifecycle([longer])
    assert sorted(provider.lifecycle(), key=lambda rule: rule.name) == [old, longer]
    provider.delete_lifecycle(["temp", "missing"])
    assert provider.lifecycle() == [old]
    provider.delete_lifecycle(["old"])
    assert provider.lifecycle() == []


def test_what_we_have_no_word_for_in_a_rule_of_others_stays(minio):
    provider = bucket_of(minio)
    theirs = {
        "ID": "theirs",
        "Filter": {"And": {"Prefix": "x/", "Tags": [{"Key": "team", "Value": "a & b"}]}},
        "Status": "Enabled",
        "Expiration": {"Days": 3},
    }
    boto(minio).put_bucket_lifecycle_configuration(
        Bucket=provider.bucket_name, LifecycleConfiguration={"Rules": [theirs]}
    )
    provider.set_lifecycle([LifecycleRule(name="ours", expire_days=1)])
    kept = boto(minio).get_bucket_lifecycle_configuration(Bucket=provider.bucket_name)["Rules"]
    assert theirs in kept
    assert {rule.name for rule in provider.lifecycle()} == {"ours", "theirs"}


@pytest.mark.parametrize(
    "rule",
    [
        LifecycleRule(name="", expire_days=1),
        LifecycleRule(name="x"),
        LifecycleRule(name="x", expire_days=0),
        LifecycleRule(name="x", expire_days=1, delete_markers=True),
        LifecycleRule(name="x" * 300, expire_days=1),
    ],
)
def test_a_rule_that_cannot_be_is_refused(minio, rule):
    provider = bucket_of(minio)
    with pytest.raises(ValidationError):
        provider.set_lifecycle([rule])
    assert provider.lifecycle() == []


def test_a_service_without_rules_says_so(versitygw):
    with pytest.raises(UnsupportedOperation):
        bucket_of(versitygw).set_lifecycle([LifecycleRule(name="x", expire_days=1)])
    provider = S3Provider(site_of(versitygw, PRESETS["r2"]), versitygw.new_bucket())
    with pytest.raises(UnsupportedOperation, match="noncurrent"):
        provider.set_lifecycle([LifecycleRule(name="x", noncurrent_days=1)])


def test_web_pages_are_let_in(versitygw):
    provider = bucket_of(versitygw)
    assert provider.cors() == []
    rules = [
        CorsRule(origins=("https://app.example.com",), methods=("GET", "PUT"), headers=("content-type",), seconds=60),
        CorsRule(origins=("*",)),
    ]
    provider.set_cors(rules)
    assert provider.cors() == rules
    provider.set_cors([])
    assert provider.cors() == []
