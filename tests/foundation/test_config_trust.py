"""A project's configuration file must not be able to send the user's credentials to a host of its choice."""

import json
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.config import Mount, load_config
from datastore.configtrust import check_trust, endpoints_in_doubt, trust
from datastore.errors import ConfigError, UntrustedConfig
from datastore.secret import Secret

EVIL = "https://collector.example"
PLANTED = "pl4nted-s3cr3t"


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def mount_of(project, options, environ=None):
    (project / "datastore.yaml").write_text(json.dumps({"mounts": {"m": options}}), encoding="utf-8")
    return load_config(environ=environ or {}, cwd=project).mounts["m"]


# variables inside addresses


@pytest.mark.parametrize("field", ["endpoint", "public_url", "endpoint_url", "proxy_endpoint"])
@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "GITHUB_PAT", "HOME", "X_ENDPOINT_", "ID"])
def test_an_address_in_a_projects_file_takes_no_other_variable(project, field, name):
    options = {"provider": "s3", field: f"{EVIL}/${{{name}:-}}"}
    with pytest.raises(UntrustedConfig) as caught:
        mount_of(project, options, {name: PLANTED})
    for part in (str(project / "datastore.yaml"), f"mounts.m.{field}", name):
        assert part in str(caught.value)
    assert PLANTED not in f"{caught.value!r} {caught.value.hint}"


@pytest.mark.parametrize("name", ["LAKEFS_ENDPOINT", "MINIO_URL", "R2_ACCOUNT_ID", "AWS_REGION"])
def test_the_harmless_names_are_filled_in(project, name):
    options = {"provider": "s3", "endpoint": f"https://${{{name}}}.example", "public_url": f"https://x/${{{name}}}"}
    assert mount_of(project, options, {name: "abc"}).options["endpoint"] == "https://abc.example"


def test_any_option_that_is_an_address_counts_also_if_only_the_variable_makes_it_one(project):
    with pytest.raises(UntrustedConfig):
        mount_of(
            project, {"provider": "x", "server": f"{EVIL}/${{AWS_SECRET_ACCESS_KEY}}"}, {"AWS_SECRET_ACCESS_KEY": "k"}
        )
    with pytest.raises(UntrustedConfig):
        mount_of(project, {"provider": "x", "server": "${WHERE}"}, {"WHERE": "https://inside.example"})


def test_a_harmless_name_whose_value_carries_credentials_is_refused(project):
    options = {"provider": "s3", "endpoint": "${DATABASE_URL}"}
    with pytest.raises(UntrustedConfig) as caught:
        mount_of(project, options, {"DATABASE_URL": f"postgres://me:{PLANTED}@db/x"})
    assert PLANTED not in f"{caught.value!r}"


def test_the_users_own_file_may_use_any_variable(project):
    file = project / "mine.yaml"
    file.write_text("mounts: {m: {provider: s3, endpoint: 'https://${PLACE}'}}")
    config = load_config(environ={"DATASTORE_CONFIG": str(file), "PLACE": "h"}, cwd=project)
    assert config.mounts["m"].options["endpoint"] == "https://h"
    check_trust(config.mounts["m"], environ={})


# credentials and endpoints


AMBIENT = {"provider": "s3", "endpoint": EVIL, "bucket": "b"}
LITERAL = {**AMBIENT, "access_key_id": "a", "secret_access_key": "s"}


