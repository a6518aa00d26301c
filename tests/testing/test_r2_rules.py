"""The shim refuses what R2 documents that it refuses, and lets everything else through to a real server."""

import datetime as dt
import http.client
import os
import time
import urllib.error
import urllib.request

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from datastore.http.signing import Credentials, presign
from datastore.secret import Secret
from datastore.testing.r2_rules import R2Rules

MIB = 2**20


@pytest.fixture
def r2(versitygw):
    with R2Rules(versitygw.endpoint, access_key=versitygw.access_key, secret_key=versitygw.secret_key) as r2:
        yield r2


@pytest.fixture
def bucket(versitygw):
    return versitygw.new_bucket()


def connect(r2, *, region="auto", secret=None, checksums="when_required"):
    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=r2.endpoint,
        region_name=region,
        aws_access_key_id=r2.access_key,
        aws_secret_access_key=secret or r2.secret_key,
        config=Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            request_checksum_calculation=checksums,
            response_checksum_validation="when_required",
        ),
    )


@pytest.fixture
def client(r2):
    client = connect(r2)
    client.meta.events.unregister("before-call.s3", botocore.handlers.add_expect_header)
    yield client
    client.close()


def test_what_r2_has_goes_through(client, r2, bucket):
    client.put_object(Bucket=bucket, Key="a/ä b+%20", Body=b"text", ContentType="text/plain", Metadata={"a": "1"})
    got = client.get_object(Bucket=bucket, Key="a/ä b+%20", Range="bytes=1-2")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"ex", "text/plain", {"a": "1"})
    assert client.head_object(Bucket=bucket, Key="a/ä b+%20")["ContentLength"] == 4
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a/ä b+%20"})
    assert [row["Key"] for row in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["a/ä b+%20", "copy"]
    client.delete_object(Bucket=bucket, Key="copy")
    assert bucket in [row["Name"] for row in client.list_buckets()["Buckets"]]
    assert r2.refusals == []


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"ServerSideEncryption": "AES256"}, "NotImplemented"),
        ({"Tagging": "a=b"}, "NotImplemented"),
        ({"ACL": "private"}, "NotImplemented"),
        ({"RequestPayer": "requester"}, "NotImplemented"),
        ({"ObjectLockLegalHoldStatus": "ON"}, "NotImplemented"),
        ({"ExpectedBucketOwner": "1"}, "NotImplemented"),
        ({"WebsiteRedirectLocation": "/x"}, "NotImplemented"),
        ({"StorageClass": "GLACIER"}, "InvalidStorageClass"),
        ({"Metadata": {"a": "x" * 8192}}, "MetadataTooLarge"),
    ],
)
def test_headers_that_r2_does_not_have_are_refused(client, r2, bucket, options, code):
    with pytest.raises(ClientError, match=code):
        client.put_object(Bucket=bucket, Key="k", Body=b"x", **options)
    assert r2.refusals == [code]
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(
    "verb",
    ["get_bucket_versioning", "get_bucket_policy", "get_bucket_tagging", "get_bucket_acl", "list_object_versions"],
)
def test_subresources_that_r2_does_not_have_are_refused(client, bucket, verb):
    with pytest.raises(ClientError, match="NotImplemented"):
        getattr(client, verb)(Bucket=bucket)


def test_bodies_in_aws_chunks_are_refused(r2, bucket):
    connection = http.client.HTTPConnection(r2.endpoint.removeprefix("http://"))
    for extra, status in (
        ({"content-encoding": "aws-chunked", "x-amz-trailer": "x-amz-checksum-crc32"}, 501),
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, 501),
    ):
        url = f"{r2.endpoint}/{bucket}/k"
        who = Credentials(access_key_id=r2.access_key, secret_access_key=Secret(r2.secret_key))
        signed = presign("PUT", url, who, region="auto", now=dt.datetime.now(dt.UTC), expires=60)
        connection.request("PUT", signed.removeprefix(r2.endpoint), body=b"x", headers=extra)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


def test_a_key_is_written_once_a_second(client, bucket):
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    client.put_object(Bucket=bucket, Key="other", Body=b"1")
    with pytest.raises(ClientError, match="TooManyRequests") as caught:
        client.put_object(Bucket=bucket, Key="k", Body=b"2")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    time.sleep(1.1)
    client.put_object(Bucket=bucket, Key="k", Body=b"3")


def upload(client, bucket, sizes):
    name = client.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    parts = []
    for number, size in enumerate(sizes, 1):
        body = os.urandom(size)
        tag = client.upload_part(Bucket=bucket, Key="big", UploadId=name, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": tag})
    return client.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=name, MultipartUpload={"Parts": parts})


