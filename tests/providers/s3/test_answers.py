import re
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.calls import HttpRequest, HttpResponse
from datastore.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    IntegrityError,
    NotFound,
    TooLarge,
    Unavailable,
    UnsupportedOperation,
    ValidationError,
)
from datastore.providers.s3 import documents
from datastore.providers.s3.attributes import attribute_headers, etag_header, info_of_headers, metadata_of
from datastore.providers.s3.lifecycle import rule_element, rule_of
from datastore.providers.s3.multipart import etag_of_parts
from datastore.providers.s3.presets import PRESETS
from datastore.providers.s3.refusals import judge, judge_document, refused
from datastore.providers.s3.uploading import part_size
from datastore.values import Attributes, LifecycleRule, PartInfo

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
XML_NAMES = NAMES.filter(documents.fits_xml).filter(lambda name: "\r" not in name)


def error(code, *, status=400, message="why", **fields):
    more = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    body = f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>'
    return HttpResponse(status=status, headers={}, body=body.encode())


# ---------------------------------------------------------------------------------------------------------- attributes
@given(st.dictionaries(TEXT, TEXT, max_size=6))
def test_metadata_survive_as_headers_whatever_they_are(metadata):
    headers = attribute_headers("a.csv", Attributes(metadata=metadata), limit=10**6)
    assert all(re.fullmatch(r"[!-~]+", name) and re.fullmatch(r"[ -~]+", text) for name, text in headers.items())
    assert all(text == text.strip() for text in headers.values())
    assert metadata_of(headers) == metadata


@given(st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9-]{0,9}", fullmatch=True), TEXT, max_size=4))
def test_an_encoded_word_is_as_long_as_mail_allows(metadata):
    headers = attribute_headers("a.csv", Attributes(metadata=metadata), limit=10**6)
    words = [word for text in headers.values() for word in text.split() if word.startswith("=?")]
    assert all(len(word) <= 75 for word in words)


def test_plain_metadata_are_plain_headers_for_other_tools():
    given_ = Attributes(content_type="image/png", metadata={"run": "12", "note": "ö"})
    assert attribute_headers("a.csv", given_, limit=2048) == {
        "x-amz-meta-run": "12",
        "x-amz-meta-note": "=?UTF-8?B?w7Y=?=",
        "content-type": "image/png",
    }


def test_what_others_wrote_is_read():
    written = {
        "x-amz-meta-q": "=?iso-8859-1?q?caf=E9?= au =?UTF-8?Q?lait?=",
        "x-amz-meta-raw": "Ã¶",  # UTF-8 as the wire shows it
        "x-amz-meta-broken": "=?UTF-8?B?%%%?=",
        "x-amz-meta-dsmetadata": "not ours",
        "content-type": "text/csv",
    }
    found = metadata_of(written)
    assert (found["q"], found["raw"], found["dsmetadata"]) == ("café au lait", "ö", "not ours")
    assert "broken" in found


def test_the_name_of_a_write_does_not_show():
    headers = attribute_headers("a", Attributes(metadata={"run": "1"}), limit=2048, write_id="0123")
    assert headers["x-amz-meta-dswriteid"] == "0123"
    assert metadata_of(headers) == {"run": "1"}


def test_too_many_metadata_are_refused_before_any_request():
    with pytest.raises(TooLarge, match="2048"):
        attribute_headers("a", Attributes(metadata={"note": "ö" * 900}), limit=2048)


@pytest.mark.parametrize("text", ["text/x\r\nX-Evil: 1", "text/x\nx", "", " text/x", "text/ü", "a\0b"])
def test_a_content_type_that_is_no_header_is_refused(text):
    with pytest.raises(ValidationError):
        attribute_headers("a", Attributes(content_type=text or " "), limit=2048)


@pytest.mark.parametrize("etag", ["a b", 'a"b', "ö", "", "a\nb"])
def test_an_etag_that_no_object_can_have_becomes_no_header(etag):
    assert etag_header(etag) is None


