"""Cloudflare R2's rules, kept by the shim in front of a real server: the exam, and what is R2's own."""

import os
import time

import pytest

from datastore.doctor import examine_mount
from datastore.errors import AlreadyExists, ConfigError, HeadMoved
from datastore.namespace import current, reset_current
from datastore.providers.s3.r2 import Options, open_mount
from datastore.secret import Secret
from datastore.testing import ProviderSuite
from datastore.testing.r2_rules import R2Rules
from datastore.values import CREATE, Attributes, Match
from tests.places import isolate

MIB = 2**20


def mount(r2, bucket, **options):
    return open_mount(
        Options(
            endpoint=r2.endpoint,
            bucket=bucket,
            access_key_id=Secret(r2.access_key),
            secret_access_key=Secret(r2.secret_key),
            **options,
        )
    )


@pytest.fixture(scope="module")
def quick(minio):
    """R2 with a write per key each 20 ms: the exam overwrites a few keys hundreds of times.

    Behind it is MinIO, because versitygw lists U+FFFF under another name.
    """
    with R2Rules(minio.endpoint, access_key=minio.access_key, secret_key=minio.secret_key, write_seconds=0.02) as r2:
        yield r2


@pytest.fixture
def r2(versitygw):
    with R2Rules(versitygw.endpoint, access_key=versitygw.access_key, secret_key=versitygw.secret_key) as r2:
        yield r2


@pytest.fixture
def provider(r2, versitygw):
    return mount(r2, versitygw.new_bucket())


class TestR2(ProviderSuite):
    @pytest.fixture
    def provider(self, quick, minio):
        return mount(quick, minio.new_bucket(), prefix="exam/")


def test_a_key_that_was_just_written_is_written_again_with_patience(provider, r2):
    for text in (b"1", b"2", b"3"):
        provider.put("k", text)
    with provider.read("k") as reader:
        assert reader.read() == b"3"
    assert "TooManyRequests" in r2.refusals


@pytest.mark.parametrize("size", [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 12 * MIB, 41 * MIB + 7])
def test_s36_objects_of_any_size_arrive_whole(provider, r2, tmp_path, size):
    file = tmp_path / "file.bin"
    file.write_bytes(os.urandom(size))
    provider.put("from-file.bin", file)
    provider.put("from-pieces.bin", (file.read_bytes()[at : at + MIB] for at in range(0, size, MIB)))
    for key in ("from-file.bin", "from-pieces.bin"):
        with provider.read(key) as reader:
            assert reader.readall() == file.read_bytes()
    assert {"InvalidPart", "NotImplemented"}.isdisjoint(r2.refusals)
    assert provider.uploads() == []


def test_conditions_are_kept_whatever_the_size(provider):
    big = os.urandom(20 * MIB)
    first = provider.put("a", b"1")
    with pytest.raises(AlreadyExists):
        provider.put("a", b"2", mode=CREATE)
    with pytest.raises(AlreadyExists):
        provider.put("a", big, mode=CREATE)
    second = provider.put("a", big, mode=Match(first.etag))
    with pytest.raises(HeadMoved):
        provider.put("a", b"3", mode=Match(first.etag))
    assert provider.head("a").etag == second.etag


def test_copies_take_conditions_in_headers_of_r2(provider, r2):
    provider.put("a.txt", b"1", attributes=Attributes(metadata={"name": "Größe"}))
    provider.copy("a.txt", "b.txt", mode=CREATE)
    assert dict(provider.head("b.txt").metadata) == {"name": "Größe"}
    with pytest.raises(AlreadyExists):
        provider.copy("a.txt", "b.txt", mode=CREATE)
    assert [one for one in r2.requests if "cf-copy-destination-if-none-match" in one.headers]


def test_metadata_beyond_ascii_is_kept(provider):
    metadata = {"text": "x" * 1500, "name": "Größe 🎉", "code": "=?utf-8?q?abc?="}
    provider.put("a.bin", b"1", attributes=Attributes(metadata=metadata))
    assert dict(provider.head("a.bin").metadata) == metadata


def test_nothing_is_asked_that_r2_does_not_have(provider, r2):
    provider.put("a/b.txt", b"text")
    provider.list("a/", delimiter="/")
    provider.delete(["a/b.txt", "missing"])
    assert "NotImplemented" not in r2.refusals
    assert not [one for one in r2.requests if "expect" in one.headers or "transfer-encoding" in one.headers]


def test_the_doctor_finds_it_healthy_and_leaves_nothing(quick, minio, tmp_path, monkeypatch):
    isolate(monkeypatch, tmp_path)
    bucket = minio.new_bucket()
    options = {"endpoint": quick.endpoint, "access_key_id": quick.access_key, "secret_access_key": quick.secret_key}
    reset_current()
    current().mount("media", "r2", bucket=bucket, **options)
    current().mount("account", "r2", **options)
    for where in ("media", f"ds://account/{bucket}/deep/"):
        findings = list(examine_mount(where))
        assert [one for one in findings if one.state in {"failed", "warning"}] == []
        found = {one.check: one.state for one in findings}
        assert (
            found["create"] == found["match"] == found["presigned GET"] == found["parts"] == found["clean-up"] == "ok"
        )
    reset_current()
    assert b"<Key>" not in minio.request("GET", f"/{bucket}?list-type=2")
    assert b"<Upload>" not in minio.request("GET", f"/{bucket}?uploads")


def test_an_account_is_needed_and_may_come_from_the_environment(monkeypatch):
    monkeypatch.delenv("R2_ACCOUNT_ID", raising=False)
    with pytest.raises(ConfigError, match="account_id"):
        open_mount(Options(bucket="media"))
    monkeypatch.setenv("R2_ACCOUNT_ID", "ab" * 16)
    assert f"{'ab' * 16}.eu.r2.cloudflarestorage.com/media" in repr(
        open_mount(Options(bucket="media", jurisdiction="eu"))
    )


def test_waiting_for_a_turn_is_bounded(provider):
    begin = time.monotonic()
    provider.put("k", b"1")
    provider.put("k", b"2")
    assert time.monotonic() - begin < 30
