"""From a URL to the provider that has its objects: which name means what, here and in another process."""

import json
import logging
import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datastore.config import load_config
from datastore.errors import (
    AlreadyExists,
    ConfigError,
    DatastoreError,
    Forbidden,
    IntegrityError,
    InvalidURL,
    NotFound,
    UntrustedConfig,
    ValidationError,
)
from datastore.namespace import Namespace, current, reset_current
from datastore.secret import Secret
from datastore.values import CommitRequest

PLANTED = "pl4nted-s3cr3t"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def build(project):
    """Make namespaces as a process in the project's folder would, and close them at the end."""
    made = []

    def namespace(mounts=None, **environ):
        (project / "datastore.yaml").write_text(json.dumps({"mounts": mounts or {}}))
        made.append(Namespace(load_config(environ={"DATASTORE_STORE": str(project / "store"), **environ}, cwd=project)))
        return made[-1]

    yield namespace
    for one in made:
        one.close()


def write(namespace, url, data=b"x"):
    target = namespace.target(url)
    target.provider.put(target.key, data)


def text(namespace, url):
    target = namespace.target(url)
    with target.provider.read(target.key) as reader:
        return reader.read()


def commit(namespace, name, branch="main"):
    request = CommitRequest(message="m", author="a", op_id="a")
    return namespace.target(f"ds://{name}").versioned.commit(branch, request).id


# names


def test_names_are_mounts_and_repos_and_nothing_is_created_by_looking(build, project):
    namespace = build({"raw": {"provider": "memory"}})
    assert namespace.names() == ["raw"]
    with pytest.raises(NotFound):
        namespace.root("garments")
    assert not (project / "store").exists()
    namespace.store.create_repo("garments")
    namespace.mount("draft", "memory")
    assert namespace.names() == ["draft", "garments", "raw"]


def test_a_typo_names_the_nearest_mount_or_repo(build):
    namespace = build({"raw-images": {"provider": "memory"}})
    namespace.store.create_repo("garments")
    for typo, right in (("garmnets", "garments"), ("raw-image", "raw-images"), ("locale", "local")):
        with pytest.raises(NotFound) as caught:
            namespace.target(f"ds://{typo}@main/x")
        assert typo in str(caught.value)
        assert right in str(caught.value.hint)


def test_a_name_that_a_mount_and_a_repo_claim_is_an_error_that_names_both(build, project):
    build().store.create_repo("garments")
    namespace = build({"garments": {"provider": "memory"}, "other": {"provider": "memory"}})
    with pytest.raises(ConfigError) as caught:
        namespace.root("garments")
    assert "datastore.yaml" in str(caught.value)
    assert str(project / "store") in str(caught.value)
    namespace.root("other")


def test_a_repo_under_a_reserved_name_is_not_mistaken_for_the_built_in_mount(build):
    namespace = build()
    namespace.store.create_repo("local")
    with pytest.raises(ConfigError, match="built-in"):
        namespace.root("local")
    with pytest.raises(AlreadyExists, match="built-in"):
        namespace.check_free("lakefs")
    namespace.check_free("garments")


@pytest.mark.parametrize("name", ["gcs", "azure"])
def test_a_reserved_name_that_this_version_cannot_serve_says_so(build, name):
    with pytest.raises(ConfigError, match="no provider"):
        build().target(f"ds://{name}/bucket/key")


@pytest.mark.parametrize("name", ["s3", "r2", "gcs", "azure", "lakefs"])
def test_a_reserved_name_is_not_for_another_provider(build, name):
    with pytest.raises(ConfigError, match="built-in mount"):
        build().mount(name, "memory")
    with pytest.raises(ConfigError, match=r"datastore\.yaml.*built-in mount"):
        build({name: {"provider": "memory"}})


def test_local_is_this_machines_disk_until_the_user_gives_the_name_to_a_folder(build, project):
    (project / "a b.txt").write_bytes(b"here")
    namespace = build()
    assert text(namespace, f"ds://local{project}/a b.txt") == b"here"
    assert namespace.names() == []
    namespace.mount("local", "local", path=".")
    assert text(namespace, "ds://local/a b.txt") == b"here"


# targets


def test_an_unversioned_mount_has_no_refs(build):
    namespace = build({"raw": {"provider": "memory"}})
    target = namespace.target("ds://raw/a/b c#1.csv")
    assert (target.name, target.ref, target.key, target.versioned) == ("raw", None, "a/b c#1.csv", None)
    with pytest.raises(InvalidURL) as caught:
        namespace.target("ds://raw@main/x")
    assert "'raw'" in str(caught.value)
    assert namespace.target("raw").provider is namespace.root("raw")


