"""What a user notices of the configuration: where it is found, what overrides what, and what an error says."""

import copy
import io
import logging
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.config import Config, load_config, load_file, session_mount
from datastore.errors import ConfigError, DatastoreError, UnsupportedOperation, ValidationError
from datastore.secret import Secret, has_credentials, hide, is_secret_name, leaves

PLANTED = "pl4nted-s3cr3t"


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def load(project, text=None, **environ):
    if text is not None:
        (project / "datastore.yaml").write_text(text, encoding="utf-8")
    return load_config(environ=environ, cwd=project)


def fails(project, text=None, **environ):
    with pytest.raises(ConfigError) as caught:
        load(project, text, **environ)
    return caught.value


# where it is found


def test_without_anything_there_is_an_empty_configuration_and_a_store_in_the_data_folder(project, home):
    config = load(project)
    assert config.file is None
    assert config.mounts == {}
    assert config.store == home / "data" / "datastore" / "store"
    assert not config.store.exists()


def test_the_file_is_found_upwards_and_the_nearest_wins(project):
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    (project / "datastore.yaml").write_text("mounts: {far: {provider: memory}}")
    assert list(load_config(environ={}, cwd=inner).mounts) == ["far"]
    (project / "a" / "datastore.yaml").write_text("mounts: {near: {provider: memory}}")
    config = load_config(environ={}, cwd=inner)
    assert list(config.mounts) == ["near"]
    assert config.project


def test_the_named_file_wins_over_the_project_and_is_trusted(project, tmp_path):
    named = tmp_path / "named.yaml"
    named.write_text("mounts: {named: {provider: memory}}")
    config = load(project, "mounts: {found: {provider: memory}}", DATASTORE_CONFIG=str(named))
    assert (list(config.mounts), config.file, config.project) == (["named"], named, False)


def test_a_named_file_that_is_missing_is_an_error(project, tmp_path):
    error = fails(project, DATASTORE_CONFIG=str(tmp_path / "gone.yaml"))
    assert "DATASTORE_CONFIG" in str(error)
    assert "gone.yaml" in str(error)


def test_the_users_own_file_serves_where_no_project_has_one_and_is_trusted_also_when_found_upwards(project, home):
    own = home / "config" / "datastore"
    own.mkdir(parents=True)
    (own / "datastore.yaml").write_text("mounts: {mine: {provider: memory}}")
    for folder in (project, own):
        config = load_config(environ={}, cwd=folder)
        assert list(config.mounts) == ["mine"]
        assert not config.project


def test_the_place_of_the_store_environment_then_folder_then_file(project, home):
    text = "store: {path: from-file}"
    assert load(project, text).store == project / "from-file"
    (project / ".datastore").mkdir()
    assert load(project, text).store == project / ".datastore"
    assert load(project, text, DATASTORE__STORE__PATH="long").store == project / "long"
    assert load(project, text, DATASTORE__STORE__PATH="long", DATASTORE_STORE="~/short").store == home / "short"


def test_a_relative_path_counts_from_the_file_and_a_tilde_from_home(project, home):
    inner = project / "deep"
    inner.mkdir()
    text = "mounts: {a: {provider: local, path: data/../x}, b: {provider: local, path: ~/y}}"
    (project / "datastore.yaml").write_text(text)
    config = load_config(environ={"DATASTORE__MOUNTS__B__PATH": "z"}, cwd=inner)
    assert config.mounts["a"].options == {"path": str(project / "x")}
    assert config.mounts["b"].options == {"path": str(inner / "z")}
    assert load_config(environ={}, cwd=inner).mounts["b"].options == {"path": str(home / "y")}


def test_a_process_whose_working_directory_is_gone_can_still_be_configured(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "cwd", lambda: (_ for _ in ()).throw(FileNotFoundError()))
    assert load_config(environ={"DATASTORE_STORE": str(tmp_path)}).store == tmp_path
    with pytest.raises(ConfigError, match="relative"):
        load_config(environ={"DATASTORE_STORE": "here"})


