import json
import multiprocessing
import os
import pickle
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from msgspec.structs import replace

from datastore.calls import FileSlice, HttpRequest, HttpResponse
from datastore.config import Mount
from datastore.configaws import aws_region
from datastore.configtrust import endpoints_in_doubt
from datastore.errors import ConfigError, Forbidden, Unavailable, UnsupportedOperation
from datastore.http.signing import EMPTY_PAYLOAD, UNSIGNED_PAYLOAD
from datastore.providers.s3.authorizing import S3Authorizer, in_region, payload_of
from datastore.providers.s3.chain import Chain
from datastore.providers.s3.credentials import Fixed, credential_source
from datastore.providers.s3.presets import PRESETS
from datastore.secret import Secret
from tests.places import isolate

AWS = "https://s3.eu-central-1.amazonaws.com"
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """No credentials anywhere; `home` is where AWS's files would be."""
    isolate(monkeypatch, tmp_path)
    for name in ("R2_ACCOUNT_ID", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / ".aws").mkdir()
    return tmp_path


def source(endpoint=AWS, *, preset="s3", named=False, **options):
    secrets = {"access_key_id", "secret_access_key", "session_token"}
    given = {name: Secret(text) if name in secrets else text for name, text in options.items()}
    return credential_source(PRESETS[preset], endpoint, named=named, region="eu-central-1", **given)


def write(home, name, text):
    (home / ".aws" / name).write_text(textwrap.dedent(text))