def test_the_root_names_no_mount(build):
    for url in ("ds://", ""):
        with pytest.raises(InvalidURL):
            build().target(url)


def test_the_ref_is_the_written_one_else_the_mounts_else_the_repos(build, project):
    build().store.create_repo("garments", default_branch="trunk")
    options = {"provider": "embedded", "path": "store"}
    namespace = build({"one": {**options, "repo": "garments", "ref": "exp"}, "many": options})
    assert namespace.target("ds://garments/x").ref == "trunk"
    assert namespace.target("ds://garments@v1/x").ref == "v1"
    assert namespace.target("ds://one/x").ref == "exp"
    assert namespace.target("ds://one@v1/x").ref == "v1"
    target = namespace.target("ds://many/garments@v1/deep/x")
    assert (target.name, target.ref, target.key) == ("many/garments", "v1", "deep/x")
    assert namespace.target("ds://many/garments").ref == "trunk"
    assert target.location.mount == "many"


@pytest.mark.parametrize(
    "url", ["ds://many@main/garments/x", "ds://many", "ds://many//x", "ds://many/@main/x", "ds://many/NO/x"]
)
def test_a_store_of_several_repos_needs_the_repo_in_the_url(build, url):
    namespace = build({"many": {"provider": "embedded", "path": "store"}})
    namespace.store.create_repo("garments")
    with pytest.raises(InvalidURL):
        namespace.target(url)
    with pytest.raises(NotFound):
        namespace.target("ds://many/garmnets/x")


def test_a_branch_is_written_and_a_pin_keeps_reading_the_commit_it_names(build):
    namespace = build()
    namespace.store.create_repo("garments")
    write(namespace, "ds://garments/x", b"one")
    first = commit(namespace, "garments")
    write(namespace, "ds://garments/x", b"two")
    assert text(namespace, "ds://garments@main/x") == b"two"
    pins = {"garments@main": first}
    for url in ("ds://garments/x", "ds://garments@main/x"):
        pinned = namespace.target(url, pins=pins)
        assert pinned.ref == first
        assert pinned.provider.read("x").read() == b"one"
        with pytest.raises(Forbidden):
            pinned.provider.put("x", b"")
    assert namespace.target("ds://garments@main~1/x", pins=pins).ref == "main~1"


def test_a_repo_that_is_deleted_or_renamed_is_noticed_at_once(build):
    namespace = build()
    namespace.store.create_repo("garments")
    namespace.target("ds://garments/x")
    namespace.store.rename_repo("garments", "clothes")
    namespace.target("ds://clothes/x")
    with pytest.raises(NotFound, match="garments"):
        namespace.target("ds://garments/x")


# mounts


def test_mounting_the_same_again_is_fine_and_another_thing_is_not(build, project):
    namespace = build({"raw": {"provider": "local", "path": "data"}})
    first = namespace.mount("draft", "local", path="x")
    assert namespace.mount("draft", "local", path=project / "x") == first
    assert (first.name, first.provider, first.source, first.versioned) == ("draft", "local", "session", False)
    assert first.options == {"path": str(project / "x")}
    assert namespace.mount("raw", "local", path="data").source.endswith("datastore.yaml")
    for name, provider, options in (("draft", "local", {"path": "y"}), ("raw", "memory", {}), ("draft", "memory", {})):
        with pytest.raises(AlreadyExists, match=name):
            namespace.mount(name, provider, **options)
    namespace.store.create_repo("garments")
    with pytest.raises(AlreadyExists, match="repo"):
        namespace.mount("garments", "memory")
    assert [mount.name for mount in namespace.mounts()] == ["draft", "raw"]


@pytest.mark.parametrize(
    ("name", "provider", "options", "error"),
    [
        ("Bad Name", "memory", {}, ValidationError),
        ("x", "memroy", {}, ConfigError),
        ("x", "local", {"pth": "y"}, ConfigError),
        ("x", "local", {"path": 3}, ConfigError),
        ("x", "local", {"path": Secret(PLANTED)}, ConfigError),
        ("x", "embedded", {"path": "s", "ref": "not a ref"}, ConfigError),
        ("x", "embedded", {"path": "s", "ref": 3}, ConfigError),
        ("x", "memory", {"path": object()}, ConfigError),
    ],
)
def test_a_mount_that_is_wrong_is_refused_at_once_and_leaves_nothing(build, name, provider, options, error):
    namespace = build()
    with pytest.raises(error) as caught:
        namespace.mount(name, provider, **options)
    assert PLANTED not in f"{caught.value!r}"
    assert namespace.mounts() == []


