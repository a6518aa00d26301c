"""Secrets are planted wherever a mount takes them, and then looked for in everything that somebody may share."""

import logging
import pickle
import re
import traceback
from urllib.parse import quote

import pandas as pd
import pytest
from click.testing import CliRunner

import datastore as ds
from datastore.cli.app import app
from datastore.namespace import current, reset_current
from datastore.repository import Repo
from tests.crossing import peers

PLANTED = "planted+Secret/4711"
FORMS = [PLANTED, quote(PLANTED, safe=""), "cGxhbnRlZCtTZWNyZXQvNDcxM"]  # as it is, in a URL, in base64
SIGNATURE = re.compile(r"(?:Signature=|Authorization[\"': =]+(?:AWS4|Basic|Bearer) ?)[0-9A-Za-z%+/]{8}")

pytestmark = pytest.mark.servers


def leaks(text):
    return [form for form in FORMS if form in text]


def shown(thing):
    """All the ways in which an object gets into a notebook, a report or another process."""
    yield f"{thing!r} {thing} {vars(thing) if hasattr(thing, '__dict__') else ''}"
    for name in ("_repr_html_", "_repr_markdown_", "to_json"):
        if method := getattr(thing, name, None):
            yield str(method())
    try:
        yield repr(pickle.dumps(thing))
    except (TypeError, pickle.PicklingError, ds.DatastoreError) as error:
        yield told(error)


def told(error):
    """An error with all that a tool could show of it: chained errors, notes, and what the frames held."""
    found = traceback.TracebackException(type(error), error, _ours(error.__traceback__), capture_locals=True)
    return "".join(found.format()) + repr(error) + repr(getattr(error, "__dict__", ""))


def _ours(frames):
    """Leave out the frames of this file: they hold what is planted."""
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return frames


def in_files(folder, planted):
    """What lies in the home afterwards, except where the secret was put on purpose."""
    return {
        str(file): file.read_bytes().decode("latin-1")
        for file in folder.rglob("*")
        if file.is_file() and file not in planted
    }


def by_options(server, options, home, monkeypatch):
    ds.mount("planted", **options, access_key_id=server.access_key, secret_access_key=PLANTED)
    return []


def by_file(server, options, home, monkeypatch):
    monkeypatch.setenv("PLANTED_SECRET", PLANTED)
    lines = ["mounts:", "  planted:", *(f"    {name}: {value}" for name, value in options.items())]
    lines += [f"    access_key_id: {server.access_key}", "    secret_access_key: ${PLANTED_SECRET}"]
    (home / "mine.yaml").write_text("\n".join(lines))
    monkeypatch.setenv("DATASTORE_CONFIG", str(home / "mine.yaml"))
    reset_current()
    return []