# what the file may say


@pytest.mark.parametrize("text", ["", "# nothing\n", "mounts:\nstore:\n", "\ufeffmounts: {}\n"])
def test_an_empty_file_or_section_says_nothing(project, text):
    assert load(project, text).mounts == {}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("mount: {}", ["mount", "did you mean 'mounts'?"]),
        ("cash: {size: 5GB}", ["cash", "did you mean 'cache'?"]),
        ("store: {pth: x}", ["store.pth"]),
        ("store: [x]", ["store"]),
        ("mounts: [x]", ["mounts"]),
        ("mounts: {a: memory}", ["mounts.a", "mapping"]),
        ("mounts: {a: {path: x}}", ["mounts.a.provider", "missing"]),
        ("mounts: {a: {provider: 3}}", ["mounts.a.provider"]),
        ("mounts: {A_b: {provider: memory}}", ["mounts.A_b", "'A_b'"]),
        ("mounts: {a: {provider: memory, 3: x}}", ["mounts.a", "not text"]),
        ("mounts: {a: {provider: x, password: 0123}}", ["mounts.a.password", "quotes"]),
        ("- a", ["mapping"]),
        ("just text", ["mapping"]),
    ],
)
def test_what_is_wrong_is_named_with_file_and_field(project, text, parts):
    error = fails(project, text)
    for part in [str(project / "datastore.yaml"), *parts]:
        assert part in f"{error} {error.hint}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"mounts:\n  a: {{provider: x, token: {PLANTED}\n", 3),
        (f"mounts:\n  a: *{PLANTED.replace('-', '')}\n", 2),
        (f"mounts:\n\ttoken: {PLANTED}\n", 2),
        (f"mounts: !!python/object/apply:os.system ['{PLANTED}']\n", 1),
        (f"store: {{}}\nmounts:\n  a: {{}}\n  b: {{}}\n  a: {{token: {PLANTED}}}\n", 5),
        (f"mounts:\n  a:\n    - x: {{token: 1, token: {PLANTED}}}\n", 3),
        (f"store: {{}}\n# \x07 {PLANTED}\n", 2),
    ],
)
def test_broken_yaml_is_told_by_line_without_quoting_it(project, text, line):
    error = fails(project, text)
    assert f"line {line}" in str(error)
    assert str(project / "datastore.yaml") in str(error)
    assert_nowhere(error)


def test_a_date_that_does_not_exist_or_bytes_that_are_no_text_are_errors_too(project):
    assert "YAML" in str(fails(project, "mounts: 2026-13-45"))
    (project / "datastore.yaml").write_bytes(b"mounts: \xff")
    assert "UTF-8" in str(fails(project))


def test_a_merge_key_may_repeat_what_it_overrides(project):
    text = """
    mounts:
      a: &base {provider: memory, ref: main}
      b: &more {<<: *base, ref: exp}
      c: {<<: *more, ref: v1}
    """
    assert {name: mount.options["ref"] for name, mount in load(project, text).mounts.items()} == {
        "a": "main",
        "b": "exp",
        "c": "v1",
    }


def test_a_file_that_stands_for_itself_or_for_billions_of_values_is_refused(project):
    assert "deeply" in str(fails(project, "mounts: &m {a: *m}"))
    lines = ["mounts:", "  a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]" for i in range(1, 10)]
    assert "large" in str(fails(project, "\n".join(lines)))


# variables


def test_variables_are_filled_in_as_one_text_and_never_read_as_yaml(project):
    text = "mounts: {a: {provider: memory, x: '${ONE}-${TWO:-two}', y: ['${ONE}'], z: '${NONE:-}', w: '$${ONE} $5'}}"
    options = load(project, text, ONE="{b: [1]} # '").mounts["a"].options
    assert options == {"x": "{b: [1]} # '-two", "y": ["{b: [1]} # '"], "z": "", "w": "${ONE} $5"}


