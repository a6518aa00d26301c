import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datastore.calls import HttpResponse, Signed
from datastore.http.redirects import redirected
from tests.http.requests import get, post, put

CREDENTIALS = {"authorization": "AWS4-HMAC-SHA256 …", "x-amz-security-token": "t", "Cookie": "c", "X-Api-Key": "k"}
HARMLESS = {"Accept": "application/json", "User-Agent": "me"}
SENT = Signed("https://here/a/b", {**CREDENTIALS, **HARMLESS})


def to(location: str, status: int = 302) -> HttpResponse:
    return HttpResponse(status=status, headers={"location": location})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_read_that_follows_goes_where_it_is_sent(status):
    found = redirected(get("https://here/a/b", follow=True), SENT, to("https://here/c", status))
    assert found is not None
    assert found.url == "https://here/c"
    assert found.headers == SENT.headers


@pytest.mark.parametrize(
    "location", ["https://there/c", "//there/c", "https://here:8443/c", "https://here.evil/c", "https://me@here/c"]
)
def test_another_host_gets_no_credentials(location):
    found = redirected(get("https://here/a/b", follow=True), SENT, to(location))
    assert found is not None
    assert found.headers == HARMLESS


def test_headers_of_the_request_itself_are_kept_back_as_well():
    request = get("http://here/a", headers={**CREDENTIALS, **HARMLESS}, follow=True)
    assert redirected(request, None, to("http://there/")) == Signed("http://there/", HARMLESS)
    upgraded = redirected(request, None, to("https://here/a"))
    assert upgraded is not None
    assert upgraded.headers == HARMLESS


@pytest.mark.parametrize(
    "location", ["http://here/c", "http://there/c", "file:///etc/passwd", "ftp://here/c", "gopher://x", "javascript:1"]
)
def test_neither_out_of_https_nor_out_of_http(location):
    assert redirected(get("https://here/a/b", follow=True), SENT, to(location)) is None


def test_a_relative_place_is_on_the_same_host():
    found = redirected(get("https://here/a/b", follow=True), SENT, to("c?d=1"))
    assert found == Signed("https://here/a/c?d=1", SENT.headers)


def test_writes_and_those_that_do_not_ask_are_not_redirected():
    place = to("https://here/c")
    assert redirected(get("https://here/a"), SENT, place) is None
    assert redirected(put("https://here/a", follow=True), SENT, place) is None
    assert redirected(post("https://here/a", follow=True), SENT, place) is None
    assert redirected(get("https://here/a", follow=True), SENT, HttpResponse(status=302, headers={})) is None
    assert redirected(get("https://here/a", follow=True), SENT, to("https://here/c", 200)) is None


@given(st.text(max_size=40))
@example("http://[bad/")
@example("//[")
def test_any_place_is_a_url_or_nowhere(location):
    found = redirected(get("https://here/a", follow=True), SENT, to(location))
    if found is not None:
        assert found.url.startswith("https://")
        if not found.url.startswith(("https://here/", "https://here?")) and found.url != "https://here":
            assert found.headers == HARMLESS
