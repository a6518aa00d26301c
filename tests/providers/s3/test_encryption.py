"""A key of the customer's own, with a real server over TLS."""

from base64 import b64encode

import pytest

from datastore.errors import DatastoreError
from datastore.http import engine as http_engine
from datastore.http.engine import engine
from datastore.providers.s3.bucket import S3Provider
from datastore.providers.s3.encryption import Encryption
from datastore.secret import Secret
from datastore.testing import servers
from datastore.testing.exam import MIB, content, payload
from tests.providers.s3.sites import site_of

ENGINES = []  # an engine that is dropped would close its connections in the middle of another test


@pytest.fixture(scope="module")
def minio_tls(built_servers, tmp_path_factory):
    built_servers("minio")
    with servers.start_minio(tmp_path_factory.mktemp("minio-tls"), tls=True) as server:
        yield server


@pytest.fixture
def sealed(minio_tls, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(minio_tls.ca_file))
    ENGINES.append(http_engine.Engine())
    monkeypatch.setattr(http_engine, "_PROCESS", ENGINES[-1:])
    key = Secret(b64encode(payload(32)).decode())
    return S3Provider(site_of(minio_tls, encryption=Encryption(customer_key=key)), minio_tls.new_bucket())


def test_everything_about_an_object_takes_the_key(sealed, minio_tls, tmp_path):
    data, path = payload(20 * MIB), tmp_path / "large.bin"
    path.write_bytes(data)
    sealed.put("small", b"secret words")
    sealed.put("large", path)
    sealed.put("stream", iter([data]))
    sealed.copy("small", "copied")
    assert content(sealed, "small") == content(sealed, "copied") == b"secret words"
    assert content(sealed, "large") == content(sealed, "stream") == data
    assert sealed.head("large").size == len(data)
    upload = sealed.create_upload("parts")
    sent = engine().run(sealed.part_call(upload, 1, data))
    assert [part.size for part in sealed.parts(upload)] == [len(data)]
    assert sealed.complete_upload(upload, [sent]).size == len(data)
    assert sealed.delete(["copied"]) == []
    plain = S3Provider(site_of(minio_tls), sealed.bucket_name)
    for verb in (plain.head, plain.read):
        with pytest.raises(DatastoreError):
            verb("small")
    assert not any(b"secret words" in file.read_bytes() for file in minio_tls.folder.rglob("*") if file.is_file())
