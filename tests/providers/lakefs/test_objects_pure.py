"""The parts that ask nobody: errors, verdicts, names of bytes, metadata, credentials."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.calls import HttpRequest, HttpResponse
from datastore.config import Mount
from datastore.configlakectl import lakectl
from datastore.configtrust import endpoints_in_doubt
from datastore.errors import (
    AlreadyExists,
    ConfigError,
    Conflict,
    Forbidden,
    IntegrityError,
    InvalidURL,
    NotFound,
    NothingToCommit,
    Unavailable,
    UncommittedChanges,
    UnsupportedOperation,
    ValidationError,
)
from datastore.http.observe import observed
from datastore.providers.lakefs import open_mount
from datastore.providers.lakefs.answers import BranchRow, ObjectStats, decoded, failed, judge
from datastore.providers.lakefs.attributes import content_headers, shown, stored
from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.credentials import Login, ambient_login, api_url, discover
from datastore.providers.lakefs.entries import Place, address_of, info_of, leads_to, place_of
from datastore.providers.lakefs.objects import LakeFSRef
from datastore.providers.lakefs.options import Options, client_of
from datastore.registry import open_provider
from datastore.secret import Secret

SECRET = "wJalrXUtnFEMI-K7MDENG"


def _answer(status, message="", **headers):
    return HttpResponse(status=status, headers=headers, body=b'{"message": "%s"}' % message.encode())


# errors


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "commit: no changes", NothingToCommit),
        (400, "merge: uncommitted changes (dirty branch)", UncommittedChanges),
        (400, "argument path: invalid value: validation error", ValidationError),
        (400, "local adapter presigned URL: operation not supported", UnsupportedOperation),
        (401, "error authenticating request", Forbidden),
        (403, "cannot write to protected branch", Forbidden),
        (404, "not found", NotFound),
        (409, "branch already exists: not unique", AlreadyExists),
        (409, "conflict found", Conflict),
        (410, "No data", IntegrityError),
        (410, "repository in deletion", NotFound),
        (412, "path already exists", AlreadyExists),
        (412, "pre-commit hook aborted, run id '1'", Conflict),
        (418, "", ValidationError),
        (420, "Too many requests", Unavailable),
        (423, "locked", Unavailable),
        (429, "Too many attempts, try again later", Unavailable),
        (500, "ref: invalid value: validation error", ValidationError),
        (500, "update branch: predicate failed", Unavailable),
        (501, "Not Implemented", UnsupportedOperation),
        (503, "Throughput exceeded. Slow down and retry", Unavailable),
        (502, "<html>Bad Gateway</html>", Unavailable),
    ],
)
def test_an_answer_becomes_the_error_that_it_stands_for(status, message, kind):
    error = failed(_answer(status, message), "read object 'a.csv'")
    assert type(error) is kind
    assert "a.csv" in str(error)


def test_a_protected_branch_says_the_way_out():
    error = failed(_answer(403, "cannot commit to protected branch"), "commit")
    assert "protected" in str(error)
    assert "merge" in str(error.hint)


def test_an_error_without_a_message_of_the_server_still_says_something():
    for body in (b"", b"\xff\xfe", b"<html>" * 1000, b"[1]", b'{"message": 7}'):
        error = failed(HttpResponse(status=504, headers={"x-request-id": "r1"}, body=body), "list main")
        assert "504" in str(error)
        assert "r1" in str(error)
        assert len(str(error)) < 700


def test_what_is_no_answer_of_lakefs_is_told():
    with pytest.raises(Unavailable, match="login page"):
        decoded(BranchRow)(HttpResponse(status=200, headers={}, body=b"<html>login page</html>"))


@pytest.mark.parametrize(
    ("method", "status", "message", "verdict"),
    [
        ("POST", 429, "Too many attempts", "retry"),
        ("POST", 423, "", "retry"),
        ("POST", 500, "branch is currently locked, try again later", "retry"),
        ("POST", 500, "predicate failed", "final"),
        ("GET", 500, "predicate failed", "retry"),
        ("GET", 500, "ref: invalid value: validation error", "final"),
        ("GET", 503, "Slow down", "slow"),
        ("GET", 420, "", "slow"),
        ("GET", 404, "not found", "final"),
        ("GET", 200, "", "final"),
    ],
)
def test_what_is_tried_again(method, status, message, verdict):
    request = HttpRequest(what="x", method=method, url="http://x/", statuses=frozenset({200}))
    assert judge(request, _answer(status, message)) == verdict


# where bytes are

ADDRESSES = st.builds(
    "s3://{}/{}".format,
    st.from_regex(r"[a-z][a-z0-9.-]{2,20}", fullmatch=True),
    st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40),
)


@given(address=ADDRESSES, checksum=st.text(st.characters(exclude_categories=("Cs",)), max_size=40), size=st.integers(0))
def test_an_identity_leads_back_to_the_bytes(address, checksum, size):
    stats = ObjectStats(path="k", physical_address=address, checksum=checksum, mtime=1, size_bytes=size)
    info = info_of(stats, origin="lakefs.example.com:8000")
    assert place_of(info) == Place("lakefs.example.com:8000", address)
    other = info_of(stats, origin="other.example.com")
    assert other.identity != info.identity


@pytest.mark.parametrize(
    ("url", "namespace", "address"),
    [
        ("https://s3.eu-central-1.amazonaws.com/lake/g/data/x%2Cs?sig", "s3://lake/g", "s3://lake/g/data/x,s"),
        ("https://lake.s3.amazonaws.com/g/data/x?sig", "s3://lake/g/", "s3://lake/g/data/x"),
        ("https://lake.s3.amazonaws.com/data/x?sig", "s3://lake", "s3://lake/data/x"),
        ("http://minio:9000/lake/data/a%20b?sig", "s3://lake", "s3://lake/data/a b"),
        ("https://storage.googleapis.com/lake/g/data/x?sig", "gs://lake/g", "gs://lake/g/data/x"),
        (
            "https://acc.blob.core.windows.net/c/g/data/x?sig",
            "https://acc.blob.core.windows.net/c/g",
            "https://acc.blob.core.windows.net/c/g/data/x",
        ),
        ("https://s3.amazonaws.com/elsewhere/raw/a.csv?sig", "s3://lake/g", None),
        ("https://s3.amazonaws.com/lake/gg/data/x?sig", "s3://lake/g", None),
        ("https://elsewhere.s3.amazonaws.com/raw/a.csv?sig", "s3://lake/g", None),
    ],
)
def test_a_signed_url_tells_the_address_or_not(url, namespace, address):
    assert address_of(url, namespace=namespace) == address
    if address:
        assert leads_to(url, address)
        assert not leads_to(url, address + "x")


# metadata

PAIRS = st.dictionaries(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20).filter(
        lambda name: not name.startswith("X-Amz-Meta-")
    ),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    max_size=6,
)


@given(PAIRS)
def test_metadata_comes_back_as_it_was(metadata):
    kept = stored(metadata)
    assert shown(kept) == metadata
    headers = content_headers("text/csv", kept)
    assert len(headers) == len(kept) + 1
    for name, value in headers.items():
        assert name.isascii()
        assert "_" not in name
        assert value.isascii()
        assert value.strip() == value
        assert value
        assert not set(value) & {"\r", "\n", "\0"}
    sent = {name.lower().removeprefix("x-lakefs-meta-"): value for name, value in headers.items()}
    sent = {name.replace("x-lakefs-internal-", "::lakefs::"): value for name, value in sent.items()}
    del sent["content-type"]
    assert sent == kept, "the server makes the names lower-case"


def test_metadata_of_others_is_left_as_it_is():
    for foreign in ({"Run_X": "ö"}, {"datastore-metadata": "no json"}, {"datastore-metadata": "[1]"}, {"": "e"}):
        assert shown(foreign) == foreign
    assert shown({"X-Amz-Meta-run": "1"}) == {"run": "1"}
    assert shown(None) == {}


# server and credentials


@pytest.fixture
def own_home(monkeypatch, tmp_path):
    for name in ("SERVER_ENDPOINT_URL", "CREDENTIALS_ACCESS_KEY_ID", "CREDENTIALS_SECRET_ACCESS_KEY", "CONFIG_FILE"):
        monkeypatch.delenv(f"LAKECTL_{name}", raising=False)
    monkeypatch.delenv("LAKECTL_CREDENTIALS_SESSION_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


FILE = f"""
credentials:
  access_key_id: AKFILE
  secret_access_key: {SECRET}
