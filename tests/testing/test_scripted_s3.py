"""The scripted server is a correct S3 for botocore's client, until a rule says otherwise."""

import http.client
import socket
import time
from datetime import timedelta

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from datastore.testing.scripted_s3 import (
    Chunked,
    Cut,
    ErrorInside,
    Late,
    LostReply,
    Malformed,
    NoRange,
    Reset,
    ScriptedS3,
    Slow,
    Stall,
    Swapped,
    WrongLength,
    WrongRange,
    refused,
)

BODY = bytes(range(256)) * 40


@pytest.fixture
def server():
    with ScriptedS3() as server:
        server.objects.put("b", "a.bin", BODY)
        yield server


@pytest.fixture
def client(server):
    client = botocore.session.Session().create_client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    yield client
    client.close()


def get(server, path="/b/a.bin", *, method="GET", body=None, timeout=20, **headers):
    """One plain request: status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", int(server.endpoint.rpartition(":")[2]), timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_without_a_script_it_is_an_s3(client):
    client.put_object(Bucket="b", Key="x/ä b+%20.txt", Body=b"text", ContentType="text/plain", Metadata={"a": "1"})
    head = client.head_object(Bucket="b", Key="x/ä b+%20.txt")
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (4, "text/plain", {"a": "1"})
    assert client.get_object(Bucket="b", Key="a.bin", Range="bytes=256-260")["Body"].read() == BODY[256:261]
    assert client.get_object(Bucket="b", Key="a.bin", Range="bytes=-3")["Body"].read() == BODY[-3:]
    client.copy_object(Bucket="b", Key="x/copy", CopySource={"Bucket": "b", "Key": "x/ä b+%20.txt"})
    listed = client.list_objects_v2(Bucket="b", Delimiter="/")
    assert [row["Key"] for row in listed["Contents"]] == ["a.bin"]
    assert [row["Prefix"] for row in listed["CommonPrefixes"]] == ["x/"]
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="b", PaginationConfig={"PageSize": 1})
    assert [row["Key"] for page in pages for row in page["Contents"]] == ["a.bin", "x/copy", "x/ä b+%20.txt"]
    client.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "x/copy"}, {"Key": "none"}]})
    client.delete_object(Bucket="b", Key="a.bin")
    assert client.list_objects_v2(Bucket="b")["KeyCount"] == 1


def test_uploads_in_parts_are_put_together(client, server):
    upload = client.create_multipart_upload(Bucket="b", Key="big", ContentType="x/y")["UploadId"]
    tags = [
        client.upload_part(Bucket="b", Key="big", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in ((2, b"second"), (1, b"first"))
    ]
    assert [part["Size"] for part in client.list_parts(Bucket="b", Key="big", UploadId=upload)["Parts"]] == [5, 6]
    assert server.objects.uploads() == [upload]
    parts = [{"PartNumber": 1, "ETag": tags[1]}, {"PartNumber": 2, "ETag": tags[0]}]
    done = client.complete_multipart_upload(Bucket="b", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-2"')
    assert server.objects.get("b", "big").body == b"firstsecond"
    assert server.objects.uploads() == []
    with pytest.raises(ClientError, match="NoSuchUpload"):
        client.abort_multipart_upload(Bucket="b", Key="big", UploadId=upload)


def test_conditions_are_kept(client, server):
    etag = server.objects.get("b", "a.bin").etag
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket="b", Key="a.bin", Body=b"x", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket="b", Key="a.bin", Body=b"x", IfMatch='"0"')
    client.put_object(Bucket="b", Key="a.bin", Body=b"x", IfMatch=f'"{etag}"')
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.get_object(Bucket="b", Key="a.bin", IfMatch=etag)


def test_a_body_that_arrived_broken_is_refused(client):
    with pytest.raises(ClientError, match="BadDigest"):
        client.put_object(Bucket="b", Key="k", Body=b"x", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")


def test_a_rule_waits_for_its_turn_and_ends(server):
    server.on("GetObject", r"a\..*", refused(503, "SlowDown"), nth=2, times=2)
    server.on("HEAD", r"a\.bin", refused(429, "TooManyRequests", headers={"retry-after": "1"}))
    assert [get(server)[0] for _ in range(5)] == [200, 503, 503, 200, 200]
    assert get(server, method="HEAD")[1]["retry-after"] == "1"
    assert get(server, "/b/other")[0] == 404
    assert len(server.asked("GetObject")) == 6
    assert [request.method for request in server.requests].count("HEAD") == 1


def test_what_is_asked_is_recorded(server):
    get(server, "/b/x%20y?uploadId=1&partNumber=2", method="PUT", body=b"abc", **{"X-Amz-Meta-A": "b"})
    request = server.requests[-1]
    assert (request.operation, request.key, request.body) == ("UploadPart", "x y", b"abc")
    assert request.query == {"uploadId": "1", "partNumber": "2"}
    assert request.headers["x-amz-meta-a"] == "b"


def test_a_cut_body_is_promised_whole(server):
    server.on("GET", ".*", Cut(after=100))
    with pytest.raises(http.client.IncompleteRead) as caught:
        get(server)
    assert caught.value.partial == BODY[:100]
    assert get(server)[2] == BODY


def test_a_reset_is_a_reset(server):
    server.on("GET", ".*", Reset())
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        get(server)
    server.on("GET", ".*", Reset(after=10), nth=1)
    with pytest.raises(ConnectionResetError):
        get(server)
    assert get(server)[0] == 200


def test_a_lost_reply_has_been_carried_out(server):
    server.on("PUT", "k", LostReply())
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        get(server, "/b/k", method="PUT", body=b"there")
    assert server.objects.get("b", "k").body == b"there"


@pytest.mark.parametrize("after", [None, 10])
def test_a_stall_says_nothing_until_the_end(server, after):
    server.on("GET", ".*", Stall(after))
    with pytest.raises(socket.timeout):
        get(server, timeout=0.3)


def test_a_slow_or_late_answer_is_whole(server):
    server.on("GET", ".*", Slow(piece=4096, pause=0.01))
    server.on("GET", ".*", Late(0.01), nth=2)
    assert [get(server)[2] for _ in range(2)] == [BODY, BODY]


def test_the_object_changes_between_two_ranges(server):
    server.on("GET", ".*", Swapped(b"other bytes"), nth=2)
    before = get(server, Range="bytes=0-3")
    after = get(server, Range="bytes=4-7")
    assert (before[2], after[2]) == (BODY[:4], b"r by")
    assert before[1]["etag"] != after[1]["etag"]


def test_ranges_that_go_wrong(server):
    server.on("GET", ".*", NoRange())
    server.on("GET", ".*", WrongRange(shift=5), nth=2)
    assert get(server, Range="bytes=4-7")[::2] == (200, BODY)
    status, headers, body = get(server, Range="bytes=4-7")
    assert (status, headers["content-range"], body) == (206, f"bytes 9-12/{len(BODY)}", BODY[9:13])


def test_lengths_that_go_wrong(server):
    server.on("GET", ".*", WrongLength(by=5))
    server.on("GET", ".*", WrongLength(by=-5), nth=2)
    with pytest.raises(http.client.IncompleteRead):
        get(server)
    assert get(server)[2] == BODY[:-5]


def test_a_body_in_chunks_has_no_length(server):
    server.on("GET", ".*", Chunked())
    server.on("GET", ".*", Chunked(ended=False), nth=2)
    _, headers, body = get(server)
    assert "content-length" not in headers
    assert body == BODY
    with pytest.raises(http.client.IncompleteRead):
        get(server)


def test_success_that_is_none(server):
    server.on("ListObjectsV2", "", ErrorInside("InternalError"))
    server.on("ListObjectsV2", "", Malformed(), nth=2)
    status, _, body = get(server, "/b?list-type=2")
    assert (status, b"<Code>InternalError</Code>" in body) == (200, True)
    status, _, body = get(server, "/b?list-type=2")
    assert (status, b"</ListBucketResult>" in body) == (200, False)


def test_a_clock_that_is_far_away(client, server):
    server.clock = timedelta(hours=2)
    with pytest.raises(ClientError, match="RequestTimeTooSkewed"):
        client.get_object(Bucket="b", Key="a.bin")
    server.clock = timedelta(minutes=3)
    assert client.get_object(Bucket="b", Key="a.bin")["Body"].read() == BODY


def test_it_ends_although_somebody_waits(server):
    server.on("GET", ".*", Stall())
    with pytest.raises(socket.timeout):
        get(server, timeout=0.2)
    begin = time.monotonic()
    server.close()
    server.close()
    assert time.monotonic() - begin < 10