def test_an_empty_variable_takes_the_default_as_in_the_shell(project):
    text = "mounts: {a: {provider: memory, x: '${ONE:-two}', y: '${ONE}'}}"
    assert load(project, text, ONE="").mounts["a"].options == {"x": "two", "y": ""}


def test_a_missing_variable_is_named_with_file_and_field(project):
    error = fails(project, "mounts: {a: {provider: memory, deep: {x: '${NOT_THERE}'}}}")
    for part in (str(project / "datastore.yaml"), "mounts.a.deep.x", "NOT_THERE"):
        assert part in str(error)


@pytest.mark.parametrize("text", ["${", "${1A}", "${A-b}", "${A:b}", "${A", "${}"])
def test_a_malformed_variable_is_an_error_and_not_a_text(project, text):
    error = fails(project, f"mounts: {{a: {{provider: memory, x: '{text}'}}}}", A="1")
    assert "mounts.a.x" in str(error)


@given(value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_whatever_a_variable_holds_arrives_unchanged(tmp_path_factory, value):
    file = tmp_path_factory.getbasetemp() / "property.yaml"
    file.write_text("mounts: {a: {provider: memory, x: '<${VALUE}>'}}")
    found = load_file(file, project=False, environ={"VALUE": value}).mounts["a"].options["x"]
    assert (found.reveal() if isinstance(found, Secret) else found) == f"<{value}>"


# overrides


BASE = "mounts: {garments-eu: {provider: memory, repo: a, nested: {deep: 1}}}"


@pytest.mark.parametrize(
    "variable",
    [
        "DATASTORE__MOUNTS__GARMENTS_EU__REPO",
        "datastore__mounts__garments-eu__repo",
        "DATASTORE__Mounts__Garments_EU__Repo",
    ],
)
def test_any_field_can_be_overridden_whatever_the_case(project, variable):
    assert load(project, BASE, **{variable: "b"}).mounts["garments-eu"].options["repo"] == "b"


def test_values_of_overrides_are_yaml_at_any_depth_but_secrets_are_taken_as_they_are(project):
    mount = load(
        project,
        BASE,
        DATASTORE__MOUNTS__GARMENTS_EU__READ_ONLY="true",
        DATASTORE__MOUNTS__GARMENTS_EU__NESTED__DEEP="[1, x]",
        DATASTORE__MOUNTS__GARMENTS_EU__PASSWORD="0123: {",
    ).mounts["garments-eu"]
    assert mount.options["read_only"] is True
    assert mount.options["nested"] == {"deep": [1, "x"]}
    assert mount.options["password"] == Secret("0123: {")


def test_a_mount_can_come_from_the_environment_alone(project):
    environ = {"DATASTORE__MOUNTS__NEW_ONE__PROVIDER": "local", "DATASTORE__MOUNTS__NEW_ONE__PATH": "here"}
    mount = load(project, **environ).mounts["new-one"]
    assert (mount.provider, mount.options) == ("local", {"path": str(project / "here")})


@pytest.mark.parametrize(
    ("variables", "hint"),
    [
        ({"DATASTORE__MOUNTS__GARMENT_EU__REPO": "x"}, "garments-eu"),
        ({"DATASTORE__MOUNT__X__REPO": "x"}, "mounts"),
        ({"DATASTORE__STORE__PAHT": "x"}, "path"),
        ({"DATASTORE__CASH": "x"}, "cache"),
        ({"DATASTORE__STORE": "x"}, "DATASTORE__STORE__PATH"),
        ({"DATASTORE__MOUNTS__GARMENTS_EU": "x"}, "OPTION"),
        ({"DATASTORE__MOUNTS__GARMENTS_EU__REPO__X": "x"}, ""),
        ({"DATASTORE__MOUNTS__GARMENTS_EU__": "x"}, ""),
        ({"DATASTORE__MOUNTS__GARMENTS_EU__REPO": "a: ["}, ""),
        ({"DATASTORE_STROE": "x"}, "DATASTORE_STORE"),
        ({"DATASTORE_OFLINE": "1"}, "DATASTORE_OFFLINE"),
    ],
)
def test_an_override_that_hits_nothing_names_the_variable_and_the_nearest(project, variables, hint):
    error = fails(project, BASE, **variables)
    assert next(iter(variables)) in str(error)
    assert hint in str(error.hint)


def test_two_variables_for_one_field_or_one_variable_for_two_are_ambiguous(project):
    twice = {"DATASTORE__MOUNTS__GARMENTS_EU__REPO": "x", "DATASTORE__MOUNTS__GARMENTS-EU__REPO": "y"}
    error = fails(project, BASE, **twice)
    assert all(name in str(error) for name in twice)
    error = fails(project, "mounts: {a: {provider: memory, x-y: 1, x_y: 2}}", DATASTORE__MOUNTS__A__X_Y="3")
    assert "x-y" in str(error)
    assert "x_y" in str(error)


def test_other_variables_with_our_prefix_are_somebody_elses(project):
    load(project, DATASTORE_EMULATOR_HOST="x", DATASTORE_CACHE="x", DATASTORE_OFFLINE="1", DATASTORE_FROZEN="1")


# secrets


def every_place(root, seen=None):
    """Yield the exception and everything that hangs on it, as a log or a debugger would show it."""
    seen = set() if seen is None else seen
    if root is None or id(root) in seen:
        return
    seen.add(id(root))
    yield from (str(root), repr(root), repr(root.args), repr(getattr(root, "__notes__", "")))
    yield repr(getattr(root, "hint", ""))
    yield from every_place(root.__cause__, seen)
    yield from every_place(root.__context__, seen)


def assert_nowhere(error):
    for text in every_place(error):
        assert PLANTED not in text
        assert PLANTED.replace("-", "") not in text
    assert PLANTED not in "".join(traceback.format_exception(error))
    assert PLANTED.encode() not in pickle.dumps(error)


def test_a_secret_shows_nowhere_and_does_not_travel():
    secret = Secret(PLANTED)
    for shown in (
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>30}",
        f"{secret!r:.2}",
        f"{[secret]}",
        "{:.3}".format(secret),  # noqa: UP032 - a format that would cut a text
    ):
        assert PLANTED not in shown
    assert secret.reveal() == PLANTED
    assert secret == Secret(PLANTED)
    assert secret != Secret("x")
    assert secret != PLANTED
    assert len({secret, Secret(PLANTED)}) == 1
    assert not hasattr(secret, "__dict__")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(UnsupportedOperation):
            pickle.dumps([secret], protocol)
    for copied in (copy.copy, copy.deepcopy):
        with pytest.raises(UnsupportedOperation):
            copied(secret)