server:
  endpoint_url: https://lakefs.example.com
"""


def test_lakectls_file_then_its_variables_then_options(own_home, monkeypatch):
    with pytest.raises(ConfigError, match="where the server is"):
        discover()
    (own_home / ".lakectl.yaml").write_text(FILE)
    url, login = discover()
    assert (url, login.access_key_id) == ("https://lakefs.example.com/api/v1", "AKFILE")
    monkeypatch.setenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", "AKENV")
    assert discover()[1].access_key_id == "AKENV"
    given = discover(access_key_id=Secret("AKOWN"), secret_access_key=Secret("s"))[1]
    assert (given.access_key_id, given.secret.reveal()) == ("AKOWN", "s")
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SESSION_TOKEN", "jwt")
    assert discover()[1].header() == "Bearer jwt"


def test_lakectls_credentials_go_to_lakectls_server_only(own_home):
    (own_home / ".lakectl.yaml").write_text(FILE)
    for endpoint in ("https://lakefs.example.com/", "https://lakefs.example.com:443/api/v1"):
        assert discover(endpoint=endpoint)[1].access_key_id == "AKFILE"
    for endpoint in ("https://evil.example.com", "http://lakefs.example.com", "https://lakefs.example.com:8000"):
        with pytest.raises(ConfigError, match="no credentials") as caught:
            discover(endpoint=endpoint)
        assert SECRET not in str(caught.value) + str(caught.value.hint)


def test_a_projects_file_may_name_lakectls_own_server(own_home):
    (own_home / ".lakectl.yaml").write_text(FILE)

    def mount(endpoint):
        return Mount(
            name="g", provider="lakefs", options={"endpoint": endpoint}, source="/p/datastore.yaml", project=True
        )

    environ = {"HOME": str(own_home)}
    assert endpoints_in_doubt(mount("https://lakefs.example.com/api/v1"), environ) == []
    assert endpoints_in_doubt(mount("https://evil.example.com"), environ) == ["evil.example.com"]


def test_a_named_file_of_lakectl_has_to_be_there(own_home, tmp_path):
    with pytest.raises(ConfigError, match="not there"):
        lakectl(environ={"LAKECTL_CONFIG_FILE": str(tmp_path / "none.yaml")})
    (tmp_path / "other.yaml").write_text(FILE)
    assert (
        lakectl(environ={"LAKECTL_CONFIG_FILE": str(tmp_path / "other.yaml")}).endpoint == "https://lakefs.example.com"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "lakefs.example.com"},
        {"endpoint": "ftp://lakefs.example.com"},
        {"endpoint": "https://lakefs.example.com?x=1"},
        {"endpoint": "https://lakefs.example.com", "access_key_id": Secret("AK")},
        {"endpoint": "https://lakefs.example.com", "secret_access_key": Secret(SECRET)},
        {"endpoint": "https://lakefs.example.com"},
    ],
)
def test_half_a_configuration_is_told(own_home, options):
    with pytest.raises(ConfigError) as caught:
        client_of(Options(**options))
    assert SECRET not in str(caught.value) + str(caught.value.hint)


def test_a_kind_of_credentials_that_is_not_supported_is_named(own_home):
    (own_home / ".lakectl.yaml").write_text(
        "server: {endpoint_url: 'https://l'}\ncredentials: {provider: {type: aws_iam}}\n"
    )
    with pytest.raises(ConfigError, match="aws_iam"):
        discover()


def _client(**options) -> LakeFSClient:
    return LakeFSClient(
        api_url("https://lakefs.example.com"), Login(access_key_id="AK", secret=Secret(SECRET)), **options
    )


def test_handles_are_free_equal_and_show_no_secret():
    with observed() as seen:
        client, other = _client(), _client()
        one, two = LakeFSRef(client, "garments", "main"), LakeFSRef(other, "garments", "main")
    assert len(seen) == 0
    assert (client, one) == (other, two)
    assert len({client, other, _client(presign=False)}) == 2
    assert (
        len({one, two, LakeFSRef(client, "garments", "exp"), LakeFSRef(client, "garments", "main", head="0" * 64)}) == 3
    )
    assert client.learned is other.learned
    assert one != object()
    for shown_text in (repr(client), repr(one), repr(client.login), f"{vars(client)}", f"{client.login.secret}"):
        assert SECRET not in shown_text
    call = client.call("GET", ["config"], what="x", finish=decoded(BranchRow))
    assert SECRET not in repr(call)


def test_given_keys_do_not_travel_and_lakectls_are_looked_up_again(own_home):
    for way in (pickle.dumps, copy.deepcopy):
        with pytest.raises(UnsupportedOperation):
            way(_client())
    (own_home / ".lakectl.yaml").write_text(FILE)
    client = client_of(Options())
    data = pickle.dumps(LakeFSRef(client, "garments", "main"))
    assert SECRET.encode() not in data
    assert pickle.loads(data) == LakeFSRef(client, "garments", "main")
    (own_home / ".lakectl.yaml").write_text(FILE.replace("AKFILE", "AKNEW"))
    assert pickle.loads(pickle.dumps(client)).login == ambient_login(client.url)


def test_the_registry_opens_a_server_or_one_repo(own_home):
    options = {
        "endpoint": "https://lakefs.example.com",
        "access_key_id": Secret("AK"),
        "secret_access_key": Secret(SECRET),
    }
    with observed() as seen:
        repos = open_provider("lakefs", options, where="mount 'l'")
        repo = open_provider("lakefs", {**options, "repo": "garments"}, where="mount 'l'")
        assert repo.at("main") == open_mount(Options(**options, repo="garments")).at("main")
    assert len(seen) == 0
    assert type(repos) is not type(repo)
    with pytest.raises(ConfigError, match="presign"):
        open_provider("lakefs", {**options, "presign": "sometimes"}, where="mount 'l'")


def test_a_key_that_cannot_be_is_refused_without_asking():
    ref = LakeFSRef(_client(presign=False), "garments", "0" * 64)
    with observed() as seen, pytest.raises(InvalidURL):
        ref.head("a\ud800")
    assert len(seen) == 0
    assert list(LakeFSRef(_client(), "garments", "0" * 64).list("x" * 2000)) == []
