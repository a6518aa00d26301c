import datetime as dt
import re
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from datastore.calls import HttpRequest
from datastore.errors import InvalidURL, ValidationError
from datastore.http.signing import (
    EMPTY_PAYLOAD,
    UNSIGNED_PAYLOAD,
    Credentials,
    clock_offset,
    presign,
    quote_path,
    quote_query,
    sign,
)
from datastore.secret import Secret

NOW = dt.datetime(2026, 11, 21, 12, 34, 56, tzinfo=dt.UTC)
PLAIN = Credentials(access_key_id="AKIDEXAMPLE", secret_access_key=Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
TEMPORARY = Credentials(
    access_key_id="ASIAEXAMPLE", secret_access_key=Secret("s3cr3t/+"), session_token=Secret("tok/en+with==&and ?")
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text(
    " +%/~?#&=:;@!$'()*,äé🎉._-", max_size=30
)
words = st.from_regex(r"[a-z]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
credentials = st.sampled_from([PLAIN, TEMPORARY])
hosts = st.sampled_from([
    "https://bucket.s3.eu-central-1.amazonaws.com",
    "http://127.0.0.1:9000",
    "https://acct.r2.cloudflarestorage.com:443",
    "http://[::1]:7070",
    "https://MixedCase.example.com:8443",
])  # fmt: skip
queries = st.dictionaries(words | texts.filter(bool), texts, max_size=4)
headers = st.dictionaries(
    st.sampled_from(
        ["content-type", "content-md5", "x-amz-meta-note", "X-Amz-Copy-Source", "If-None-Match", "cache-control"]
    )
    | words.map("x-amz-meta-{}".format),
    values,
    max_size=5,
)


def their(given: Credentials) -> BotocoreCredentials:
    token = given.session_token.reveal() if given.session_token else None
    return BotocoreCredentials(given.access_key_id, given.secret_access_key.reveal(), token)


@pytest.fixture(autouse=True)
def _botocore_clock(monkeypatch):
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))


def signature_in(text: str) -> str:
    return re.search(r"Signature=([0-9a-f]{64})", text)[1]


@given(texts, queries, headers, hosts, credentials, st.sampled_from(["GET", "PUT", "DELETE", "POST", "HEAD"]))
def test_a_signed_request_is_the_one_that_botocore_makes(  # noqa: PLR0917 - hypothesis gives them
    key, query, given_headers, host, who, method
):
    url = f"{host}/{quote_path(key)}"
    if query:
        url += "?" + quote_query(query.items())
    request = HttpRequest(what="test", method=method, url=url, headers=given_headers)
    signed = sign(request, who, region="eu-central-1", now=NOW, payload=EMPTY_PAYLOAD)

    theirs = AWSRequest(method=method, url=url, headers=given_headers)
    botocore.auth.S3SigV4Auth(their(who), "s3", "eu-central-1").add_auth(theirs)
    expected = {name.lower(): value for name, value in theirs.headers.items()}
    assert signed.headers == expected
    assert urlsplit(signed.url).path == urlsplit(url).path


@given(texts, queries, headers, hosts, credentials, st.integers(1, 604_800))
def test_a_presigned_url_carries_the_signature_that_botocore_makes(  # noqa: PLR0917 - hypothesis gives them
    key, query, given_headers, host, who, expires
):
    url = f"{host}/{quote_path(key)}"
    if query:
        url += "?" + quote_query(query.items())
    ours = presign("PUT", url, who, region="auto", now=NOW, expires=expires, headers=given_headers)

    theirs = AWSRequest(method="PUT", url=url, headers=given_headers)
    botocore.auth.S3SigV4QueryAuth(their(who), "s3", "auto", expires=expires).add_auth(theirs)
    assert sorted(urlsplit(ours).query.split("&")) == sorted(urlsplit(theirs.url).query.split("&"))
    assert urlsplit(ours).path == urlsplit(url).path


@given(texts)
def test_a_url_that_is_spelled_in_another_way_is_signed_as_the_server_will_read_it(key):
    plain = HttpRequest(what="test", method="GET", url="https://h.example/" + quote_path(key))
    lax = HttpRequest(what="test", method="GET", url="https://h.example/" + quote(key, safe="/!$'()*,;:@&=+"))
    one, other = (sign(r, PLAIN, region="auto", now=NOW, payload=UNSIGNED_PAYLOAD) for r in (plain, lax))
    assert one == other


def test_what_the_transport_adds_or_changes_is_not_signed():
    volatile = {"User-Agent": "x", "Accept-Encoding": "identity", "Expect": "100-continue", "Content-Length": "3"}
    request = HttpRequest(what="test", method="PUT", url="https://h.example/k", headers=volatile)
    signed = sign(request, PLAIN, region="auto", now=NOW, payload=UNSIGNED_PAYLOAD)
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date," in signed.headers["authorization"]
    assert {name.lower() for name in volatile} <= signed.headers.keys()


def test_a_key_of_yesterday_is_not_used_today():
    request = HttpRequest(what="test", method="GET", url="https://h.example/k")
    today = sign(request, PLAIN, region="auto", now=NOW, payload=EMPTY_PAYLOAD)
    tomorrow = sign(request, PLAIN, region="auto", now=NOW + dt.timedelta(days=1), payload=EMPTY_PAYLOAD)
    assert "/20261121/" in today.headers["authorization"]
    assert "/20261122/" in tomorrow.headers["authorization"]
    assert signature_in(today.headers["authorization"]) != signature_in(tomorrow.headers["authorization"])


def test_the_time_is_told_in_utc():
    request = HttpRequest(what="test", method="GET", url="https://h.example/k")
    elsewhere = NOW.astimezone(dt.timezone(dt.timedelta(hours=9)))
    one, other = (sign(request, PLAIN, region="auto", now=now, payload=EMPTY_PAYLOAD) for now in (NOW, elsewhere))
    assert one == other


BAD_ADDRESSES = [
    "https://me:pw@h.example/k",
    "ftp://h.example/k",
    "h.example/k",
    "https:///k",
    "https://h\\x.example/k",
    "https://h.example?x=1",
]


@pytest.mark.parametrize("url", BAD_ADDRESSES)
def test_an_address_that_two_parsers_could_read_in_two_ways_is_refused(url):
    with pytest.raises(InvalidURL) as caught:
        sign(HttpRequest(what="test", method="GET", url=url), PLAIN, region="auto", now=NOW, payload=EMPTY_PAYLOAD)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("seconds", [0, -1, 604_801])
def test_a_presigned_url_lasts_at_most_seven_days(seconds):
    with pytest.raises(ValidationError, match="cannot be valid for"):
        presign("GET", "https://h.example/k", PLAIN, region="auto", now=NOW, expires=seconds)


def test_no_secret_is_shown():
    request = HttpRequest(what="test", method="GET", url="https://h.example/k")
    signed = sign(request, TEMPORARY, region="auto", now=NOW, payload=EMPTY_PAYLOAD)
    shown = repr(TEMPORARY) + repr(signed)
    assert "ASIAEXAMPLE" in shown
    assert "s3cr3t" not in shown
    assert "tok/en" not in shown


@pytest.mark.parametrize("date", ["", "yesterday", "99", "Sat, 99 Nov 2026 12:00:00 GMT"])
def test_a_date_that_says_nothing_moves_no_clock(date):
    assert clock_offset(date, now=NOW) is None


def test_the_clock_of_the_server_is_read_from_its_answer():
    assert clock_offset("Sat, 21 Nov 2026 13:34:56 GMT", now=NOW) == dt.timedelta(hours=1)
    assert clock_offset("Sat, 21 Nov 2026 12:04:56 -0000", now=NOW) == -dt.timedelta(minutes=30)