def test_an_info_comes_from_headers_alone():
    headers = {
        "etag": '"abc-2"',
        "content-range": "bytes 0-9/1234",
        "content-length": "10",
        "last-modified": "Sat, 21 Nov 2026 12:00:00 GMT",
        "content-type": "text/csv",
        "x-amz-version-id": "v1",
    }
    info = info_of_headers("k", headers, place="https://host/b/k")
    assert (info.size, info.etag, info.content_type) == (1234, "abc-2", "text/csv")
    assert info.modified.isoformat() == "2026-11-21T12:00:00+00:00"
    assert info.identity == "https://host/b/k?v1#abc-2-1234"
    with pytest.raises(IntegrityError):
        info_of_headers("k", {"etag": '"abc"'}, place="https://host/b/k")


# ------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (error("NoSuchKey", status=404), NotFound, "'a.csv'"),
        (error("NoSuchBucket", status=404), NotFound, "bucket 'raw' does not exist"),
        (error("AccessDenied", status=403), Forbidden, "AccessDenied"),
        (error("InvalidAccessKeyId", status=403), Forbidden, "InvalidAccessKeyId"),
        (error("SignatureDoesNotMatch", status=403), Forbidden, "SignatureDoesNotMatch"),
        (error("ExpiredToken", status=400), Forbidden, "ExpiredToken"),
        (error("RequestTimeTooSkewed", status=403), Forbidden, "RequestTimeTooSkewed"),
        (error("SlowDown", status=503), Unavailable, "SlowDown"),
        (error("InternalError", status=200), Unavailable, "InternalError"),
        (error("TooManyRequests", status=429), Unavailable, "TooManyRequests"),
        (error("EntityTooLarge"), TooLarge, "EntityTooLarge"),
        (error("KeyTooLongError"), TooLarge, "KeyTooLongError"),
        (error("BadDigest"), IntegrityError, "BadDigest"),
        (error("XAmzContentSHA256Mismatch"), IntegrityError, "SHA256"),
        (error("NotImplemented", status=501), UnsupportedOperation, "NotImplemented"),
        (error("BucketNotEmpty", status=409), Conflict, "BucketNotEmpty"),
        (error("BucketAlreadyOwnedByYou", status=409), AlreadyExists, "raw"),
        (error("InvalidObjectState", status=403), UnsupportedOperation, "InvalidObjectState"),
        (error("SomethingNew", status=400), ValidationError, "SomethingNew: why"),
        (error("SomethingNew", status=403), Forbidden, "SomethingNew"),
        (error("SomethingNew", status=500), Unavailable, "SomethingNew"),
        (HttpResponse(status=403, headers={}), Forbidden, "403"),
        (HttpResponse(status=404, headers={}), NotFound, "'a.csv'"),
        (HttpResponse(status=502, headers={}, body=b"<html>bad gateway"), Unavailable, "502"),
    ],
)
def test_every_refusal_is_a_typed_error_that_names_its_place(response, kind, words):
    found = refused("read of 'a.csv'", response, bucket="raw", key="a.csv")
    assert type(found) is kind
    assert words in str(found)
    assert "raw" in str(found) + str(found.hint)


def test_a_missing_bucket_is_named_where_no_key_is_asked_for():
    assert "bucket 'raw'" in str(refused("listing", HttpResponse(status=404, headers={}), bucket="raw"))


def request(method="GET", **more):
    return HttpRequest(what="test", method=method, url="http://host/b/k", **more)