def iso(seconds):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def service(answer):
    """A service on this machine that hands out what `answer(number, request)` returns: a status and a body."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked.append(body.decode())
            status, text = answer(len(asked), self)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/keys", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def container_keys(number, seconds):
    keys = {"AccessKeyId": f"ASIA{number}", "SecretAccessKey": f"s{number}", "Token": f"t{number}"}
    return json.dumps({**keys, "Expiration": iso(seconds)})


# ------------------------------------------------------------------------------------------------- where they come from


def test_options_count_before_what_the_machine_has(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient")
    found = source(access_key_id="AKIGIVEN", secret_access_key="given", session_token="t").get()
    assert (found.access_key_id, found.secret_access_key.reveal()) == ("AKIGIVEN", "given")


def test_anonymous_sends_none_although_there_are_some(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient")
    assert source(anonymous=True).get() is None


def test_keys_in_the_environment_need_no_botocore(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    for name in [name for name in sys.modules if name.startswith("botocore")]:
        monkeypatch.delitem(sys.modules, name)
    found = source().get()
    assert (found.access_key_id, found.session_token.reveal()) == ("AKIAMBIENT", "token")
    assert not [name for name in sys.modules if name.startswith("botocore")]


def test_a_profile_is_asked_for_by_name_or_by_the_environment(home, monkeypatch):
    write(home, "credentials", "[work]\naws_access_key_id=AKIWORK\naws_secret_access_key=w\n")
    work = source(profile="work")
    assert work.get().access_key_id == "AKIWORK"
    assert work.origin == "AWS's shared-credentials-file of profile 'work'"
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert source().get().access_key_id == "AKIWORK"


def test_the_region_is_that_of_the_environment_or_of_the_profile(home, monkeypatch):
    assert aws_region() == ""
    write(
        home,
        "config",
        '[default]\nregion = eu-west-1\n[profile work]\nregion=eu-north-1\n[profile "a b"]\nregion=x-1\n',
    )
    assert [aws_region(name) for name in (None, "work", "a b", "none")] == ["eu-west-1", "eu-north-1", "x-1", ""]
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert aws_region() == "eu-north-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    assert aws_region("work") == "ap-south-1"
    write(home, "config", "no sections here\n")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert aws_region() == ""


def test_r2_has_variables_of_its_own(monkeypatch):
    r2 = source("https://x.r2.cloudflarestorage.com", preset="r2")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient")
    with pytest.raises(ConfigError, match="R2_ACCESS_KEY_ID"):
        r2.get()
    monkeypatch.setenv("R2_ACCESS_KEY_ID", "r2key")
    monkeypatch.setenv("R2_SECRET_ACCESS_KEY", "r2secret")
    assert r2.get().access_key_id == "r2key"


def test_nothing_anywhere_is_said_with_what_was_looked_at():
    with pytest.raises(ConfigError) as caught:
        source().get()
    assert "profile 'default'" in caught.value.message
    assert "aws configure" in caught.value.hint
    assert "aws sso login" in caught.value.hint
    assert "anonymous" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"access_key_id": "x"}, "'secret_access_key' is missing"),
        ({"secret_access_key": "x"}, "'access_key_id' is missing"),
        ({"session_token": "x"}, "'access_key_id' is missing"),
        ({"anonymous": True, "profile": "p"}, "anonymous and profile"),
        ({"access_key_id": "x", "secret_access_key": "y", "profile": "p"}, "access_key_id and profile"),
        ({"anonymous": True, "role_arn": "arn:aws:iam::1:role/x"}, "anonymous and role_arn"),
    ],
)
def test_options_that_make_no_sense_together_are_refused_at_once(options, named):
    with pytest.raises(ConfigError, match=named):
        source(**options)


# ----------------------------------------------------------------------------------------------- where they may be sent


@pytest.fixture
def ambient(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient-secret")


@pytest.mark.usefixtures("ambient")
@pytest.mark.parametrize(
    ("preset", "endpoint"),
    [
        ("hetzner", "https://fsn1.your-objectstorage.com"),
        ("tigris", "https://t3.storage.dev"),
        ("s3", "https://s3.evilamazonaws.com"),
        ("s3", "http://s3.eu-central-1.amazonaws.com"),
    ],
)
def test_credentials_of_aws_are_not_sent_to_anybody_else(preset, endpoint):
    with pytest.raises(ConfigError, match="not sent there") as caught:
        source(endpoint, preset=preset).get()
    assert "ambient-secret" not in str(caught.value)


@pytest.mark.usefixtures("ambient")
def test_credentials_of_a_profile_are_not_sent_to_anybody_else(home):
    write(home, "credentials", "[work]\naws_access_key_id=AKIWORK\naws_secret_access_key=w\n")
    with pytest.raises(ConfigError, match="profile 'work'"):
        source("https://t3.storage.dev", preset="tigris", profile="work").get()


@pytest.mark.usefixtures("ambient")
def test_an_endpoint_that_the_mount_names_gets_them():
    assert source("http://127.0.0.1:9000", preset="minio", named=True).get().access_key_id == "AKIAMBIENT"


@pytest.mark.usefixtures("ambient")
def test_credentials_that_are_meant_for_another_endpoint_do_not_go_to_aws(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:4566")
    with pytest.raises(ConfigError, match=r"configured for http://127\.0\.0\.1:4566"):
        source().get()
    assert source("http://127.0.0.1:4566").get().access_key_id == "AKIAMBIENT"
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert source().get().access_key_id == "AKIAMBIENT"


@pytest.mark.parametrize(
    "config",
    [
        "[profile r2]\nendpoint_url=https://acct.r2.cloudflarestorage.com\n",
        "[profile r2]\nservices=mine\n[services mine]\ns3 =\n  endpoint_url=https://acct.r2.cloudflarestorage.com\n",
    ],
)
def test_a_profile_with_an_endpoint_is_for_that_one(home, config):
    write(home, "credentials", "[r2]\naws_access_key_id=AKIR2\naws_secret_access_key=w\n")
    write(home, "config", config)
    here = source("https://acct.r2.cloudflarestorage.com", preset="r2", profile="r2")
    assert here.get().access_key_id == "AKIR2"
    with pytest.raises(ConfigError, match="configured for"):
        source(profile="r2").get()


def test_a_project_that_asks_for_no_credentials_needs_no_trust():
    def mount(**options):
        options = {"endpoint": "https://data.example.org", "bucket": "b", **options}
        return Mount(name="m", provider="s3", options=options, source="/p/datastore.yaml", project=True)

    assert endpoints_in_doubt(mount(), {}) == ["data.example.org"]
    assert endpoints_in_doubt(mount(anonymous=True), {}) == []
    assert endpoints_in_doubt(mount(anonymous=False), {}) == ["data.example.org"]


# ------------------------------------------------------------------------------------------------ keys that have an end


def test_keys_are_renewed_before_they_end(monkeypatch):
    with service(lambda number, _: (200, container_keys(number, 200 if number == 1 else 7200))) as (url, asked):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        chain = source()
        names = {chain.get().access_key_id for _ in range(20)}
        assert chain.get().access_key_id == "ASIA2"
    assert names <= {"ASIA1", "ASIA2"}
    assert len(asked) == 2


def test_many_threads_renew_once(monkeypatch):
    def answer(number, _):
        time.sleep(0.05)
        return 200, container_keys(number, 7200)

    with service(answer) as (url, asked):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        chain, names = source(), []
        threads = [threading.Thread(target=lambda: names.append(chain.get().access_key_id)) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert names == ["ASIA1"] * 16
    assert len(asked) == 1


def test_keys_that_are_still_good_are_used_while_nobody_gives_new_ones(monkeypatch):
    def answer(number, _):
        return (200, container_keys(1, 7200)) if number == 1 else (500, "no")

    with service(answer) as (url, _):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        chain = source()
        chain.get()
        soon = datetime.now(UTC) + timedelta(seconds=200)
        chain._state.found._expiry_time = soon
        chain._state.current = replace(chain._state.current, expires_us=int(soon.timestamp() * 1e6))
        chain._state.looked -= 60
        assert [chain.get().access_key_id for _ in range(3)] == ["ASIA1"] * 3
        chain._state.current = replace(chain._state.current, expires_us=int(time.time() * 1e6))
        chain._state.looked -= 60
        with pytest.raises(Forbidden, match="cannot be had"):
            chain.get()


def test_after_a_refusal_everything_is_looked_up_again_once(home):
    write(home, "credentials", "[default]\naws_access_key_id=OLD\naws_secret_access_key=w\naws_session_token=t\n")
    chain = source()
    assert chain.get().access_key_id == "OLD"
    write(home, "credentials", "[default]\naws_access_key_id=NEW\naws_secret_access_key=w\naws_session_token=t\n")
    assert chain.get().access_key_id == "OLD"
    chain._state.looked -= 60
    assert chain.renew().access_key_id == "NEW"
    write(home, "credentials", "[default]\naws_access_key_id=THIRD\naws_secret_access_key=w\naws_session_token=t\n")
    assert chain.renew().access_key_id == "NEW"


def test_a_search_in_vain_is_not_made_for_each_request(monkeypatch):
    with service(lambda *_: (404, "")) as (url, asked):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        chain = source()
        for _ in range(5):
            with pytest.raises((ConfigError, Forbidden, Unavailable)):
                chain.get()
        assert 0 < len(asked) <= 3


def test_keys_of_a_program_are_taken_with_their_end(home):
    script = home / "keys.py"
    script.write_text(
        "import json; print(json.dumps({'Version': 1, 'AccessKeyId': 'AKIPROC', 'SecretAccessKey': 's',"
        f" 'SessionToken': 't', 'Expiration': '{iso(7200)}'}}))"
    )
    write(home, "config", f"[default]\ncredential_process={sys.executable} {script}\n")
    found = source().get()
    assert found.access_key_id == "AKIPROC"
    assert abs(found.expires_us / 1e6 - time.time() - 7200) < 60


ROLE = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>r</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>{end}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


@pytest.mark.usefixtures("ambient")
def test_a_role_is_assumed_with_the_other_credentials(monkeypatch):
    with service(lambda *_: (200, ROLE.format(end=iso(3600)))) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        found = source(role_arn="arn:aws:iam::123456789012:role/reader").get()
        assert found.access_key_id == "ASIAROLE"
        own = source(role_arn="arn:aws:iam::123456789012:role/reader", access_key_id="A", secret_access_key="B")
        assert own.get().access_key_id == "ASIAROLE"
    assert "role%2Freader" in asked[0]
    assert len(asked) == 2


@pytest.mark.usefixtures("ambient")
def test_a_role_that_may_not_be_assumed_is_named(monkeypatch):
    denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
    with service(lambda *_: (403, denied)) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        with pytest.raises(Forbidden, match=r"role arn:aws:iam::123456789012:role/reader: AccessDenied"):
            source(role_arn="arn:aws:iam::123456789012:role/reader").get()


# ------------------------------------------------------------------------------------------------------ what goes wrong


def test_an_unknown_profile_is_told_with_the_nearest(home):
    write(home, "config", "[profile research]\nregion=x\n")
    with pytest.raises(ConfigError, match="no profile 'reserach'") as caught:
        source(profile="reserach").get()
    assert "'research'" in caught.value.hint


def test_an_sso_login_that_has_ended_names_the_command(home):
    write(
        home,
        "config",
        """
        [profile team]
        sso_session=acme
        sso_account_id=123456789012
        sso_role_name=Reader
        [sso-session acme]
        sso_region=eu-central-1
        sso_start_url=https://acme.awsapps.example/start
        """,
    )
    with pytest.raises(Forbidden, match="SSO login of profile 'team'") as caught:
        source(profile="team").get()
    assert caught.value.hint == "run: aws sso login --profile team"


def test_half_a_pair_in_the_environment_is_said(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIHALF")
    with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY"):
        source().get()


def test_what_a_program_prints_when_it_fails_is_not_repeated(home):
    write(home, "config", f"[default]\ncredential_process={sys.executable} -c \"import sys; sys.exit('pa55word')\"\n")
    with pytest.raises(Forbidden, match="cannot be had") as caught:
        source().get()
    assert "pa55word" not in str(caught.value) + str(caught.value.hint) + repr(caught.value.__cause__)
    assert "get-caller-identity" in caught.value.hint


def test_a_service_that_is_not_there_may_come_back(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKI")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(Unavailable, match="cannot be reached"):
        source(role_arn="arn:aws:iam::123456789012:role/reader").get()


# ------------------------------------------------------------------------------------------------ processes and secrets


@pytest.mark.usefixtures("ambient")
def test_a_chain_travels_without_its_keys():
    chain = source()
    assert chain.get().access_key_id == "AKIAMBIENT"
    data = pickle.dumps(chain)
    assert b"ambient-secret" not in data
    assert pickle.loads(data) == chain
    assert pickle.loads(data).get().access_key_id == "AKIAMBIENT"


def test_keys_that_came_as_options_do_not_travel():
    given = source(access_key_id="A", secret_access_key="B-secret")
    for thing in (
        given,
        S3Authorizer(given, region="x"),
        source(role_arn="r", access_key_id="A", secret_access_key="B"),
    ):
        with pytest.raises(UnsupportedOperation, match="pickle"):
            pickle.dumps(thing)
    assert "B-secret" not in repr(given) + repr(S3Authorizer(given, region="x"))


def test_sources_that_look_in_the_same_places_are_equal():
    assert source() == source()
    assert source(profile="a") != source(profile="b")
    assert source(access_key_id="A", secret_access_key="B") == source(access_key_id="A", secret_access_key="B")
    assert source(access_key_id="A", secret_access_key="B") != source(access_key_id="A", secret_access_key="C")
    assert source(anonymous=True) == Fixed(None) != source()
    assert hash(source()) == hash(source())


def _child(chain, queue):
    queue.put(chain.get().access_key_id)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_in_the_middle_of_a_renewal_does_not_hang_the_child(monkeypatch):
    with service(lambda number, _: (200, container_keys(number, 7200))) as (url, _):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        chain = Chain(AWS, named=False)
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        with chain._state.lock:
            child = context.Process(target=_child, args=(chain, queue))
            child.start()
            name = queue.get(timeout=30)
        child.join(30)
    assert name == "ASIA1"


# ----------------------------------------------------------------------------------------------------------- authorizer

KEYS = {"access_key_id": "AKIA", "secret_access_key": "s"}


def authorizer(**options):
    return S3Authorizer(source(**(options or KEYS)), region="us-east-1", clock=lambda: NOW)


def get(url, **fields):
    return HttpRequest(what="test", method="GET", url=url, **fields)


def answer(status, code="", **headers):
    body = f"<Error><Code>{code}</Code></Error>".encode() if code else b""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return HttpResponse(status=status, headers=named, body=body)


def test_a_clock_that_is_wrong_is_corrected_by_the_service():
    sign = authorizer()
    request = get("https://raw.s3.us-east-1.amazonaws.com/k")
    assert sign(request, None).headers["x-amz-date"] == "20261121T120000Z"
    refused = answer(403, "RequestTimeTooSkewed", date="Sat, 21 Nov 2026 13:00:00 GMT")
    assert sign(request, refused).headers["x-amz-date"] == "20261121T130000Z"
    assert sign(request, None).headers["x-amz-date"] == "20261121T130000Z"
    right = answer(403, "RequestTimeTooSkewed", date="Sat, 21 Nov 2026 12:00:20 GMT")
    assert sign(request, right).headers["x-amz-date"] == "20261121T120000Z"


def test_a_bucket_of_another_region_is_found_there_from_then_on():
    sign = authorizer()
    moved = answer(301, "PermanentRedirect", x_amz_bucket_region="eu-west-1")
    request = get("https://raw.s3.us-east-1.amazonaws.com/k?x=1")
    signed = sign(request, moved)
    assert signed.url == "https://raw.s3.eu-west-1.amazonaws.com/k?x=1"
    assert "/eu-west-1/s3/" in signed.headers["authorization"]
    assert sign(get("https://raw.s3.us-east-1.amazonaws.com/other"), None).url.startswith("https://raw.s3.eu-west-1.")
    assert sign(get("https://near.s3.us-east-1.amazonaws.com/other"), None).url.startswith("https://near.s3.us-east-1.")
    assert "eu-west-1" in sign.presign("GET", "https://raw.s3.us-east-1.amazonaws.com/k", expires=60).url


def test_buckets_in_paths_have_regions_of_their_own():
    sign = authorizer()
    moved = answer(301, x_amz_bucket_region="eu-west-1")
    assert (
        sign(get("https://s3.us-east-1.amazonaws.com/raw/k"), moved).url == "https://s3.eu-west-1.amazonaws.com/raw/k"
    )
    assert (
        sign(get("https://s3.us-east-1.amazonaws.com/near/k"), None).url == "https://s3.us-east-1.amazonaws.com/near/k"
    )


def test_another_service_only_changes_what_is_signed_for():
    sign = authorizer()
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>fsn1</Region></Error>"
    signed = sign(get("https://fsn1.example.com/raw/k"), HttpResponse(status=400, headers={}, body=body))
    assert signed.url == "https://fsn1.example.com/raw/k"
    assert "/fsn1/s3/" in signed.headers["authorization"]


@pytest.mark.parametrize("region", ["evil.example/", "eu-west-1.evil.example", "x@evil.example#", "EU-WEST-1", ""])
def test_a_region_that_leads_elsewhere_is_not_followed(region):
    request = get("https://raw.s3.us-east-1.amazonaws.com/k")
    assert authorizer()(request, answer(301, x_amz_bucket_region=region)).url == request.url
    assert in_region(request.url, region) == request.url


def test_keys_that_have_ended_are_looked_up_again(home):
    write(home, "credentials", "[default]\naws_access_key_id=OLD\naws_secret_access_key=w\naws_session_token=t\n")
    chain = source()
    sign = S3Authorizer(chain, region="eu-central-1")
    request = get("https://raw.s3.eu-central-1.amazonaws.com/k")
    assert "OLD/" in sign(request, None).headers["authorization"]
    write(home, "credentials", "[default]\naws_access_key_id=NEW\naws_secret_access_key=w\naws_session_token=t\n")
    chain._state.looked -= 60
    assert "NEW/" in sign(request, answer(400, "ExpiredToken")).headers["authorization"]


def test_an_anonymous_request_goes_as_it_is():
    request = get("https://raw.s3.us-east-1.amazonaws.com/k", headers={"x-amz-meta-a": "b"})
    signed = authorizer(anonymous=True)(request, None)
    assert signed.url == request.url
    assert signed.headers == {"x-amz-meta-a": "b"}
    with pytest.raises(UnsupportedOperation, match="anonymous"):
        authorizer(anonymous=True).presign("GET", request.url, expires=60)


def test_a_presigned_url_does_not_outlive_its_keys(monkeypatch):
    with service(lambda *_: (200, container_keys(1, 1000))) as (url, _):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        made = S3Authorizer(source(), region="eu-central-1").presign("GET", f"{AWS}/raw/k", expires=7200)
    left = made.expires_us / 1e6 - time.time()
    assert 900 < left <= 1001
    assert "X-Amz-Security-Token=t1" in made.url
    assert "X-Amz-Signature" not in repr(made)


def test_the_body_is_signed_where_tls_does_not_protect_it(tmp_path):
    def request(url, body):
        return HttpRequest(what="test", method="PUT", url=url, body=body)

    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of b"abc"
    assert payload_of(request("https://h.example/k", b"abc")) == UNSIGNED_PAYLOAD
    assert payload_of(request("http://h.example/k", b"abc")) == known
    assert payload_of(request("https://h.example/k", b"abc"), "signed") == known
    assert payload_of(request("http://h.example/k", b"abc"), "unsigned") == UNSIGNED_PAYLOAD
    assert payload_of(request("https://h.example/k", b"")) == EMPTY_PAYLOAD
    file = tmp_path / "file"
    file.write_bytes(b"xxabcyy")
    with file.open("rb") as opened:
        assert payload_of(request("http://h.example/k", FileSlice(opened.fileno(), 2, 3))) == known


def test_what_a_request_says_of_its_body_counts():
    request = get("https://raw.s3.us-east-1.amazonaws.com/k", headers={"x-amz-content-sha256": "ab" * 32})
    assert authorizer()(request, None).headers["x-amz-content-sha256"] == "ab" * 32