@pytest.mark.parametrize(
    ("options", "environ"),
    [
        (AMBIENT, {}),
        ({**AMBIENT, "endpoint": "collector.example:9000"}, {}),
        ({**AMBIENT, "endpoint": f"{EVIL}:8443/x"}, {}),
        ({"provider": "x", "server": EVIL}, {}),
        ({"provider": "x", "deep": {"servers": [EVIL]}}, {}),
        ({**AMBIENT, "secret_access_key": "${AWS_SECRET_ACCESS_KEY}"}, {"AWS_SECRET_ACCESS_KEY": PLANTED}),
        # what looks complete, but would let the provider look up the rest elsewhere, or takes along what it should not
        ({**AMBIENT, "session_token": "t"}, {}),
        ({**AMBIENT, "access_key_id": "a"}, {}),
        ({**LITERAL, "secret_access_key": "${MINE:-s}"}, {}),
        ({**LITERAL, "bucket": "${GITHUB_PAT}"}, {"GITHUB_PAT": PLANTED}),
        ({**LITERAL, "prefix": "${ANYTHING}"}, {"ANYTHING": PLANTED}),
        ({**LITERAL, "bucket": "${AWS_ACCESS_KEY_ID}"}, {"AWS_ACCESS_KEY_ID": PLANTED}),
        (AMBIENT, {"DATASTORE__MOUNTS__M__SECRET_ACCESS_KEY": PLANTED, "DATASTORE__MOUNTS__M__ACCESS_KEY_ID": "a"}),
        # another address than the one the ambient credentials are for
        ({**AMBIENT, "endpoint": "http://s3.corp"}, {"AWS_ENDPOINT_URL": "https://s3.corp"}),
        ({**AMBIENT, "endpoint": "https://s3.corp:444"}, {"AWS_ENDPOINT_URL": "https://s3.corp"}),
        ({**AMBIENT, "endpoint": "https://s3.corp@collector.example"}, {"AWS_ENDPOINT_URL": "https://s3.corp"}),
        ({**AMBIENT, "endpoint": "https://collector.example\\@s3.corp"}, {"AWS_ENDPOINT_URL": "https://s3.corp"}),
        ({**AMBIENT, "endpoint": "https://s3.corp.collector.example"}, {"AWS_ENDPOINT_URL": "https://s3.corp"}),
        ({**AMBIENT, "provider": "lakefs", "endpoint": "https://s3.corp"}, {"AWS_ENDPOINT_URL": "https://s3.corp"}),
        ({**AMBIENT, "endpoint": "https://lakefs.corp"}, {"LAKECTL_SERVER_ENDPOINT_URL": "https://lakefs.corp"}),
        ({**AMBIENT, "provider": "r2", "endpoint": "https://s3.corp"}, {"AWS_ENDPOINT_URL": "https://s3.corp"}),
    ],
)
def test_credentials_that_the_file_does_not_bring_need_trust(project, options, environ):
    mount = mount_of(project, options, environ)
    with pytest.raises(UntrustedConfig) as caught:
        check_trust(mount, environ=environ)
    error = caught.value
    assert str(project / "datastore.yaml") in str(error)
    assert "'m'" in str(error)
    assert "datastore trust" in str(error.hint)
    assert PLANTED not in f"{error!r} {error.hint}"


def test_the_error_names_the_host_without_what_may_be_secret_in_the_address(project):
    mount = mount_of(
        project, {**AMBIENT, "endpoint": f"https://me:{PLANTED}@collector.example:8443/{PLANTED}?t={PLANTED}"}
    )
    with pytest.raises(UntrustedConfig, match=r"to collector\.example:8443\n") as caught:
        check_trust(mount, environ={})
    assert PLANTED not in f"{caught.value!r}"


@pytest.mark.parametrize(
    ("options", "environ"),
    [
        ({"provider": "s3", "bucket": "b", "public_url": EVIL}, {}),
        ({"provider": "s3", "secret_access_key": "${AWS_SECRET_ACCESS_KEY}"}, {"AWS_SECRET_ACCESS_KEY": "s"}),
        (LITERAL, {}),
        ({**LITERAL, "region": "${AWS_REGION}"}, {"AWS_REGION": "eu"}),
        ({"provider": "lakefs", "endpoint": EVIL, "token": "t"}, {}),
        ({**AMBIENT, "endpoint": "https://S3.corp:443/"}, {"AWS_ENDPOINT_URL": "https://s3.corp"}),
        ({**AMBIENT, "endpoint": "https://s3.corp"}, {"AWS_ENDPOINT_URL_S3": "https://s3.corp/x"}),
        ({**AMBIENT, "endpoint": "http://[::1]:9000"}, {"AWS_ENDPOINT_URL_S3": "http://[::1]:9000"}),
        (
            {"provider": "lakefs", "endpoint": "https://l.corp"},
            {"LAKECTL_SERVER_ENDPOINT_URL": "https://l.corp/api/v1"},
        ),
        (AMBIENT, {"DATASTORE__MOUNTS__M__ENDPOINT": EVIL}),
    ],
)
def test_what_needs_no_trust(project, options, environ):
    check_trust(mount_of(project, options, environ), environ=environ)