@pytest.mark.parametrize(
    ("method", "response", "verdict"),
    [
        ("GET", HttpResponse(status=200, headers={}), "final"),
        ("GET", error("NoSuchKey", status=404), "final"),
        ("GET", error("AccessDenied", status=403), "final"),
        ("GET", error("ExpiredToken"), "reauthorize"),
        ("GET", error("RequestTimeTooSkewed", status=403), "reauthorize"),
        ("GET", error("AuthorizationHeaderMalformed", Region="eu-west-1"), "reauthorize"),
        ("GET", error("PermanentRedirect", status=301), "reauthorize"),
        ("HEAD", HttpResponse(status=301, headers={"x-amz-bucket-region": "eu-west-1"}), "reauthorize"),
        ("HEAD", HttpResponse(status=403, headers={}), "reauthorize"),
        ("HEAD", HttpResponse(status=404, headers={}), "final"),
        ("PUT", error("SlowDown", status=503), "slow"),
        ("PUT", error("TooManyRequests", status=429), "slow"),
        ("PUT", error("InternalError", status=500), "retry"),
        ("PUT", error("RequestTimeout", status=400), "retry"),
        ("PUT", error("ConditionalRequestConflict", status=409), "retry"),
        ("PUT", error("PreconditionFailed", status=412), "final"),
        ("PUT", error("BadDigest"), "final"),
        ("GET", HttpResponse(status=502, headers={}, body=b"<html>"), "retry"),
    ],
)
def test_the_engine_is_told_what_an_answer_means(method, response, verdict):
    assert judge(request(method), response) == verdict


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b'<?xml version="1.0"?>\n<CopyObjectResult><ETag>x</ETag></CopyObjectResult>', "final"),
        (b"   \n<CompleteMultipartUploadResult/>", "final"),
        (b"<Error><Code>InternalError</Code></Error>", "retry"),
        (b'  \n<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>', "slow"),
        (b"<ListBucketResult><Contents><Key>a</Key>", "retry"),
        (b"", "retry"),
        (b"<html><body>captive portal</body></html>", "final"),  # is whole, and no listing: told when it is read
    ],
)
def test_a_document_that_says_200_may_be_an_error_or_half_of_one(body, verdict):
    response = HttpResponse(status=200, headers={}, body=body)
    assert judge_document(request("POST"), response) == verdict


def test_an_object_may_well_be_an_error_document():
    response = HttpResponse(status=200, headers={}, body=b"<Error><Code>InternalError</Code></Error>")
    assert judge(request("GET"), response) == "final"


# ----------------------------------------------------------------------------------------------------------- documents
def listing_of(names, *, encoded=False, prefixes=(), token=None, quote="&quot;", tail=""):
    rows = "".join(
        f"<Contents><Key>{escape(name)}</Key><LastModified>2026-11-21T12:00:00.000Z</LastModified>"
        f"<ETag>{quote}{n:x}{quote}</ETag><Size>{n}</Size><Owner><ID>x</ID></Owner></Contents>"
        for n, name in enumerate(names)
    )
    folders = "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in prefixes)
    more = f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>"
    more += f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
    kind = "<EncodingType>url</EncodingType>" if encoded else ""
    head = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult {NAMESPACE}><Name>b</Name><Prefix>Contents</Prefix>'
    )
    return f"{head}{kind}{more}{rows}{folders}{tail}</ListBucketResult>".encode()


@given(st.lists(XML_NAMES, max_size=5), st.lists(XML_NAMES, max_size=3), st.none() | XML_NAMES)
def test_a_listing_gives_names_verbatim(names, prefixes, token):
    found = documents.listing(listing_of(names, prefixes=prefixes, token=token))
    assert (found.names, found.prefixes, found.token) == (names, prefixes, token)
    assert found.etags == [f"{n:x}" for n in range(len(names))]
    assert found.sizes == list(range(len(names)))
    assert set(found.modified_us) <= {1795262400_000_000}


@given(st.lists(XML_NAMES, max_size=5), st.lists(XML_NAMES, max_size=3))
def test_documents_that_are_written_in_other_ways_say_the_same(names, prefixes):
    usual = documents.listing(listing_of(names, prefixes=prefixes))
    unusual = ET.tostring(ET.fromstring(listing_of(names, prefixes=prefixes)))  # with a prefix for the namespace
    assert documents.listing(listing_of(names, prefixes=prefixes, tail="<!-- end -->")) == usual
    assert documents.listing(listing_of(names, prefixes=prefixes, quote="&#34;")) == usual
    assert documents.listing(re.sub(rb"(</?)ns0:(ListBucketResult)", rb"\1\2", unusual)) == usual