def by_environment(server, options, home, monkeypatch):
    prefix = "LAKECTL_CREDENTIALS_" if server.kind == "lakefs" else "AWS_"
    monkeypatch.setenv(f"{prefix}ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv(f"{prefix}SECRET_ACCESS_KEY", PLANTED)
    monkeypatch.setenv(
        "LAKECTL_SERVER_ENDPOINT_URL" if server.kind == "lakefs" else "AWS_ENDPOINT_URL", server.endpoint
    )
    ds.mount("planted", **{name: value for name, value in options.items() if name != "endpoint"})
    return []


def by_tool(server, options, home, monkeypatch):
    if server.kind == "lakefs":
        file = home / ".lakectl.yaml"
        keys = f"credentials: {{access_key_id: {server.access_key}, secret_access_key: {PLANTED}}}"
        file.write_text(f"{keys}\nserver: {{endpoint_url: {server.endpoint}}}\n")
    else:
        file = home / ".aws" / "credentials"
        file.parent.mkdir()
        keys = f"aws_access_key_id={server.access_key}\naws_secret_access_key={PLANTED}"
        file.write_text(f"[default]\n{keys}\nendpoint_url={server.endpoint}\n")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    ds.mount("planted", **{name: value for name, value in options.items() if name != "endpoint"})
    return [file]


def by_token(server, options, home, monkeypatch):
    name = "token" if server.kind == "lakefs" else "session_token"
    keys = {} if server.kind == "lakefs" else {"access_key_id": server.access_key, "secret_access_key": PLANTED}
    ds.mount("planted", **options, **keys, **{name: PLANTED})
    return []


WAYS = [by_options, by_file, by_environment, by_tool, by_token]


@pytest.fixture
def server(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("server", ["versitygw", "minio", "lakefs"], indirect=True)
def test_s16_a_secret_that_the_service_refuses_is_shown_nowhere(server, way, home, monkeypatch, caplog):
    name = server.kind
    caplog.set_level(logging.DEBUG, logger="datastore")
    place = {"repo": server.new_repo()} if name == "lakefs" else {"bucket": server.new_bucket()}
    provider = {"versitygw": "s3"}.get(name, name)
    if name == "minio" and way in {by_environment, by_tool}:
        provider = "s3"  # the keys of AWS go to what AWS's tools are configured for
    planted = way(server, {"provider": provider, "endpoint": server.endpoint, **place}, home, monkeypatch)
    base = "ds://planted@main/" if name == "lakefs" else "ds://planted/"
    fs = ds.filesystem()
    errors = []
    for verb in (
        lambda: fs.cat(f"{base}a.csv"),
        lambda: fs.ls(base),
        lambda: fs.pipe(f"{base}a.csv", b"1"),
        lambda: fs.rm(f"{base}a.csv"),
        lambda: pd.read_csv(f"{base}a.csv"),
        lambda: fs.copy(f"{base}a.csv", f"{base}b.csv"),
    ):
        with pytest.raises(ds.Forbidden) as caught:
            verb()
        errors.append(caught.value)
    mount = ds.mounts()[0]
    things = [mount, mount.options, mount.url, ds.mounts(), fs, current(), *errors]
    if name == "lakefs":
        things += [Repo("planted"), Repo("planted").branch("main")]
    else:
        things.append(current().root("planted"))
    texts = [*(text for thing in things for text in shown(thing)), *map(told, errors)]
    for arguments in (["doctor", "planted"], ["doctor", "planted", "--json"], ["mounts"], ["mounts", "--json"]):
        result = CliRunner().invoke(app, arguments)
        texts.append(result.output)
    assert "planted" in result.output
    assert [text[max(0, text.find(form) - 200) :][:300] for text in texts for form in leaks(text)] == []
    assert {file: leaks(text) for file, text in in_files(home, planted).items() if leaks(text)} == {}
    assert f"127.0.0.1:{server.address.rpartition(':')[2]}" in caplog.text
    assert leaks(caplog.text) == []
    assert SIGNATURE.search(caplog.text) is None


@pytest.mark.parametrize("server", ["versitygw", "lakefs"], indirect=True)
def test_signed_urls_are_for_those_who_asked_for_them(server, home, caplog):
    name = server.kind
    caplog.set_level(logging.DEBUG, logger="datastore")
    place = (peers.branch_on if name == "lakefs" else peers.bucket_on)(server, home)
    fs = ds.filesystem()
    fs.pipe(place.url / "a.csv", b"n\n1\n")
    assert SIGNATURE.search(fs.sign(place.url / "a.csv"))
    assert fs.cat(place.url / "a.csv") == b"n\n1\n"  # of lakeFS by a signed URL
    with pytest.raises(ds.NotFound) as caught:
        fs.cat(place.url / "missing.csv")
    texts = [caplog.text, told(caught.value), *shown(fs), *shown(ds.mounts()[0])]
    assert "GET" in caplog.text
    assert [text for text in texts if SIGNATURE.search(text) or server.secret_key in text] == []
    assert not [file for file, text in in_files(home, []).items() if SIGNATURE.search(text)]


@pytest.mark.parametrize(
    "wrong", [{"account_id": "no-account"}, {"account_id": "0" * 32, "jurisdiction": "mars"}, {"sse": "odd"}]
)
def test_r2_that_is_wrongly_configured_does_not_show_the_rest(wrong, monkeypatch):
    monkeypatch.setenv("R2_SECRET_ACCESS_KEY", PLANTED)
    keys = {"access_key_id": "AKIA1", "secret_access_key": PLANTED, "bucket": "acme"}
    with pytest.raises(ds.ConfigError) as caught:
        ds.filesystem().ls(ds.mount("planted", provider="r2", **keys, **wrong).url)
    texts = [told(caught.value), str(caught.value), *shown(ds.mounts())]
    assert [leaks(text) for text in texts if leaks(text)] == []