# approval


def test_an_approval_lasts_until_what_was_approved_is_edited(project):
    mount_of(project, AMBIENT)
    assert trust(project / "datastore.yaml", environ={}) == {"m": ["collector.example"]}
    check_trust(mount_of(project, AMBIENT), environ={})
    check_trust(mount_of(project, {**AMBIENT, "bucket": "another"}), environ={})
    for edited in (
        {**AMBIENT, "endpoint": "https://other.example"},
        {**AMBIENT, "endpoint": f"{EVIL}:444"},
        {**AMBIENT, "provider": "lakefs"},
        {**AMBIENT, "token": "${GITHUB_PAT}"},
        {**AMBIENT, "proxy": "https://other.example"},
    ):
        with pytest.raises(UntrustedConfig):
            check_trust(mount_of(project, edited, {"GITHUB_PAT": "x"}), environ={})
    check_trust(mount_of(project, AMBIENT), environ={})


def test_an_approval_is_for_one_file_and_one_mount(project, tmp_path):
    mount_of(project, AMBIENT)
    trust(project / "datastore.yaml", environ={})
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(UntrustedConfig):
        check_trust(mount_of(other, AMBIENT), environ={})
    trust(other / "datastore.yaml", environ={})
    check_trust(mount_of(other, AMBIENT), environ={})
    check_trust(mount_of(project, AMBIENT), environ={})
    (project / "datastore.yaml").write_text(json.dumps({"mounts": {"m": AMBIENT, "n": AMBIENT}}))
    with pytest.raises(UntrustedConfig, match="'n'"):
        check_trust(load_config(environ={}, cwd=project).mounts["n"], environ={})


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_approvals_are_kept_private_and_hold_no_secret(project, home):
    mount_of(project, {**AMBIENT, "session_token": PLANTED})
    (home / "config" / "datastore").mkdir(parents=True, mode=0o755)
    trust(project / "datastore.yaml", environ={})
    (file,) = (home / "config" / "datastore").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert str(project / "datastore.yaml") in json.loads(file.read_text())
    assert PLANTED not in file.read_text()


@pytest.mark.parametrize("content", ["{", "[]", '"x"', '{"%s": 3}', '{"%s": {"m": 3}}', '{"%s": {"m": ""}}'])
def test_a_damaged_record_of_approvals_approves_nothing(project, home, content):
    mount = mount_of(project, AMBIENT)
    folder = home / "config" / "datastore"
    folder.mkdir(parents=True)
    (folder / "trusted.json").write_text(content.replace("%s", str(project / "datastore.yaml")))
    with pytest.raises((UntrustedConfig, ConfigError)):
        check_trust(mount, environ={})


@given(
    endpoint=st.text(st.characters(codec="utf-8"), min_size=1)
    | st.from_regex(r"https?://[\w.@:\\/#?-]{1,30}", fullmatch=True),
)
def test_whatever_the_address_ambient_credentials_go_only_to_their_own_host(endpoint):
    mount = Mount(name="m", provider="s3", options={"endpoint": endpoint}, source="f", project=True)
    doubtful = endpoints_in_doubt(mount, {"AWS_ENDPOINT_URL": "https://s3.corp"})
    rest = endpoint.strip().lower().removeprefix("https://s3.corp").removeprefix(":443")
    assert doubtful or (rest != endpoint.strip().lower() and (not rest or rest[0] in "/?#"))


def test_secrets_are_no_part_of_what_is_shown(project):
    mount = mount_of(project, {**AMBIENT, "endpoint": f"https://{PLANTED}@h"})
    assert isinstance(mount.options["endpoint"], Secret)
    assert endpoints_in_doubt(mount, {}) == ["h"]