def test_names_that_a_service_encodes_are_decoded_and_others_are_not():
    assert documents.listing(listing_of(["a+b%2Bc%20d%EF%BF%BF"], encoded=True)).names == ["a b+c d\uffff"]
    assert documents.listing(listing_of(["a+b%2Bc"])).names == ["a+b%2Bc"]


@pytest.mark.parametrize(
    "body",
    [
        b"<html></html>",
        b"<Error/>",
        b"",
        b"<ListBucketResult><Contents><Key>a",
        listing_of(["a"]).replace(b"<Size>0<", b"<Size>many<"),
        listing_of(["a"]).replace(b"2026-11-21T", b"yesterday"),
        b"<ListBucketResult><Contents></ListBucketResult>",
    ],
)
def test_what_is_no_listing_is_no_empty_listing(body):
    with pytest.raises(IntegrityError):
        documents.listing(body)


def test_a_listing_that_breaks_off_without_a_token_is_an_error():
    body = listing_of(["a"]).replace(b">false<", b">true<")
    with pytest.raises(IntegrityError):
        documents.listing(body)


@given(st.lists(NAMES.filter(documents.fits_xml)))
def test_a_delete_names_exactly_its_keys(names):
    root = ET.fromstring(documents.delete_request(names))
    assert [one.text for one in root.iter() if one.tag.endswith("Key")] == names


@given(NAMES)
def test_a_name_that_a_document_cannot_have_is_known(name):
    try:
        ET.fromstring(f"<a>{escape(name, {chr(13): '&#13;'})}</a>")
    except ET.ParseError:
        assert not documents.fits_xml(name)
    else:
        assert documents.fits_xml(name)


def test_an_error_inside_another_document_is_found():
    assert documents.error_fields(b"<ErrorResponse><Error><Code>X</Code></Error></ErrorResponse>") == {"Code": "X"}
    assert documents.error_fields(b"not xml") == documents.error_fields(b"<html/>") == {}


# --------------------------------------------------------------------------------------------------------------- parts
@given(st.integers(1, 48 << 40), st.sampled_from(sorted(PRESETS)))
def test_parts_are_as_many_as_a_service_takes(size, name):
    preset = PRESETS[name]
    if size > preset.object_bytes:
        with pytest.raises(TooLarge):
            part_size(size, preset)
        return
    length = part_size(size, preset)
    assert length % (1 << 20) == 0
    assert preset.part_bytes[0] <= length <= preset.part_bytes[1]
    assert -(-size // length) <= preset.parts


def test_the_etag_of_parts_is_known_only_where_theirs_are_md5():
    part = PartInfo(number=1, etag="900150983cd24fb0d6963f7d28e17f72", size=3)
    assert etag_of_parts([part]) is not None  # test_uploads.py compares it with what services say
    assert etag_of_parts([part, PartInfo(number=2, etag="not-a-hash", size=3)]) is None


# ----------------------------------------------------------------------------------------------------------- lifecycle
RULES = st.builds(
    LifecycleRule,
    name=st.from_regex(r"[a-z]{1,9}", fullmatch=True),
    prefix=XML_NAMES | st.just(""),
    expire_days=st.none() | st.integers(1, 9999),
    noncurrent_days=st.none() | st.integers(1, 9999),
    abort_upload_days=st.none() | st.integers(1, 9999),
    enabled=st.booleans(),
)


@given(RULES)
def test_a_rule_survives_as_a_document(rule):
    assert rule_of(ET.fromstring(ET.tostring(rule_element(rule)))) == rule


def test_rules_of_others_are_read_in_their_older_and_richer_forms():
    older = ET.fromstring("<Rule><ID>a</ID><Prefix>logs/</Prefix><Status>Enabled</Status></Rule>")
    richer = ET.fromstring(
        "<Rule><Filter><And><Prefix>x/</Prefix><Tag><Key>k</Key></Tag></And></Filter><Status>Disabled</Status>"
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>"
    )
    assert (rule_of(older).prefix, rule_of(older).enabled) == ("logs/", True)
    assert (rule_of(richer).prefix, rule_of(richer).delete_markers, rule_of(richer).enabled) == ("x/", True, False)