@pytest.mark.parametrize(
    "name", ["password", "db_password", "secret_key", "Access-Key", "AWS_ACCESS_KEY_ID", "token", "sas", "GITHUB_PAT"]
)
def test_names_that_hold_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["path", "key", "PWD", "HOME", "bucket", "region", "partition_key", "endpoint", "SSH_AUTH_SOCK"]
)
def test_names_that_do_not(name):
    assert not is_secret_name(name)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "token", "b.c", "path"]), inner),
    )
)
def test_under_a_secret_name_no_text_stays_in_sight_and_hiding_again_changes_nothing(value):
    hidden = hide({"credentials": value, "open": value}, field="x")
    assert not [leaf for name, leaf in leaves(hidden) if name.startswith("credentials") and isinstance(leaf, str)]
    assert not [leaf for _, leaf in leaves(hidden) if isinstance(leaf, str) and has_credentials(leaf)]
    assert hide(hidden, field="x") == hidden


SECRET_FILE = """
mounts:
  a:
    provider: memory
    secret_access_key: {planted}
    credentials: [{{user: {planted}}}, {planted}]
    plain: ${{MY_TOKEN}}
    link: https://me:{planted}@host/x
    signed: https://host/x?X-Amz-Signature={planted}
    bucket: shown
"""


def test_a_planted_secret_is_in_no_repr_pickle_or_public_option(project, caplog):
    environ = {"MY_TOKEN": PLANTED, "DATASTORE__MOUNTS__A__PASSWORD": PLANTED}
    with caplog.at_level(logging.DEBUG):
        config = load(project, SECRET_FILE.format(planted=PLANTED), **environ)
    mount = config.mounts["a"]
    assert sum(isinstance(value, Secret) for _, value in leaves(mount.options)) == 7
    assert mount.public() == {"bucket": "shown", "credentials": [{}]}
    for shown in (config, mount, mount.options, mount.where, mount.public(), caplog.text):
        assert PLANTED not in f"{shown} {shown!r}"
    for value in (config, mount, {"x": mount}):
        sink = io.BytesIO()
        with pytest.raises(DatastoreError) as caught:
            pickle.Pickler(sink).dump(value)
        assert PLANTED.encode() not in sink.getvalue()
        assert_nowhere(caught.value)