@pytest.mark.parametrize("sizes", [[5 * MIB, 6 * MIB, 5 * MIB], [5 * MIB, 5 * MIB + 1]])
def test_parts_of_unequal_size_are_refused_at_the_end(client, bucket, sizes):
    with pytest.raises(ClientError, match="InvalidPart"):
        upload(client, bucket, sizes)


def test_equal_parts_are_put_together(client, bucket):
    assert upload(client, bucket, [5 * MIB, 5 * MIB, 17])["ETag"].endswith('-3"')
    assert client.head_object(Bucket=bucket, Key="big")["ContentLength"] == 10 * MIB + 17


def test_copied_parts_count_with_their_ranges(client, bucket):
    client.put_object(Bucket=bucket, Key="source", Body=os.urandom(12 * MIB))
    name = client.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    parts = []
    for number, (first, last) in enumerate([(0, 5 * MIB - 1), (5 * MIB, 12 * MIB - 1)], 1):
        done = client.upload_part_copy(
            Bucket=bucket, Key="big", UploadId=name, PartNumber=number, CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange=f"bytes={first}-{last}",
        )  # fmt: skip
        parts.append({"PartNumber": number, "ETag": done["CopyPartResult"]["ETag"]})
    with pytest.raises(ClientError, match="InvalidPart"):
        client.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=name, MultipartUpload={"Parts": parts})


def test_conditions_of_puts_are_kept(client, bucket):
    etag = client.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    time.sleep(1.1)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch='"0123"')
    client.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)


def test_copies_have_conditions_in_headers_of_r2(client, bucket):
    client.put_object(Bucket=bucket, Key="k", Body=b"1")
    source = {"Bucket": bucket, "Key": "k"}

    def header(name, value):
        def add(params, **_):
            params["headers"][name] = value

        client.meta.events.register_first("before-call.s3.CopyObject", add, unique_id="condition")
        return lambda: client.meta.events.unregister("before-call.s3.CopyObject", unique_id="condition")

    undo = header("cf-copy-destination-if-none-match", "*")
    client.copy_object(Bucket=bucket, Key="new", CopySource=source)
    time.sleep(1.1)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.copy_object(Bucket=bucket, Key="new", CopySource=source)
    undo()
    undo = header("if-none-match", "*")
    with pytest.raises(ClientError, match="NotImplemented"):
        client.copy_object(Bucket=bucket, Key="new", CopySource=source)
    undo()


def test_metadata_is_decoded_on_its_way_in(client, bucket):
    client.put_object(Bucket=bucket, Key="k", Body=b"1", Metadata={"a": "=?utf-8?Q?=C3=A4?=", "b": "=?utf-8?q?plain?="})
    assert client.head_object(Bucket=bucket, Key="k")["Metadata"] == {"a": "=?utf-8?b?w6Q=?=", "b": "plain"}


def test_a_wrong_signature_region_or_none_at_all_is_refused(r2, bucket):
    for options, code in (
        ({"secret": "wrong"}, "SignatureDoesNotMatch"),
        ({"region": "eu-central-1"}, "InvalidRegionName"),
    ):
        client = connect(r2, **options)
        with pytest.raises(ClientError, match=code):
            client.list_objects_v2(Bucket=bucket)
        client.close()
    client = connect(r2, region="us-east-1")
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    client.close()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{r2.endpoint}/{bucket}/k")
    with caught.value:
        assert caught.value.code == 401


def test_presigned_urls_are_good_until_they_end(client, r2, bucket):
    client.put_object(Bucket=bucket, Key="a b", Body=b"text")
    who = Credentials(access_key_id=r2.access_key, secret_access_key=Secret(r2.secret_key))
    url = f"{r2.endpoint}/{bucket}/a%20b"
    now = dt.datetime.now(dt.UTC)
    with urllib.request.urlopen(presign("GET", url, who, region="auto", now=now, expires=60)) as answer:
        assert answer.read() == b"text"
    old = presign("GET", url, who, region="auto", now=now - dt.timedelta(hours=1), expires=60)
    forged = presign("GET", f"{r2.endpoint}/{bucket}/other", who, region="auto", now=now, expires=60)
    typed = presign("GET", url, who, region="auto", now=now, expires=60, headers={"x-amz-meta-a": "b"})
    for bad, status in ((old, 400), (forged.replace("other", "a%20b"), 403), (typed, 403)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(bad)
        with caught.value:
            assert caught.value.code == status


def test_nobody_is_told_to_go_on(r2):
    connection = http.client.HTTPConnection(r2.endpoint.removeprefix("http://"))
    connection.connect()
    connection.sock.settimeout(0.3)
    connection.sock.sendall(b"PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
    with pytest.raises(TimeoutError):
        connection.sock.recv(1)
    connection.close()