def test_a_configured_mount_that_is_wrong_hurts_only_who_uses_it(build):
    namespace = build(
        {
            "bad": {"provider": "memory", "colour": "red"},
            "ref": {"provider": "memory", "ref": "main"},
            "gone": {"provider": "embedded", "path": "gone", "repo": "garments"},
            "later": {"provider": "s3", "bucket": "b"},
            "good": {"provider": "memory"},
        },
        DATASTORE__MOUNTS__GOOD__REF="main",
    )
    for name in ("bad", "ref", "gone", "later"):
        with pytest.raises(DatastoreError) as caught:
            namespace.root(name)
        assert name == "gone" or name in str(caught.value)
    with pytest.raises(ConfigError, match="DATASTORE__MOUNTS__GOOD__REF"):
        namespace.root("good")
    assert {mount.name: mount.versioned for mount in namespace.mounts()} == dict.fromkeys(
        ["bad", "ref", "gone", "later", "good"]
    )


def test_a_mount_of_a_project_that_would_send_credentials_elsewhere_is_not_opened(build):
    namespace = build({"evil": {"provider": "s3", "endpoint": "https://collector.example"}})
    with pytest.raises(UntrustedConfig, match=r"collector\.example"):
        namespace.target("ds://evil/x")
    assert namespace.mounts()[0].versioned is None


def test_no_secret_of_a_mount_shows_anywhere(build, caplog):
    caplog.set_level(logging.DEBUG)
    namespace = build(
        {"vault": {"provider": "memory", "token": PLANTED, "url": f"https://u:{PLANTED}@h/"}},
        DATASTORE__MOUNTS__VAULT__PASSWORD=PLANTED,
    )
    shown = [repr(namespace.mounts()), repr(namespace.config), json.dumps(namespace.handle())]
    for use in (namespace.root, lambda name: namespace.mount(name, "memory", token=PLANTED), pickle.dumps):
        with pytest.raises((DatastoreError, TypeError, AttributeError)) as caught:
            use("vault") if use is not pickle.dumps else use(namespace)
        shown.append(f"{caught.value!r} {caught.value} {getattr(caught.value, 'hint', '')}")
    assert all(PLANTED not in one for one in [*shown, caplog.text])


# one process


def test_current_is_found_by_environment_and_directory_and_kept_until_reset(project, monkeypatch):
    (project / "datastore.yaml").write_text("mounts: {raw: {provider: memory}}")
    (project / ".datastore").mkdir()
    found = current()
    assert found is current()
    assert found.names() == ["raw"]
    assert found.config.store == project / ".datastore"
    found.mount("draft", "memory")
    monkeypatch.setenv("DATASTORE_STORE", str(project / "other"))
    assert current().config.store == project / ".datastore"
    reset_current()
    assert current().config.store == project / "other"
    assert current().names() == ["raw"]


def test_threads_that_ask_at_the_same_time_get_the_same_thing(build):
    namespace = build({"raw": {"provider": "memory"}})
    namespace.store.create_repo("garments")
    barrier = threading.Barrier(16)

    def use(i):
        barrier.wait()
        write(namespace, f"ds://raw/{i}")
        namespace.mount("draft", "memory")
        write(namespace, f"ds://draft/{i}")
        write(namespace, f"ds://garments/{i}")
        return namespace.root("raw"), namespace.root("draft"), namespace.store

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(use, range(16)))
    assert len({tuple(map(id, roots)) for roots in found}) == 1
    for name in ("raw", "draft", "garments"):
        provider = namespace.target(name).provider
        assert len([one for page in provider.list() for one in page.objects]) == 16


# other processes


def test_a_handle_is_plain_text_without_secrets(build, project):
    namespace = build({"raw": {"provider": "memory"}})
    handle = namespace.handle()
    assert handle["store_id"] == ""
    namespace.store.create_repo("garments")
    namespace.mount("draft", "local", path="x")
    handle = namespace.handle()
    assert all(isinstance(part, str) for pair in handle.items() for part in pair)
    assert handle["config"] == str(project / "datastore.yaml")
    assert handle["store"] == str(project / "store")
    assert handle["store_id"] == namespace.store.id