def test_a_configuration_never_travels_in_a_pickle_even_without_secrets(project):
    with pytest.raises(UnsupportedOperation, match="does not travel"):
        pickle.dumps(load(project))


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        (f"mounts: {{a: {{provider: x, token: {PLANTED}}}, b: 1}}", {}),
        (f"mounts: {{a: {{token: {PLANTED}}}}}", {}),
        (f"store: {{path: {PLANTED}, x: 1}}", {}),
        (f"store: {PLANTED}", {}),
        (f"mounts: {PLANTED}", {}),
        ("store: {path: '${MY_TOKEN}'}", {"MY_TOKEN": PLANTED}),
        ("mounts: {a: {provider: '${MY_TOKEN}'}}", {"MY_TOKEN": PLANTED}),
        ("mounts: {a: {provider: x}}", {"DATASTORE__MOUNTS__A__X": f"{{{PLANTED}: ["}),
        ("mounts: {a: {provider: x}}", {"DATASTORE__MOUNTS__B__TOKEN": PLANTED}),
        ("mounts: {a: {provider: x, token: '${MY_TOKEN}${GONE}'}}", {"MY_TOKEN": PLANTED}),
    ],
)
def test_a_planted_secret_is_in_no_error(project, text, environ):
    assert_nowhere(fails(project, text, **environ))


# session mounts and cost


def test_a_session_mount_wraps_its_secrets_and_places_its_path(project, monkeypatch):
    monkeypatch.chdir(project)
    mount = session_mount("x", "local", {"path": Path("data"), "token": PLANTED, "given": Secret(PLANTED)})
    assert mount.options["path"] == str(project / "data")
    assert mount.public() == {"path": str(project / "data")}
    assert PLANTED not in repr(mount)
    with pytest.raises(ValidationError):
        session_mount("No Good", "local", {})


def test_a_process_without_configuration_loads_no_yaml(project):
    code = """
import sys, datastore.namespace
datastore.namespace.current().names()
print({"yaml", "pandas", "pyarrow", "botocore"} & {*sys.modules})
"""
    clean = {"HOME": str(project), "XDG_CONFIG_HOME": str(project), "PATH": ""}
    root = str(Path(__file__).parents[2])
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env={**clean, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "set()"


def test_the_author_of_commits_comes_from_the_environment(project):
    assert load(project, DATASTORE_AUTHOR="Ada <ada@example.org>").author == "Ada <ada@example.org>"
    assert load(project, GIT_AUTHOR_NAME="Ada", GIT_AUTHOR_EMAIL="a@b").author == "Ada <a@b>"
    assert isinstance(load(project), Config)