def test_in_the_same_process_a_handle_means_the_current_namespace(project, monkeypatch):
    monkeypatch.setenv("DATASTORE_STORE", str(project / "store"))
    current().mount("draft", "memory")
    handle = current().handle()
    assert Namespace.from_handle(handle) is current()
    current().mount("second", "memory")
    current().store.create_repo("garments")
    assert Namespace.from_handle(handle) is current()
    assert Namespace.from_handle(current().handle()) is current()


def test_elsewhere_a_handle_is_another_namespace_which_is_kept(project, monkeypatch):
    monkeypatch.setenv("DATASTORE_STORE", str(project / "store"))
    (project / "x").mkdir()
    (project / "x" / "f").write_bytes(b"here")
    current().mount("draft", "local", path="x")
    handle = pickle.loads(pickle.dumps(current().handle()))
    reset_current()
    monkeypatch.setenv("DATASTORE_STORE", str(project / "other"))
    monkeypatch.chdir("/")
    found = Namespace.from_handle(handle)
    assert found is not current()
    assert found is Namespace.from_handle(handle)
    assert text(found, "ds://draft/f") == b"here"
    assert found.config.store == project / "store"
    assert found.handle() == handle


def test_a_broken_configuration_of_the_worker_does_not_stop_a_handle(project, monkeypatch, tmp_path):
    handle = current().handle()
    reset_current()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "datastore.yaml").write_text("mounts: [")
    monkeypatch.chdir(broken)
    assert str(Namespace.from_handle(handle).config.store) == handle["store"]


def test_another_store_under_the_same_path_is_an_error(build, project):
    namespace = build()
    namespace.store.create_repo("garments")
    handle = namespace.handle()
    namespace.close()
    (project / "store").rename(project / "moved")
    Namespace.from_handle(handle)  # not there: whoever only uses mounts can work
    build().store.create_repo("garments")
    with pytest.raises(IntegrityError) as caught:
        Namespace.from_handle(handle)
    assert str(project / "store") in str(caught.value)
    assert handle["store_id"] in str(caught.value)


def test_the_file_of_a_project_stays_untrusted_in_another_process(build):
    handle = build({"evil": {"provider": "s3", "endpoint": "https://collector.example"}}).handle()
    with pytest.raises(UntrustedConfig):
        Namespace.from_handle(handle).root("evil")


SECRETIVE = """
from msgspec import Struct
from datastore.providers.memory import MemoryProvider
from datastore.secret import Secret

class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: Secret
    region: str = ""

def open_mount(options):
    return MemoryProvider()
"""


def test_a_session_mount_with_secrets_does_not_travel_and_says_so_where_it_is_used(build, tmp_path, monkeypatch):
    info = tmp_path / "secretive-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: secretive\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[datastore.providers]\nsecretive = datastore_secretive\n")
    (tmp_path / "datastore_secretive.py").write_text(SECRETIVE)
    monkeypatch.syspath_prepend(str(tmp_path))
    namespace = build()
    shown = namespace.mount("vault", "secretive", token=PLANTED, region="eu")
    assert namespace.mount("vault", "secretive", token=PLANTED, region="eu") == shown
    with pytest.raises(AlreadyExists):
        namespace.mount("vault", "secretive", token="another", region="eu")
    handle = namespace.handle()
    assert PLANTED not in f"{shown} {handle} {namespace.config} {namespace.mounts()}"
    elsewhere = Namespace.from_handle(handle)
    assert elsewhere.names() == ["vault"]
    with pytest.raises(ConfigError) as caught:
        elsewhere.root("vault")
    assert "'vault'" in str(caught.value)
    assert "token" in str(caught.value)
    assert "datastore.yaml" in str(caught.value.hint)


def read_elsewhere(handle, answers):
    namespace = Namespace.from_handle(handle)
    answers.put((text(namespace, "ds://garments/x"), text(namespace, "ds://draft/f")))
    reset_current()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_reads_the_same_bytes(project, monkeypatch, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    monkeypatch.setenv("DATASTORE_STORE", str(project / "store"))
    (project / "f").write_bytes(b"disk")
    namespace = current()
    namespace.store.create_repo("garments")
    namespace.mount("draft", "local", path=".")
    write(namespace, "ds://garments/x", b"repo")
    text(namespace, "ds://draft/f")
    context = multiprocessing.get_context(method)
    answers = context.SimpleQueue()
    worker = context.Process(target=read_elsewhere, args=(namespace.handle(), answers))
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    assert answers.get() == (b"repo", b"disk")
    assert text(namespace, "ds://garments/x") == b"repo"
    assert Path(namespace.config.store).is_dir()
